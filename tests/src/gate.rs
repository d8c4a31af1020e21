//! Forced races.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A place where a load stops until the test lets it go on: both sides meet, nobody sleeps.
///
/// Each [`pass`](Gate::pass) needs one [`open`](Gate::open); permits may be given ahead.
#[derive(Clone, Debug)]
pub struct Gate {
    arrivals: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { arrivals: Arc::new(Semaphore::new(0)), permits: Arc::new(Semaphore::new(0)) }
    }

    /// In the load: says that it has come this far, then waits to be let through.
    pub async fn pass(&self) {
        self.arrivals.add_permits(1);
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }

    /// In the test: waits until one more load stands at the gate (or has passed it).
    pub async fn reached(&self) {
        self.arrivals.acquire().await.expect("arrivals are never closed").forget();
    }

    /// Lets one load through.
    pub fn open(&self) {
        self.permits.add_permits(1);
    }

    /// Lets everybody through from now on.
    pub fn open_for_good(&self) {
        self.permits.close();
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
