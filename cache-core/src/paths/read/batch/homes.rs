//! Which homes of a batch's keys have not answered, and what that may still cost the batch.
//!
//! On a cluster the keys of one call are at home on several nodes, and one that does not answer is
//! to take its own keys along, and no others. But all answers together that do not come may take
//! one operation deadline. So where there are several homes, no step waits for longer than half of
//! what is left: whatever one home has taken, there is time to ask the others.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};

pub(super) struct Homes {
    each: BTreeSet<u16>,
    /// What answers that do not come may take from the beginning on.
    may_lose: Duration,
    silence: Mutex<Silence>,
}

/// What was lost so far.
#[derive(Default)]
struct Silence {
    /// They have not answered, and are not asked again.
    homes: BTreeSet<u16>,
    lost: Duration,
}

/// Something that the store is asked on behalf of a batch.
pub(super) struct Question {
    /// `None`: it is put to several homes.
    home: Option<u16>,
    begun: Instant,
    /// How long its answer is waited for. Zero: nothing is to be asked.
    pub(super) limit: Duration,
    /// What the batch had lost before.
    lost: Duration,
}

impl Homes {
    pub(super) fn new(each: BTreeSet<u16>, may_lose: Duration) -> Self {
        Self { each, may_lose, silence: Mutex::default() }
    }

    /// A question to a home, of a batch whose answers may take the time `left`.
    pub(super) fn ask(&self, home: u16, left: Duration) -> Question {
        let left = if self.is_silent(home) { Duration::ZERO } else { left };
        Question { home: Some(home), ..self.ask_any(left) }
    }

    /// The same to several homes, whoever has been silent before.
    pub(super) fn ask_any(&self, left: Duration) -> Question {
        let lost = self.lock().lost;
        let may_lose = self.may_lose.saturating_sub(lost);
        let share = if self.are_several() { may_lose / 2 } else { may_lose };
        Question { home: None, begun: clock::now(), limit: share.min(left), lost }
    }

    /// Questions that were under way at the same time take their time once.
    pub(super) fn was_unanswered(&self, question: &Question) {
        if question.limit.is_zero() {
            return;
        }
        let took = clock::since(question.begun).min(question.limit);
        let mut silence = self.lock();
        silence.lost = silence.lost.max(question.lost + took);
        silence.homes.extend(question.home);
    }

    /// Subtracts what the calls inside the load have lost.
    pub(super) fn have_lost(&self, lost: Duration) {
        self.lock().lost += lost;
    }

    pub(super) fn lost(&self) -> Duration {
        self.lock().lost
    }

    pub(super) fn are_several(&self) -> bool {
        self.each.len() > 1
    }

    pub(super) fn is_silent(&self, home: u16) -> bool {
        self.lock().homes.contains(&home)
    }

    pub(super) fn are_all_silent(&self) -> bool {
        self.each.is_subset(&self.lock().homes)
    }

    fn lock(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
