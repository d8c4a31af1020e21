//! The rules of the protocol. Breaking one costs a stale read. Each is named where it is kept.

macro_rules! rules {
    ($($(#[doc = $says:literal])+ $(#[cfg($built:ident)])? $rule:ident,)+) => {
        /// One rule. The model explorer shows for each that breaking it lets a stale value be read;
        /// the tests have one case for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Rule {
            $($(#[doc = $says])+ $(#[cfg($built)])? $rule,)+
        }

        /// All of them.
        #[cfg(test)]
        const ALL: &[Rule] = &[$(Rule::$rule,)+];

        /// Those that the embedded store keeps.
        #[cfg(cache_ablation)]
        pub(crate) const NAMES: &[&str] = &[$($(#[cfg($built)])? stringify!($rule),)+];
    };
}

rules! {
    /// An invalidation fences the names it was given: loads in flight began before it.
    GivenNamesAreFenced,
    /// What a cascade removes is fenced, even if nothing depends on it yet: a load in flight may
    /// have read it.
    RemovedNamesAreFenced,
    /// A fill is refused for a fence of any name it depends on, not of its key alone.
    FillChecksEveryName,
    /// A dropped fence lives on in the floor.
    DroppedFencesRaiseTheFloor,
    /// A reading of a clock that was lost is worth nothing.
    IncarnationIsChecked,
    /// A member without an entry still leads to its dependents.
    MembersWithoutEntryCount,
    /// A dead member with dependents stays in its indexes.
    DependedOnMembersStay,
    /// A dead member stays as long as a load that read it alive may take.
    DeadMembersStayAWhile,
    /// A load that took longer than dead members stay does not fill.
    OldLoadsAreRefused,
    /// A membership goes only if its entry is gone, whatever the time is: a clock that was ahead
    /// may be set back.
    EntriesKeepTheirMemberships,
    /// What depends on a dead member counts while its entry is there, whatever the time is.
    EntriesCountAsDependents,
    /// A process refuses a load that is too old by the process's own clock: the store's clock may
    /// have been set back since the reading.
    #[cfg(test)]
    ProcessesTellTheAge,
    /// Once a clock has been set back behind a reaping, loads that began before that reaping do not
    /// fill.
    ReapingIsRemembered,
    /// An evicted entry that leaves its indexes is fenced: a load that read it is no longer reached
    /// through it.
    EvictedNamesAreFenced,
    /// A fill with a closed name is refused.
    ClosedNamesRefuseFills,
    /// What a closed name reaches is closed as well: what depends on it without having consumed it
    /// is not reached any more.
    ReachedNamesAreClosed,
    /// An operation that closes what another has closed closes what that has reached: its names do
    /// not lead there any more.
    ClosingsShareWhatTheyReach,
    /// What an operation has reached is fenced when it opens.
    ReachedNamesAreFenced,
    /// If there is no room to close what is reached, nothing is stored that depends on a key.
    ReachBeyondTheLimitClosesDependents,
    /// When such an operation opens, the floor is raised: what it reached is not known.
    ReachBeyondTheLimitRaisesTheFloor,
    /// Who opens a name takes the own mark away alone: another operation may not have ended.
    MarksHaveAnOwner,
    /// Opening fences: loads that began while the names were closed may have read what was there
    /// before the change.
    OpeningFences,
    /// A mark that ends without its operation fences its name, as opening would have.
    EndedMarksFence,
    /// A write is refused for names that others have closed.
    WriteChecksClosedNames,
    /// A write fences its key even if it stores nothing.
    WriteFencesItsKey,
    /// A write checks every name its value depends on, before it fences.
    WriteChecksEveryName,
    /// Every page of a pattern walk raises the floor.
    SweepRaisesTheFloor,
    /// A pattern walk follows dependents' indexes whose entry is gone.
    SweepFollowsEntriesThatAreGone,
    /// If one script cannot empty the index of a given key, the entry falls in the first that
    /// tries: what is made from it later has a place that the next ones have passed already.
    GivenEntriesFallFirst,
    /// A mark that an operation has followed is followed again if it has changed when it is met
    /// again: somebody may have registered who has read what was still there.
    ChangedMarksAreFollowedAgain,
    /// So is one whose name another operation has fenced since the last visit: it may have been
    /// settled, and made anew with the stamp that it had.
    OvertakenMarksAreFollowedAgain,
    /// A visit takes a number of its own from the clock of the partition that it visits.
    VisitsAdvanceTheClock,
    /// A partition that is not the name's home fences it as well: the fill of a load that had
    /// registered before may still come.
    VisitedPartitionsAreFenced,
    /// A membership goes only when nothing is left of the index of its own key, here or elsewhere:
    /// it is the record of unfinished work.
    MembershipsOutliveTheirWork,
    /// A fill of below the floor is refused, and so is a registration.
    TheFloorIsChecked,
    /// A load registers at each foreign home of its names.
    #[cfg(test)]
    LoadsRegister,
    /// It has registered everywhere before it stores.
    #[cfg(test)]
    LoadsRegisterFirst,
    /// It registers after it has its lease, also where it knows a name before.
    #[cfg(test)]
    LoadsRegisterAfterTheLease,
    /// What a load knows of the clocks is from before its body began.
    #[cfg(test)]
    ReadingsComeFirst,
    /// A home refuses a registration that a fence has overtaken.
    HomesCheckFences,
    /// A registration changes the stamp of its mark, also of one that is there.
    RegistrationsChangeStamps,
    /// A mark is settled only at the end of the whole operation.
    #[cfg(test)]
    SettlesAtTheEnd,
    /// A mark is settled or reaped only if its stamp is the one that was met.
    SettlingComparesStamps,
    /// A mark is settled or reaped only by who fenced the name last.
    SettlingComparesFences,
    /// What is settled was met by the very visit that fenced: a mark that is made anew may by
    /// chance have the stamp of one that was met earlier and is gone.
    SettlesWhatTheLastVisitMet,
    /// A mark stays if its partition kept something of the name when it was visited: who closes the
    /// name may have been on the way there, and comes there again to renew and to open.
    SettlingSparesWhatIsKept,
    /// A dead member with dependents elsewhere stays.
    MarksKeepMembers,
    /// A mark is reaped only after its partition was asked what it holds.
    #[cfg(test)]
    MarksAreAskedFor,
    /// The question fences the name: a fill that has registered may still come.
    QuestionsFence,
    /// Who is to reap a mark fences its name before.
    ReapingFences,
    /// A registration in another incarnation than that of the reading is refused.
    HomesCheckTheIncarnation,
    /// A home that has lost its lists has everything visited everywhere.
    IncompleteHomesVisitEverywhere,
    /// So does a partition that has lost its clock between two visits.
    LossesBetweenVisitsVisitEverywhere,
    /// A fill is refused until its partition has adopted the incarnation in which it registered.
    FillsCheckTheAdoption,
    /// A partition that adopts a home's incarnation lists its names for that home.
    #[cfg(test)]
    AdoptionsList,
    /// It adopts before it lists.
    #[cfg(test)]
    AdoptionsComeFirst,
    /// A load inherits all names of what it called, and not the key alone.
    #[cfg(test)]
    NamesAreInherited,
    /// A write reads the clocks before it changes the data.
    #[cfg(test)]
    WritesReadFirst,
    /// An operation on a spread name begins in every partition: it invalidates it, closes it and
    /// opens it there.
    SpreadNamesBeginEverywhere,
    /// Who closes or opens a name does so wherever a mark leads to.
    ClosingsFollowMarks,
    /// The marks of a closed name stay until it is opened: they lead to what is closed elsewhere,
    /// which is to be renewed.
    MarksOfClosedNamesStay,
}

/// Which rules are kept: all of them, outside the model explorer and builds for experiments.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Rules {
    #[cfg(test)]
    broken: Option<Rule>,
}

impl Rules {
    #[cfg(not(any(test, cache_ablation)))]
    pub(crate) const fn keep(self, _: Rule) -> bool {
        true
    }

    #[cfg(all(cache_ablation, not(test)))]
    pub(crate) fn keep(self, rule: Rule) -> bool {
        !crate::ablation::is_left_out(&format!("{rule:?}"))
    }

    #[cfg(test)]
    pub(crate) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(test)]
    pub(crate) fn all_but(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{model, several};

    /// `store/conformance/leaving.rs` breaks it: what it leaves behind takes more members than the
    /// explorer has.
    const SHOWN_ELSEWHERE: [Rule; 1] = [Rule::GivenEntriesFallFirst];

    #[test]
    fn each_rule_is_taken_away_by_some_test() {
        let explored: Vec<Rule> =
            [model::NEEDED, several::model::NEEDED].concat().iter().map(|(rule, _)| *rule).collect();
        let is_shown = |rule: &Rule| explored.contains(rule) || SHOWN_ELSEWHERE.contains(rule);
        let missing: Vec<_> = ALL.iter().filter(|rule| !is_shown(rule)).collect();
        assert!(missing.is_empty(), "nothing shows that these are needed: {missing:?}");
    }

    #[test]
    fn the_page_on_consistency_counts_the_rules_that_are_taken_away() {
        let page = include_str!("../../docs/consistency.md");
        let counts = format!("| {} and {} |", model::NEEDED.len(), several::model::NEEDED.len());
        assert!(page.contains(&counts), "the table of the two models has no `{counts}`");
    }
}
