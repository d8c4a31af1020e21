//! How the director has the conductor do what concerns its processes, and hears when it is done.

use std::collections::BTreeSet;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Promise;
use super::left::Left;
use crate::conductor::Event;

/// What the conductor is to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// An episode begins, which strikes these partitions, or all: calls may begin.
    Begin { title: String, promise: Promise, struck: BTreeSet<u16> },
    /// What is measured now is what a calm server gives.
    Calm,
    /// The fault begins.
    Strike,
    /// The fault is over.
    Over,
    /// Done when each process has had a hit since the fault was over, and owes nothing.
    Recover,
    /// Done when no call is under way, nothing is owed, and everything was read once more.
    Rest,
    /// What is left in the server of what was cleared.
    Leave(Left),
    /// One of the processes is killed, and another one takes its place.
    Kill,
    /// One of them stands still.
    Still,
    /// All go on.
    Continue,
    /// One of them goes on with another runtime.
    EndRuntime,
    /// One of them is killed, and the one in its place has a clock of its own.
    OwnClock,
    /// That clock is set.
    StepClock,
    /// That process is killed as well, and the one in its place has the clock of all.
    UsualClock,
    /// Most callers drop their calls from now on, or none does.
    DropCalls(bool),
    /// The history ends.
    End,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Baton(mpsc::Sender<Event>);

/// The history has ended before its faults have.
#[derive(Debug)]
pub(crate) struct Ended;

impl Baton {
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self(events)
    }

    /// Returns when it is done.
    pub(crate) async fn order(&self, order: Order) -> Result<(), Ended> {
        let (done, is_done) = oneshot::channel();
        self.0.send(Event::Ordered(order, done)).await.map_err(|_| Ended)?;
        is_done.await.map_err(|_| Ended)
    }

    /// Something that was to be done to a server did not work.
    pub(crate) async fn fail(&self, message: String) {
        // An error is a history that has ended.
        _ = self.0.send(Event::Failed(message)).await;
    }

    /// Fails the history if its director panics: nobody would order its end.
    pub(crate) async fn watch(self, directing: JoinHandle<()>) {
        if let Err(error) = directing.await {
            self.fail(format!("the director of faults: {error}")).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_history_fails_whose_director_panics() {
        let (events, mut said) = mpsc::channel(1);
        let directing = tokio::task::spawn_blocking(|| panic!("no such server"));
        Baton::new(events).watch(directing).await;
        let Some(Event::Failed(message)) = said.recv().await else { panic!("nothing was said") };
        assert!(message.contains("no such server"), "{message}");
    }

    #[tokio::test]
    async fn a_director_that_has_come_to_its_end_fails_nothing() {
        let (events, mut said) = mpsc::channel(1);
        Baton::new(events).watch(tokio::task::spawn_blocking(|| ())).await;
        assert!(said.recv().await.is_none());
    }
}
