//! How many partitions the namespace has. All processes must take it to have the same number.
//!
//! Partition 0 alone decides: the number is first written there, by whoever comes first. Each other
//! partition has a copy of what partition 0 has confirmed. By a copy go those who start while the
//! node of partition 0 is away, and from a copy partition 0 gets the number back that it has lost.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use super::super::at_once::all;
use super::super::reply;
use super::super::resp::{Command, Reply};
use super::clocks::halfway_to;
use super::set::{PartitionSet, UNKNOWN};
use crate::clock::{Instant, timers};
use crate::error::{Error, ErrorKind};

#[cfg(test)]
mod tests;

/// What is written there is no number, but another program's.
const FOREIGN: u32 = u32::MAX;

impl PartitionSet {
    /// Makes sure that the namespace has as many partitions as this process takes it to have. Asks
    /// once, all partitions.
    ///
    /// # Errors
    /// `Config`: it has another number. Then nothing may be stored, and nothing invalidated.
    pub(super) async fn confirm(&self, until: Instant) -> Result<(), Error> {
        // Whoever has found the number out sees to the copies.
        if self.recorded() == UNKNOWN && self.find_out(until).await? {
            self.write_down_in_background();
        }
        self.compare(self.recorded())
    }

    /// As [`confirm`](Self::confirm), and writes the number down wherever it is not.
    pub(super) async fn record(&self, until: Instant) -> Result<(), Error> {
        // Whoever was refused asks anew: the whole namespace may have been emptied.
        if self.recorded() != self.own_count() {
            self.find_out(until).await?;
        }
        self.write_down(until).await
    }

    /// Whether it is known that the namespace has another number of partitions.
    pub(super) fn is_of_others(&self) -> bool {
        let recorded = self.recorded();
        recorded != UNKNOWN && recorded != self.own_count()
    }

    fn recorded(&self) -> u32 {
        self.recorded.load(Ordering::Acquire)
    }

    fn own_count(&self) -> u32 {
        self.partitions.count().into()
    }

    /// Goes by what any partition has, and has partition 0 decide if none has anything. Returns
    /// whether nothing was known before.
    async fn find_out(&self, until: Instant) -> Result<bool, Error> {
        let recorded = match self.first_told(halfway_to(until)).await {
            Some(told) => told,
            None => self.decide(self.own_count(), until).await?,
        };
        Ok(self.note(recorded))
    }

    /// The first number that a partition tells. A node that does not answer in time tells none.
    async fn first_told(&self, until: Instant) -> Option<u32> {
        let told = AtomicU32::new(UNKNOWN);
        let mut asked = all(self.numbers().map(|partition| {
            let told = &told;
            async move {
                match self.recorded_in(partition, until).await {
                    // Another program's value in place of a copy says nothing.
                    Ok(Some(FOREIGN)) if partition > 0 => {}
                    Ok(Some(recorded)) => {
                        let _ = told.compare_exchange(UNKNOWN, recorded, Ordering::Relaxed, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
        }));
        poll_fn(|context| match Pin::new(&mut asked).poll(context) {
            Poll::Pending if told.load(Ordering::Relaxed) == UNKNOWN => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        drop(asked);
        Some(told.into_inner()).filter(|told| *told != UNKNOWN)
    }

    /// The number that partition 0 has: this one, if it has none.
    async fn decide(&self, count: u32, until: Instant) -> Result<u32, Error> {
        let store = self.at(0);
        let key = store.layout.partitions();
        let set = Command::new("SET").arg(&key).number(count.into()).arg("NX");
        match store.pool.command(store.layout.stripe(&key), set, until).await {
            Ok(Reply::Null) => self.recorded_in(0, until).await?.ok_or_else(reply::unexpected),
            Ok(_) => Ok(count),
            // There may be one, and no room for another.
            Err(error) if error.kind() == ErrorKind::Limit => self.recorded_in(0, until).await?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// Has partition 0 decide, and the others follow. Nobody waits for it.
    fn write_down_in_background(&self) {
        let Ok(runtime) = timers() else { return };
        let set = self.own.clone();
        runtime.spawn(async move {
            let Some(set) = set.upgrade() else { return };
            if let Err(error) = set.write_down(set.at(0).pool.answer_due()).await {
                tracing::debug!(%error, "the number of partitions is not written down everywhere");
            }
        });
    }

    async fn write_down(&self, until: Instant) -> Result<(), Error> {
        let decided = match self.recorded() {
            FOREIGN => Ok(FOREIGN),
            recorded => self.decide(recorded, until).await,
        };
        if let Ok(decided) = decided {
            self.note(decided);
        }
        self.compare(self.recorded())?;
        decided?;
        self.copy(until).await;
        Ok(())
    }

    /// Gives each partition the number that partition 0 has just confirmed. A copy that says
    /// something else is replaced: partition 0 decides. One that cannot be written is missing until
    /// the next process starts, or the next clock is lost.
    async fn copy(&self, until: Instant) {
        let own = self.own_count();
        all(self.numbers().skip(1).map(|partition| async move {
            if !matches!(self.recorded_in(partition, until).await, Ok(Some(copy)) if copy == own) {
                let store = self.at(partition);
                let key = store.layout.partitions();
                let set = Command::new("SET").arg(&key).number(own.into());
                let _ = store.pool.command(store.layout.stripe(&key), set, until).await;
            }
        }))
        .await;
    }

    async fn recorded_in(&self, partition: u16, until: Instant) -> Result<Option<u32>, Error> {
        let store = self.at(partition);
        let key = store.layout.partitions();
        match store.pool.command(store.layout.stripe(&key), Command::new("GET").arg(&key), until).await? {
            Reply::Null => Ok(None),
            recorded => Ok(Some(recorded.text().and_then(|text| text.parse().ok()).unwrap_or(FOREIGN))),
        }
    }

    /// Returns whether nothing was known before.
    fn note(&self, recorded: u32) -> bool {
        let known = self.recorded.swap(recorded, Ordering::AcqRel);
        if known != recorded
            && let Err(error) = self.compare(recorded)
        {
            tracing::error!(%error, "nothing is cached");
        }
        known == UNKNOWN
    }

    fn compare(&self, recorded: u32) -> Result<(), Error> {
        let (own, namespace) = (self.own_count(), &self.namespace);
        if recorded == own {
            return Ok(());
        }
        let key = self.at(0).layout.partitions();
        let message = if recorded == FOREIGN {
            format!("`{key}` on the cluster is another program's: give the cache another namespace than `{namespace}`")
        } else {
            format!(
                "the namespace `{namespace}` has {recorded} partitions on this cluster, and this cache takes it to \
                 have {own}: say `?partitions={recorded}` in the URL, or choose another namespace"
            )
        };
        Err(Error::new(ErrorKind::Config, message))
    }
}
