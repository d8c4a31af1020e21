//! Mixes in which the windows of one rule are met more often. Honest as long as a history of the
//! same mix that keeps the rule has no stale read: `--mix-of RULE`.

use std::time::Duration;

use crate::names::{DATA, Kind};
use crate::record::How;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias {
    /// Rows that are used.
    pub(crate) rows: u16,
    pub(crate) kinds: &'static [Kind],
    /// Of 10,000 steps, those that change something, and patterns beside them.
    pub(crate) changes: u32,
    pub(crate) patterns: u32,
    pub(crate) ways: &'static [How],
    /// Of 1,000 times that a body may take its time, those in which it takes up to 300 ms.
    pub(crate) lingers: u32,
    /// The pause between two kills, at random up to twice this.
    pub(crate) kills_every: Duration,
    /// Instead of a kill.
    pub(crate) disturbance: Disturbance,
    /// How long the cache waits for its store: a busy machine is not a fault.
    pub(crate) deadline: Duration,
    pub(crate) closing_lifetime: Duration,
    /// What `CACHE_LIMITS` says to a build for experiments.
    pub(crate) limits: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    Kill,
    /// A clock of the namespace is lost.
    ClockLost,
    /// A process stands still for longer than a copy may be trusted.
    Stop,
}

/// A script visits so few members that calls meet the ends of scripts, which they hardly do else.
const SMALL_SCRIPTS: &str = "visits=6";
/// The name of the mix that has all calls.
pub(crate) const USUAL_MIX: &str = "usual";

const USUAL: Bias = Bias {
    rows: DATA,
    kinds: &Kind::ALL,
    changes: 58,
    patterns: 1,
    ways: &[
        How::Tag,
        How::Keys,
        How::Around,
        How::WriteThrough,
        How::WriteAround,
        How::Put,
        How::Close,
        How::Transaction,
        How::Key,
        How::Group,
    ],
    lingers: 0,
    kills_every: Duration::from_millis(1_500),
    disturbance: Disturbance::Kill,
    deadline: Duration::from_secs(20),
    closing_lifetime: Duration::from_secs(1),
    limits: SMALL_SCRIPTS,
};

/// Few rows, many changes of these ways.
const fn crowd(changes: u32, ways: &'static [How]) -> Bias {
    Bias { rows: 3, changes, ways, ..USUAL }
}

const NEAR: &[Kind] = &[Kind::Near, Kind::Near, Kind::Near, Kind::Leaf, Kind::Text];
const WRITES: &[How] = &[How::WriteThrough, How::WriteThrough, How::Put, How::Tag, How::Keys, How::Transaction];
const CLOSINGS: &[How] = &[How::Close, How::Close, How::Around, How::WriteAround, How::Tag, How::WriteThrough];
const OPEN_ALWAYS: &[How] = &[How::Tag, How::Keys, How::Key, How::Group, How::Transaction];

const BIASES: &[(&[&str], Bias)] = &[
    (
        &["DroppedFencesRaiseTheFloor", "TheFloorIsChecked"],
        Bias { limits: "fences=64,visits=6", lingers: 100, ..crowd(1_000, OPEN_ALWAYS) },
    ),
    (&["SweepFollowsEntriesThatAreGone", "SweepRaisesTheFloor"], Bias { patterns: 60, ..USUAL }),
    (
        &["MarksHaveAnOwner", "ClosedNamesRefuseFills", "OpeningFences", "WriteChecksClosedNames"],
        Bias { lingers: 30, ..crowd(1_500, CLOSINGS) },
    ),
    (
        &["ClosingsShareWhatTheyReach", "ReachedNamesAreClosed", "ReachedNamesAreFenced", "SettlingComparesFences"],
        crowd(1_500, CLOSINGS),
    ),
    (
        &["ReachBeyondTheLimitClosesDependents", "ReachBeyondTheLimitRaisesTheFloor"],
        Bias { limits: "reached=2,visits=6", ..crowd(1_500, CLOSINGS) },
    ),
    (
        &["EndedMarksFence"],
        Bias {
            lingers: 300,
            kills_every: Duration::from_millis(150),
            closing_lifetime: Duration::from_millis(100),
            ..crowd(1_500, &[How::Close])
        },
    ),
    (
        &["WriteChecksEveryName", "WriteFencesItsKey", "WritesReadFirst", "ReadingsComeFirst"],
        Bias { lingers: 30, kinds: &[Kind::Leaf, Kind::Pair, Kind::Text], ..crowd(1_500, WRITES) },
    ),
    (
        &[
            "PushDropsCopies",
            "CopyNeedsPlaceholder",
            "OwnChangesAreDoubted",
            "LoadsBypassCopies",
            // With `--faults`: of connections, or of the whole server.
            "NilPushDropsAll",
            "LossEndsCopies",
            "LateReplyIsNoCopy",
            "TrustBeginsWithTheQuestion",
        ],
        Bias { kinds: NEAR, ..crowd(800, &[How::Tag, How::Keys, How::Key, How::WriteThrough]) },
    ),
    (
        &["SilenceEndsTrust"],
        Bias {
            kinds: NEAR,
            disturbance: Disturbance::Stop,
            ..crowd(300, &[How::Tag, How::Keys, How::Key, How::WriteThrough])
        },
    ),
    (
        &["DebtBypasses", "OwedEntriesAreNotServed"],
        Bias { kinds: NEAR, deadline: Duration::from_millis(8), ..crowd(800, &[How::Tag, How::Keys, How::Key]) },
    ),
    (
        &["IncarnationIsChecked"],
        Bias {
            disturbance: Disturbance::ClockLost,
            kills_every: Duration::from_millis(40),
            lingers: 200,
            ..crowd(800, OPEN_ALWAYS)
        },
    ),
    // A home that has lost its clock is not complete for a while.
    (
        &["HomesCheckTheIncarnation"],
        Bias {
            disturbance: Disturbance::ClockLost,
            kills_every: Duration::from_millis(500),
            lingers: 300,
            ..crowd(800, OPEN_ALWAYS)
        },
    ),
    (
        &["FlightsCloseBeforeTheirFill", "FollowersJoinBeforeTheLoad"],
        Bias { kinds: &[Kind::Leaf, Kind::Text, Kind::Near], ..crowd(800, OPEN_ALWAYS) },
    ),
    // With `--faults slow-link`: what a leader is told must be overtaken on its way.
    (&["LeaseHitsAreNotShared"], Bias { rows: 2, kinds: NEAR, ..crowd(3_000, &[How::Tag, How::Key]) }),
    (
        &[
            "RemovedNamesAreFenced",
            "MembersWithoutEntryCount",
            "MembershipsOutliveTheirWork",
            "SuccessorsKeepTheirMemberships",
            "DependedOnMembersStay",
            "DeadMembersStayAWhile",
            "OldLoadsAreRefused",
            "MarksKeepMembers",
            "ReapingFences",
        ],
        Bias { rows: 6, changes: 400, patterns: 20, lingers: 50, kills_every: Duration::from_millis(300), ..USUAL },
    ),
];

/// How long the cache waits for its store if there are faults: the default, for what they cost is
/// measured by it.
pub(crate) const FAULTS_DEADLINE: Duration = Duration::from_millis(250);
/// A fault lasts a second or two, in which callers pause: of 10,000 steps these at least change
/// something then.
const FAULTS_CHANGES: u32 = 320;

impl Bias {
    /// The mix of a rule. The usual one, if the rule has none of its own.
    pub(crate) fn of(rule: &str, has_faults: bool) -> Self {
        let bias = BIASES.iter().find(|(rules, _)| rules.contains(&rule)).map_or(USUAL, |(_, bias)| *bias);
        match has_faults {
            true => Self { deadline: FAULTS_DEADLINE, changes: bias.changes.max(FAULTS_CHANGES), ..bias },
            false => bias,
        }
    }

    /// Some rows are wanted much more often, so that callers meet.
    pub(crate) fn row(&self, random: &mut fastrand::Rng) -> u16 {
        let rows = if random.bool() { self.rows.min(4) } else { self.rows };
        random.u16(0..rows)
    }

    pub(crate) fn kind(&self, random: &mut fastrand::Rng) -> Kind {
        self.kinds[random.usize(..self.kinds.len())]
    }

    pub(crate) fn way(&self, random: &mut fastrand::Rng) -> How {
        self.ways[random.usize(..self.ways.len())]
    }
}
