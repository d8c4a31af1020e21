//! The application: every kind of cached function over the rows of the database, and every way to
//! change them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Cache, CollectInvalidations, Invalidation, cached, invalidates, write_through};

use crate::bias::Bias;
use crate::clock;
use crate::database::Query;
use crate::link::Link;
use crate::names::{DATA, GROUPS, Kind, Name};
use crate::record::{NO_LOAD, Part};

/// One process of the application.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) link: Arc<Link>,
    pub(crate) bias: Bias,
    /// Calls that were given something that they did not ask for.
    pub(crate) failed: Arc<AtomicU64>,
    random: Arc<Mutex<fastrand::Rng>>,
}

pub(crate) type Value = Vec<Part>;

impl World {
    pub(crate) fn new(cache: Cache, link: Arc<Link>, bias: Bias, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        Self { cache, link, bias, failed: Arc::default(), random }
    }

    /// One of so many.
    fn dice(&self, sides: u32) -> u32 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u32(..sides)
    }

    /// Takes no time, or some, or so much that it meets all that others do.
    async fn dawdle(&self) {
        if self.dice(1_000) < self.bias.lingers {
            return tokio::time::sleep(Duration::from_micros(u64::from(self.dice(300_000)))).await;
        }
        let most_us = match self.dice(1_000) {
            0..700 => return,
            700..940 => 1_000,
            940..990 => 8_000,
            990..997 => 60_000,
            // Longer than fences are kept: the store refuses such a load for its age.
            _ => 1_500_000,
        };
        tokio::time::sleep(Duration::from_micros(u64::from(self.dice(most_us)))).await;
    }

    fn part(&self, kind: Kind, at: u16, version: u64) -> Part {
        Part { kind, at, by: self.link.process(), loaded: clock::now(), version }
    }

    /// Reads a row.
    async fn row(&self, kind: Kind, at: u16) -> Value {
        let part = self.part(kind, at, 0);
        self.dawdle().await;
        let version = self.link.ask(Query::Read(at)).await;
        self.dawdle().await;
        vec![Part { version, ..part }]
    }

    /// Commits the next version of a row.
    pub(crate) async fn commit(&self, at: u16) -> u64 {
        self.link.ask(Query::Write(at)).await
    }

    /// What a writer knows of a leaf whose body began at `began`.
    fn written(&self, at: u16, began: u64, version: u64) -> Value {
        vec![Part { loaded: began, ..self.part(Kind::Leaf, at, version) }]
    }

    /// What is put: it has no load.
    pub(crate) fn to_put(&self, at: u16, version: u64) -> Value {
        self.written(at, NO_LOAD, version)
    }

    pub(crate) async fn read(&self, kind: Kind, at: u16) -> Option<Value> {
        Some(match kind {
            Kind::Leaf => leaf(self, at).await,
            Kind::Pair => pair(self, at).await,
            Kind::Board => board(self, at).await,
            Kind::ChainA => chain_a(self, at).await,
            Kind::ChainB => chain_b(self, at).await,
            Kind::ChainC => chain_c(self, at).await,
            Kind::RingA => ring_a(self, at).await,
            Kind::RingB => ring_b(self, at).await,
            Kind::Revalidated => revalidated(self, at).await,
            Kind::Early => early(self, at).await,
            Kind::Adaptive => adaptive(self, at).await,
            Kind::Covered => covered(self, at).await.ok()?,
            Kind::Near => near(self, at).await,
            Kind::Text => self.text(at).await,
        })
    }

    async fn text(&self, at: u16) -> Value {
        let load = || async {
            let mut parts = vec![self.part(Kind::Text, at, 0)];
            self.dawdle().await;
            parts.extend(leaf(self, at).await);
            self.dawdle().await;
            parts.extend(near(self, at).await);
            Ok::<_, Infallible>(parts)
        };
        let Ok(value) = self.cache.get_or_load(format!("text:{at}"), load).await;
        value
    }
}

fn group(at: &u16) -> String {
    Name::Group(at % GROUPS).text()
}

#[cached(
    prefix = "leaf", ttl = "3s", cache = world.cache, skip(world),
    tags = ["row:{at}", ..[group(&at)]],
)]
pub(crate) async fn leaf(world: &World, at: u16) -> Value {
    world.row(Kind::Leaf, at).await
}

#[cached(
    prefix = "leaf", each = rows, ttl = "3s", cache = world.cache, skip(world),
    tags = ["row:{rows}", ..[group(rows)]],
)]
pub(crate) async fn leaves(world: &World, rows: &[u16]) -> Result<HashMap<u16, Value>, Infallible> {
    let mut found = HashMap::new();
    for at in rows {
        found.insert(*at, world.row(Kind::Leaf, *at).await);
    }
    Ok(found)
}

#[cached(prefix = "pair", ttl = "200ms", cache = world.cache, skip(world))]
async fn pair(world: &World, at: u16) -> Value {
    let mut parts = vec![world.part(Kind::Pair, at, 0)];
    parts.extend(leaf(world, at).await);
    world.dawdle().await;
    parts.extend(leaf(world, (at + 1) % DATA).await);
    parts
}

#[cached(prefix = "board", ttl = "10s", cache = world.cache, skip(world))]
async fn board(world: &World, at: u16) -> Value {
    let mut parts = vec![world.part(Kind::Board, at, 0)];
    parts.extend(pair(world, at).await);
    world.dawdle().await;
    parts.extend(pair(world, (at + 2) % DATA).await);
    parts
}

#[cached(prefix = "chain_a", ttl = "2s", finish, cache = world.cache, skip(world), depends_on = [chain_b(at)])]
async fn chain_a(world: &World, at: u16) -> Value {
    world.row(Kind::ChainA, at).await
}

#[cached(prefix = "chain_b", ttl = "250ms", cache = world.cache, skip(world), depends_on = [chain_c(at)])]
async fn chain_b(world: &World, at: u16) -> Value {
    world.row(Kind::ChainB, at).await
}

#[cached(
    prefix = "chain_c", ttl = "600ms", cache = world.cache, skip(world),
    tags = ["row:{at}", ..[group(&at)]],
)]
async fn chain_c(world: &World, at: u16) -> Value {
    world.row(Kind::ChainC, at).await
}

#[cached(
    prefix = "ring_a", ttl = "1s", cache = world.cache, skip(world), tags = ["row:{at}"],
    depends_on = [ring_b(at)],
)]
async fn ring_a(world: &World, at: u16) -> Value {
    world.row(Kind::RingA, at).await
}

#[cached(prefix = "ring_b", ttl = "1s", cache = world.cache, skip(world), depends_on = [ring_a(at)])]
async fn ring_b(world: &World, at: u16) -> Value {
    world.row(Kind::RingB, at).await
}

#[cached(
    prefix = "revalidated", ttl = "150ms", stale_while_revalidate = "5s", cache = world.cache, skip(world),
    tags = ["row:{at}"],
)]
async fn revalidated(world: &World, at: u16) -> Value {
    world.row(Kind::Revalidated, at).await
}

#[cached(prefix = "early", ttl = "400ms", early_refresh = 5, cache = world.cache, skip(world), tags = ["row:{at}"])]
async fn early(world: &World, at: u16) -> Value {
    world.row(Kind::Early, at).await
}

#[cached(prefix = "adaptive", adaptive_ttl = "20ms..2s", cache = world.cache, skip(world), tags = ["row:{at}"])]
async fn adaptive(world: &World, at: u16) -> Value {
    world.row(Kind::Adaptive, at).await
}

#[cached(
    prefix = "covered", ttl = "150ms", stale_if_error = "5s", load_timeout = "5ms", cache = world.cache, skip(world),
    tags = ["row:{at}"],
)]
async fn covered(world: &World, at: u16) -> Result<Value, String> {
    let value = world.row(Kind::Covered, at).await;
    if world.dice(3) == 0 { Err("the source is away".to_owned()) } else { Ok(value) }
}

#[cached(prefix = "near", ttl = "5s", near = "5s", cache = world.cache, skip(world))]
async fn near(world: &World, at: u16) -> Value {
    let mut parts = vec![world.part(Kind::Near, at, 0)];
    world.dawdle().await;
    parts.extend(leaf(world, at).await);
    parts
}

/// What a body has done before its invalidation begins.
pub(crate) struct Committed {
    pub(crate) version: u64,
    pub(crate) when: u64,
}

#[invalidates(
    keys = [leaf(at), chain_c(at), ring_a(at), revalidated(at), early(at), adaptive(at), covered(at)],
    cache = world.cache,
)]
pub(crate) async fn set_by_keys(world: &World, at: u16) -> Committed {
    let version = world.commit(at).await;
    Committed { version, when: clock::now() }
}

#[invalidates(tags = ["row:{at}"], around, cache = world.cache)]
pub(crate) async fn set_around(world: &World, at: u16) -> Committed {
    let version = world.commit(at).await;
    world.dawdle().await;
    Committed { version, when: clock::now() }
}

#[invalidates(tags = ["row:{at}"], background, cache = world.cache)]
pub(crate) async fn set_in_background(world: &World, at: u16) -> u64 {
    world.commit(at).await
}

#[write_through(leaf(at), cache = world.cache)]
pub(crate) async fn write(world: &World, at: u16) -> Value {
    let began = clock::now();
    world.dawdle().await;
    let version = world.commit(at).await;
    world.dawdle().await;
    world.written(at, began, version)
}

#[write_through(leaf(at), around, cache = world.cache)]
pub(crate) async fn write_around(world: &World, at: u16) -> Value {
    let began = clock::now();
    let version = world.commit(at).await;
    world.dawdle().await;
    world.written(at, began, version)
}

/// A transaction that invalidates when it is committed.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) collected: Invalidation,
}

impl CollectInvalidations for Transaction {
    fn invalidates(&mut self, invalidation: Invalidation) {
        self.collected.invalidates(invalidation);
    }
}

#[invalidates(keys = [leaf(at), early(at)], tags = ["row:{at}"], after = transaction)]
pub(crate) async fn set_in_transaction(transaction: &mut Transaction, at: u16) {
    _ = transaction;
}
