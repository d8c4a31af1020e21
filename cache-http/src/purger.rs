//! The task that purges a CDN of what any process invalidates.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cache_core::{Cache, Cause, InvalidationFeed, InvalidationTrail, Trace};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cdn::Cdn;
use crate::limits::{POLL, PURGE_TIMEOUT, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::queue::PurgeQueue;

/// Why a purge failed.
pub type PurgeError = Box<dyn StdError + Send + Sync>;

/// Sends purges to a CDN.
pub trait Purge: Send + Sync + 'static {
    /// Removes every response that has one of these keys, 64 at most: once this returns, the CDN
    /// serves none of them. May be sent twice. A response that the CDN answers a refusal with is an
    /// error; one that takes longer than 5 s counts as one.
    fn purge(&self, keys: &[String]) -> impl Future<Output = Result<(), PurgeError>> + Send;
}

/// Purges a [CDN](Cdn) of every response that was made from what is invalidated, by any process on
/// the same store. Cheap to clone; it works until its last clone is dropped.
///
/// It reads what was invalidated from the store ([`Cache::follow_invalidations`]): at once after an
/// invalidation in this process, else four times a second. One process of a fleet needs one; more
/// do no harm.
///
/// # What is promised
/// After [`settled`](Self::settled) the CDN serves no response that was made from what was
/// invalidated before the call, if
/// * the CDN has removed what a purge names when the purge returns,
/// * it has stored a response within the [flight](Cdn::flight) of its request, or not at all
///   ([the guide](crate#varnish) has the line of VCL that sees to it), and
/// * nobody changes the CDN's keys and lifetimes on the way.
///
/// After [`purged`](Self::purged) that holds of what the CDN had stored by then. A response that
/// was on its way may be stored after it, and is purged when its flight is over.
///
/// Not promised: anything of browsers, and of a CDN that is not reached (a response lives at most
/// as long as the values it was made from, and their `stale_while_revalidate`).
#[derive(Clone, Debug)]
pub struct Purger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cdn: Cdn,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    /// Somebody waits for the next look.
    wanted: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    queue: PurgeQueue,
    /// Looks that have begun.
    looks: u64,
    purges: u64,
    failures: u64,
    last_error: Option<String>,
    behind_since: Option<Instant>,
}

/// The last looks of which everything was purged, once and again.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    purged: u64,
    settled: u64,
    is_over: bool,
}

/// How a [`Purger`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeHealth {
    /// Keys that were not purged yet.
    pub owed: usize,
    /// Keys that were purged, and will be once more.
    pub in_flight: usize,
    /// Purges that have succeeded.
    pub purges: u64,
    /// Purges, and looks at the store, that have failed. Each is tried until it succeeds.
    pub failures: u64,
    /// Why the last of them failed, while it has not succeeded.
    pub last_error: Option<String>,
    /// For how long nothing has succeeded.
    pub behind_for: Option<Duration>,
    /// How many times more than 10,000 keys waited, and everything was purged in their place.
    pub overflows: u64,
}

impl Purger {
    /// Begins to purge. Whatever the CDN has from before is purged first: nobody knows what was
    /// invalidated since.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(cache: &Cache, cdn: &Cdn, purge: impl Purge) -> Self {
        let state = State {
            queue: PurgeQueue::new(cdn.flight, cdn.everything_key()),
            looks: 0,
            purges: 0,
            failures: 0,
            last_error: None,
            behind_since: None,
        };
        let shared = Arc::new(Shared {
            cdn: cdn.clone(),
            state: Mutex::new(state),
            progress: watch::Sender::new(Progress::default()),
            wanted: Arc::default(),
        });
        let progress = shared.progress.subscribe();
        let run = Run {
            shared: Arc::downgrade(&shared),
            wanted: shared.wanted.clone(),
            trail: cache.follow_invalidations(),
            feed: cache.subscribe_invalidations(),
            purge,
            pause: RETRY_PAUSE_MIN,
        };
        tokio::spawn(run.until_unused(progress));
        Self(shared)
    }

    /// Waits until everything that was invalidated before this call is purged once. False: the
    /// purger has ended.
    ///
    /// # Cancel safety
    /// Dropped, nothing is lost.
    pub async fn purged(&self) -> bool {
        self.wait_for(|progress| progress.purged).await
    }

    /// Waits until everything that was invalidated before this call is purged, and purged again
    /// when the [flight](Cdn::flight) of a response that was on its way is over. False: the purger
    /// has ended.
    ///
    /// # Cancel safety
    /// Dropped, nothing is lost.
    pub async fn settled(&self) -> bool {
        self.wait_for(|progress| progress.settled).await
    }

    /// A look that begins from now on tells what was invalidated before.
    async fn wait_for(&self, last: impl Fn(&Progress) -> u64) -> bool {
        let look = self.0.lock().looks + 1;
        let mut progress = self.0.progress.subscribe();
        self.0.wanted.notify_one();
        let reached = progress.wait_for(|progress| progress.is_over || last(progress) >= look).await;
        reached.is_ok_and(|progress| last(&progress) >= look)
    }

    /// Asks nobody.
    pub fn health(&self) -> PurgeHealth {
        let state = self.0.lock();
        let (owed, in_flight) = state.queue.waiting();
        PurgeHealth {
            owed,
            in_flight,
            purges: state.purges,
            failures: state.failures,
            last_error: state.last_error.clone(),
            behind_for: state.behind_since.map(|since| since.elapsed()),
            overflows: state.queue.overflows,
        }
    }

    /// Whether one of the names was seen to be invalidated since the beginning of a request.
    pub(crate) fn overtook(&self, trace: &Trace, begun: Instant) -> bool {
        let (cdn, state) = (&self.0.cdn, self.0.lock());
        let saw = |key: &str| state.queue.saw_since(key, begun);
        saw(&cdn.everything_key())
            || (!trace.is_complete() && saw(&cdn.any_key()))
            || trace.names().iter().any(|name| saw(&cdn.key_of(name)))
    }
}

impl PurgeHealth {
    /// The same for Prometheus, in its text format: `cache_http_purge_keys` by `state` (`owed`,
    /// `in_flight`), `cache_http_purges_total` by `result` (`ok`, `error`),
    /// `cache_http_purge_overflows_total` and `cache_http_purge_behind_seconds`.
    pub fn to_prometheus(&self) -> String {
        let behind = self.behind_for.unwrap_or_default().as_secs_f64();
        let mut text = String::new();
        // A String takes whatever it is given.
        let _ = write!(
            text,
            "# HELP cache_http_purge_keys Keys that are to be purged: for the first time (owed), or once more when a flight is over (in_flight).\n\
             # TYPE cache_http_purge_keys gauge\n\
             cache_http_purge_keys{{state=\"owed\"}} {}\n\
             cache_http_purge_keys{{state=\"in_flight\"}} {}\n\
             # HELP cache_http_purges_total Purges, and looks at the store, by result.\n\
             # TYPE cache_http_purges_total counter\n\
             cache_http_purges_total{{result=\"ok\"}} {}\n\
             cache_http_purges_total{{result=\"error\"}} {}\n\
             # HELP cache_http_purge_overflows_total Times that too many keys waited, and everything was purged in their place.\n\
             # TYPE cache_http_purge_overflows_total counter\n\
             cache_http_purge_overflows_total {}\n\
             # HELP cache_http_purge_behind_seconds For how long nothing has succeeded.\n\
             # TYPE cache_http_purge_behind_seconds gauge\n\
             cache_http_purge_behind_seconds {behind}\n",
            self.owed, self.in_flight, self.purges, self.failures, self.overflows,
        );
        text
    }
}

impl Shared {
    // A panic while the lock is held is one of the allocator's.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing has failed. Returns when something is to be purged again.
    fn succeeded(&self) -> Option<Instant> {
        let mut state = self.lock();
        (state.last_error, state.behind_since) = (None, None);
        state.queue.due_again()
    }

    fn failed(&self, error: &dyn fmt::Display) {
        let mut state = self.lock();
        state.failures += 1;
        if state.last_error.is_none() {
            tracing::warn!(%error, "a purge failed: the CDN may serve what was invalidated, until a later try succeeds");
        }
        state.last_error = Some(error.to_string());
        state.behind_since.get_or_insert_with(Instant::now);
    }

    /// Tells those who wait how far the purger is.
    fn publish(&self, looked: u64) {
        let (purged, settled) = self.lock().queue.done(looked);
        self.progress.send_replace(Progress { purged, settled, is_over: false });
    }
}

/// The purger's task.
struct Run<P> {
    /// Gone when nobody has the purger any more.
    shared: Weak<Shared>,
    wanted: Arc<Notify>,
    trail: InvalidationTrail,
    feed: InvalidationFeed,
    purge: P,
    /// After the next failure.
    pause: Duration,
}

/// Tells those who wait that nothing will come any more.
struct EndNotice(Weak<Shared>);

impl Drop for EndNotice {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.progress.send_modify(|progress| progress.is_over = true);
        }
    }
}

impl<P: Purge> Run<P> {
    async fn until_unused(mut self, unused: watch::Receiver<Progress>) {
        let _notice = EndNotice(self.shared.clone());
        tokio::select! {
            () = self.forever() => {}
            // The sender is part of what is shared: it goes with the last purger.
            () = gone(unused) => {}
        }
    }

    async fn forever(&mut self) {
        let mut looked = 0;
        loop {
            let found = self.look(&mut looked).await;
            // What was found before is purged, also while the store cannot be asked.
            let next = self.send(looked).await.and(found);
            let now = Instant::now();
            let until = match next {
                Ok(()) => {
                    self.pause = RETRY_PAUSE_MIN;
                    let due = self.with(Shared::succeeded).flatten();
                    due.unwrap_or(now + POLL).min(now + POLL)
                }
                Err(()) => {
                    let pause = self.pause;
                    self.pause = (2 * pause).min(RETRY_PAUSE_MAX);
                    now + pause
                }
            };
            if !self.rest(until, next.is_err()).await {
                return;
            }
        }
    }

    /// Until it is time, or something was invalidated here, or somebody asks. False: the cache is
    /// gone.
    async fn rest(&mut self, until: Instant, has_failed: bool) -> bool {
        // Nobody can hurry what has failed.
        tokio::select! {
            () = sleep_until(until) => true,
            () = self.wanted.notified(), if !has_failed => true,
            told = self.feed.next(), if !has_failed => told.is_some(),
        }
    }

    /// Looks what was invalidated since the last look.
    async fn look(&mut self, looked: &mut u64) -> Result<(), ()> {
        let look = self.with(|shared| {
            let mut state = shared.lock();
            state.looks += 1;
            state.looks
        });
        let look = look.ok_or(())?;
        let found = self.trail.look().await;
        self.with(|shared| match found {
            Ok(step) => {
                let keys = keys_of(&shared.cdn, step.names(), step.is_everything());
                shared.lock().queue.add(keys, look, Instant::now());
                if step.unanswered_partitions() > 0 {
                    shared.failed(&format!("{} partitions did not answer", step.unanswered_partitions()));
                    return Err(());
                }
                *looked = look;
                shared.publish(look);
                Ok(())
            }
            Err(error) => {
                shared.failed(&error);
                Err(())
            }
        })
        .unwrap_or(Err(()))
    }

    /// Purges what is to be purged by now.
    async fn send(&mut self, looked: u64) -> Result<(), ()> {
        loop {
            let next = self.with(|shared| shared.lock().queue.next(Instant::now())).flatten();
            let Some(keys) = next else { break };
            let sent = match timeout(PURGE_TIMEOUT, self.purge.purge(&keys)).await {
                Ok(sent) => sent,
                Err(_) => Err("it took too long".into()),
            };
            let is_sent = self.with(|shared| match sent {
                Ok(()) => {
                    {
                        let mut state = shared.lock();
                        state.purges += 1;
                        state.queue.purged(keys.len());
                    }
                    shared.publish(looked);
                    Ok(())
                }
                Err(error) => {
                    shared.failed(&error);
                    Err(())
                }
            });
            is_sent.unwrap_or(Err(()))?;
        }
        Ok(())
    }

    fn with<T>(&self, use_it: impl FnOnce(&Shared) -> T) -> Option<T> {
        self.shared.upgrade().map(|shared| use_it(&shared))
    }
}

/// Until the sender is gone.
async fn gone(mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {}
}

/// What is to be purged of what was invalidated. What does not list its names is concerned by any.
fn keys_of(cdn: &Cdn, names: &[Cause], is_everything: bool) -> BTreeSet<String> {
    if is_everything {
        return BTreeSet::from([cdn.everything_key()]);
    }
    let any = (!names.is_empty()).then(|| cdn.any_key());
    names.iter().map(|name| cdn.key_of(name)).chain(any).collect()
}
