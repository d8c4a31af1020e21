//! Every interleaving of small programs, tried on the real [`State`].
//!
//! The oracle is G1: once an invalidation has returned, no read returns a value made from data as
//! it was before the invalidation began. It is asked after every step and for every key, so a
//! program needs no readers.
//!
//! Sequence numbers are hashed by rank, because only their order matters. States are hashed to 64
//! bits: among a million states, the chance that one is taken for another is about 10⁻⁸.

use std::collections::HashSet;

use crate::store::rules::{Rule, Rules};
use world::World;

mod closing;
mod digest;
mod process;
mod programs;
mod world;

use process::Process;
use programs::PROGRAMS;

/// What happens, and what else may happen at any moment, and how often.
#[derive(Clone, Debug)]
struct Program {
    name: &'static str,
    /// Called to completion before anything else starts.
    stored: &'static [&'static str],
    processes: &'static [Process],
    /// A load inherits all names of what it called, and not the key alone.
    inherits: bool,
    /// The tag of a leaf is part of its data, so that it changes with it.
    tag_follows_data: bool,
    expiries: u8,
    evictions: u8,
    /// The retention passes: loads in flight become too old, fences are dropped, dead members come
    /// due.
    retentions: u8,
    /// How often the clock is set ahead of everything; each time it is also set back.
    steps_ahead: u8,
    fence_drops: u8,
    clock_losses: u8,
    /// All marks end as if nobody had renewed them.
    mark_ends: u8,
    crashes: u8,
    resends: u8,
    /// What falls through entries that are gone is reached while the marks live, and no longer.
    rests_on_marks: bool,
    /// How many closed names leave room for what they reach.
    reached_max: usize,
    /// How many entries and members one operation collects and reaps.
    reaped_per_operation: usize,
    /// How many members one chunk visits, and how many names of a removed entry weigh as much.
    members_per_chunk: usize,
    memberships_per_visit: usize,
}

const PROGRAM: Program = Program {
    name: "",
    stored: &[],
    processes: &[],
    inherits: false,
    tag_follows_data: false,
    expiries: 0,
    evictions: 0,
    retentions: 0,
    steps_ahead: 0,
    fence_drops: 0,
    clock_losses: 0,
    mark_ends: 0,
    crashes: 0,
    resends: 0,
    rests_on_marks: false,
    reached_max: 16,
    reaped_per_operation: 16,
    members_per_chunk: 1,
    memberships_per_visit: 16,
};

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    steps: usize,
    /// The steps that led to a stale read, or to an entry that is not reached through a name of its
    /// own, if any was found.
    stale: Option<Vec<String>>,
}

/// With `CACHE_EXPLORE=N` one more entry expires and one more process dies in each program and
/// scenario, and each is explored up to N states. That takes hours, and a few hundred bytes a
/// state.
pub(super) fn states_of_hours() -> Option<usize> {
    let told = std::env::var("CACHE_EXPLORE").ok()?;
    Some(told.replace('_', "").parse().expect("CACHE_EXPLORE is a number of states"))
}

impl Program {
    /// In the size of hours.
    fn enlarged(&self) -> Self {
        Self { expiries: self.expiries + 1, crashes: self.crashes + 1, ..self.clone() }
    }
}

fn explore(program: &'static Program, rules: Rules, states_max: usize) -> Explored {
    let start = World::new(program, rules);
    let mut explored = Explored::default();
    let mut seen = HashSet::from([start.digest()]);
    // How each world was reached: from which step, by what.
    let mut trace: Vec<(usize, String)> = vec![(0, String::new())];
    let mut left = vec![(start, 0)];
    while let Some((world, reached_by)) = left.pop() {
        explored.states += 1;
        if explored.states > states_max {
            break;
        }
        for (action, next) in world.successors() {
            explored.steps += 1;
            if !seen.insert(next.digest()) {
                continue;
            }
            trace.push((reached_by, action));
            if let Some(stale) = next.unreachable_entry().or_else(|| next.stale_read()) {
                trace.push((trace.len() - 1, stale));
                explored.stale = Some(unwind(&trace));
                return explored;
            }
            left.push((next, trace.len() - 1));
        }
    }
    explored
}

/// The steps that led to the last state: each state is noted with the number of the one before.
pub(crate) fn unwind(trace: &[(usize, String)]) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = trace.len() - 1;
    while at > 0 {
        steps.push(trace[at].1.clone());
        at = trace[at].0;
    }
    steps.reverse();
    steps
}

#[test]
fn no_interleaving_reads_what_was_invalidated() {
    let (mut states, hours) = (0, states_of_hours());
    for program in PROGRAMS {
        let program = if hours.is_some() { Box::leak(Box::new(program.enlarged())) } else { program };
        let states_max = hours.unwrap_or(usize::MAX);
        let explored = explore(program, Rules::default(), states_max);
        let least = if explored.states > states_max { "≥ " } else { "" };
        println!("{least:>3}{:>8} states {:>8} steps  {}", explored.states, explored.steps, program.name);
        assert_eq!(explored.stale, None, "a stale read in `{}`", program.name);
        states += explored.states;
    }
    println!("{states:>8} states");
    assert!(states > 20_000, "only {states} states: the programs do not interleave as they should");
}

/// The rules, each with what does not hold without it.
pub(in crate::store) const NEEDED: &[(Rule, &str)] = {
    use Rule::*;
    &[
        (GivenNamesAreFenced, "a tag and its cascade"),
        (RemovedNamesAreFenced, "a tag and its cascade"),
        (FillChecksEveryName, "a tag and its cascade"),
        (VisitsAdvanceTheClock, "a tag and its cascade"),
        (DroppedFencesRaiseTheFloor, "dropped fences"),
        (IncarnationIsChecked, "a lost clock"),
        (MembersWithoutEntryCount, "entries that expire"),
        (DependedOnMembersStay, "dead members with dependents"),
        (DeadMembersStayAWhile, "dead members and loads in flight"),
        (OldLoadsAreRefused, "a clock that is set ahead and back during a load"),
        (EntriesKeepTheirMemberships, "a clock that is set ahead and back"),
        (EntriesCountAsDependents, "a clock that is set ahead and back, and a short-lived member"),
        (ProcessesTellTheAge, "a clock that is set ahead and back, and a short-lived member"),
        (ReapingIsRemembered, "a clock that is set ahead and back during a load"),
        (EvictedNamesAreFenced, "eviction"),
        (ClosedNamesRefuseFills, "a change around which a tag is closed"),
        (MarksHaveAnOwner, "two changes around which a tag is closed"),
        (ReachedNamesAreClosed, "a change around which a tag is closed, and what declares what falls with it"),
        (ReachedNamesAreFenced, "a change around which a tag is closed, and what declares what falls with it"),
        (ClosingsShareWhatTheyReach, "two changes around which a key is closed, and what declares what falls with it"),
        (ReachBeyondTheLimitClosesDependents, "a change that reaches more than there is room for"),
        (ReachBeyondTheLimitRaisesTheFloor, "a change that reaches more than there is room for"),
        (OpeningFences, "a change whose process dies while a tag is closed"),
        (EndedMarksFence, "a change whose process dies while a tag is closed"),
        (WriteChecksClosedNames, "a write of what depends on a closed key"),
        (WriteFencesItsKey, "two writers of a key"),
        (WriteChecksEveryName, "a write of what depends on a key"),
        (SweepRaisesTheFloor, "a pattern"),
        (SweepFollowsEntriesThatAreGone, "a pattern"),
    ]
};

/// A rule that can be broken without a stale read is not needed, or no program reaches it.
#[test]
fn each_rule_is_needed() {
    for (rule, needed_in) in NEEDED.iter().copied() {
        let program = PROGRAMS.iter().find(|program| program.name == needed_in).expect("a program of this name");
        let explored = explore(program, Rules::all_but(rule), usize::MAX);
        let stale =
            explored.stale.unwrap_or_else(|| panic!("without {rule:?} `{needed_in}` still reads nothing stale"));
        println!("without {rule:?}, after {} states of `{needed_in}`:\n    {}", explored.states, stale.join("\n    "));
    }
}
