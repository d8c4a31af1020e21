//! The namespaces that share the connections of one pool: that of a cache, and those of its
//! tenants.
//!
//! Each has a clock of its own, so each finds by itself what another primary has lost of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use tokio::task::JoinSet;

use super::connect::{ChangeHook, Connection, Hooks, Inheritance, LossHook, MeetingHook};
use super::layout::Layout;
use super::losses::Losses;
use super::reaper::{ReapMarks, Reaper};
use super::trial;
use crate::error::{Error, ErrorKind};
use crate::store::CopyKeepers;

/// Those that are open. Clones are one list.
#[derive(Clone, Default)]
pub(super) struct Namespaces(Arc<RwLock<BTreeMap<Box<str>, Weak<Namespace>>>>);

/// What this process knows of one namespace, or of one partition of it.
pub(super) struct Namespace {
    pub(super) layout: Layout,
    pub(super) losses: Arc<Losses>,
    pub(super) keepers: CopyKeepers,
    pub(super) reaper: Reaper,
    /// Of several partitions the first has one, which is for all of them.
    envoy: Option<Envoy>,
}

/// Asks a new primary what it has of a namespace.
pub(super) struct Envoy {
    meeting: MeetingHook,
    on_loss: LossHook,
    /// A primary was found to lack writes, and nobody was told yet.
    is_lost: AtomicBool,
}

impl Namespace {
    pub(super) fn new(layout: Layout) -> Arc<Self> {
        let losses = Arc::<Losses>::default();
        Arc::new(Self {
            envoy: Some(Envoy::new(losses.meeting(&layout), losses.hook())),
            losses,
            layout,
            keepers: CopyKeepers::default(),
            reaper: Reaper::default(),
        })
    }

    /// One of several partitions, whose copies are kept by the same keepers.
    pub(super) fn of_partition(
        layout: Layout,
        losses: Arc<Losses>,
        keepers: CopyKeepers,
        reap_marks: ReapMarks,
        envoy: Option<Envoy>,
    ) -> Arc<Self> {
        Arc::new(Self { layout, losses, keepers, reaper: Reaper::of_partition(reap_marks), envoy })
    }

    async fn meet(self: Arc<Self>, connection: Connection) -> Result<Inheritance, Error> {
        match &self.envoy {
            Some(envoy) => envoy.meet(connection).await,
            None => Ok(Inheritance::Whole),
        }
    }
}

impl Envoy {
    pub(super) fn new(meeting: MeetingHook, on_loss: LossHook) -> Self {
        Self { meeting, on_loss, is_lost: AtomicBool::new(false) }
    }

    async fn meet(&self, connection: Connection) -> Result<Inheritance, Error> {
        let inheritance = (self.meeting)(connection).await?;
        if inheritance == Inheritance::Lost {
            self.is_lost.store(true, Ordering::SeqCst);
        }
        Ok(inheritance)
    }

    fn tell_of_loss(&self, reign: Option<&str>) {
        // What one connection finds may be told for another's sake: a clear too many.
        if self.is_lost.swap(false, Ordering::SeqCst) {
            (self.on_loss)(reign);
        }
    }
}

impl AsRef<Layout> for Namespace {
    fn as_ref(&self) -> &Layout {
        &self.layout
    }
}

impl Namespaces {
    /// The one that is there already, if somebody has it: what it has seen counts.
    pub(super) fn add(&self, layout: Layout) -> Arc<Namespace> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(layout.root()).and_then(Weak::upgrade) {
            return known;
        }
        let namespace = Namespace::new(layout);
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(namespace.layout.root().into(), Arc::downgrade(&namespace));
        namespace
    }

    /// All partitions of one, instead of those that were there before under the same name.
    pub(super) fn add_partitions(&self, partitions: &[Arc<Namespace>]) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, other| other.strong_count() > 0);
        all.extend(partitions.iter().map(|each| (each.layout.root().into(), Arc::downgrade(each))));
    }

    /// The work on fresh connections, for all namespaces. What a connection may do is tried under
    /// these layouts.
    pub(super) fn hooks(&self, layouts: &[Layout]) -> Hooks {
        let told = self.clone();
        Hooks {
            on_connection: trial::trial(layouts),
            on_new_primary: self.meeting(),
            on_loss: Box::new(move |reign| {
                let told = told.with_envoys();
                told.iter()
                    .filter_map(|namespace| namespace.envoy.as_ref())
                    .for_each(|envoy| envoy.tell_of_loss(reign));
            }),
            on_change: self.changes(),
        }
    }

    /// All meet at the same time: their commands leave together. A namespace that is added later
    /// has seen nothing that could be lost.
    fn meeting(&self) -> MeetingHook {
        let namespaces = self.clone();
        Box::new(move |connection| {
            let all = namespaces.with_envoys();
            Box::pin(async move {
                let meet = |namespace: Arc<Namespace>| namespace.meet(connection.clone());
                let mut meetings: JoinSet<_> = all.into_iter().map(meet).collect();
                let mut met = Inheritance::Whole;
                while let Some(inheritance) = meetings.join_next().await {
                    let ended = |_| Error::new(ErrorKind::Unavailable, "its runtime is ending");
                    if inheritance.map_err(ended)?? == Inheritance::Lost {
                        met = Inheritance::Lost;
                    }
                }
                Ok(met)
            })
        })
    }

    /// Tells the keepers of copies of changes of values.
    fn changes(&self) -> ChangeHook {
        let namespaces = self.clone();
        Box::new(move |changed| match changed {
            Some(key) => {
                if let Some(of) = namespaces.of(key) {
                    drop(of.keepers.changed(of.layout.logical(key)));
                }
            }
            None => namespaces.with_envoys().iter().for_each(|namespace| drop(namespace.keepers.lost())),
        })
    }

    /// One of each namespace.
    fn with_envoys(&self) -> Vec<Arc<Namespace>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).filter(|each| each.envoy.is_some()).collect()
    }

    /// The namespace of a physical key: no root has a colon but the last byte.
    fn of(&self, key: &[u8]) -> Option<Arc<Namespace>> {
        let end = key.iter().position(|byte| *byte == b':')?;
        let root = std::str::from_utf8(&key[..=end]).ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(root)?.upgrade()
    }
}
