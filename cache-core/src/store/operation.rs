//! An invalidation on its way: what is left of it to be sent.

use std::borrow::Cow;

use super::agenda::Agenda;
use super::partition::Partitions;
use super::removal::Removal;
use super::rules::Rules;
use super::tour::Tour;
use super::visit::{Chunk, FollowedMark, HomeReading, Intent, VisitReply};
use crate::config::INVALIDATE_NAMES_PER_CHUNK;
use crate::name::Name;

/// An invalidation, from its beginning until nothing is left to do. It is the client's part, and
/// knows what is still to be visited; a store takes the [steps](super::Store::step).
///
/// Nobody goes on with one that is dropped. What it has left is met by the next one of its names:
/// a membership goes only after what it leads to.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Operation<'a> {
    intent: Intent,
    /// With one partition: not sent yet.
    given: &'a [Name],
    /// With one partition.
    agenda: Agenda,
    /// With more than one partition.
    tour: Option<Box<Tour>>,
    /// Removed by steps that have failed in another partition.
    uncounted: Removal,
}

impl<'a> Operation<'a> {
    /// Sends nothing.
    pub(crate) fn new(names: &'a [Name], intent: Intent) -> Self {
        Self { intent, given: names, agenda: Agenda::default(), tour: None, uncounted: Removal::default() }
    }

    /// On several partitions. `known` is what the process knows of their clocks.
    pub(crate) fn over(
        partitions: Partitions,
        known: &[HomeReading],
        names: &[Name],
        intent: Intent,
        rules: Rules,
    ) -> Self {
        let tour = Tour::new(partitions, known, names, intent, rules);
        Self { tour: Some(Box::new(tour)), ..Self::new(&[], intent) }
    }

    /// What a write or a page of a walk has left to do, and what it has removed.
    pub(crate) fn rest_of(reply: VisitReply) -> (Operation<'static>, Removal) {
        let mut rest = Operation::new(&[], Intent::Invalidate);
        let removal = rest.take_in(&Chunk::of_given(0, Cow::Borrowed(&[]), Intent::Invalidate), reply);
        (rest, removal)
    }

    /// The same where there are several partitions: `of_given` is what the reply is to.
    pub(crate) fn rest_over(
        partitions: Partitions,
        known: &[HomeReading],
        of_given: &Chunk<'_>,
        reply: VisitReply,
        rules: Rules,
    ) -> (Operation<'static>, Removal) {
        let mut rest = Operation::over(partitions, known, &[], of_given.intent, rules);
        let removal = rest.take_in(of_given, reply);
        (rest, removal)
    }

    /// Whether it has sent nothing, and knows nothing of some partition's clock.
    #[cfg(feature = "redis")]
    pub(crate) fn is_to_learn(&self) -> bool {
        self.tour.as_ref().is_some_and(|tour| tour.is_to_learn())
    }

    /// What is known of the clocks, before it has sent anything.
    #[cfg(feature = "redis")]
    pub(crate) fn learn(&mut self, known: &[HomeReading]) {
        if let Some(tour) = self.tour.as_mut().filter(|tour| tour.is_to_learn()) {
            tour.learn(known);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// How many names are still to be visited, as far as is known.
    pub(crate) fn left(&self) -> u64 {
        let on_tour = self.tour.as_ref().map_or(0, |tour| tour.left());
        (self.given.len() + self.agenda.len() + on_tour) as u64
    }

    /// What to send to a partition next. With one partition there is something unless the operation
    /// is done.
    pub(crate) fn next_chunk(&mut self, partition: u16) -> Option<Chunk<'a>> {
        if let Some(tour) = &mut self.tour {
            return tour.next_chunk(partition);
        }
        if !self.given.is_empty() {
            let (names, later) = self.given.split_at(self.given.len().min(INVALIDATE_NAMES_PER_CHUNK));
            self.given = later;
            return Some(Chunk::of_given(partition, Cow::Borrowed(names), self.intent));
        }
        (self.agenda.len() > 0).then(|| self.agenda.next_chunk(partition))
    }

    /// Notes the reply of a script. What it has removed is returned, with what is left to do.
    pub(crate) fn take_in(&mut self, chunk: &Chunk<'_>, reply: VisitReply) -> Removal {
        let VisitReply { mut removal, left, encounter } = reply;
        match (&mut self.tour, encounter) {
            (Some(tour), Some(encounter)) => tour.take_in(chunk, left, *encounter),
            _ => self.agenda.take_in(left),
        }
        removal.pending = self.left();
        removal
    }

    /// Keeps what a step has removed that fails all the same.
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn keep_uncounted(&mut self, removal: Removal) {
        self.uncounted.add(removal);
    }

    /// What steps that have failed have removed all the same. It is told once.
    pub(crate) fn take_uncounted(&mut self) -> Removal {
        std::mem::take(&mut self.uncounted)
    }

    /// The marks that the operation has followed, and that nothing hangs on any more, by home. To
    /// be asked for when it is done.
    pub(crate) fn settlements(&self) -> Vec<(u16, Vec<FollowedMark>)> {
        self.tour.as_ref().map_or_else(Vec::new, |tour| tour.settlements())
    }
}

#[cfg(test)]
impl Operation<'_> {
    pub(crate) fn has_work_at(&self, partition: u16) -> bool {
        self.tour.as_ref().is_some_and(|tour| tour.has_work_at(partition))
    }

    /// Numbers of clocks that it remembers, each with its partition.
    pub(crate) fn seqs(&self) -> Vec<(u16, u64)> {
        self.tour.iter().flat_map(|tour| tour.seqs()).collect()
    }

    /// Stamps of marks that it remembers.
    pub(crate) fn stamps(&self) -> Vec<((Name, u16), u64)> {
        self.tour.iter().flat_map(|tour| tour.stamps()).map(|(mark, stamp)| (mark.clone(), stamp)).collect()
    }

    /// What tells it from another one, but for these.
    pub(crate) fn parts(&self) -> impl std::hash::Hash {
        (self.intent, self.tour.as_ref().map(|tour| tour.parts()))
    }

    pub(crate) fn intent(&self) -> Intent {
        self.intent
    }

    /// As if every script left something.
    pub(crate) fn never_ends(&mut self) {
        self.agenda.add(Name::tag("left").expect("a short name"));
    }
}
