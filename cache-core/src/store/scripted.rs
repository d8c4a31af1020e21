//! The embedded store as a server that fails, delays and refuses on command, for the tests of
//! users: it sits where a server would, behind a breaker and within deadlines.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout, timeout_at};

use super::backoff::Backoff;
use super::memory::MemoryStore;
use super::script::{Fate, Stage, StoreRequest, StoreScript};
use super::{
    Catalogue, CataloguePage, ClockReading, ClosingId, FenceTrail, Fill, FillReply, IfPresent, Intent, KeyFacts,
    LeaseReply, LeaseRequest, Look, Operation, Partitions, Recall, Refusal, Removal, Sight, Store, StoreFuture,
    StoreHealth, SweepReply, SweepScope, Token, TrailPosition, Watch, WriteReply,
};
use crate::clock::{self, Instant, timers};
use crate::config::{Config, RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};
use crate::entry::Version;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::observe::MemoryUse;

/// No copies are kept of its entries, so each hit asks it, as each hit asks a server.
pub(crate) struct ScriptedStore {
    store: MemoryStore,
    stage: Arc<Stage>,
    operation_deadline: Duration,
}

impl ScriptedStore {
    pub(crate) fn new(config: &Config) -> (Self, StoreScript) {
        let (script, stage) = StoreScript::new(config.breaker_failures);
        let store = MemoryStore::with_partitions(config, Partitions::ONE);
        (Self { store, stage, operation_deadline: config.operation_deadline }, script)
    }

    /// Another namespace on the same server.
    pub(crate) fn tenant(&self, config: &Config) -> Self {
        Self { store: MemoryStore::with_partitions(config, Partitions::ONE), stage: self.stage.clone(), ..*self }
    }

    /// Plays what the script says of this request. Ends by `until`, as every store does.
    fn through<'a, T: Send + 'a>(
        &'a self,
        request: StoreRequest,
        until: Instant,
        operation: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            timers()?;
            let started = clock::now();
            let permit = self.stage.breaker.admit(started).map_err(|_| unavailable("the breaker is open"))?;
            let outcome = timeout_at(until, self.answer(request, operation)).await.unwrap_or_else(|_| Err(late()));
            match outcome.as_ref().map_err(Error::kind) {
                // As for a server: it had little time to answer, which says nothing about it.
                Err(ErrorKind::Timeout) if until < started + self.operation_deadline / 2 => drop(permit),
                Err(ErrorKind::Timeout | ErrorKind::Unavailable) => permit.failed(clock::now()),
                _ => permit.succeeded(),
            }
            outcome
        })
    }

    async fn answer<T>(
        &self,
        request: StoreRequest,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut fate = self.stage.fate(request);
        fate.comes().await;
        match fate {
            Fate { fails: true, .. } => Err(unavailable("the store is not there")),
            Fate { loses_its_answer: true, .. } => {
                operation.await?;
                Err(unavailable("the answer was lost: its outcome is unknown"))
            }
            _ => operation.await,
        }
    }
}

/// A reading that nothing is stored at.
fn of_another_clock(clock: &ClockReading) -> ClockReading {
    ClockReading { incarnation: "another".into(), ..clock.clone() }
}

/// The refusal of a full server.
fn full(reply: FillReply) -> FillReply {
    match reply {
        FillReply::Refused(Refusal::ForeignIncarnation) => FillReply::Refused(Refusal::OutOfMemory),
        reply => reply,
    }
}

fn unavailable(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the script says so: {what}"))
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the script says so: no answer in time")
}

impl Store for ScriptedStore {
    fn wall_ms(&self) -> u64 {
        self.store.wall_ms()
    }

    fn refuses(&self) -> bool {
        self.stage.breaker.is_open() && self.stage.breaker.refuses(clock::now())
    }

    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>> {
        self.through(StoreRequest::Read, until, async move { self.store.get(key, until).await })
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        self.through(StoreRequest::Read, until, async move { self.store.get_many(keys, until).await })
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply> {
        self.through(StoreRequest::Lease, until, async move { self.store.take_lease(key, request, until).await })
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool> {
        self.through(StoreRequest::Other, until, async move { self.store.renew_lease(key, token, lease, until).await })
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()> {
        self.through(StoreRequest::Other, until, async move { self.store.release_lease(key, token, until).await })
    }

    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()> {
        self.through(StoreRequest::Other, until, async move { self.store.discard(key, token, version, until).await })
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>> {
        self.through(StoreRequest::Other, until, async move { self.store.watch(key, if_present, until).await })
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading> {
        self.through(StoreRequest::Lease, until, async move { self.store.read_clock(key, recall, until).await })
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply> {
        self.through(StoreRequest::Fill, until, async move {
            if !self.stage.is_full() {
                return self.store.fill(fill, until).await;
            }
            let clock = of_another_clock(fill.clock);
            Ok(full(self.store.fill(Fill { clock: &clock, ..fill }, until).await?))
        })
    }

    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply> {
        self.through(StoreRequest::Write, until, async move {
            if !self.stage.is_full() {
                return self.store.write(fill, opens, until).await;
            }
            let clock = of_another_clock(fill.clock);
            let written = self.store.write(Fill { clock: &clock, ..fill }, opens, until).await?;
            Ok(WriteReply { fill: full(written.fill), ..written })
        })
    }

    fn begin<'a>(&self, names: &'a [Name], intent: Intent) -> Operation<'a> {
        self.store.begin(names, intent)
    }

    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal> {
        self.through(StoreRequest::Invalidate, until, async move { self.store.step(operation, until).await })
    }

    fn settle(&self, operation: Operation<'_>) {
        self.store.settle(operation);
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        let sweep = async move { self.store.sweep(pattern, scope, cursor, until).await };
        self.through(StoreRequest::Sweep, until, sweep)
    }

    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts> {
        self.through(StoreRequest::Other, until, async move { self.store.facts(key, until).await })
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail> {
        self.through(StoreRequest::Other, until, async move { self.store.fenced_since(since, until).await })
    }

    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight> {
        self.through(StoreRequest::Other, until, async move { self.store.look(look, until).await })
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        let list = async move { self.store.list(catalogue, pattern, cursor, until).await };
        self.through(StoreRequest::Other, until, list)
    }

    /// Asks without a permit: the answer is to tell whether an open breaker may be closed.
    fn ready(&self, limit: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            timers()?;
            let mut backoff = Backoff::new(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
            let asking = async {
                let ask = || timeout(self.operation_deadline, self.answer(StoreRequest::Other, async { Ok(()) }));
                while !matches!(ask().await, Ok(Ok(()))) {
                    sleep(backoff.next_delay()).await;
                }
                self.stage.breaker.answered();
            };
            let late = |_| Error::new(ErrorKind::Unavailable, format!("not ready after {limit:?}"));
            timeout(limit, asking).await.map_err(late)
        })
    }

    fn memory(&self) -> Option<MemoryUse> {
        self.store.memory()
    }

    fn is_breaker_open(&self) -> bool {
        self.stage.breaker.is_open()
    }

    fn health(&self) -> StoreHealth {
        StoreHealth {
            disconnected: self.stage.is_gone(),
            breaker_open: self.stage.breaker.is_open(),
            ..StoreHealth::default()
        }
    }
}
