//! What partitions have lost: each finds out for itself, and what is to be done is done for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::at_once::all;
use super::super::connect::{Connection, Inheritance, MeetingHook, is_misrouted};
use super::super::layout::Layout;
use super::super::losses::Losses;
use super::super::{reply, scripts};
use crate::error::Error;
use crate::store::{LossListener, StoreLoss};

pub(super) struct PartitionLosses {
    each: Box<[Arc<Losses>]>,
    layouts: Box<[Layout]>,
    /// Has the listeners.
    all: Arc<Losses>,
    /// The reign of the primary that each partition was met at last.
    met: Mutex<Vec<Option<Box<str>>>>,
    members: Mutex<MemberLosses>,
}

/// Losses of members, each with a number of this process: the marks of two clocks are not to be
/// compared.
#[derive(Default)]
struct MemberLosses {
    last: u64,
    /// The mark and the number of each that is not made good.
    of_partition: BTreeMap<u16, (u64, u64)>,
}

impl PartitionLosses {
    pub(super) fn new(layouts: &[Layout]) -> Arc<Self> {
        Arc::new(Self {
            each: layouts.iter().map(|_| Arc::default()).collect(),
            layouts: layouts.into(),
            all: Arc::default(),
            met: Mutex::new(vec![None; layouts.len()]),
            members: Mutex::default(),
        })
    }

    pub(super) fn of(&self, partition: usize) -> Arc<Losses> {
        self.each[partition].clone()
    }

    /// The hook for a node that may have taken over from another one: asks for each partition that
    /// was met elsewhere last. What the node does not serve, it says so. It tells of losses by
    /// itself, and so finds nothing: see [`meet`](Self::meet).
    pub(super) fn meeting(self: &Arc<Self>) -> MeetingHook {
        let losses = self.clone();
        Box::new(move |connection| {
            let losses = losses.clone();
            Box::pin(async move { losses.meet(&connection).await.map(|()| Inheritance::Whole) })
        })
    }

    /// A loss is told before its partition counts as met, whatever becomes of the connection: no
    /// other connection to this primary asks for the partition again.
    async fn meet(&self, connection: &Connection) -> Result<(), Error> {
        let reign = connection.reign();
        let asked: Vec<u16> = {
            let met = self.met();
            let is_known = |met: &Option<Box<str>>| reign.is_some() && met.as_deref() == reign;
            (0..).zip(met.iter()).filter(|(_, met)| !is_known(met)).map(|(number, _)| number).collect()
        };
        let answers = all(asked.iter().map(|number| self.ask(*number, connection))).await;
        let (mut met, mut behind, mut failed) = (Vec::new(), Vec::new(), Ok(()));
        for (number, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(inheritance) => {
                    met.push(number);
                    behind.extend((inheritance == Inheritance::Lost).then_some(number));
                }
                Err(error) if is_misrouted(&error) => {}
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        self.tell_of_losses(&behind, reign);
        met.into_iter().for_each(|number| self.met()[usize::from(number)] = reign.map(Into::into));
        failed
    }

    /// Several connections may meet a primary at once: what one of them has told is not told again.
    /// Primaries that do not tell their reign may be others each time.
    fn tell_of_losses(&self, behind: &[u16], reign: Option<&str>) {
        let told = reign.map(|reign| StoreLoss::Writes(reign.into()));
        let behind = behind.iter().map(|number| &self.each[usize::from(*number)]);
        let untold: Vec<_> = behind.filter(|losses| told.is_none() || losses.last() != told).collect();
        let reign = reign.unwrap_or_default();
        untold.iter().for_each(|losses| losses.lose_writes(reign));
        if !untold.is_empty() {
            self.all.lose_writes(reign);
        }
    }

    async fn ask(&self, number: u16, connection: &Connection) -> Result<Inheritance, Error> {
        let (layout, losses) = (&self.layouts[usize::from(number)], &self.each[usize::from(number)]);
        let (declared, seen) = (layout.declared(), losses.highest().to_string());
        let args = [layout.root(), &seen].map(str::as_bytes);
        let reply = connection.run(&scripts::MEET, &[&declared], &args).await?;
        reply::inheritance(&reply)
    }

    pub(super) fn listen(&self, listener: LossListener) {
        self.all.listen(listener);
    }

    /// Of all partitions.
    pub(super) fn last(&self) -> Option<StoreLoss> {
        let each = (0..).zip(&self.each).filter_map(|(number, losses)| Some((number, losses.last()?)));
        let each: Vec<(u16, StoreLoss)> = each.collect();
        (!each.is_empty()).then_some(StoreLoss::OfPartitions(each))
    }

    /// Nothing is left to be made good of what the listeners were told.
    pub(super) fn note_made_good(&self) {
        if self.last().is_none() {
            self.all.forget();
        }
    }

    pub(super) fn any_replaced(&self) -> bool {
        self.each.iter().any(|losses| losses.any_replaced())
    }

    /// A reply tells that members were lost, by a mark of the partition's clock. Returns the number
    /// of the loss, which is higher than that of each loss that was found before.
    pub(super) fn number_of_members(&self, partition: u16, mark: u64) -> u64 {
        let mut members = self.members();
        match members.of_partition.get(&partition) {
            _ if mark == 0 => 0,
            Some((known, number)) if *known == mark => *number,
            _ => {
                members.last += 1;
                let number = members.last;
                members.of_partition.insert(partition, (mark, number));
                number
            }
        }
    }

    /// The partitions that have lost members, with the mark of each, up to a number.
    pub(super) fn members_up_to(&self, number: u64) -> Vec<(u16, u64)> {
        let members = self.members();
        let up_to = members.of_partition.iter().filter(|(_, (_, found))| *found <= number);
        up_to.map(|(partition, (mark, _))| (*partition, *mark)).collect()
    }

    pub(super) fn members_made_good(&self, partition: u16, mark: u64) {
        let mut members = self.members();
        if members.of_partition.get(&partition).is_some_and(|(known, _)| *known == mark) {
            members.of_partition.remove(&partition);
        }
    }

    fn met(&self) -> MutexGuard<'_, Vec<Option<Box<str>>>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn members(&self) -> MutexGuard<'_, MemberLosses> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ★ Else a clear that makes up for one loss would be taken for one that makes up for another,
    /// whose clock shows less.
    #[test]
    fn losses_of_members_are_told_apart_whatever_the_clocks_show() {
        let losses = PartitionLosses::new(&[]);
        assert_eq!(losses.number_of_members(0, 0), 0);
        let first = losses.number_of_members(0, 1_000);
        assert_eq!(losses.number_of_members(0, 1_000), first);
        let second = losses.number_of_members(1, 900);
        assert!(second > first);
        assert_eq!(losses.members_up_to(first), [(0, 1_000)]);
        let again = losses.number_of_members(0, 2_000);
        assert!(again > second);
        losses.members_made_good(0, 1_000);
        assert_eq!(losses.members_up_to(again), [(0, 2_000), (1, 900)]);
        losses.members_made_good(1, 900);
        assert_eq!(losses.members_up_to(again), [(0, 2_000)]);
    }
}
