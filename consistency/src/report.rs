//! What a history has shown.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::bias::{FAULTS_DEADLINE, USUAL_MIX};
use crate::conductor::Outcome;
use crate::names::Kind;
use crate::options::Options;
use crate::witness;

/// Of n reads without a stale one, fewer than 3/n are stale at a confidence of 95 %: the rule of
/// three.
fn rate_max(reads: u64) -> f64 {
    3.0 / reads.max(1) as f64
}

pub(crate) fn text(options: &Options, outcome: &Outcome) -> String {
    let Outcome { checker, coverage, changes, kills, took, server, fault_ledger } = outcome;
    let (reads, stale) = (checker.judged(), checker.stale_count());
    let invalidations: u64 = changes.values().map(|[done, _]| done).sum();
    let failed: u64 = changes.values().map(|[_, failed]| failed).sum();
    let mut text = format!(
        "{}: {server}, seed {}, {} processes of {} tasks, {:.1} s, {kills} processes killed\n",
        options.store(),
        options.seed,
        options.processes,
        options.tasks,
        took.as_secs_f64()
    );
    if options.mix != USUAL_MIX {
        _ = writeln!(text, "mix of {}", options.mix);
    }
    if cfg!(cache_ablation) {
        _ = writeln!(text, "limits: {}", options.bias().limits);
    }
    _ = writeln!(text, "{reads} reads checked, {} of them copies; {stale} stale", checker.copies());
    _ = writeln!(text, "{} of them began in the 100 ms after a change of their names", checker.soon());
    let refused = coverage.count("refused_fills");
    _ = writeln!(text, "{invalidations} invalidations, {failed} more failed; {refused} fills refused");
    _ = writeln!(text, "{} panics, {} calls failed", coverage.count("panics"), coverage.count("failed calls"));
    if stale == 0 {
        let rate = rate_max(reads);
        _ = writeln!(text, "stale reads are fewer than one in {:.0} (95 %, rule of three)", 1.0 / rate);
    }
    let share = |kind| 100.0 * checker.judged_of(kind) as f64 / reads.max(1) as f64;
    let kinds = Kind::ALL.map(|kind| format!("{} {} ({:.1} %)", kind.prefix(), checker.judged_of(kind), share(kind)));
    _ = writeln!(text, "reads of: {}", kinds.join("; "));
    let ways: Vec<String> = changes.iter().map(|(how, [done, _])| format!("{} {done}", how.text())).collect();
    _ = writeln!(text, "changed by: {}", ways.join("; "));
    text += &coverage.report(options, reads);
    if !fault_ledger.is_empty() {
        let deadline = FAULTS_DEADLINE.as_millis();
        _ = write!(text, "\n\nThe operation deadline is {deadline} ms.\n\n{}", fault_ledger.table());
    }
    text
}

/// A row of the table of ablations.
pub(crate) fn ablation(options: &Options, rule: &str, outcome: &Outcome) -> String {
    let (stale, seconds) = (outcome.checker.stale_count(), outcome.took.as_secs_f64());
    let found = if stale > 0 { "stale" } else { "none found" };
    format!("| `{rule}` | {} | {found} | {seconds:.1} s | {} |", options.store(), outcome.checker.judged())
}

/// The stories of the first stale reads; the drawing of the first goes to a file.
pub(crate) fn witnesses(options: &Options, outcome: &Outcome) -> String {
    let checker = &outcome.checker;
    let mut text = String::new();
    for (number, stale) in checker.stale().iter().enumerate() {
        let missed = stale.missed.as_ref();
        if number < 3 {
            text += &witness::text(stale, missed);
        }
        if number == 0 {
            let path = Path::new(&options.witness);
            let written = path.parent().map_or(Ok(()), fs::create_dir_all);
            match written.and_then(|()| fs::write(path, witness::svg(stale, missed))) {
                Ok(()) => _ = writeln!(text, "drawn in {}", path.display()),
                Err(error) => _ = writeln!(text, "cannot draw it in {}: {error}", path.display()),
            }
        }
    }
    text
}
