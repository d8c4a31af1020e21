//! Copies of entries that this process keeps: who is told of changes, and what vouches for a copy.

use std::any::Any;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::ablation::{ProcessRule, keeps};
#[cfg(any(feature = "redis", test))]
use crate::clock;
use crate::clock::{Instant, stamp, stamps};
use crate::config::NEAR_TRUST;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whoever keeps copies of a store's entries.
pub(crate) trait CopyKeeper: Send + Sync {
    /// The entry of this logical key was stored, removed, or has ended.
    fn changed(&self, key: &str) -> Remains;

    /// Anything may have changed.
    fn lost(&self) -> Remains;
}

/// What a change has taken away. It runs a user's code when it is dropped (a value's `Drop`), so
/// drop it where no lock is held.
#[must_use = "dropped at once it may run a user's code under a lock"]
#[derive(Default)]
pub(crate) struct Remains(Vec<Box<dyn Any + Send>>);

impl Remains {
    /// Of values whose `Drop` does not panic.
    pub(crate) fn of(values: impl Any + Send) -> Self {
        Self(vec![Box::new(values)])
    }

    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// All who keep copies of one store's entries: one for each cache on it. Clones are one list.
#[derive(Clone, Default)]
pub(crate) struct CopyKeepers(Arc<RwLock<Vec<Weak<dyn CopyKeeper>>>>);

impl CopyKeepers {
    pub(crate) fn add(&self, keeper: Weak<dyn CopyKeeper>) {
        let mut keepers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keepers.retain(|keeper| keeper.strong_count() > 0);
        keepers.push(keeper);
    }

    pub(crate) fn changed<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Remains {
        let keepers = self.all();
        let mut remains = Remains::default();
        for key in keys {
            keepers.iter().for_each(|keeper| remains.add(keeper.changed(key)));
        }
        remains.add(Remains::of(keepers));
        remains
    }

    pub(crate) fn lost(&self) -> Remains {
        let keepers = self.all();
        let mut remains = Remains::default();
        keepers.iter().for_each(|keeper| remains.add(keeper.lost()));
        remains.add(Remains::of(keepers));
        remains
    }

    /// Any of these may be its cache's last, which is dropped with it.
    fn all(&self) -> Vec<Arc<dyn CopyKeeper>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// What vouches for copies: the connection on which their entries were read, and which is told of
/// their changes.
///
/// An answer proves that every change before its question has been told, for a server tells and
/// answers in one stream. So it counts from the moment of the question: an answer that was held up
/// says nothing of what happened meanwhile.
#[derive(Debug)]
pub(crate) struct Voucher {
    /// The stamp of the last question that was answered; 0: there is none.
    answered: AtomicU64,
    is_revoked: AtomicBool,
}

/// In the place of a stamp: no answer is needed.
const FOR_GOOD: u64 = u64::MAX;

impl Voucher {
    /// Of a store that tells of each change before the change has an effect.
    pub(crate) fn for_good() -> Arc<Self> {
        Self::since(FOR_GOOD)
    }

    /// Of a connection that has not answered yet.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn of_connection() -> Arc<Self> {
        Self::since(0)
    }

    fn since(answered: u64) -> Arc<Self> {
        Arc::new(Self { answered: AtomicU64::new(answered), is_revoked: AtomicBool::new(false) })
    }

    /// A question that was sent at `asked` was answered.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn answered(&self, asked: Instant) {
        self.answered.fetch_max(stamp(asked), Ordering::AcqRel);
    }

    /// The connection has ended, and no change is told any more.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn revoke(&self) {
        self.is_revoked.store(true, Ordering::SeqCst);
        if keeps(ProcessRule::LossEndsCopies) {
            self.answered.store(0, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::SeqCst)
    }

    /// Whether a copy may be served at `now`, if the answer to a question after the stamp
    /// `doubted` is needed.
    pub(crate) fn vouches(&self, now: Instant, doubted: u64) -> bool {
        let answered = self.answered.load(Ordering::Acquire);
        // A stamp costs more than all the rest here.
        let is_recent = || stamp(now).saturating_sub(answered) <= stamps(NEAR_TRUST);
        answered == FOR_GOOD || answered > doubted && (is_recent() || !keeps(ProcessRule::SilenceEndsTrust))
    }

    /// Whether it vouches now for what was never doubted.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn vouches_now(&self) -> bool {
        self.vouches(clock::now(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_counts_from_its_question_and_for_a_second() {
        let (voucher, began) = (Voucher::of_connection(), clock::now());
        let at = |ms| began + Duration::from_millis(ms);
        assert!(!voucher.vouches(at(0), 0), "it has not answered yet");
        voucher.answered(began + Duration::from_millis(100));
        assert!(voucher.vouches(at(100), 0) && voucher.vouches(at(1_100), 0));
        assert!(!voucher.vouches(at(1_101), 0));
        voucher.answered(began);
        assert!(voucher.vouches(at(1_100), 0), "an older question changes nothing");
    }

    #[test]
    fn a_doubt_lasts_until_a_later_question_is_answered() {
        let (voucher, began) = (Voucher::of_connection(), clock::now());
        voucher.answered(began);
        assert!(voucher.vouches(began, 0));
        assert!(!voucher.vouches(began, stamp(began)), "the question may have come first");
        voucher.answered(began + Duration::from_nanos(1));
        assert!(voucher.vouches(began + Duration::from_nanos(1), stamp(began)));
    }

    #[test]
    fn the_end_of_the_connection_is_the_end_of_its_word() {
        let voucher = Voucher::of_connection();
        voucher.answered(clock::now());
        assert!(voucher.vouches_now() && !voucher.is_revoked());
        voucher.revoke();
        assert!(!voucher.vouches_now() && voucher.is_revoked());
    }
}
