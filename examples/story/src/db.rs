//! A database that counts its queries and takes its time: virtual time, so nobody waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// What is cached: a delay, and how often it has changed, so that a stale answer can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) delay_min: i32,
    pub(crate) version: u32,
}

#[derive(Clone)]
pub(crate) struct Db(Arc<Mutex<State>>);

struct State {
    flights: Vec<Flight>,
    queries: u64,
    random: fastrand::Rng,
}

impl Db {
    pub(crate) fn new(flights: usize, seed: u64) -> Self {
        let flights = vec![Flight { delay_min: 0, version: 0 }; flights];
        let state = State { flights, queries: 0, random: fastrand::Rng::with_seed(seed) };
        Self(Arc::new(Mutex::new(state)))
    }

    /// One query, of any number of rows. It reads when a third of its time is
    /// over; the rest is the way back.
    pub(crate) async fn flights(&self, ids: &[u32]) -> Vec<Flight> {
        let took = {
            let mut state = self.state();
            state.queries += 1;
            // One in fifty is slow.
            Duration::from_millis(if state.random.u32(..50) == 0 { 1_000 } else { state.random.u64(30..150) })
        };
        sleep(took / 3).await;
        let rows = {
            let state = self.state();
            ids.iter().map(|&id| state.flights[id as usize]).collect()
        };
        sleep(took * 2 / 3).await;
        rows
    }

    /// Returns the version that readers must see from now on.
    pub(crate) async fn set_delay(&self, id: u32, delay_min: i32) -> u32 {
        sleep(Duration::from_millis(20)).await;
        let flight = &mut self.state().flights[id as usize];
        *flight = Flight { delay_min, version: flight.version + 1 };
        flight.version
    }

    /// Asked so far.
    pub(crate) fn queries(&self) -> u64 {
        self.state().queries
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
