//! `fuzz [targets] [--seconds N] [--seed N] [--write]`: throws inputs at targets, for so long at
//! each. What breaks one is kept in `fuzz/corpus`, and ends the run. With `--write` one input of
//! each kind of outcome is written there too. Run by `cargo xtask fuzz`.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::{Mutator, TARGETS, Target, keep, write_down};

/// Inputs that came to something new, of one target.
const KEPT_MAX: usize = 20_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| -> Option<u64> {
        let at = arguments.iter().position(|argument| argument == flag)?;
        Some(arguments.get(at + 1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{flag} N")))
    };
    let (seconds, seed) = (number("--seconds").unwrap_or(60), number("--seed").unwrap_or_else(|| fastrand::u64(..)));
    let is_named = |target: &&Target| arguments.iter().any(|argument| argument == target.name);
    let named: Vec<&Target> = TARGETS.iter().filter(is_named).collect();
    let targets = if named.is_empty() { TARGETS.iter().collect() } else { named };
    let writes = arguments.iter().any(|argument| argument == "--write");
    println!("seed {seed}");
    let (begun, mut all, mut kinds) = (Instant::now(), 0, 0);
    for target in &targets {
        let Some((inputs, found, kept)) = run(target, Duration::from_secs(seconds), seed) else {
            return ExitCode::FAILURE;
        };
        (all, kinds) = (all + inputs, kinds + found);
        if writes {
            write_down(target.name, &kept);
        }
    }
    let (targets, seconds) = (targets.len(), begun.elapsed().as_secs_f64());
    println!("{targets} targets: {all} inputs in {seconds:.1} s, {kinds} kinds of outcome; none broke one");
    ExitCode::SUCCESS
}

/// How many inputs it read, how many kinds of outcome came of them, and one input for each of the
/// first of these. `None`: the target broke.
fn run(target: &Target, lasts: Duration, seed: u64) -> Option<(u64, usize, Vec<Vec<u8>>)> {
    let (begun, mut mutator) = (Instant::now(), Mutator::new(seed));
    let (mut inputs, mut outcomes, mut kept) = (0_u64, HashSet::new(), Vec::new());
    let mut next = target.seeds();
    while begun.elapsed() < lasts {
        let input = next.pop().unwrap_or_else(|| {
            let (one, other) = (mutator.pick(&kept).to_vec(), mutator.pick(&kept));
            mutator.mutate(&one, other, target.pieces())
        });
        inputs += 1;
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| target.read(&input))) else {
            println!("{}: broken by {}", target.name, keep(target.name, &input).display());
            return None;
        };
        if outcomes.insert(outcome) && kept.len() < KEPT_MAX {
            kept.push(input);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}: {inputs} inputs in {seconds:.1} s, {} kinds of outcome", target.name, outcomes.len());
    Some((inputs, outcomes.len(), kept))
}
