//! Counted effects.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts how often something ran, most often a load.
#[derive(Clone, Debug)]
pub struct Probe {
    count: Arc<watch::Sender<u64>>,
}

impl Probe {
    /// At zero.
    pub fn new() -> Self {
        Self { count: Arc::new(watch::Sender::new(0)) }
    }

    /// Counts one run and says which one it is, from 1.
    pub fn mark(&self) -> u64 {
        let mut run = 0;
        self.count.send_modify(|count| {
            *count += 1;
            run = *count;
        });
        run
    }

    /// Runs so far.
    pub fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits until at least `count` runs were counted.
    pub async fn reached(&self, count: u64) {
        let mut counts = self.count.subscribe();
        counts.wait_for(|now| *now >= count).await.expect("this probe holds the sender");
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}
