//! The schedules of one cache: each runs until its handle is dropped, or the cache is shut down.

use tokio::sync::watch;

/// The schedules of one cache in this process.
pub(crate) struct Schedules(watch::Sender<bool>);

/// A schedule's sign of life; it also tells the schedule of its end.
pub(crate) struct Term(watch::Receiver<bool>);

impl Default for Schedules {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Schedules {
    pub(crate) fn begin(&self) -> Term {
        Term(self.0.subscribe())
    }

    /// Ends all of them, and those that begin from now on.
    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    /// Waits until none runs.
    pub(crate) async fn none_under_way(&self) {
        self.0.closed().await;
    }
}

impl Term {
    /// Waits for the end of the schedule.
    pub(crate) async fn ends(&mut self) {
        // An error means that the cache is gone, and that ends the schedule as well.
        let _ = self.0.wait_for(|is_closed| *is_closed).await;
    }
}
