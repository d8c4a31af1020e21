//! The Redis store: each method of [`Store`] is one script or one plain command on one connection.
//!
//! A hit is a plain `GET`: at saturation it costs the server half of a script.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use crate::ablation::{ProcessRule, keeps};
use crate::clock::{self, Instant, millis};
use crate::config::{Config, LEARNED_BYTES_MAX};
use crate::entry::Version;
use crate::error::Error;
use crate::observe::StoreLinks;
use crate::store::{
    Catalogue, CataloguePage, Change, ClockReading, ClosingId, CopyKeeper, CopyKeepers, FenceTrail, Fill, FillReply,
    IfHeld, IfPresent, KeyFacts, LeaseReply, LeaseRequest, Look, LossListener, Operation, Recall, Removal, Scheme,
    Sight, Store, StoreFuture, StoreHealth, StoreKey, StoreLoss, SweepReply, SweepScope, Token, TrailPosition, Voucher,
    Watch, WriteReply,
};

#[cfg(any(test, cache_ablation))]
mod ablation;
pub(crate) mod alone;
mod at_once;
mod connect;
mod copies;
mod filling;
mod large;
mod layout;
mod looking;
mod losses;
mod namespaces;
mod reaper;
mod removal;
mod reply;
mod resp;
mod scripts;
#[cfg(test)]
mod sent_by_hand;
mod several;
#[cfg(test)]
mod tests;
mod trial;

#[cfg(cache_ablation)]
pub(in crate::store) use ablation::names as rules;
pub use connect::Credentials;
#[cfg(feature = "tls")]
pub use connect::Tls;
pub(crate) use connect::{Access, CredentialsProvider};
use connect::{Pool, StripeKey, reply_code};
use large::LargePrefixes;
use layout::Layout;
use losses::Losses;
use namespaces::{Namespace, Namespaces};
use reply::SweptPage;
use resp::Command;
#[cfg(test)]
pub(in crate::store) use sent_by_hand::{meet_of, reap_of, root_of};
pub(crate) use several::RedisPartitions;

/// Entries, indexes and clock in one Redis, under one namespace.
pub(crate) struct RedisStore {
    pool: Arc<Pool>,
    layout: Layout,
    identity: u128,
    fence_retention: Duration,
    large: Arc<LargePrefixes>,
    losses: Arc<Losses>,
    keepers: CopyKeepers,
    /// Known to the connections as long as it is here.
    namespace: Arc<Namespace>,
    namespaces: Namespaces,
}

impl RedisStore {
    /// Reads the URL and the files of certificates; opens no connection.
    pub(crate) fn open(url: &str, access: &Access, config: &Config) -> Result<Self, Error> {
        let namespaces = Namespaces::default();
        let namespace = namespaces.add(layout_of(url, &config.namespace)?);
        let hooks = namespaces.hooks(std::slice::from_ref(&namespace.layout));
        let pool = Pool::new(url, access, config, scripts::ALL, hooks, &[namespace.layout.declared()])?;
        Ok(Self::of(Arc::new(pool), namespaces, namespace, config.fence_retention))
    }

    #[cfg(test)]
    fn on(pool: Arc<Pool>, layout: Layout, fence_retention: Duration) -> Self {
        Self::of(pool, Namespaces::default(), Namespace::new(layout), fence_retention)
    }

    fn of(pool: Arc<Pool>, namespaces: Namespaces, namespace: Arc<Namespace>, fence_retention: Duration) -> Self {
        Self {
            identity: identity(&pool.place(), &namespace.layout),
            pool,
            layout: namespace.layout.clone(),
            fence_retention,
            large: Arc::default(),
            losses: namespace.losses.clone(),
            keepers: namespace.keepers.clone(),
            namespace,
            namespaces,
        }
    }

    /// The namespace of a tenant, over the same connections.
    pub(crate) fn tenant(&self, namespace: &str) -> Self {
        let namespace = self.namespaces.add(self.layout.of_tenant(namespace));
        Self::of(self.pool.clone(), self.namespaces.clone(), namespace, self.fence_retention)
    }

    /// The connection for calls about a key.
    fn stripe(&self, key: &str) -> StripeKey {
        if self.large.holds(key) { self.layout.large_stripe() } else { self.layout.stripe(key) }
    }

    fn wake_reaper(&self) {
        self.namespace.reaper.wake(&self.pool, &self.namespace, self.fence_retention);
    }

    fn recalled(&self, key: &str, recall: Recall) -> Option<String> {
        (recall == Recall::Learned).then(|| self.layout.learned(key))
    }

    /// Judged by this process's monotonic clock: the server's clock may have been set back since
    /// the reading.
    fn is_too_old(&self, clock: &ClockReading) -> bool {
        clock::since(clock.read_at) > self.fence_retention && keeps(ProcessRule::ProcessesTellTheAge)
    }
}

impl Store for RedisStore {
    fn identity(&self) -> Option<u128> {
        Some(self.identity)
    }

    fn physical_key(&self, of: StoreKey<'_>) -> Option<String> {
        let is_of_clusters = matches!(of, StoreKey::ClockOf(_) | StoreKey::Partitions);
        (self.layout.is_in_slot() || !is_of_clusters).then(|| self.layout.key_of(of))
    }

    fn refuses(&self) -> bool {
        self.pool.refuses()
    }

    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let get = Command::new("GET").joined(self.layout.value_parts(key));
            let value = match self.pool.command(self.stripe(key), get, until).await {
                // Another program's list or hash under this key is unreadable, and is overwritten
                // like any foreign bytes.
                Err(error) if reply_code(&error) == Some("WRONGTYPE") => Some(Bytes::new()),
                answer => reply::value(answer?)?,
            };
            self.large.note(key, value.as_ref().map_or(0, Bytes::len));
            Ok(value)
        })
    }

    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        Box::pin(copies::get(self, key, until))
    }

    fn keep_copies(&self, keeper: Weak<dyn CopyKeeper>) {
        self.keepers.add(keeper);
    }

    fn confirm_copies(&self) {
        self.pool.confirm_copies();
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let Some(first) = keys.first() else { return Ok(Vec::new()) };
            let get = keys.iter().fold(Command::new("MGET"), |get, key| get.joined(self.layout.value_parts(key)));
            // Another program's list or hash under this key is no value: the lease script finds
            // out, and the fill overwrites it.
            let values = reply::values(self.pool.command(self.stripe(first), get, until).await?, keys.len())?;
            let largest = values.iter().flatten().map(Bytes::len).max();
            self.large.note(first, largest.unwrap_or_default());
            Ok(values)
        })
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply> {
        Box::pin(async move {
            let mut keys = vec![self.layout.declared(), self.layout.value(key), self.layout.lease(key)];
            keys.extend(self.recalled(key, request.recall));
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let learned_max = LEARNED_BYTES_MAX.to_string();
            let token = token_text(request.token);
            let lease_ms = millis(request.lasts).max(1).to_string();
            let present: &[u8] = match &request.if_present {
                IfPresent::Return => b"return",
                IfPresent::ReturnOther(Version(times)) => times,
                IfPresent::Ignore => b"ignore",
            };
            let held = match request.if_held {
                IfHeld::Wait => "wait".to_owned(),
                IfHeld::TakeOver(after) => millis(after).to_string(),
            };
            let args: [&[u8]; 7] = [
                self.layout.root().as_bytes(),
                learned_max.as_bytes(),
                key.as_bytes(),
                token.as_bytes(),
                lease_ms.as_bytes(),
                present,
                held.as_bytes(),
            ];
            let reply = self.pool.run(&scripts::TAKE_LEASE, self.stripe(key), &keys, &args, until).await?;
            self.losses.note_replaced(reply::replaced_before_reading(&reply));
            let reply = reply::lease(reply)?;
            if let LeaseReply::Granted(clock) | LeaseReply::Held { clock, .. } = &reply {
                self.losses.saw(clock.seq);
            }
            Ok(reply)
        })
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let (token, lease_ms) = (token_text(token), millis(lease).max(1).to_string());
            let args: [&[u8]; 2] = [token.as_bytes(), lease_ms.as_bytes()];
            let reply = self
                .pool
                .run(&scripts::RENEW_LEASE, self.stripe(key), &[&self.layout.lease(key)], &args, until)
                .await?;
            Ok(reply::integer(&reply)? == 1)
        })
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let token = token_text(token);
            self.pool
                .run(&scripts::RELEASE_LEASE, self.stripe(key), &[&self.layout.lease(key)], &[token.as_bytes()], until)
                .await?;
            Ok(())
        })
    }

    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let keys = [self.layout.declared(), self.layout.value(key), self.layout.lease(key)];
            let token = token_text(token);
            let times = version.as_ref().map_or(&[][..], |version| &version.0);
            let args = [self.layout.root().as_bytes(), key.as_bytes(), token.as_bytes(), times];
            self.pool
                .run(&scripts::DISCARD, self.stripe(key), &keys.each_ref().map(String::as_str), &args, until)
                .await?;
            Ok(())
        })
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>> {
        Box::pin(async move {
            let (value, lease) = (self.layout.value(key), self.layout.lease(key));
            let stripe = self.stripe(key);
            let Some(watch) = self.pool.register(stripe, &value, &lease, until).await else { return Ok(None) };
            // The reply counts the lease once and the value twice. Not GET: the value may be large,
            // and of any type.
            let exists = Command::new("EXISTS").arg(&lease).arg(&value).arg(&value);
            // Without an answer there is nothing to wait for; the next look at the lease tells what
            // is wrong.
            let Ok(reply) = self.pool.track(stripe, exists, until).await else { return Ok(None) };
            match (reply::integer(&reply)?, if_present) {
                (2.., IfPresent::Return) => watch.tell(Change::Value),
                (0 | 2, _) => watch.tell(Change::Lease),
                _ => {}
            }
            Ok(Some(watch))
        })
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading> {
        Box::pin(async move {
            let mut keys = vec![self.layout.declared()];
            keys.extend(self.recalled(key, recall));
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let learned_max = LEARNED_BYTES_MAX.to_string();
            let args: [&[u8]; 2] = [self.layout.root().as_bytes(), learned_max.as_bytes()];
            let reply = self.pool.run(&scripts::READ_CLOCK, self.stripe(key), &keys, &args, until).await?;
            self.losses.note_replaced(reply::replaced_before_reading(&reply));
            let clock = reply::clock(&reply)?;
            self.losses.saw(clock.seq);
            Ok(clock)
        })
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply> {
        Box::pin(self.fill_from(fill, &[], until))
    }

    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply> {
        Box::pin(async move {
            let (fill, visited) = self.write_from(fill, &[], opens, until).await?;
            let (rest, drained) = Operation::rest_of(visited);
            Ok(WriteReply { fill, drained, rest })
        })
    }

    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal> {
        Box::pin(async move {
            let Some(chunk) = operation.next_chunk(0) else { return Ok(Removal::default()) };
            let reply = self.chunk(&chunk, until).await?;
            Ok(operation.take_in(&chunk, reply))
        })
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        Box::pin(async move {
            let SweptPage { next, incarnation, visited } = self.page(pattern, scope, cursor, until).await?;
            let (rest, drained) = Operation::rest_of(visited);
            Ok(SweepReply { next, began: 0, incarnation, drained, rest })
        })
    }

    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts> {
        Box::pin(self.facts(key, until))
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail> {
        Box::pin(async move {
            let page = self.fences_since(TrailPosition::seq_in(since, 0), until).await?;
            Ok(FenceTrail::of(vec![Some(page)], since))
        })
    }

    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight> {
        Box::pin(self.look(look, until))
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        Box::pin(self.list(catalogue, pattern, cursor, until))
    }

    fn ready(&self, timeout: Duration) -> StoreFuture<'_, ()> {
        Box::pin(self.pool.ready(timeout))
    }

    fn on_loss(&self, listener: LossListener) {
        self.losses.listen(listener);
    }

    fn loss(&self) -> Option<StoreLoss> {
        self.losses.last()
    }

    fn make_good<'a>(&'a self, loss: &'a StoreLoss, until: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let declared = self.layout.declared();
            let (reign, mark) = match loss {
                StoreLoss::Writes(reign) => (&**reign, 0),
                StoreLoss::Members(mark) => ("", *mark),
                StoreLoss::OfPartitions(_) => return Ok(()),
            };
            let mark = mark.to_string();
            let args = [self.layout.root(), reign, &mark].map(str::as_bytes);
            self.pool.run(&scripts::MAKE_GOOD, self.layout.stripe(&declared), &[&declared], &args, until).await?;
            self.losses.made_good(loss);
            Ok(())
        })
    }

    fn end_reaping(&self) {
        self.namespace.reaper.close();
    }

    fn links(&self) -> Option<StoreLinks> {
        let (standing, remade) = self.pool.links();
        Some(StoreLinks {
            standing,
            remade,
            evicts_bookkeeping: self.pool.evicts_any_key(),
            overwritten_bookkeeping: self.losses.any_replaced(),
        })
    }

    fn is_breaker_open(&self) -> bool {
        self.pool.breaker_is_open()
    }

    fn health(&self) -> StoreHealth {
        StoreHealth {
            disconnected: !self.pool.is_connected(),
            breaker_open: self.pool.breaker_is_open(),
            evicts_bookkeeping: self.pool.evicts_any_key(),
            overwritten_bookkeeping: self.losses.any_replaced(),
            lacks_vouchers: self.pool.lacks_vouchers(),
        }
    }
}

fn layout_of(url: &str, namespace: &str) -> Result<Layout, Error> {
    Ok(match Scheme::of(url)?.is_cluster() {
        true => Layout::of_partition(namespace, 0),
        false => Layout::new(namespace),
    })
}

/// Whoever spells the server in the same way has the same entries.
fn identity(place: &str, layout: &Layout) -> u128 {
    let digest = blake3::hash(format!("{place}\n{}", layout.root()).as_bytes());
    u128::from_be_bytes(*digest.as_bytes().first_chunk().expect("it has 32 bytes"))
}

fn closing_text(by: ClosingId) -> String {
    format!("{:032x}", by.0)
}

fn token_text(token: Token) -> String {
    format!("{:032x}", token.0)
}
