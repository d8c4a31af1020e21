//! How many entries a tenant may have, as far as this process knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Instant;
use crate::name::Name;

/// The name that every entry of a tenant with a quota has, so that the store counts the entries: it
/// is an index like that of any key.
pub(crate) const COUNTED_BY: &str = "@entries";
/// A process may store one part in so many of the room that is left before it asks again.
const QUOTA_PARTS: u64 = 16;
/// Pause between two questions while the quota is reached.
const QUOTA_PAUSE: Duration = Duration::from_secs(1);

/// The quota of one tenant. The store is asked for the count now and then, so that most fills cost
/// no round trip more. Between two questions a process stores a sixteenth of the room that there
/// was at the first one, so by so much at most each other process may exceed the quota.
pub(crate) struct Quota {
    most: u64,
    known: Mutex<QuotaGrant>,
}

#[derive(Default)]
struct QuotaGrant {
    /// Fills that may begin before the store is asked again.
    granted: u64,
    /// Fills under way: perhaps they are not in the next count.
    under_way: u64,
    /// Fills that have ended.
    ended: u64,
    full_since: Option<Instant>,
}

/// A fill that may be sent. Dropped, it has ended.
pub(crate) struct Admission(Arc<Quota>);

/// What is to be done about a fill.
pub(crate) enum QuotaStep {
    Send(Admission),
    Refuse,
    /// The store is to be asked for the count, and then this again.
    Ask(QuotaQuestion),
}

/// How many fills had ended when the store was asked.
pub(crate) struct QuotaQuestion(u64);

impl Quota {
    /// `None`: there is no quota.
    pub(crate) fn new(most: usize) -> Option<Arc<Self>> {
        (most > 0).then(|| Arc::new(Self { most: most as u64, known: Mutex::default() }))
    }

    pub(crate) fn name() -> Option<Name> {
        Name::key(COUNTED_BY).ok()
    }

    pub(crate) fn step(self: &Arc<Self>, now: Instant) -> QuotaStep {
        let mut known = self.lock();
        if known.granted > 0 {
            known.granted -= 1;
            known.under_way += 1;
            return QuotaStep::Send(Admission(self.clone()));
        }
        match known.full_since {
            Some(since) if now < since + QUOTA_PAUSE => QuotaStep::Refuse,
            _ => QuotaStep::Ask(QuotaQuestion(known.ended)),
        }
    }

    /// The store has counted so many entries.
    pub(crate) fn counted(&self, question: &QuotaQuestion, count: u64, now: Instant) {
        let mut known = self.lock();
        let perhaps_uncounted = known.under_way + (known.ended - question.0);
        let room = self.most.saturating_sub(count).saturating_sub(perhaps_uncounted);
        known.granted = if room == 0 { 0 } else { (room / QUOTA_PARTS).max(1) };
        known.full_since = (room == 0).then_some(now);
    }

    fn lock(&self) -> MutexGuard<'_, QuotaGrant> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut known = self.0.lock();
        known.under_way -= 1;
        known.ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn question(quota: &Arc<Quota>, now: Instant) -> QuotaQuestion {
        match quota.step(now) {
            QuotaStep::Ask(question) => question,
            _ => panic!("it does not ask"),
        }
    }

    fn sent(quota: &Arc<Quota>, now: Instant) -> Vec<Admission> {
        std::iter::from_fn(|| match quota.step(now) {
            QuotaStep::Send(admission) => Some(admission),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn a_sixteenth_of_the_room_is_filled_between_two_questions() {
        let (quota, now) = (Quota::new(320).unwrap(), clock::now());
        quota.counted(&question(&quota, now), 0, now);
        assert_eq!(sent(&quota, now).len(), 20);
        quota.counted(&question(&quota, now), 160, now);
        assert_eq!(sent(&quota, now).len(), 10);
    }

    #[test]
    fn what_may_not_be_counted_yet_counts() {
        let (quota, now) = (Quota::new(3).unwrap(), clock::now());
        let asked = question(&quota, now);
        quota.counted(&asked, 0, now);
        let under_way = sent(&quota, now);
        // Asked before that one began, and answered after another one has ended.
        quota.counted(&asked, 0, now);
        drop(sent(&quota, now));
        quota.counted(&asked, 0, now);
        assert_eq!(sent(&quota, now).len(), 1);
        quota.counted(&asked, 0, now);
        assert!(matches!(quota.step(now), QuotaStep::Refuse), "3 may be there");
        drop(under_way);
    }

    #[test]
    fn while_the_quota_is_reached_the_store_is_asked_once_a_second() {
        let (quota, now) = (Quota::new(3).unwrap(), clock::now());
        quota.counted(&question(&quota, now), 3, now);
        assert!(matches!(quota.step(now + QUOTA_PAUSE / 2), QuotaStep::Refuse));
        question(&quota, now + QUOTA_PAUSE);
    }
}
