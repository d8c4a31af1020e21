//! The clocks of all partitions, which are to be known before a load begins.

use std::collections::BTreeMap;

use tokio::time::timeout_at;

use super::super::at_once::all;
use super::super::{reply, scripts};
use super::set::PartitionSet;
use crate::clock::{self, Instant, timers};
use crate::error::Error;
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
    /// waited for, but half of the time is left to the call: one node may not answer. Later nobody
    /// waits: such a node would hold up those who need nothing of it, and an old reading only
    /// refuses more.
    pub(super) async fn know_clocks(&self, until: Instant) {
        let is_known = self.known.copy().iter().all(HomeReading::is_known);
        if is_known && !self.known.is_old(clock::now(), self.retention) {
            return;
        }
        let mut readings = self.readings.subscribe();
        self.read_clocks();
        if *readings.borrow_and_update() == 0 {
            let _ = timeout_at(halfway_to(until), readings.wait_for(|readings| *readings > 0)).await;
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

/// The middle between now and then.
pub(super) fn halfway_to(until: Instant) -> Instant {
    let now = clock::now();
    now + (until - now) / 2
}
