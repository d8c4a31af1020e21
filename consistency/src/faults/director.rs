//! Does one episode of faults after the other.

use std::time::{Duration, Instant};

use super::baton::{Baton, Ended, Order};
use super::scene::Scene;
use super::{Act, Episode, Fault, Selection, Target};

/// For so long a calm server is measured before a fault, and watched after it.
const CALM: Duration = Duration::from_millis(1_500);
const WATCHED: Duration = Duration::from_secs(1);

/// What is to be done, and for how long.
#[derive(Debug)]
pub(crate) struct Director {
    pub(crate) scene: Scene,
    pub(crate) baton: Baton,
    pub(crate) selection: Selection,
    pub(crate) random: fastrand::Rng,
    /// `None`: each fault once.
    pub(crate) lasts: Option<Duration>,
    /// Each fault lasts as long as all: a stale read is looked for, and not what a fault costs.
    pub(crate) endures: bool,
}

impl Director {
    pub(crate) async fn direct(mut self) {
        // The history ends, and says why.
        _ = self.run().await;
    }

    async fn run(&mut self) -> Result<(), Ended> {
        let began = Instant::now();
        for number in 0.. {
            let is_over = match self.lasts {
                Some(lasts) => began.elapsed() >= lasts,
                None => number >= self.selection.faults(self.scene.place()).len(),
            };
            if is_over {
                break;
            }
            let mut episode = self.selection.episode(number, self.scene.place(), &mut self.random);
            if let Some(lasts) = self.lasts.filter(|_| self.endures) {
                episode.endure(lasts);
            }
            self.play(&episode).await?;
        }
        self.baton.order(Order::End).await
    }

    async fn play(&mut self, episode: &Episode) -> Result<(), Ended> {
        if let Err(error) = self.scene.prepare(episode).await {
            return self.fail(format!("{}: {error}", episode.title())).await;
        }
        self.baton
            .order(Order::Begin { title: episode.title(), promise: episode.promise(), struck: self.scene.struck() })
            .await?;
        self.baton.order(Order::Recover).await?;
        self.baton.order(Order::Calm).await?;
        tokio::time::sleep(CALM).await;
        self.baton.order(Order::Strike).await?;
        let began = tokio::time::Instant::now();
        for (after, act, fault) in episode.steps() {
            tokio::time::sleep_until(began + after).await;
            if let Some(order) = to_processes(fault, act) {
                self.baton.order(order).await?;
            }
            if fault.target() == Target::Process {
                continue;
            }
            let done = self.scene.act(fault, act).await;
            // One fault may be in the way of another.
            if let (Err(error), true) = (done, episode.is_alone()) {
                return self.fail(format!("{}: {error}", fault.name())).await;
            }
        }
        if let Err(error) = self.scene.heal().await {
            return self.fail(format!("{}: the server is not well again: {error}", episode.title())).await;
        }
        self.baton.order(Order::Over).await?;
        self.baton.order(Order::Recover).await?;
        tokio::time::sleep(WATCHED).await;
        self.baton.order(Order::Rest).await?;
        match self.scene.left(episode).await {
            Ok(left) => self.baton.order(Order::Leave(left)).await?,
            Err(error) => return self.fail(format!("what is left cannot be counted: {error}")).await,
        }
        if let Err(error) = self.scene.tidy().await {
            return self.fail(format!("{}: it cannot be tidied up: {error}", episode.title())).await;
        }
        Ok(())
    }

    async fn fail(&self, message: String) -> Result<(), Ended> {
        self.baton.fail(message).await;
        Err(Ended)
    }
}

/// What a step of a fault is to processes. `None`: nothing.
fn to_processes(fault: Fault, act: Act) -> Option<Order> {
    Some(match (fault, act) {
        (Fault::StopClient, Act::End) => Order::Continue,
        (Fault::StopClient, _) => Order::Still,
        (Fault::KillClients, _) | (Fault::ClientsKilled, Act::Again) => Order::Kill,
        (Fault::EndRuntimes, _) => Order::EndRuntime,
        (Fault::ClientClock, Act::Begin) => Order::OwnClock,
        (Fault::ClientClock, Act::Again) => Order::StepClock,
        (Fault::ClientClock, Act::End) => Order::UsualClock,
        (Fault::DropCalls, act) => Order::DropCalls(act != Act::End),
        _ => return None,
    })
}
