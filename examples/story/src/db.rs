//! A database that counts its queries and takes its time: virtual time, so nobody waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// What is cached: a delay, and how often it has changed, so that a stale answer can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) delay_min: i32,
    pub(crate) version: u32,
}

#[derive(Clone)]
pub(crate) struct Db {
    state: Arc<Mutex<State>>,
    opened: Instant,
}

struct State {
    flights: Vec<Flight>,
    by_hour: [u64; 24],
    random: fastrand::Rng,
}

impl Db {
    pub(crate) fn new(flights: usize, seed: u64) -> Self {
        let flights = vec![Flight { delay_min: 0, version: 0 }; flights];
        let state = State { flights, by_hour: [0; 24], random: fastrand::Rng::with_seed(seed) };
        Self { state: Arc::new(Mutex::new(state)), opened: Instant::now() }
    }

    /// One query, of any number of rows. It reads when a third of its time is over; the rest is the way back.
    pub(crate) async fn flights(&self, ids: &[u32]) -> Vec<Flight> {
        let took = {
            let hour = self.opened.elapsed().as_secs() / 3600;
            let mut state = self.state();
            state.by_hour[hour.min(23) as usize] += 1;
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

    /// Queries of each hour of the day.
    pub(crate) fn by_hour(&self) -> [u64; 24] {
        self.state().by_hour
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
