//! What is to be known before entries are stored: how many partitions the namespace has, and the
//! clocks of all of them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tokio::time::timeout_at;

use super::super::at_once::all;
use super::super::resp::{Command, Reply};
use super::super::{reply, scripts};
use super::set::{PartitionSet, UNKNOWN};
use crate::clock::{self, Instant, timers};
use crate::error::{Error, ErrorKind};
use crate::store::{ClockReading, HomeReading};

/// What a partition tells of itself.
pub(super) struct PartitionState {
    pub(super) reading: HomeReading,
    /// Whether its marks are all that there should be.
    pub(super) is_complete: bool,
    /// The incarnations of the homes that list what it has.
    pub(super) known: BTreeMap<u16, String>,
}

impl PartitionSet {
    /// Makes sure that the namespace has as many partitions as this process takes it to have. Asks
    /// once: who comes first writes the number down.
    ///
    /// # Errors
    /// `Config`: it has another number. Then nothing may be stored, and nothing invalidated.
    pub(super) async fn confirm(&self, until: Instant) -> Result<(), Error> {
        match self.recorded.load(Ordering::Acquire) {
            UNKNOWN => self.record(until).await,
            recorded => self.compare(recorded),
        }
    }

    /// As [`confirm`](Self::confirm), and asks in any case: what was written down may be lost.
    pub(super) async fn record(&self, until: Instant) -> Result<(), Error> {
        let (store, own) = (self.at(0), u32::from(self.partitions.count()));
        let key = store.layout.partitions();
        let set = Command::new("SET").arg(&key).number(own.into()).arg("NX");
        let recorded = match store.pool.command(store.layout.stripe(&key), set, until).await {
            Ok(Reply::Null) => None,
            Ok(_) => Some(own),
            // There may be one, and no room for another.
            Err(error) if error.kind() == ErrorKind::Limit => match self.recorded_at(&key, until).await? {
                Some(recorded) => Some(recorded),
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let recorded = match recorded {
            Some(recorded) => recorded,
            None => self.recorded_at(&key, until).await?.ok_or_else(reply::unexpected)?,
        };
        if self.recorded.swap(recorded, Ordering::AcqRel) != recorded
            && let Err(error) = self.compare(recorded)
        {
            tracing::error!(%error, "nothing is cached");
        }
        self.compare(recorded)
    }

    async fn recorded_at(&self, key: &str, until: Instant) -> Result<Option<u32>, Error> {
        let store = self.at(0);
        let get = Command::new("GET").arg(key);
        match store.pool.command(store.layout.stripe(key), get, until).await? {
            Reply::Null => Ok(None),
            // No number: another program's.
            recorded => Ok(Some(recorded.text().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX))),
        }
    }

    fn compare(&self, recorded: u32) -> Result<(), Error> {
        let (own, namespace) = (u32::from(self.partitions.count()), &self.namespace);
        if recorded == own {
            return Ok(());
        }
        let key = self.at(0).layout.partitions();
        let message = if recorded == u32::MAX {
            format!("`{key}` on the cluster is another program's: give the cache another namespace than `{namespace}`")
        } else {
            format!(
                "the namespace `{namespace}` has {recorded} partitions on this cluster, and this cache takes it to \
                 have {own}: say `?partitions={recorded}` in the URL, or choose another namespace"
            )
        };
        Err(Error::new(ErrorKind::Config, message))
    }

    /// Whether it is known that the namespace has another number of partitions.
    pub(super) fn is_of_others(&self) -> bool {
        let recorded = self.recorded.load(Ordering::Acquire);
        recorded != UNKNOWN && recorded != u32::from(self.partitions.count())
    }

    pub(super) async fn state(&self, partition: u16, until: Instant) -> Result<PartitionState, Error> {
        let words = reply::words(&self.run(partition, &scripts::STATE, &[], until).await?)?;
        let [incarnation, seq, is_complete, known @ ..] = &words[..] else { return Err(reply::unexpected()) };
        let reading = HomeReading { incarnation: (**incarnation).into(), seq: reply::number(seq)? };
        self.saw(partition, &reading);
        let known = known.iter().filter_map(|known| known.split_once(':'));
        let known = known.filter_map(|(home, incarnation)| Some((home.parse().ok()?, incarnation.to_owned())));
        Ok(PartitionState { reading, is_complete: is_complete == "1", known: known.collect() })
    }

    /// Completes the reading that a load is given.
    pub(super) async fn with_homes(
        &self,
        own: u16,
        clock: ClockReading,
        until: Instant,
    ) -> Result<ClockReading, Error> {
        self.saw(own, &HomeReading { incarnation: clock.incarnation.clone(), seq: clock.seq });
        self.know_clocks(until).await;
        Ok(ClockReading { homes: Some(self.known.copy()), ..clock })
    }

    /// Has the clocks read if some are unknown, or were read long ago. The first time they are
    /// waited for. Later nobody waits: a node that does not answer would hold up those who need
    /// nothing of it, and an old reading only refuses more.
    pub(super) async fn know_clocks(&self, until: Instant) {
        let is_unknown = self.known.copy().iter().any(|reading| reading.incarnation.is_empty());
        if !is_unknown && !self.known.is_old(clock::now(), self.retention) {
            return;
        }
        let mut readings = self.readings.subscribe();
        self.read_clocks();
        if *readings.borrow_and_update() == 0 {
            let _ = timeout_at(until, readings.wait_for(|readings| *readings > 0)).await;
        }
    }

    /// Reads all clocks, in a task of its own.
    fn read_clocks(&self) {
        let Ok(runtime) = timers() else { return };
        let Some(turn) = self.reading.take_turn() else { return };
        self.known.were_read(clock::now());
        let set = self.own.clone();
        runtime.spawn(async move {
            let Some(set) = set.upgrade() else { return };
            let until = set.at(0).pool.answer_due();
            // The clocks of the others are of use without that of one.
            all(set.numbers().map(|number| set.state(number, until))).await;
            set.readings.send_modify(|readings| *readings += 1);
            drop(turn);
        });
    }
}
