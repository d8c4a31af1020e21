//! Every interleaving of small scenarios on several partitions: the protocol of a cluster.
//!
//! Each partition is the real [`State`](super::super::State), and each invalidation the real
//! [`Operation`](crate::store::Operation). A key is stored in its home, with its own memberships. A
//! name may have members in partitions that are not its home: each has a mark there. Every
//! partition has a clock of its own, and a script sees one partition. `load.rs` and `operation.rs`
//! have who sends scripts, `upkeep.rs` what heals and tidies.
//!
//! After every step it is asked whether a read that starts now would be served a value made from
//! data as they were before a returned invalidation began, and whether every entry is reached by
//! all of its names.
//!
//! States are hashed to 64 bits: among a million, the chance that one is taken for another is about
//! 10⁻⁸.

use std::collections::{HashSet, VecDeque};

use self::names::{Layout, Name};
use self::scenarios::SCENARIOS;
use self::world::{Misfortunes, Task, World};
use crate::store::memory::{states_of_hours, unwind};
use crate::store::rules::{Rule, Rules};

mod digest;
mod load;
mod names;
mod operation;
mod scenarios;
mod upkeep;
mod walk;
mod world;

/// What happens, and what else may happen at any moment, and how often.
#[derive(Debug)]
struct Scenario {
    name: &'static str,
    layout: Layout,
    /// Called to completion before anything else starts.
    stored: &'static [Name],
    tasks: &'static [Task],
    misfortunes: Misfortunes,
    /// A load inherits all names of what it called, and not the key alone.
    inherits: bool,
    /// Names that are known before the load are registered while the body runs.
    registers_early: bool,
    /// Operations settle the marks that they have followed.
    settles: bool,
    /// Dead members are reaped.
    reaps: bool,
    /// What falls through entries that are gone is reached while they are closed, and no longer.
    rests_on_closings: bool,
    members_per_chunk: usize,
}

impl Scenario {
    /// In the size of hours: see [`states_of_hours`].
    fn enlarged(&self) -> Self {
        let Misfortunes { expiries, crashes, .. } = self.misfortunes;
        Self { misfortunes: Misfortunes { expiries: expiries + 1, crashes: crashes + 1, ..self.misfortunes }, ..*self }
    }
}

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    /// The steps that led to what must not be, if there are any.
    fault: Option<Vec<String>>,
}

/// In order of the number of steps, so that what is found is as short as can be.
fn explore(scenario: &'static Scenario, rules: Rules, states_max: usize) -> Explored {
    let start = World::new(scenario, rules);
    let mut explored = Explored::default();
    let mut seen = HashSet::from([start.digest()]);
    // How each state was reached: from which one, by what.
    let mut trace: Vec<(usize, String)> = vec![(0, String::new())];
    let mut left = VecDeque::from([(start, 0)]);
    while let Some((world, reached_by)) = left.pop_front() {
        explored.states += 1;
        if explored.states > states_max {
            break;
        }
        for (step, next) in world.successors() {
            if !seen.insert(next.digest()) {
                continue;
            }
            trace.push((reached_by, format!("{step:?}")));
            if let Some(fault) = next.fault() {
                trace.push((trace.len() - 1, fault));
                explored.fault = Some(unwind(&trace));
                return explored;
            }
            left.push_back((next, trace.len() - 1));
        }
    }
    explored
}

/// As far as a scenario is explored. Without optimization that is not to the end of the larger
/// ones: `cargo test --release -p cache-core --lib several::model -- --nocapture` is.
const STATES_MAX: usize = if cfg!(debug_assertions) { 5_000 } else { 5_000_000 };

#[test]
fn no_interleaving_on_several_partitions_reads_what_was_invalidated() {
    let (mut states, hours) = (0, states_of_hours());
    for scenario in SCENARIOS {
        let scenario = if hours.is_some() { Box::leak(Box::new(scenario.enlarged())) } else { scenario };
        let states_max = hours.unwrap_or(STATES_MAX);
        let explored = explore(scenario, Rules::default(), states_max);
        let least = if explored.states > states_max { "≥ " } else { "" };
        println!("{least:>3}{:>7} states  P = {}  {}", explored.states, scenario.layout.partitions, scenario.name);
        assert_eq!(explored.fault, None, "in `{}`", scenario.name);
        states += explored.states;
    }
    println!("{states:>10} states");
    assert!(states > 100_000, "only {states} states: the scenarios do not interleave as they should");
}

/// The rules, each with what does not hold without it.
pub(in crate::store) const NEEDED: &[(Rule, &str)] = {
    use Rule::*;
    &[
        (VisitsAdvanceTheClock, "a tag, its member, and what was made from that"),
        (GivenNamesAreFenced, "a tag, its member, and what was made from that"),
        (VisitedPartitionsAreFenced, "a tag, its member, and what was made from that"),
        (RemovedNamesAreFenced, "one partition: a tag and its cascade"),
        (MembersWithoutEntryCount, "four partitions: a cascade through keys"),
        (MembershipsOutliveTheirWork, "a load between two visits of a partition"),
        (FillChecksEveryName, "a tag, its member, and what was made from that"),
        (TheFloorIsChecked, "a tag and its member"),
        (LoadsRegister, "a tag and its member"),
        (LoadsRegisterFirst, "a tag and its member"),
        (LoadsRegisterAfterTheLease, "names that are registered early"),
        (ReadingsComeFirst, "two writes"),
        (HomesCheckFences, "a tag, its member, and what was made from that"),
        (RegistrationsChangeStamps, "two changes around which a tag is closed"),
        (ChangedMarksAreFollowedAgain, "a tag between whose scripts a mark is followed that then changes"),
        (OvertakenMarksAreFollowedAgain, "a tag between whose scripts a mark is settled and made anew"),
        (SettlesAtTheEnd, "a load between two visits of a partition"),
        (SettlingComparesStamps, "two changes around which a tag is closed"),
        (SettlingComparesFences, "two changes around which a tag is closed"),
        (SettlesWhatTheLastVisitMet, "two losses, with reconciliation"),
        (ReapingFences, "reaping of a mark"),
        (SettlingSparesWhatIsKept, "a closing that is renewed, and an invalidation meanwhile"),
        (DependedOnMembersStay, "reaping of members in the partition of their dependents"),
        (MarksKeepMembers, "reaping of members"),
        (DeadMembersStayAWhile, "reaping of members, and loads in flight"),
        (MarksAreAskedFor, "marks that are reaped alone"),
        (QuestionsFence, "marks that are reaped alone"),
        (HomesCheckTheIncarnation, "a loss while a load is on its way"),
        (IncarnationIsChecked, "a loss while a load is on its way"),
        (IncompleteHomesVisitEverywhere, "a loss, with reconciliation"),
        (LossesBetweenVisitsVisitEverywhere, "a loss, without reconciliation"),
        (FillsCheckTheAdoption, "a loss while a load is on its way"),
        (AdoptionsList, "a loss, with reconciliation"),
        (AdoptionsComeFirst, "a loss while a load is on its way"),
        (NamesAreInherited, "a loss, without reconciliation"),
        (WriteFencesItsKey, "two writes"),
        (WritesReadFirst, "a write"),
        (SweepRaisesTheFloor, "a pattern"),
        (SweepFollowsEntriesThatAreGone, "a pattern"),
        (ClosedNamesRefuseFills, "two changes around which a tag is closed"),
        (SpreadNamesBeginEverywhere, "a change around which a spread tag is closed"),
        (MarksHaveAnOwner, "two changes around which a tag is closed"),
        (OpeningFences, "a change around which a tag is closed that nothing has yet"),
        (EndedMarksFence, "a change around which a tag is closed that nothing has yet"),
        (ClosingsFollowMarks, "a change around which a tag is closed, and what declares what falls with it"),
        (MarksOfClosedNamesStay, "a closing that is renewed, and the reaping of a mark"),
    ]
};

/// A rule that can be broken without harm is not needed, or no scenario reaches it.
#[test]
fn each_rule_of_several_partitions_is_needed() {
    for (rule, needed_in) in NEEDED.iter().copied() {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == needed_in).expect("a scenario of this name");
        let explored = explore(scenario, Rules::all_but(rule), usize::MAX);
        let fault = explored.fault.unwrap_or_else(|| panic!("without {rule:?} `{needed_in}` still holds"));
        println!("without {rule:?}, after {} states of `{needed_in}`:\n    {}", explored.states, fault.join("\n    "));
    }
}
