//! What a store tells of the names that were fenced since a look at its clocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::TRAIL_NAMES_MAX;
use crate::name::Name;

/// A look at the clock of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClockPosition {
    /// Empty: there was no clock yet.
    incarnation: Arc<str>,
    seq: u64,
}

impl ClockPosition {
    /// Of a clock that nobody has looked at: no other one is it.
    fn unknown() -> Self {
        Self { incarnation: "!unknown".into(), seq: u64::MAX }
    }
}

/// A look at the clocks of all partitions. What was fenced up to it is known, by whoever took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPosition(Vec<ClockPosition>);

impl TrailPosition {
    /// Where a partition's page begins. The first look begins at the end.
    pub(super) fn seq_in(position: Option<&Self>, partition: u16) -> u64 {
        let of_partition = position.and_then(|position| position.0.get(usize::from(partition)));
        of_partition.map_or(u64::MAX, |position| position.seq)
    }
}

/// What was fenced in a partition since a look at its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailPage {
    pub(super) incarnation: Arc<str>,
    pub(super) seq: u64,
    /// The floor of the clock: fences up to it may be forgotten, and what swept raised it.
    pub(super) floor: u64,
    /// The names of the fences after the position, in no order: at most `TRAIL_NAMES_MAX`.
    pub(super) names: Vec<Name>,
    /// There are more.
    pub(super) has_more: bool,
}

impl TrailPage {
    /// Whether the names are all that was invalidated since `position`.
    fn tells_all_since(&self, position: &ClockPosition) -> bool {
        self.incarnation == position.incarnation && self.floor <= position.seq && !self.has_more
    }

    fn position(&self) -> ClockPosition {
        ClockPosition { incarnation: self.incarnation.clone(), seq: self.seq }
    }
}

/// What was fenced since a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FenceTrail {
    /// Where the next look goes on.
    pub(crate) position: TrailPosition,
    /// At most `TRAIL_NAMES_MAX`, each once.
    pub(crate) names: BTreeSet<Name>,
    /// The names are all that was invalidated since the position, in the partitions that have
    /// answered.
    pub(crate) is_whole: bool,
    /// What was invalidated in so many partitions is told by a later look.
    pub(crate) unanswered_partitions: u16,
}

impl FenceTrail {
    /// Of the pages of all partitions, in their order; `None`: that one did not answer. The next
    /// look goes on from where the one before it has been there.
    pub(super) fn of(pages: Vec<Option<TrailPage>>, since: Option<&TrailPosition>) -> Self {
        let looked = |at: usize| since.and_then(|since| since.0.get(at));
        let tells_all = |(at, page): (usize, &Option<TrailPage>)| {
            let Some(page) = page else { return since.is_some() };
            looked(at).is_some_and(|looked| page.tells_all_since(looked))
        };
        let are_whole = pages.iter().enumerate().all(tells_all);
        let position = |(at, page): (usize, &Option<TrailPage>)| match page {
            Some(page) => page.position(),
            None => looked(at).cloned().unwrap_or_else(ClockPosition::unknown),
        };
        let position = TrailPosition(pages.iter().enumerate().map(position).collect());
        let unanswered_partitions = pages.iter().filter(|page| page.is_none()).count() as u16;
        let mut names: BTreeSet<Name> = pages.into_iter().flatten().flat_map(|page| page.names).collect();
        let is_whole = are_whole && names.len() <= TRAIL_NAMES_MAX;
        while names.len() > TRAIL_NAMES_MAX {
            names.pop_last();
        }
        Self { position, names, is_whole, unanswered_partitions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(seq: u64, names: &[&str]) -> Option<TrailPage> {
        let names = names.iter().map(|name| Name::tag(name).unwrap()).collect();
        Some(TrailPage { incarnation: "one".into(), seq, floor: 0, names, has_more: false })
    }

    fn told(trail: &FenceTrail) -> Vec<&str> {
        trail.names.iter().map(Name::text).collect()
    }

    #[test]
    fn a_look_goes_on_without_a_partition_that_is_silent_and_the_next_one_tells_what_was_there() {
        let first = FenceTrail::of(vec![page(10, &[]), page(10, &[])], None);
        assert!(!first.is_whole, "it knows of nothing before it");
        let second = FenceTrail::of(vec![page(20, &["a"]), None], Some(&first.position));
        assert_eq!((told(&second), second.is_whole, second.unanswered_partitions), (vec!["a"], true, 1));
        let seqs = [0, 1].map(|partition| TrailPosition::seq_in(Some(&second.position), partition));
        assert_eq!(seqs, [20, 10]);
        let third = FenceTrail::of(vec![page(20, &[]), page(30, &["b"])], Some(&second.position));
        assert_eq!((told(&third), third.is_whole, third.unanswered_partitions), (vec!["b"], true, 0));
    }

    #[test]
    fn of_a_partition_that_was_silent_from_the_first_look_on_nothing_is_known() {
        let first = FenceTrail::of(vec![page(10, &[]), None], None);
        let without_a_clock = TrailPage { incarnation: "".into(), ..page(0, &[]).unwrap() };
        for back in [page(30, &[]), Some(without_a_clock)] {
            let second = FenceTrail::of(vec![page(20, &["a"]), back], Some(&first.position));
            assert!(!second.is_whole);
            let third = FenceTrail::of(vec![page(20, &[]), page(30, &[])], Some(&second.position));
            assert_eq!(third.is_whole, second.position.0[1].seq == 30);
        }
    }
}
