//! The caches of this process that were opened at one place. What one of them changes counts for
//! the copies of all: to whoever calls, they are one process.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Near;
use crate::clock::{self, stamp};
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// By the id that these caches share. As many as there are places with a cache.
static BY_ID: Mutex<BTreeMap<u128, Weak<Kin>>> = Mutex::new(BTreeMap::new());

pub(super) struct Kin {
    id: u128,
    /// The stamp of this process's last change: what was answered before it proves nothing.
    doubted: AtomicU64,
    members: RwLock<Vec<Weak<Near>>>,
}

impl Kin {
    pub(super) fn of(id: u128) -> Arc<Self> {
        let mut by_id = by_id();
        if let Some(kin) = by_id.get(&id).and_then(Weak::upgrade) {
            return kin;
        }
        let kin = Arc::new(Self { id, doubted: AtomicU64::new(0), members: RwLock::default() });
        by_id.insert(id, Arc::downgrade(&kin));
        kin
    }

    pub(super) fn join(&self, near: &Arc<Near>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(near));
    }

    /// All but this one. Any of them may be its cache's last handle, which runs a user's code when
    /// it is dropped: so they leave the lock.
    pub(super) fn others(&self, one: &Near) -> Vec<Arc<Near>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter(|member| !ptr::eq(member.as_ptr(), one)).filter_map(Weak::upgrade).collect()
    }

    pub(super) fn doubt(&self) {
        self.doubted.fetch_max(stamp(clock::now()), Ordering::AcqRel);
    }

    pub(super) fn doubted(&self) -> u64 {
        self.doubted.load(Ordering::Acquire)
    }
}

impl Drop for Kin {
    fn drop(&mut self) {
        let mut by_id = by_id();
        // Another one may be there by now.
        if by_id.get(&self.id).is_some_and(|kin| kin.strong_count() == 0) {
            by_id.remove(&self.id);
        }
    }
}

fn by_id() -> MutexGuard<'static, BTreeMap<u128, Weak<Kin>>> {
    BY_ID.lock().unwrap_or_else(PoisonError::into_inner)
}
