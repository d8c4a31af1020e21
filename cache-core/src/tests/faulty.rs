//! The embedded store behind a switchboard: chosen operations fail, hang, or wait before or after
//! they take effect.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::Gate;
use crate::clock::Instant;
use crate::config::Config;
use crate::entry::Version;
use crate::error::{Error, ErrorKind};
use crate::store::far;
use crate::store::memory::MemoryStore;
use crate::store::{
    Catalogue, CataloguePage, ClockReading, ClosingId, CopyKeeper, FenceTrail, Fill, FillReply, IfPresent, Intent,
    KeyFacts, LeaseReply, LeaseRequest, Look, Operation, Recall, Refusal, Removal, Sight, Store, StoreFuture,
    StoreHealth, SweepReply, SweepScope, Token, TrailPosition, Voucher, Watch, Watches, WriteReply,
};

mod homes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Get,
    GetMany,
    TakeLease,
    RenewLease,
    ReleaseLease,
    Discard,
    Watch,
    ReadClock,
    Fill,
    Write,
    Invalidate,
    Close,
    Open,
    Sweep,
    Look,
    List,
    Facts,
    Ready,
}

#[derive(Clone)]
pub(super) struct Faulty(Arc<Board>);

struct Board {
    store: MemoryStore,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    calls: HashMap<Op, usize>,
    /// Under way now, and at most so far.
    at_once: HashMap<Op, (usize, usize)>,
    /// After so many further calls.
    failing: HashMap<Op, usize>,
    hanging: HashMap<Op, usize>,
    latency: Duration,
    in_turns: bool,
    /// How many keys each look for many asked for.
    looks: Vec<usize>,
    before: HashMap<Op, VecDeque<Gate>>,
    after: HashMap<Op, VecDeque<Gate>>,
    blocking: HashMap<Op, Arc<Barrier>>,
    never_done: bool,
    half_done: bool,
    breaker_open: bool,
    mute: bool,
    sweeps: Vec<SweepScope>,
    /// From this page on another server answers.
    replaced_at: Option<usize>,
    ttls: Vec<Duration>,
    confirmed: usize,
    clock_lost: bool,
    homes: homes::FaultyHomes,
}

impl Faulty {
    pub(super) fn new() -> Self {
        Self(Arc::new(Board { store: MemoryStore::new(&Config::default()), plan: Mutex::default() }))
    }

    pub(super) fn calls(&self, op: Op) -> usize {
        self.plan(|plan| plan.calls.get(&op).copied().unwrap_or(0))
    }

    pub(super) fn all_calls(&self) -> usize {
        self.plan(|plan| plan.calls.values().sum())
    }

    /// Every call fails from now on.
    pub(super) fn fail(&self, op: Op) {
        self.fail_after(0, op);
    }

    /// No call is answered from now on.
    pub(super) fn hang(&self, op: Op) {
        self.hang_after(0, op);
    }

    pub(super) fn fail_after(&self, calls: usize, op: Op) {
        self.plan(|plan| plan.failing.insert(op, calls));
    }

    pub(super) fn hang_after(&self, calls: usize, op: Op) {
        self.plan(|plan| plan.hanging.insert(op, calls));
    }

    pub(super) fn heal(&self, op: Op) {
        self.plan(|plan| (plan.failing.remove(&op), plan.hanging.remove(&op)));
    }

    /// Every call takes so long from now on.
    pub(super) fn slow(&self, latency: Duration) {
        self.plan(|plan| plan.latency = latency);
    }

    /// Every call lets all other tasks run, before it takes effect and once more before it answers.
    pub(super) fn take_turns(&self) {
        self.plan(|plan| plan.in_turns = true);
    }

    /// How many calls are under way.
    pub(super) fn under_way(&self) -> usize {
        self.plan(|plan| plan.at_once.values().map(|(now, _)| now).sum())
    }

    pub(super) fn at_once_max(&self, op: Op) -> usize {
        self.plan(|plan| plan.at_once.get(&op).map_or(0, |(_, most)| *most))
    }

    pub(super) fn looks(&self) -> Vec<usize> {
        self.plan(|plan| std::mem::take(&mut plan.looks))
    }

    /// The next call waits before it takes effect.
    pub(super) fn hold(&self, op: Op) -> Gate {
        let gate = Gate::default();
        self.plan(|plan| plan.before.entry(op).or_default().push_back(gate.clone()));
        gate
    }

    /// The next call takes effect, and its answer waits.
    pub(super) fn hold_answer(&self, op: Op) -> Gate {
        let gate = Gate::default();
        self.plan(|plan| plan.after.entry(op).or_default().push_back(gate.clone()));
        gate
    }

    /// How often what vouches for copies was to do so anew.
    pub(super) fn confirmed(&self) -> usize {
        self.plan(|plan| plan.confirmed)
    }

    /// The next call blocks its thread before it takes effect, from one wait of two to the next.
    pub(super) fn block(&self, op: Op) -> Arc<Barrier> {
        let barrier = Arc::new(Barrier::new(2));
        self.plan(|plan| plan.blocking.insert(op, barrier.clone()));
        barrier
    }

    /// Whoever watches hears nothing: every push is lost.
    pub(super) fn mute(&self) {
        self.plan(|plan| plan.mute = true);
    }

    pub(super) fn nobody_watches(&self) -> bool {
        self.0.store.nobody_watches()
    }

    /// The breaker is open from now on, whatever the store answers if it is asked all the same.
    pub(super) fn break_open(&self) {
        self.plan(|plan| plan.breaker_open = true);
    }

    /// The next fill finds another clock than its reading was taken from.
    pub(super) fn lose_clock(&self) {
        self.plan(|plan| plan.clock_lost = true);
    }

    /// After so many pages of walks another server takes over. In its table nothing lies behind the
    /// cursor that it is asked to go on from.
    pub(super) fn replace_the_server_after(&self, pages: usize) {
        self.plan(|plan| plan.replaced_at = Some(pages));
    }

    /// Something always stays pending.
    pub(super) fn never_done(&self) {
        self.plan(|plan| plan.never_done = true);
    }

    /// The next step does its work in one partition, and fails in another one.
    pub(super) fn half_done(&self) {
        self.plan(|plan| plan.half_done = true);
    }

    pub(super) fn sweeps(&self) -> Vec<SweepScope> {
        self.plan(|plan| plan.sweeps.clone())
    }

    /// Of every fill and write that was sent.
    pub(super) fn ttls(&self) -> Vec<Duration> {
        self.plan(|plan| plan.ttls.clone())
    }

    pub(super) fn last_ttl(&self) -> Option<Duration> {
        self.ttls().last().copied()
    }

    /// Puts bytes under a key, whatever they are.
    pub(super) async fn forge(&self, key: &str, value: Bytes) {
        let store = &self.0.store;
        let clock = store.read_clock("a", Recall::Nothing, far()).await.unwrap();
        let ttl = Duration::from_secs(60);
        let fill = Fill { key, value, names: &[], ttl, clock: &clock, token: Token::new(), learned: None };
        assert_eq!(store.fill(fill, far()).await.unwrap(), FillReply::Stored);
    }

    /// What lies under a key.
    pub(super) async fn bytes(&self, key: &str) -> Option<Bytes> {
        self.0.store.get(key, far()).await.unwrap()
    }

    fn plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.0.plan.lock().unwrap())
    }

    /// Ends by `until`, as every store does.
    fn through<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        until: Instant,
        operation: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let late = |_| Err(Error::new(ErrorKind::Timeout, "the test says so"));
            tokio::time::timeout_at(until, self.answer(op, operation)).await.unwrap_or_else(late)
        })
    }

    async fn answer<T>(&self, op: Op, operation: StoreFuture<'_, T>) -> Result<T, Error> {
        let _under_way = UnderWay::begin(self, op);
        let (failing, hanging, before, latency) = self.plan(|plan| {
            *plan.calls.entry(op).or_default() += 1;
            let before = plan.before.get_mut(&op).and_then(VecDeque::pop_front);
            let (failing, hanging) = (is_due(plan.failing.get_mut(&op)), is_due(plan.hanging.get_mut(&op)));
            (failing, hanging, before, plan.latency)
        });
        if let Some(gate) = before {
            gate.pass().await;
        }
        let in_turns = self.plan(|plan| plan.in_turns);
        if in_turns {
            tokio::task::yield_now().await;
        }
        if failing {
            return Err(Error::new(ErrorKind::Unavailable, "the test says so"));
        }
        if hanging {
            std::future::pending::<()>().await;
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(barrier) = self.plan(|plan| plan.blocking.remove(&op)) {
            barrier.wait();
            barrier.wait();
        }
        let answer = operation.await;
        if in_turns {
            tokio::task::yield_now().await;
        }
        if let Some(gate) = self.plan(|plan| plan.after.get_mut(&op).and_then(VecDeque::pop_front)) {
            gate.pass().await;
        }
        answer
    }

    fn pending(&self, drained: Removal) -> Removal {
        if self.plan(|plan| plan.never_done) { Removal { pending: 1, ..drained } } else { drained }
    }
}

/// Counts one call down.
fn is_due(calls: Option<&mut usize>) -> bool {
    calls.is_some_and(|calls| std::mem::replace(calls, calls.saturating_sub(1)) == 0)
}

struct UnderWay<'a>(&'a Faulty, Op);

impl<'a> UnderWay<'a> {
    fn begin(store: &'a Faulty, op: Op) -> Self {
        store.plan(|plan| {
            let (now, most) = plan.at_once.entry(op).or_default();
            *now += 1;
            *most = (*most).max(*now);
        });
        Self(store, op)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.plan(|plan| plan.at_once.entry(self.1).or_default().0 -= 1);
    }
}

impl Store for Faulty {
    fn wall_ms(&self) -> u64 {
        self.0.store.wall_ms()
    }

    fn home(&self, key: &str) -> u16 {
        self.home_of(key)
    }

    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>> {
        self.through(Op::Get, until, Box::pin(async move { self.0.store.get(key, until).await }))
    }

    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        self.through(Op::Get, until, Box::pin(async move { self.0.store.get_to_copy(key, until).await }))
    }

    fn keep_copies(&self, keeper: Weak<dyn CopyKeeper>) {
        self.0.store.keep_copies(keeper);
    }

    fn confirm_copies(&self) {
        self.plan(|plan| plan.confirmed += 1);
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        self.plan(|plan| plan.looks.push(keys.len()));
        let first = keys.first().map_or("", |key| key);
        self.through_to(first, Op::GetMany, until, Box::pin(async move { self.0.store.get_many(keys, until).await }))
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply> {
        let taken = Box::pin(async move { self.0.store.take_lease(key, request, until).await });
        self.through_to(key, Op::TakeLease, until, taken)
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool> {
        self.through(
            Op::RenewLease,
            until,
            Box::pin(async move { self.0.store.renew_lease(key, token, lease, until).await }),
        )
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()> {
        self.through(
            Op::ReleaseLease,
            until,
            Box::pin(async move { self.0.store.release_lease(key, token, until).await }),
        )
    }

    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()> {
        self.through(
            Op::Discard,
            until,
            Box::pin(async move { self.0.store.discard(key, token, version, until).await }),
        )
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>> {
        let deaf = self.plan(|plan| plan.mute).then(|| Watches::default().register("", ""));
        let work = async move {
            match deaf {
                Some(watch) => Ok(watch),
                None => self.0.store.watch(key, if_present, until).await,
            }
        };
        self.through(Op::Watch, until, Box::pin(work))
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading> {
        self.through(Op::ReadClock, until, Box::pin(async move { self.0.store.read_clock(key, recall, until).await }))
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply> {
        self.plan(|plan| plan.ttls.push(fill.ttl));
        if self.plan(|plan| std::mem::take(&mut plan.clock_lost)) {
            let refused = async { Ok(FillReply::Refused(Refusal::ForeignIncarnation)) };
            return self.through(Op::Fill, until, Box::pin(refused));
        }
        self.through_to(fill.key, Op::Fill, until, Box::pin(async move { self.0.store.fill(fill, until).await }))
    }

    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply> {
        self.plan(|plan| plan.ttls.push(fill.ttl));
        let work = async move {
            let mut written = self.0.store.write(fill, opens, until).await?;
            if self.plan(|plan| plan.never_done) {
                written.rest.never_ends();
            }
            Ok(written)
        };
        self.through(Op::Write, until, Box::pin(work))
    }

    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal> {
        let op = match operation.intent() {
            Intent::Invalidate => Op::Invalidate,
            Intent::Close { .. } => Op::Close,
            Intent::Open { .. } => Op::Open,
        };
        let work = async move {
            let removal = self.pending(self.0.store.step(operation, until).await?);
            if self.plan(|plan| std::mem::take(&mut plan.half_done)) {
                operation.keep_uncounted(removal);
                return Err(Error::new(ErrorKind::Unavailable, "the test says so"));
            }
            if self.plan(|plan| plan.never_done) {
                operation.never_ends();
            }
            Ok(removal)
        };
        self.through(op, until, Box::pin(work))
    }

    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts> {
        self.through(Op::Facts, until, Box::pin(async move { self.0.store.facts(key, until).await }))
    }

    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight> {
        self.through(Op::Look, until, Box::pin(async move { self.0.store.look(look, until).await }))
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail> {
        self.through(Op::Look, until, Box::pin(async move { self.0.store.fenced_since(since, until).await }))
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        self.through(
            Op::List,
            until,
            Box::pin(async move { self.0.store.list(catalogue, pattern, cursor, until).await }),
        )
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        let (page, replaced_at) = self.plan(|plan| {
            plan.sweeps.push(scope);
            (plan.sweeps.len() - 1, plan.replaced_at)
        });
        let sweep = async move {
            let cursor = if replaced_at == Some(page) { 1 } else { cursor };
            let mut reply = self.0.store.sweep(pattern, scope, cursor, until).await?;
            if replaced_at.is_some_and(|at| at <= page) {
                reply.incarnation = "another".into();
            }
            Ok(reply)
        };
        self.through(Op::Sweep, until, Box::pin(sweep))
    }

    fn ready(&self, timeout: Duration) -> StoreFuture<'_, ()> {
        self.through(Op::Ready, crate::clock::now() + timeout, self.0.store.ready(timeout))
    }

    fn refuses(&self) -> bool {
        self.plan(|plan| plan.breaker_open)
    }

    fn health(&self) -> StoreHealth {
        StoreHealth { breaker_open: self.plan(|plan| plan.breaker_open), ..StoreHealth::default() }
    }
}
