//! The scripts without one of their rules: see [`crate::ablation`]. The names are those of
//! `store/memory/rules.rs`.

#[cfg(cache_ablation)]
use std::borrow::Cow;

/// What a rule is in the scripts, and what stands there without it.
struct Ablation {
    rule: &'static str,
    /// Only in scripts with this text.
    within: &'static str,
    from: &'static str,
    to: &'static str,
}

macro_rules! ablations {
    ($($rule:literal $(within $within:literal)? : $from:literal => $to:literal;)*) => {
        const ABLATIONS: &[Ablation] = &[
            $(Ablation { rule: $rule, within: concat!("", $($within)?), from: $from, to: $to },)*
        ];
    };
}

ablations! {
    "GivenNamesAreFenced": "now, '!seq', now, ARGV[4])" => "now, '!seq')";
    "GivenNamesAreFenced": "advance_clock(ARGV, 4)" => "advance_clock({}, 1)";
    "RemovedNamesAreFenced": "unwritten[#unwritten + 1] = owns[visited]" => "";
    "EveryChunkFencesAgain": "    fence(name)\n    if is_all then" => "    if is_all then";
    "EveryChunkFencesAgain": "        fence(name)\n      end\n    end\n  end\n  write_fences()"
        => "      end\n    end\n  end\n  write_fences()";
    "EveryChunkFencesAgain": "if left > 256 then" => "if false then";
    "PendingWorkIsKept": "  return counts, left\nend" => "  redis.call('DEL', pending_key)\n  return counts, 0\nend";
    "KeysLeftAreOnRecord": "    guarded('ZADD', index_prefix .. own, 0, key)\n" => "";
    "SuccessorsKeepTheirMemberships": "kept[name] = true\n  end\n  fence" => "end\n  fence";
    "FillChecksEveryName" within "-- Stores a loaded value with its memberships, or refuses it.":
        "for place = at, #shown do" => "for place = at, math.min(at, #shown) do";
    "WriteChecksEveryName" within "-- Write-through: removes the key":
        "for place = at, #shown do" => "for place = at, math.min(at, #shown) do";
    "DroppedFencesRaiseTheFloor": "    raise_floor(highest)\n" => "";
    "IncarnationIsChecked": "local shown = redis.pcall('ZMSCORE', clock_key, '!inc:' .. ARGV[5], '!seq', '!closed')"
        => "local shown = redis.pcall('ZMSCORE', clock_key, '!seq', '!seq', '!closed')";
    "MembersWithoutEntryCount": "  push_all(owns, indexes)\n  local visited = 0"
        => "  for at, own in ipairs(owns) do\n    if redis.call('EXISTS', root .. string.sub(own, 2)) == 1 then\n      \
            push_all({ own }, { indexes[at] })\n    end\n  end\n  local visited = 0";
    "DependedOnMembersStay": "return not is_depended_on(key, dead_since)" => "return true";
    "DeadMembersStayAWhile": "local dead_since, empty = now_ms - retention_ms, {}" => "local dead_since, empty = now_ms, {}";
    "DeadMembersStayAWhile": "now_ms + ttl_ms + retention_ms" => "now_ms + ttl_ms";
    "OldLoadsAreRefused": "now_ms - ARGV[7] > retention_ms then" => "false then";
    "ClosedNamesRefuseFills": "if any_closed and not why and ARGV[10] ~= '' then" => "if false then";
    "ReachedNamesAreClosed": "    reach(name, members)\n" => "";
    "ClosingsShareWhatTheyReach": "  take_over(operation, names, ends)\n  return true" => "  return true";
    "ReachedNamesAreFenced": "    overtake(reached)\n" => "";
    "MarksHaveAnOwner": "  count_marks(marked, -1)\n  if #reached > 0"
        => "  count_marks(marked, -1)\n  for _, name in ipairs(names) do\n    \
            redis.call('ZREM', clock_key, '!closed:' .. name)\n  end\n  if #reached > 0";
    "OpeningFences": "open_names(operation, { unpack(ARGV, 4) })\n"
        => "open_names(operation, { unpack(ARGV, 4) })\nwhile ARGV[4] do\n  table.remove(ARGV)\nend\n";
    "EndedMarksFence": "  overtake(names)\n  return is_ended" => "  return {}";
    "WriteChecksClosedNames": "why = why or refusal_of_closed(every_name(), opens)" => "why = why";
    "WriteFencesItsKey": "advance_clock({ own }, 1)" => "advance_clock({}, 1)";
    "WriteFencesItsKey": "now, '!seq', now, own)" => "now, '!seq')";
    "SweepRaisesTheFloor": "advance_clock({}, 1)\nraise_floor(seq)" => "advance_clock({}, 1)";
    "SweepFollowsEntriesThatAreGone": "  push_all(names, indexes)\n  if page[1]" => "  if page[1]";
}

/// The script as it is sent: in a build for experiments without the rule that is left out, and in
/// small chunks, so that a cascade has many.
#[cfg(cache_ablation)]
pub(super) fn in_force(source: &'static str) -> Cow<'static, str> {
    let ablated = without(source, |rule| !crate::ablation::keeps(rule));
    ablated.replace("fences_max, visits_max = 100000, 300", "fences_max, visits_max = 100000, 6").into()
}

fn without(source: &str, is_left_out: impl Fn(&str) -> bool) -> String {
    let here = ABLATIONS.iter().filter(|ablation| is_left_out(ablation.rule) && source.contains(ablation.within));
    here.fold(source.to_owned(), |source, ablation| source.replace(ablation.from, ablation.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::scripts::ALL;

    #[test]
    fn every_ablation_changes_a_script() {
        for Ablation { rule, within, from, to } in ABLATIONS {
            assert_ne!(from, to);
            let changes = |source: &str| {
                source.contains(within)
                    && source.contains(from)
                    && without(source, |left_out| left_out == *rule) != source
            };
            assert!(ALL.iter().any(|script| changes(script.source)), "{rule}: no script has {from:?}");
        }
    }
}
