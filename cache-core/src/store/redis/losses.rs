//! What this process has seen of the clock, and what a primary turned out to have lost, or another
//! program to have overwritten.
//!
//! Every invalidation advances the clock. So a primary that begins with a lower sequence number
//! than this process has seen has lost writes: it was restarted from an old file, or replaces a
//! primary that it lagged behind. What was invalidated by those writes is there again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connect::{LossHook, MeetingHook};
use super::layout::Layout;
use super::{reply, scripts};
use crate::store::{LossListener, StoreLoss};

/// Sequence numbers are exact in a script up to here.
const SEQ_MAX: u64 = 1 << 53;

#[derive(Default)]
pub(super) struct Losses {
    /// The highest sequence number that this process has seen.
    seen: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    listeners: Vec<LossListener>,
    /// The last loss of writes that was found, until it is made good.
    last: Option<StoreLoss>,
    /// The kinds of bookkeeping keys that were overwritten, as far as they were logged.
    overwritten: BTreeSet<&'static str>,
}

impl Losses {
    pub(super) fn saw(&self, seq: u64) {
        if seq <= SEQ_MAX {
            self.seen.fetch_max(seq, Ordering::SeqCst);
        }
    }

    /// A listener that comes while a loss is not made good is told of it.
    pub(super) fn listen(&self, listener: LossListener) {
        let mut told = self.lock();
        if told.last.is_none() || listener() {
            told.listeners.push(listener);
        }
    }

    /// Says once for each kind of key that another program had overwritten it. `kinds` is what a
    /// script has replaced.
    pub(super) fn note_replaced(&self, kinds: &str) {
        for kind in kinds.split_whitespace() {
            let known = ["clock", "due", "index"].into_iter().find(|known| *known == kind);
            let kind = known.unwrap_or("another");
            if self.lock().overwritten.insert(kind) {
                tracing::error!(
                    kind,
                    "another program has overwritten keys of the cache's bookkeeping (`~` and their kind, in the \
                     cache's namespace): they were replaced, and if entries may have become unreachable, the next \
                     invalidation removes everything; give that program other keys; said once"
                );
            }
        }
    }

    pub(super) fn any_replaced(&self) -> bool {
        !self.lock().overwritten.is_empty()
    }

    pub(super) fn last(&self) -> Option<StoreLoss> {
        self.lock().last.clone()
    }

    pub(super) fn made_good(&self, loss: &StoreLoss) {
        let mut told = self.lock();
        if told.last.as_ref() == Some(loss) {
            told.last = None;
        }
    }

    /// The hook for a primary that this process did not talk to last: see `meet.lua`.
    pub(super) fn meeting(self: &Arc<Self>, layout: &Layout) -> MeetingHook {
        let (losses, root, declared) = (self.clone(), layout.root().to_owned(), layout.declared());
        Box::new(move |connection| {
            let (root, declared, seen) = (root.clone(), declared.clone(), losses.seen.load(Ordering::SeqCst));
            Box::pin(async move {
                let seen = seen.to_string();
                let args = [&*root, &seen].map(str::as_bytes);
                reply::inheritance(&connection.run(&scripts::MEET, &[&declared], &args).await?)
            })
        })
    }

    /// The hook for one that has lost writes.
    pub(super) fn hook(self: &Arc<Self>) -> LossHook {
        let losses = self.clone();
        Box::new(move |reign| losses.lose_writes(reign.unwrap_or_default()))
    }

    /// The primary of this reign has lost writes.
    pub(super) fn lose_writes(&self, reign: &str) {
        let mut told = self.lock();
        told.last = Some(StoreLoss::Writes(reign.into()));
        told.listeners.retain(|listener| listener());
    }

    pub(super) fn forget(&self) {
        self.lock().last = None;
    }

    /// The highest sequence number that this process has seen.
    pub(super) fn highest(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
