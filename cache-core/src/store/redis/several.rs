//! Several partitions on one pool, by the protocol of a cluster. Each is a store of its own, and
//! answers for the names that are at home there.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::connect::{Hooks, Inheritance, Pool};
use super::layout::Layout;
use super::reply::SweptPage;
use super::resp::{Command, Reply};
use super::scripts::{self, Script};
use super::{Access, RedisStore, StripeKey, reply, trial};
use crate::clock::{self, Instant, millis, timers};
use crate::config::Config;
use crate::entry::Version;
use crate::error::Error;
use crate::name::Name;
use crate::observe::StoreLinks;
use crate::store::place_of;
use crate::store::rules::Rules;
use crate::store::{
    Catalogue, CataloguePage, Chunk, ClockReading, ClosingId, CopyKeeper, CopyKeepers, FenceTrail, Fill, FillReply,
    HomeReading, IfPresent, Intent, KeyFacts, KnownClocks, LeaseReply, LeaseRequest, Look, Operation, Partitions,
    Recall, Refusal, Removal, Sight, Store, StoreFuture, StoreHealth, StoreKey, SweepReply, SweepScope, Token,
    TrailPosition, VisitReply, Voucher, Watch, WriteReply,
};

pub(crate) struct RedisPartitions {
    pub(super) partitions: Partitions,
    each: Box<[RedisStore]>,
    known: KnownClocks,
    pub(super) retention: Duration,
}

/// What a partition tells of itself.
pub(super) struct PartitionState {
    pub(super) reading: HomeReading,
    /// The incarnations of the homes that list what it has.
    pub(super) known: BTreeMap<u16, String>,
}

impl RedisPartitions {
    /// Opens no connection.
    pub(crate) fn open(url: &str, access: &Access, config: &Config, partitions: Partitions) -> Result<Self, Error> {
        let layout = |number| Layout::of_partition(&config.namespace, number);
        let layouts: Vec<Layout> = (0..partitions.count()).map(layout).collect();
        let keepers = CopyKeepers::default();
        let (told, homes) = (keepers.clone(), layouts.clone());
        let hooks = Hooks {
            on_connection: trial::trial(&layouts[0]),
            // The first script that runs in a partition finds out.
            on_new_primary: Box::new(|_| Box::pin(async { Ok(Inheritance::Whole) })),
            on_loss: Box::new(|_| ()),
            on_change: Box::new(move |changed| match changed {
                Some(key) => drop(told.changed(homes.iter().find_map(|layout| layout.logical(key)))),
                None => drop(told.lost()),
            }),
        };
        let probes: Vec<String> = layouts.iter().map(Layout::declared).collect();
        let pool = Arc::new(Pool::new(url, access, config, scripts::ALL, hooks, &probes)?);
        let store = |layout| RedisStore {
            keepers: keepers.clone(),
            ..RedisStore::on(pool.clone(), layout, config.fence_retention)
        };
        // Of no clock: so a visit is of another one than was known, and visits everywhere.
        let unknown = HomeReading { incarnation: "".into(), seq: 0 };
        Ok(Self {
            partitions,
            each: layouts.into_iter().map(store).collect(),
            known: KnownClocks::new(vec![unknown; usize::from(partitions.count())], clock::now()),
            retention: config.fence_retention,
        })
    }

    fn at(&self, partition: u16) -> &RedisStore {
        &self.each[usize::from(partition)]
    }

    fn home(&self, key: &str) -> &RedisStore {
        self.at(self.partitions.home_of_key(key))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.partitions.count()
    }

    pub(super) async fn run(
        &self,
        partition: u16,
        script: &'static Script,
        args: &[&str],
        until: Instant,
    ) -> Result<Reply, Error> {
        let store = self.at(partition);
        let declared = store.layout.declared();
        let args: Vec<&[u8]> = [store.layout.root()].iter().chain(args).map(|arg| arg.as_bytes()).collect();
        store.pool.run(script, StripeKey::new(&declared), &[&declared], &args, until).await
    }

    pub(super) async fn state(&self, partition: u16, until: Instant) -> Result<PartitionState, Error> {
        let words = reply::words(&self.run(partition, &scripts::STATE, &[], until).await?)?;
        let [incarnation, seq, _is_complete, known @ ..] = &words[..] else { return Err(reply::unexpected()) };
        let reading = HomeReading { incarnation: (**incarnation).into(), seq: reply::number(seq)? };
        self.known.saw(partition, &reading);
        let known = known.iter().filter_map(|known| known.split_once(':'));
        let known = known.filter_map(|(home, incarnation)| Some((home.parse().ok()?, incarnation.to_owned())));
        Ok(PartitionState { reading, known: known.collect() })
    }

    /// Completes the reading that a load is given.
    async fn with_homes(&self, own: u16, clock: ClockReading, until: Instant) -> Result<ClockReading, Error> {
        self.known.saw(own, &HomeReading { incarnation: clock.incarnation.clone(), seq: clock.seq });
        let now = clock::now();
        let is_unknown = self.known.copy().iter().any(|reading| reading.incarnation.is_empty());
        if is_unknown || self.known.is_old(now, self.retention) {
            self.known.were_read(now);
            for state in all(self.numbers().map(|number| self.state(number, until))).await {
                state?;
            }
        }
        Ok(ClockReading { homes: Some(self.known.copy()), ..clock })
    }

    /// Registers at each foreign home of the names of a fill. Returns what the partition's clock
    /// has if it knows these homes, or why one has refused.
    async fn register(&self, own: u16, fill: &Fill<'_>, until: Instant) -> Result<Result<Vec<String>, Refusal>, Error> {
        let mut by_home = BTreeMap::<u16, Vec<&str>>::new();
        for name in fill.names.iter().filter(|name| !self.partitions.is_home(name, own)) {
            by_home.entry(self.partitions.home(name)).or_default().push(name.as_str());
        }
        let readings = fill.clock.homes.as_deref().unwrap_or_default();
        let registrations = by_home.into_iter().map(|(home, names)| async move {
            let Some(known) = readings.get(usize::from(home)) else { return Ok(Err(Refusal::ForeignIncarnation)) };
            let numbers = [u64::from(own), known.seq, millis(fill.ttl).max(1), millis(self.retention)];
            let [own, seq, ttl_ms, retention_ms] = numbers.map(|number| number.to_string());
            let args = [&[&*own, &known.incarnation, &seq, &ttl_ms, &retention_ms], &names[..]].concat();
            let (verdict, reading) = reply::registered(&self.run(home, &scripts::REGISTER, &args, until).await?)?;
            self.known.saw(home, &reading);
            Ok(verdict.map(|()| format!("!known:{home}:{}", reading.incarnation)))
        });
        all(registrations).await.into_iter().collect()
    }

    /// What a write or a page has left to do, and what it has removed.
    fn rest_of(
        &self,
        (partition, names): (u16, &[Name]),
        reply: VisitReply,
        began: Option<&[HomeReading]>,
    ) -> (Operation<'static>, Removal) {
        let known = self.known.copy();
        let began = began.unwrap_or(&known);
        let mut rest = Operation::over(self.partitions, began, &[], Intent::Invalidate, Rules::default());
        let removal = rest.take_in(&Chunk::of_given(partition, names.into(), Intent::Invalidate), reply);
        (rest, removal)
    }

    /// Whether a tag has members in a partition, and not marks alone.
    async fn has_members(&self, partition: u16, tag: &str, until: Instant) -> Result<bool, Error> {
        let store = self.at(partition);
        let index = store.layout.key_of(StoreKey::Tagged(tag));
        let range = Command::new("ZRANGE").arg(&index).number(0).number(self.partitions.count().into());
        let members = reply::words(&store.pool.command(StripeKey::new(tag), range, until).await?)?;
        Ok(members.iter().any(|member| !member.starts_with('~')))
    }

    /// What a script has met. It does not know which of the names are at home there: the others
    /// were emptied in one partition alone.
    fn heed(&self, partition: u16, reply: &mut VisitReply) {
        if let Some(met) = &mut reply.encounter {
            self.known.saw(partition, &met.reading);
            met.drained.retain(|name| self.partitions.is_home(name, partition));
        }
    }
}

/// The outputs of futures that run at once.
pub(super) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

impl Store for RedisPartitions {
    fn identity(&self) -> Option<u128> {
        self.each[0].identity()
    }

    fn physical_key(&self, of: StoreKey<'_>) -> Option<String> {
        match of {
            StoreKey::Value(text) | StoreKey::Dependents(text) | StoreKey::Tagged(text) => self.home(text),
            StoreKey::Clock | StoreKey::Due => &self.each[0],
        }
        .physical_key(of)
    }

    fn refuses(&self) -> bool {
        self.each[0].refuses()
    }

    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>> {
        self.home(key).get(key, until)
    }

    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        self.home(key).get_to_copy(key, until)
    }

    fn keep_copies(&self, keeper: Weak<dyn CopyKeeper>) {
        self.each[0].keep_copies(keeper);
    }

    fn confirm_copies(&self) {
        self.each[0].confirm_copies();
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let mut by_home = BTreeMap::<u16, (Vec<usize>, Vec<Arc<str>>)>::new();
            for (at, key) in keys.iter().enumerate() {
                let (places, of_home) = by_home.entry(self.partitions.home_of_key(key)).or_default();
                places.push(at);
                of_home.push(key.clone());
            }
            let found = all(by_home.iter().map(|(home, (_, keys))| self.at(*home).get_many(keys, until))).await;
            let mut values = vec![None; keys.len()];
            for (of_home, (places, _)) in found.into_iter().zip(by_home.values()) {
                places.iter().zip(of_home?).for_each(|(at, value)| values[*at] = value);
            }
            Ok(values)
        })
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply> {
        Box::pin(async move {
            let own = self.partitions.home_of_key(key);
            Ok(match self.at(own).take_lease(key, request, until).await? {
                LeaseReply::Granted(clock) => LeaseReply::Granted(self.with_homes(own, clock, until).await?),
                LeaseReply::Held { clock, remaining } => {
                    LeaseReply::Held { clock: self.with_homes(own, clock, until).await?, remaining }
                }
                hit @ LeaseReply::Hit(_) => hit,
            })
        })
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool> {
        self.home(key).renew_lease(key, token, lease, until)
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()> {
        self.home(key).release_lease(key, token, until)
    }

    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()> {
        self.home(key).discard(key, token, version, until)
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>> {
        self.home(key).watch(key, if_present, until)
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading> {
        Box::pin(async move {
            let own = self.partitions.home_of_key(key);
            let clock = self.at(own).read_clock(key, recall, until).await?;
            self.with_homes(own, clock, until).await
        })
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply> {
        Box::pin(async move {
            let own = self.partitions.home_of_key(fill.key);
            match self.register(own, &fill, until).await? {
                Ok(homes) => self.at(own).fill_from(fill, &homes, until).await,
                Err(refusal) => {
                    self.at(own).release_lease(fill.key, fill.token, until).await?;
                    Ok(FillReply::Refused(refusal))
                }
            }
        })
    }

    /// Runs whatever the homes say: the key and what depends on it are to fall. A value that is not
    /// registered is not stored.
    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply> {
        Box::pin(async move {
            let (own, key) = (self.partitions.home_of_key(fill.key), [Name::key(fill.key)?]);
            let registered = self.register(own, &fill, until).await?;
            let refused = registered.as_ref().err().copied();
            let homes = registered.unwrap_or_else(|_| vec!["!known:none".to_owned()]);
            let began = fill.clock.homes.clone();
            let (mut reply, mut visited) = self.at(own).write_from(fill, &homes, opens, until).await?;
            if let Some(refusal) = refused {
                reply = FillReply::Refused(refusal);
            }
            self.heed(own, &mut visited);
            let (rest, drained) = self.rest_of((own, &key), visited, began.as_deref());
            Ok(WriteReply { fill: reply, drained, rest })
        })
    }

    fn begin<'a>(&self, names: &'a [Name], intent: Intent) -> Operation<'a> {
        Operation::over(self.partitions, &self.known.copy(), names, intent, Rules::default())
    }

    /// One round: a script in each partition in which something is to be visited, all at once.
    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal> {
        Box::pin(async move {
            let chunks = self.numbers().filter_map(|number| operation.next_chunk(number)).collect::<Vec<_>>();
            let replies = all(chunks.iter().map(|chunk| self.at(chunk.partition).chunk(chunk, until))).await;
            let mut removal = Removal::default();
            for (chunk, reply) in chunks.iter().zip(replies) {
                let mut reply = reply?;
                self.heed(chunk.partition, &mut reply);
                removal.add(operation.take_in(chunk, reply));
            }
            Ok(removal)
        })
    }

    fn settle(&self, operation: Operation<'_>) {
        let Ok(runtime) = timers() else { return };
        for (home, followed) in operation.settlements() {
            let store = self.at(home);
            let (pool, declared) = (store.pool.clone(), store.layout.declared());
            let mut args = vec![store.layout.root().to_owned()];
            for of in followed {
                let numbers = [u64::from(of.mark.of), of.mark.stamp, of.visited.seq].map(|number| number.to_string());
                let [number, stamp, seq] = numbers;
                args.extend([of.mark.name.as_str().to_owned(), number, stamp, of.visited.incarnation.to_string(), seq]);
            }
            runtime.spawn(async move {
                let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
                let (key, until) = (StripeKey::new(&declared), pool.answer_due());
                // What is not settled is met again, or reaped.
                let _ = pool.run(&scripts::SETTLE, key, &[&declared], &args, until).await;
            });
        }
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        Box::pin(async move {
            let (number, at) = place_of(cursor);
            let SweptPage { next, incarnation, mut visited } = self.at(number).page(pattern, scope, at, until).await?;
            self.heed(number, &mut visited);
            let (rest, drained) = self.rest_of((number, &[]), visited, None);
            Ok(SweepReply {
                next: self.partitions.cursor(number, next),
                began: cursor - at,
                incarnation,
                drained,
                rest,
            })
        })
    }

    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts> {
        Store::facts(self.home(key), key, until)
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail> {
        Box::pin(async move {
            let page = |number| self.at(number).fences_since(TrailPosition::seq_in(since, number), until);
            let pages = all(self.numbers().map(page)).await.into_iter().collect::<Result<_, _>>()?;
            Ok(FenceTrail::of(pages, since))
        })
    }

    /// One partition after the other, and one name at a time.
    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight> {
        Box::pin(async move {
            match look {
                Look::Losses => Ok(Sight::default()),
                Look::Given(names) => {
                    let mut sight = Sight::default();
                    for found in all(self.each.iter().map(|store| store.look(Look::Given(names), until))).await {
                        let found = found?;
                        sight.falling.extend(found.falling);
                        sight.leads.extend(found.leads);
                    }
                    Ok(sight)
                }
                Look::Members { names, from } => {
                    let (number, from) = place_of(from);
                    let first = Look::Members { names: &names[..1], from };
                    let mut sight = self.at(number).look(first, until).await?;
                    let rest = || (names.len() > 1).then_some((1, 0));
                    let next = self.partitions.cursor(number, sight.next.map(|(_, at)| at));
                    sight.next = next.map(|at| (0, at)).or_else(rest);
                    Ok(sight)
                }
                Look::Page { pattern, scope, cursor } => {
                    let (number, cursor) = place_of(cursor);
                    let mut sight = self.at(number).look(Look::Page { pattern, scope, cursor }, until).await?;
                    sight.next = self.partitions.cursor(number, sight.next.map(|(_, at)| at)).map(|at| (0, at));
                    Ok(sight)
                }
            }
        })
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        Box::pin(async move {
            let (number, at) = place_of(cursor);
            let CataloguePage { mut names, next } = self.at(number).list(catalogue, pattern, at, until).await?;
            if catalogue == Catalogue::Tags {
                let lead = all(names.iter().map(|tag| self.has_members(number, tag, until))).await;
                let mut lead = lead.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter();
                names.retain(|_| lead.next() == Some(true));
            }
            Ok(CataloguePage { names, next: self.partitions.cursor(number, next) })
        })
    }

    fn ready(&self, timeout: Duration) -> StoreFuture<'_, ()> {
        self.each[0].ready(timeout)
    }

    fn end_reaping(&self) {
        self.each.iter().for_each(Store::end_reaping);
    }

    fn links(&self) -> Option<StoreLinks> {
        self.each[0].links()
    }

    fn is_breaker_open(&self) -> bool {
        self.each[0].is_breaker_open()
    }

    fn health(&self) -> StoreHealth {
        self.each[0].health()
    }
}
