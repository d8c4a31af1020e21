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
use super::reaper::Reaper;
use super::trial;
use crate::error::{Error, ErrorKind};
use crate::store::CopyKeepers;

/// Those that are open. Clones are one list.
#[derive(Clone, Default)]
pub(super) struct Namespaces(Arc<RwLock<BTreeMap<Box<str>, Weak<Namespace>>>>);

/// What this process knows of one namespace.
pub(super) struct Namespace {
    pub(super) layout: Layout,
    pub(super) losses: Arc<Losses>,
    pub(super) keepers: CopyKeepers,
    pub(super) reaper: Reaper,
    meeting: MeetingHook,
    on_loss: LossHook,
    /// A primary was found to lack writes, and nobody was told yet.
    is_lost: AtomicBool,
}

impl Namespace {
    pub(super) fn new(layout: Layout) -> Arc<Self> {
        let losses = Arc::<Losses>::default();
        Arc::new(Self {
            meeting: losses.meeting(&layout),
            on_loss: losses.hook(),
            losses,
            layout,
            keepers: CopyKeepers::default(),
            reaper: Reaper::default(),
            is_lost: AtomicBool::new(false),
        })
    }

    async fn meet(self: Arc<Self>, connection: Connection) -> Result<Inheritance, Error> {
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

    /// The work on fresh connections, for all namespaces. What a connection may do is tried under
    /// `layout`.
    pub(super) fn hooks(&self, layout: &Layout) -> Hooks {
        let told = self.clone();
        Hooks {
            on_connection: trial::trial(layout),
            on_new_primary: self.meeting(),
            on_loss: Box::new(move |reign| told.all().iter().for_each(|namespace| namespace.tell_of_loss(reign))),
            on_change: self.changes(),
        }
    }

    /// All meet at the same time: their commands leave together. A namespace that is added later
    /// has seen nothing that could be lost.
    fn meeting(&self) -> MeetingHook {
        let namespaces = self.clone();
        Box::new(move |connection| {
            let all = namespaces.all();
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
            None => namespaces.all().iter().for_each(|namespace| drop(namespace.keepers.lost())),
        })
    }

    fn all(&self) -> Vec<Arc<Namespace>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    /// The namespace of a physical key: no root has a colon but the last byte.
    fn of(&self, key: &[u8]) -> Option<Arc<Namespace>> {
        let end = key.iter().position(|byte| *byte == b':')?;
        let root = std::str::from_utf8(&key[..=end]).ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(root)?.upgrade()
    }
}
