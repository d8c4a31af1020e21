//! The scenarios. Kept small: what matters is who overtakes whom, not how many.

use super::Scenario;
use super::names::Name::{A, B, C, D, E, T, Z};
use super::names::{Layout, Names};
use super::world::Misfortunes;
use super::world::Task::{
    Around, AroundForLong, Call, Clear, Invalidate, Put, ReapMark, Reconcile, Refresh, Repeat, Sweep,
};

/// The homes of `A` and `D`, `B` and `E`, `C`, `Z` and `T`.
const fn layout(partitions: u16, [a, b, c, z, t]: [u16; 5]) -> Layout {
    Layout { partitions, homes: [a, b, c, a, b, z, t], spread: Names::of(&[]) }
}

const ONE: Layout = layout(1, [0; 5]);
/// The tag and what it leads to are apart.
const TWO: Layout = layout(2, [1, 0, 1, 0, 0]);
/// Two of a chain of three, and the tag.
const THREE: Layout = layout(3, [1, 2, 1, 2, 0]);
/// The tag, its members and what was made from one of them in one partition, the rest in another.
const NEAR: Layout = layout(2, [0, 0, 1, 0, 0]);
/// The tag here, and everything that it leads to there.
const APART: Layout = layout(2, [1, 1, 1, 1, 0]);
const FOUR: Layout = layout(4, [1, 2, 3, 2, 0]);
/// As `TWO` and `THREE`, with a tag that is at home everywhere.
const SPREAD_TWO: Layout = Layout { spread: TAG, ..TWO };
const SPREAD_THREE: Layout = Layout { spread: TAG, ..THREE };

const TAG: Names = Names::of(&[T]);
const KEY: Names = Names::of(&[A]);
const BOTH: Names = Names::of(&[A, T]);

const QUIET: Misfortunes =
    Misfortunes { expiries: 0, retentions: 0, crashes: 0, losses: 0, renewals: 0, fence_drops: 0, closing_ends: 0 };

const SCENARIO: Scenario = Scenario {
    name: "",
    layout: TWO,
    stored: &[],
    tasks: &[],
    misfortunes: QUIET,
    inherits: true,
    registers_early: false,
    settles: true,
    reaps: false,
    rests_on_closings: false,
    members_per_chunk: 16,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one partition: a tag and its cascade",
        layout: ONE,
        tasks: &[Call(C), Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a tag and its member",
        tasks: &[Call(A), Call(A), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, fence_drops: 1, crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a tag, its member, and what was made from that",
        tasks: &[Call(B), Call(A), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a cascade through keys",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(C), Call(B), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 2, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a tag with members in two partitions",
        layout: THREE,
        stored: &[Z],
        tasks: &[Call(B), Refresh(Z), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "two invalidations of a tag",
        tasks: &[Call(B), Call(A), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "an invalidation of a tag, and one of a tag and a key",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(B), Invalidate(TAG), Invalidate(BOTH)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a load between two visits of a partition",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(B), Invalidate(BOTH), Invalidate(TAG)],
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "four partitions: a cascade through keys",
        layout: FOUR,
        stored: &[B],
        tasks: &[Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 2, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "four partitions: two loads and an invalidation of a tag and a key",
        layout: FOUR,
        stored: &[C, Z],
        tasks: &[Call(C), Refresh(A), Invalidate(BOTH)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "one entry removed by each script",
        layout: NEAR,
        stored: &[B, Z],
        tasks: &[Call(C), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        inherits: false,
        members_per_chunk: 1,
        ..SCENARIO
    },
    Scenario {
        name: "a given key between whose scripts a dependent is filled that stays",
        layout: NEAR,
        stored: &[C, D],
        tasks: &[Call(C), Invalidate(KEY)],
        misfortunes: Misfortunes { crashes: 1, ..QUIET },
        inherits: false,
        members_per_chunk: 1,
        ..SCENARIO
    },
    Scenario {
        name: "a tag between whose scripts a mark is followed that then changes",
        layout: NEAR,
        stored: &[C, D],
        tasks: &[Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { crashes: 1, ..QUIET },
        inherits: false,
        members_per_chunk: 2,
        ..SCENARIO
    },
    Scenario {
        name: "a tag between whose scripts a mark is settled and made anew",
        layout: NEAR,
        stored: &[C, D],
        tasks: &[Call(C), Invalidate(TAG), Repeat(Names::of(&[B]))],
        inherits: false,
        members_per_chunk: 2,
        ..SCENARIO
    },
    Scenario {
        name: "names that are registered early",
        tasks: &[Call(B), Call(A), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        registers_early: true,
        ..SCENARIO
    },
    Scenario {
        name: "reaping of members",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 3, retentions: 2, ..QUIET },
        inherits: false,
        reaps: true,
        ..SCENARIO
    },
    Scenario {
        name: "reaping of members in the partition of their dependents",
        layout: NEAR,
        stored: &[B],
        tasks: &[Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 2, retentions: 2, ..QUIET },
        inherits: false,
        reaps: true,
        ..SCENARIO
    },
    Scenario {
        name: "reaping of members, and loads in flight",
        layout: TWO,
        stored: &[A],
        tasks: &[Call(B), Call(A), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, retentions: 1, ..QUIET },
        inherits: false,
        reaps: true,
        ..SCENARIO
    },
    Scenario {
        name: "reaping of a mark",
        tasks: &[Call(A), Call(A), ReapMark(T), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 2, retentions: 1, ..QUIET },
        reaps: true,
        ..SCENARIO
    },
    Scenario {
        name: "reaping of a mark between two invalidations",
        stored: &[A],
        tasks: &[Call(A), ReapMark(T), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, retentions: 1, ..QUIET },
        reaps: true,
        ..SCENARIO
    },
    Scenario {
        name: "marks that are reaped alone",
        tasks: &[Call(A), ReapMark(T), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        reaps: true,
        settles: false,
        ..SCENARIO
    },
    Scenario {
        name: "a loss, without reconciliation",
        stored: &[B],
        tasks: &[Call(A), Call(B), Invalidate(TAG)],
        misfortunes: Misfortunes { losses: 1, expiries: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a loss, with reconciliation",
        stored: &[A],
        tasks: &[Call(A), Invalidate(TAG), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a loss while a load is on its way",
        tasks: &[Call(A), Invalidate(TAG), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "two losses, with reconciliation",
        stored: &[A],
        tasks: &[Call(A), Reconcile, Invalidate(TAG)],
        misfortunes: Misfortunes { losses: 2, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a loss in a cascade",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(B), Invalidate(TAG), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a clock that another server has written",
        stored: &[B],
        tasks: &[Call(B), Invalidate(TAG), Reconcile],
        misfortunes: Misfortunes { renewals: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a write",
        stored: &[B],
        tasks: &[Call(B), Put(A), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "two writes",
        stored: &[A],
        tasks: &[Call(B), Put(A), Put(A)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a write while a home is lost",
        stored: &[A],
        tasks: &[Call(A), Put(A), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a pattern",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(C), Call(A), Sweep(A)],
        misfortunes: Misfortunes { expiries: 2, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a pattern whose process dies, and an invalidation",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(B), Sweep(A), Invalidate(TAG)],
        misfortunes: Misfortunes { crashes: 1, expiries: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "clear",
        stored: &[B],
        tasks: &[Call(C), Call(A), Clear],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a change around which a tag is closed",
        stored: &[B],
        tasks: &[Call(B), Call(A), Around(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, closing_ends: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a change around which a tag is closed that nothing has yet",
        tasks: &[Call(B), Around(TAG)],
        misfortunes: Misfortunes { crashes: 1, closing_ends: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "two changes around which a tag is closed",
        stored: &[A],
        tasks: &[Call(A), Around(TAG), Around(TAG)],
        misfortunes: Misfortunes { crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a change around which a key and its tag are closed",
        layout: THREE,
        stored: &[B],
        tasks: &[Call(B), Around(BOTH)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, closing_ends: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a change around which a tag is closed, and what declares what falls with it",
        layout: THREE,
        stored: &[A, E],
        tasks: &[Call(E), Around(TAG)],
        misfortunes: Misfortunes { expiries: 1, crashes: 1, closing_ends: 1, ..QUIET },
        rests_on_closings: true,
        ..SCENARIO
    },
    Scenario {
        name: "a closing that is renewed, and an invalidation meanwhile",
        layout: APART,
        stored: &[A],
        tasks: &[Call(E), AroundForLong(TAG), Repeat(TAG)],
        misfortunes: Misfortunes { closing_ends: 1, ..QUIET },
        rests_on_closings: true,
        ..SCENARIO
    },
    Scenario {
        name: "a closing that an invalidation overtakes",
        stored: &[A, E],
        tasks: &[Call(E), AroundForLong(TAG), Repeat(TAG)],
        misfortunes: Misfortunes { closing_ends: 1, ..QUIET },
        rests_on_closings: true,
        ..SCENARIO
    },
    Scenario {
        name: "a closing that is renewed, and the reaping of a mark",
        layout: APART,
        stored: &[A],
        tasks: &[Call(E), AroundForLong(TAG), ReapMark(T)],
        misfortunes: Misfortunes { closing_ends: 1, ..QUIET },
        rests_on_closings: true,
        ..SCENARIO
    },
    Scenario {
        name: "two closings that overlap",
        layout: APART,
        stored: &[A],
        tasks: &[Call(E), AroundForLong(TAG), AroundForLong(TAG)],
        misfortunes: Misfortunes { closing_ends: 1, crashes: 1, ..QUIET },
        rests_on_closings: true,
        ..SCENARIO
    },
    Scenario {
        name: "a key that is closed, and a write of it",
        stored: &[B],
        tasks: &[Call(B), Around(KEY), Put(A)],
        ..SCENARIO
    },
    Scenario {
        name: "closed names on a clock that is lost",
        stored: &[A],
        tasks: &[Call(A), Around(TAG)],
        misfortunes: Misfortunes { losses: 1, crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "closed names on a clock that is lost, with reconciliation",
        stored: &[A],
        tasks: &[Call(A), Around(TAG), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "closed names on a clock that another server has written",
        stored: &[A],
        tasks: &[Call(A), Around(TAG)],
        misfortunes: Misfortunes { renewals: 1, crashes: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a spread tag",
        layout: SPREAD_TWO,
        tasks: &[Call(B), Call(A), Invalidate(TAG), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a spread tag and a cascade through keys",
        layout: SPREAD_THREE,
        stored: &[B],
        tasks: &[Call(C), Invalidate(TAG)],
        misfortunes: Misfortunes { expiries: 2, crashes: 1, ..QUIET },
        inherits: false,
        ..SCENARIO
    },
    Scenario {
        name: "a spread tag, and a loss",
        layout: SPREAD_TWO,
        stored: &[B],
        tasks: &[Call(B), Invalidate(TAG), Reconcile],
        misfortunes: Misfortunes { losses: 1, ..QUIET },
        ..SCENARIO
    },
    Scenario {
        name: "a change around which a spread tag is closed",
        layout: SPREAD_TWO,
        stored: &[B],
        tasks: &[Call(B), Call(A), Around(TAG)],
        misfortunes: Misfortunes { expiries: 1, closing_ends: 1, ..QUIET },
        ..SCENARIO
    },
];
