//! The scripts without one of their rules: see [`crate::ablation`]. The names are those of
//! `store/rules.rs`.

#[cfg(cache_ablation)]
use std::borrow::Cow;

#[cfg(cache_ablation)]
use crate::ablation::{is_left_out, limit};
#[cfg(cache_ablation)]
use crate::config::{FENCES_MAX, INVALIDATE_MEMBERS_PER_CHUNK, REACHED_NAMES_MAX};

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
    "GivenNamesAreFenced": "now, '!seq', now, ARGV[5])" => "now, '!seq')";
    "GivenNamesAreFenced": "advance_clock(ARGV, 5)" => "advance_clock({}, 1)";
    "VisitsAdvanceTheClock" within "-- One chunk of an invalidation.": "clock_was < now_us and" => "false and";
    "VisitsAdvanceTheClock" within "-- One chunk of an invalidation.":
        "  seq = math.max(seq + 1, now_us)\n  local score = string.format('%d', seq)\n  local fences = { score, '!seq' }\n  \
            for at = first, #names do"
        => "  local score = string.format('%d', seq)\n  local fences = { score, '!seq' }\n  for at = first, #names do";
    "RemovedNamesAreFenced": "    unwritten[#unwritten + 1] = own\n" => "";
    "MembersWithoutEntryCount": "    if path[own] then\n"
        => "    if redis.call('EXISTS', root .. string.sub(own, 2)) == 0 then\n      stays[at] = false\n    \
            elseif path[own] then\n";
    "MembershipsOutliveTheirWork": "remove_members(name, keys, owns, count, stays)"
        => "remove_members(name, keys, owns, #keys, {})";
    "MembershipsOutliveTheirWork": "if block ~= '' and redis.call('EXISTS', index_prefix .. 'k' .. key) == 0 then"
        => "if block ~= '' then";
    "GivenEntriesFallFirst": "        leave_below(name, left, true)\n      end\n"
        => "        return leave_below(name, left, spares_entries)\n      end\n";
    "FillChecksEveryName" within "-- Stores a loaded value with its memberships, or refuses it.":
        "for place = at, #shown do" => "for place = at, math.min(at, #shown) do";
    "WriteChecksEveryName" within "-- Write-through: removes the key":
        "for place = at, #shown do" => "for place = at, math.min(at, #shown) do";
    "WriteChecksClosedNames": "why = why or refusal_of_closed(every_name(), opens)" => "why = why";
    "WriteFencesItsKey": "advance_clock({ own }, 1)" => "advance_clock({}, 1)";
    "WriteFencesItsKey": "now, '!seq', now, own)" => "now, '!seq')";
    "SuccessorsKeepTheirMemberships": "leave(key, block, new_names(), 256)" => "leave(key, block, {}, 256)";
    "TheFloorIsChecked": "elseif reading_seq < floor then" => "elseif false then";
    "DroppedFencesRaiseTheFloor": "    raise_floor(highest)\n" => "";
    "IncarnationIsChecked": "redis.pcall('ZMSCORE', clock_key, '!inc:' .. ARGV[5], '!seq', '!closed', primary)"
        => "redis.pcall('ZMSCORE', clock_key, '!seq', '!seq', '!closed', primary)";
    "OldLoadsAreRefused": "now_ms - ARGV[7] > retention_ms then" => "false then";
    "ReapingIsRemembered": "elseif now_us < seq and reading_seq < -(redis.call('ZSCORE', clock_key, '!reaped') or 0) then"
        => "elseif false then";
    "DependedOnMembersStay": "return not is_depended_on(key, dead_since)" => "return true";
    "DeadMembersStayAWhile": "local dead_since, empty = now_ms - retention_ms, {}" => "local dead_since, empty = now_ms, {}";
    "DeadMembersStayAWhile": "now_ms + ttl_ms + retention_ms" => "now_ms + ttl_ms";
    "EntriesKeepTheirMemberships": "if redis.call('EXISTS', value_key) == 1 and string.find(" => "if false and string.find(";
    "EntriesCountAsDependents": " or redis.call('EXISTS', root .. dependent) == 1 then" => " then";
    "ClosedNamesRefuseFills": "if any_closed and not why and ARGV[10] ~= '' then" => "if false then";
    "ReachedNamesAreClosed": "    reach(name, keys)\n" => "";
    "ClosingsShareWhatTheyReach": "  take_over(operation, names, ends)\n" => "";
    "ReachedNamesAreFenced": "    overtake(reached)\n" => "";
    "ReachBeyondTheLimitClosesDependents": "      names[#names + 1] = '*'\n" => "";
    "ReachBeyondTheLimitRaisesTheFloor": "      redis.call('ZADD', clock_key, -floor, '!floor')\n    else" => "    else";
    "MarksHaveAnOwner": "  count_marks(marked, -1)\n  if #reached > 0"
        => "  count_marks(marked, -1)\n  for _, name in ipairs(names) do\n    \
            redis.call('ZREM', clock_key, '!closed:' .. name)\n  end\n  if #reached > 0";
    "OpeningFences": "open_names(operation, { unpack(ARGV, 5) })\n"
        => "open_names(operation, { unpack(ARGV, 5) })\nwhile ARGV[5] do\n  table.remove(ARGV)\nend\n";
    "EndedMarksFence": "  overtake(names)\n  return is_ended" => "  return {}";
    "SweepRaisesTheFloor": "advance_clock({}, 1)\nraise_floor(seq)" => "advance_clock({}, 1)";
    "SweepFollowsEntriesThatAreGone": "      names[#names + 1] = name\n    else" => "    else";
    // Of several partitions.
    "HomesCheckFences": "if fence and tonumber(fence) > reading_seq then" => "if false then";
    "HomesCheckTheIncarnation": "if incarnation_here() ~= ARGV[4] then\n  why = " => "if false then\n  why = ";
    "RegistrationsChangeStamps": "math.max(ends_ms, (guarded('ZSCORE', index, '~' .. of) or 0) + 1)"
        => "guarded('ZSCORE', index, '~' .. of) or ends_ms";
    "FillsCheckTheAdoption": "why = not known and 'home' or why" => "why = why";
    "MarksKeepMembers": "string.byte(dependent) == 126 or " => "";
    "SettlingComparesStamps": "\n    and tonumber(guarded('ZSCORE', index, mark) or 0) == stamp then" => " then";
    "SettlingComparesFences": " and tonumber(shown[2] or 0) == tonumber(ARGV[at + 4])\n" => "\n";
    "QuestionsFence" within "-- Asks a partition whether": "advance_clock(ARGV, 4)" => "advance_clock({}, 1)";
    "ReapingFences" within "-- Looks for marks of a name": "  advance_clock(ARGV, 4)\n" => "";
    "ReapingFences": "string.format('%d', seq), unpack(reply)"
        => "string.format('%d', redis.call('ZSCORE', clock_key, ARGV[4]) or 0), unpack(reply)";
}

/// The script as it is sent: in a build for experiments without the rule that is left out, and with
/// the limits that are set.
#[cfg(cache_ablation)]
pub(super) fn in_force(source: &'static str) -> Cow<'static, str> {
    let limits = |fences, reached, visits| {
        let fences_and_visits = format!("local fences_max, visits_max = {fences}, {visits}\n");
        [fences_and_visits, format!("local reached_max = {reached}\n")]
    };
    let usual = limits(FENCES_MAX, REACHED_NAMES_MAX, INVALIDATE_MEMBERS_PER_CHUNK);
    let visits = limit("visits", INVALIDATE_MEMBERS_PER_CHUNK);
    let set = limits(limit("fences", FENCES_MAX), limit("reached", REACHED_NAMES_MAX), visits);
    let ablated = without(source, is_left_out);
    std::iter::zip(usual, set).fold(ablated, |source, (usual, set)| source.replace(&usual, &set)).into()
}

/// The rules that the scripts keep.
#[cfg(cache_ablation)]
pub(in crate::store) fn names() -> Vec<&'static str> {
    ABLATIONS.iter().map(|ablation| ablation.rule).collect()
}

fn without(source: &str, is_left_out: impl Fn(&str) -> bool) -> String {
    let here = ABLATIONS.iter().filter(|ablation| is_left_out(ablation.rule) && source.contains(ablation.within));
    here.fold(source.to_owned(), |source, ablation| source.replace(ablation.from, ablation.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::rig::Rig;
    use crate::store::redis::scripts::{ALL, OF_PARTITIONS, Script};

    fn scripts() -> impl Iterator<Item = &'static Script> {
        ALL.iter().chain(OF_PARTITIONS).copied()
    }

    #[test]
    fn every_ablation_changes_a_script() {
        for Ablation { rule, within, from, to } in ABLATIONS {
            assert_ne!(from, to);
            let changes = |source: &str| {
                source.contains(within)
                    && source.contains(from)
                    && without(source, |left_out| left_out == *rule) != source
            };
            assert!(scripts().any(|script| changes(script.source)), "{rule}: no script has {from:?}");
        }
    }

    #[tokio::test]
    async fn every_ablation_leaves_scripts_that_a_server_takes() {
        let rig = Rig::redis("CACHE_TEST_REDIS_URL").await;
        for Ablation { rule, .. } in ABLATIONS {
            for script in scripts() {
                let source = without(script.source, |left_out| left_out == *rule);
                if source != script.source {
                    let taken =
                        rig.raw().await.send_packed_command(::redis::cmd("SCRIPT").arg("LOAD").arg(&source)).await;
                    assert!(taken.is_ok(), "{rule}: {taken:?} to\n{source}");
                }
            }
        }
    }
}
