//! Reaps when no fill does: one task of each process that has work on record in the store.
//!
//! Every fill reaps for what it adds, so a busy store needs nothing else. But what fills have left
//! on record comes due after fills cease. This task looks for it after a while, reaps in small
//! portions, and ends when nothing is on record any more.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::connect::Pool;
use super::layout::Layout;
use super::reply::{self, OnRecord};
use super::{millis, scripts};
use crate::clock::timers;
use crate::config::{REAP_LOOKS_MAX, REAP_PAUSE, REAP_PERIOD_MAX, REAP_PERIOD_MIN};
use crate::error::Error;

/// No task runs.
const IDLE: u8 = 0;
/// A task runs.
const AWAKE: u8 = 1;
/// A task runs, and something was put on record since its last look began.
const CALLED: u8 = 2;

/// Reaps the marks of names that are at home in a partition.
pub(super) type ReapMarks = Arc<dyn Fn(Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Default)]
pub(super) struct Reaper {
    /// Of a partition among several.
    reap_marks: Option<ReapMarks>,
    state: Arc<AtomicU8>,
    task: Mutex<Option<AbortHandle>>,
    is_closed: AtomicBool,
}

impl Reaper {
    pub(super) fn of_partition(reap_marks: ReapMarks) -> Self {
        Self { reap_marks: Some(reap_marks), ..Self::default() }
    }

    /// Something was put on record. The task runs on the tokio runtime of the caller that wakes it.
    /// If it ends with that runtime, the next caller starts another. It ends with the pool, and not
    /// with the store of a tenant that is let go.
    pub(super) fn wake<N>(&self, pool: &Arc<Pool>, namespace: &Arc<N>, retention: Duration)
    where
        N: AsRef<Layout> + Send + Sync + 'static,
    {
        if self.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(runtime) = timers() else { return };
        if self.state.swap(CALLED, Ordering::SeqCst) == IDLE {
            let shift = Shift { state: self.state.clone(), is_over: false };
            let work = shift.work(Arc::downgrade(pool), namespace.clone(), retention, self.reap_marks.clone());
            let task = runtime.spawn(work);
            *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
            if self.is_closed.load(Ordering::SeqCst) {
                task.abort();
            }
        }
    }

    /// Ends the task, and starts no other.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.state.load(Ordering::SeqCst) == IDLE
    }
}

/// The task, from its start to its end, whichever way it ends.
struct Shift {
    state: Arc<AtomicU8>,
    is_over: bool,
}

impl Shift {
    async fn work(
        mut self,
        pool: Weak<Pool>,
        namespace: Arc<impl AsRef<Layout>>,
        retention: Duration,
        reap_marks: Option<ReapMarks>,
    ) {
        let period = retention.clamp(REAP_PERIOD_MIN, REAP_PERIOD_MAX);
        loop {
            let mut on_record = OnRecord::Later;
            // Spread between half the period and one and a half, so that the processes of a fleet
            // take turns.
            tokio::time::sleep(period.mul_f64(0.5 + fastrand::f64())).await;
            self.state.store(AWAKE, Ordering::SeqCst);
            while let Some(pool) = pool.upgrade() {
                // A store that does not answer is asked again in the next period.
                let reaped = reap(&pool, (*namespace).as_ref(), retention).await;
                drop(pool);
                let (is_left, marked) = reaped.unwrap_or((OnRecord::Later, Vec::new()));
                on_record = is_left;
                if let Some(reap_marks) = reap_marks.as_ref().filter(|_| !marked.is_empty()) {
                    reap_marks(marked).await;
                }
                if on_record != OnRecord::Due {
                    break;
                }
                tokio::time::sleep(REAP_PAUSE).await;
            }
            if pool.strong_count() == 0 || (on_record == OnRecord::Nothing && self.ends()) {
                return;
            }
        }
    }

    /// Ends the task, unless it was woken meanwhile.
    fn ends(&mut self) -> bool {
        let ends = self.state.compare_exchange(AWAKE, IDLE, Ordering::SeqCst, Ordering::SeqCst);
        self.is_over = ends.is_ok();
        self.is_over
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        if !self.is_over {
            self.state.store(IDLE, Ordering::SeqCst);
        }
    }
}

async fn reap(pool: &Pool, layout: &Layout, retention: Duration) -> Result<(OnRecord, Vec<String>), Error> {
    let declared = layout.declared();
    let (retention, pause) = (millis(retention).to_string(), millis(REAP_PAUSE).to_string());
    let looks = REAP_LOOKS_MAX.to_string();
    let args = [layout.root(), &retention, &pause, &looks].map(str::as_bytes);
    reply::on_record(&pool.run(&scripts::REAP, layout.stripe(&declared), &[&declared], &args, pool.answer_due()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work put on record after the last look must not wait for the next fill.
    #[test]
    fn a_task_that_was_called_since_it_looked_does_not_end() {
        let state = Arc::new(AtomicU8::new(AWAKE));
        let mut shift = Shift { state: state.clone(), is_over: false };
        assert_eq!(state.swap(CALLED, Ordering::SeqCst), AWAKE);
        assert!(!shift.ends());
        state.store(AWAKE, Ordering::SeqCst);
        assert!(shift.ends());
        // The next one may have begun before this one is dropped.
        state.store(CALLED, Ordering::SeqCst);
        drop(shift);
        assert_eq!(state.load(Ordering::SeqCst), CALLED);
    }
}
