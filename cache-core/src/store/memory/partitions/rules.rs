//! The rules that a protocol with several partitions adds, or keeps in another place.

/// One rule. Each is named where it is kept, and the explorer shows what happens without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// A visit takes a number of its own from the clock of the partition that it visits.
    VisitsAdvanceTheClock,
    /// A home fences the names that an invalidation was given, or that it has drained.
    HomesAreFenced,
    /// A partition that is not the name's home fences it as well: the fill of a load that had
    /// registered before may still come.
    VisitedPartitionsAreFenced,
    /// What is removed is fenced, even if nothing depends on it yet.
    RemovedNamesAreFenced,
    /// A member without an entry still leads to its dependents.
    MembersWithoutEntryCount,
    /// A membership goes only when nothing is left of the index of its own key, here or elsewhere:
    /// it is the record of unfinished work.
    MembershipsOutliveTheirWork,
    /// A fill is refused for a fence of any of its names, and not of its key alone.
    FillsCheckEveryName,
    /// A fill of below the floor is refused, and so is a registration.
    TheFloorIsChecked,
    /// A load registers at each foreign home of its names.
    LoadsRegister,
    /// It has registered everywhere before it stores.
    LoadsRegisterFirst,
    /// It registers after it has its lease, also where it knows a name before.
    LoadsRegisterAfterTheLease,
    /// What a load knows of the clocks is from before its body began.
    ReadingsComeFirst,
    /// A home refuses a registration that a fence has overtaken.
    HomesCheckFences,
    /// A registration changes the stamp of its mark, also of one that is there.
    RegistrationsChangeStamps,
    /// A mark is settled only at the end of the whole operation.
    SettlesAtTheEnd,
    /// A mark is settled or reaped only if its stamp is the one that was met.
    SettlingComparesStamps,
    /// A mark is settled or reaped only by who fenced the name last.
    SettlingComparesFences,
    /// What is settled was met by the very visit that fenced: a mark that is made anew may by
    /// chance have the stamp of one that was met earlier and is gone.
    SettlesWhatTheLastVisitMet,
    /// A dead member with dependents in its own partition stays.
    DependedOnMembersStay,
    /// So does one with dependents elsewhere.
    MarksKeepMembers,
    /// A dead member stays as long as a load that read it alive may take.
    DeadMembersStayAWhile,
    /// A mark is reaped only after its partition was asked what it holds.
    MarksAreAskedFor,
    /// The question fences the name: a fill that has registered may still come.
    QuestionsFence,
    /// A mark stays if its partition kept something of the name when it was visited.
    SettlingSparesWhatIsKept,
    /// Who is to reap a mark fences its name before.
    ReapingFences,
    /// A registration in another incarnation than that of the reading is refused.
    HomesCheckTheIncarnation,
    /// So is a fill.
    FillsCheckTheIncarnation,
    /// A home that has lost its lists has everything visited everywhere.
    IncompleteHomesVisitEverywhere,
    /// So does a partition that has lost its clock between two visits.
    LossesBetweenVisitsVisitEverywhere,
    /// A fill is refused until its partition has adopted the incarnation in which it registered.
    FillsCheckTheAdoption,
    /// A partition that adopts a home's incarnation lists its names for that home.
    AdoptionsList,
    /// It adopts before it lists.
    AdoptionsComeFirst,
    /// A load inherits all names of what it called, and not the key alone.
    NamesAreInherited,
    /// A write fences its key even if it stores nothing.
    WritesFenceTheirKey,
    /// A write reads the clocks before it changes the data.
    WritesReadFirst,
    /// A registration with a closed name is refused, and so is a fill at the name's home.
    ClosedNamesRefuse,
    /// An operation on a spread name begins in every partition: it invalidates it, closes it and
    /// opens it there.
    SpreadNamesBeginEverywhere,
    /// Who opens a name takes the own mark of closing away alone.
    ClosersOpenTheirOwn,
    /// Opening fences.
    OpeningFences,
    /// A name that is opened because nobody has renewed its closing is fenced.
    EndedClosingsFence,
}

/// Which rules are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    broken: Option<Rule>,
}

impl Rules {
    pub(super) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    pub(super) fn all_but(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }
}
