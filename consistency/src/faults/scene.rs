//! Where faults are played: on a server behind a link, or on a cluster.

use std::collections::BTreeSet;
use std::io;

use cache_tests::Server;

use super::cluster::ClusterStage;
use super::left::Left;
use super::stage::Stage;
use super::{Act, Episode, Fault};
use crate::options::Place;

/// See the module.
#[derive(Debug)]
pub(crate) enum Scene {
    Server(Box<Stage>),
    Cluster(Box<ClusterStage>),
}

impl Scene {
    /// `None`: nothing can be done to what is in memory.
    pub(crate) async fn start(place: Place, seed: u64) -> Option<Self> {
        Some(match place {
            Place::Embedded => return None,
            Place::Server(kind) => Self::Server(Box::new(Stage::start(kind, seed).await)),
            Place::Cluster(kind) => Self::Cluster(Box::new(ClusterStage::start(kind, seed).await)),
        })
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Server(stage) => Place::Server(stage.kind),
            Self::Cluster(stage) => Place::Cluster(stage.set.kind),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(stage) => stage.url(),
            Self::Cluster(stage) => stage.url(),
        }
    }

    /// The server, or one of them.
    pub(crate) fn server(&self) -> &Server {
        match self {
            Self::Server(stage) => stage.server(),
            Self::Cluster(stage) => &stage.set.nodes[0],
        }
    }

    /// One of those that are written to.
    pub(crate) async fn any_primary(&mut self) -> &Server {
        match self {
            Self::Server(stage) => stage.server(),
            Self::Cluster(stage) => stage.any_primary().await,
        }
    }

    /// Makes ready for the faults of an episode, while no call is under way.
    pub(crate) async fn prepare(&mut self, episode: &Episode) -> io::Result<()> {
        match self {
            Self::Server(stage) => stage.prepare(episode).await,
            Self::Cluster(stage) => stage.prepare(episode).await,
        }
    }

    /// The partitions that the episode strikes. None: all of them.
    pub(crate) fn struck(&self) -> BTreeSet<u16> {
        match self {
            Self::Server(_) => BTreeSet::new(),
            Self::Cluster(stage) => stage.struck.clone(),
        }
    }

    /// Makes a step of a fault. An error is a step that did not work, as it may be when another
    /// fault is in its way.
    pub(crate) async fn act(&mut self, fault: Fault, act: Act) -> io::Result<()> {
        match self {
            Self::Server(stage) => stage.act(fault, act).await,
            Self::Cluster(stage) => stage.act(fault, act).await,
        }
    }

    /// All is well again from now on, whatever faults have done.
    pub(crate) async fn heal(&mut self) -> io::Result<()> {
        match self {
            Self::Server(stage) => stage.heal().await,
            Self::Cluster(stage) => stage.heal().await,
        }
    }

    /// Clears the namespace, and tells what is left of it when all has gone that goes by itself.
    pub(crate) async fn left(&mut self, episode: &Episode) -> io::Result<Left> {
        match self {
            Self::Server(stage) => stage.left(episode).await,
            Self::Cluster(stage) => stage.left().await,
        }
    }

    /// Takes away what an episode needed.
    pub(crate) async fn tidy(&mut self) -> io::Result<()> {
        match self {
            Self::Server(stage) => stage.tidy(),
            Self::Cluster(stage) => return stage.tidy().await,
        }
        Ok(())
    }
}
