//! The partitions of a cluster, each a store of its own, and what they share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::super::at_once::all;
use super::super::connect::{Access, Pool};
use super::super::large::LargePrefixes;
use super::super::layout::Layout;
use super::super::namespaces::{Envoy, Namespace, Namespaces};
use super::super::reaper::ReapMarks;
use super::super::resp::{Command, Reply};
use super::super::scripts::{self, Script};
use super::super::{RedisStore, closing_text, reply};
use super::errand::Errand;
use super::losses::PartitionLosses;
use crate::clock::{self, Instant, millis};
use crate::config::{CLOCKS_PAUSE, Config, RECONCILE_DEADLINE, RECONCILE_JITTER, RECONCILE_PAUSE, SETTLEMENTS_MAX};
use crate::error::Error;
use crate::name::Name;
use crate::store::rules::Rules;
use crate::store::{
    Chunk, ClosingId, CopyKeepers, Fill, FillReply, HomeReading, Intent, KnownClocks, Operation, Partitions, Refusal,
    Removal, StoreKey, VisitReply,
};

/// How many partitions the namespace has, as long as nobody has asked.
pub(super) const UNKNOWN: u32 = 0;

pub(in crate::store::redis) struct PartitionSet {
    pub(super) partitions: Partitions,
    pub(super) namespace: String,
    pub(super) each: Box<[RedisStore]>,
    pub(super) known: KnownClocks,
    pub(super) retention: Duration,
    pub(super) losses: Arc<PartitionLosses>,
    /// Whether the namespace has so many partitions: see `count.rs`.
    pub(super) recorded: AtomicU32,
    /// Reads the clocks.
    pub(super) reading: Arc<Errand>,
    /// How often the clocks were read, or could not be.
    pub(super) readings: watch::Sender<u64>,
    pub(super) reconciling: Arc<Errand>,
    pub(super) settlements: Arc<Semaphore>,
    /// For tasks, which end with the store.
    pub(super) own: Weak<Self>,
}

impl PartitionSet {
    /// Opens no connection.
    pub(super) fn open(
        url: &str,
        access: &Access,
        config: &Config,
        partitions: Partitions,
    ) -> Result<Arc<Self>, Error> {
        let layout = |number| Layout::of_partition(&config.namespace, number);
        let layouts: Vec<Layout> = (0..partitions.count()).map(layout).collect();
        let namespaces = Namespaces::default();
        let hooks = namespaces.hooks(&layouts);
        let probes: Vec<String> = layouts.iter().map(Layout::declared).collect();
        let pool = Arc::new(Pool::new(url, access, config, scripts::of_partitions(), hooks, &probes)?);
        Ok(Self::over(pool, namespaces, layouts, config))
    }

    /// The namespace of a tenant, in the same slots over the same connections.
    pub(super) fn tenant(&self, config: &Config) -> Arc<Self> {
        let layouts = self.each.iter().map(|store| store.layout.of_tenant(&config.namespace)).collect();
        let RedisStore { pool, namespaces, .. } = self.at(0);
        Self::over(pool.clone(), namespaces.clone(), layouts, config)
    }

    pub(super) fn over(pool: Arc<Pool>, namespaces: Namespaces, layouts: Vec<Layout>, config: &Config) -> Arc<Self> {
        let partitions = Partitions::new(layouts.len() as u16);
        let (keepers, losses) = (CopyKeepers::default(), PartitionLosses::new(&layouts));
        let large = Arc::<LargePrefixes>::default();
        let unknown = HomeReading { incarnation: HomeReading::UNKNOWN.into(), seq: 0 };
        Arc::new_cyclic(|own: &Weak<Self>| {
            let namespace = |(number, layout): (u16, Layout)| {
                // It tells of losses by itself.
                let envoy = (number == 0).then(|| Envoy::new(losses.meeting(), Box::new(|_| ())));
                let reap_marks = reap_marks(own.clone(), number);
                Namespace::of_partition(layout, losses.of(number.into()), keepers.clone(), reap_marks, envoy)
            };
            let all: Vec<_> = (0..).zip(layouts).map(namespace).collect();
            namespaces.add_partitions(&all);
            let store = |namespace| RedisStore {
                large: large.clone(),
                ..RedisStore::of(pool.clone(), namespaces.clone(), namespace, config.fence_retention)
            };
            Self {
                partitions,
                namespace: config.namespace.clone(),
                each: all.into_iter().map(store).collect(),
                known: KnownClocks::new(vec![unknown; usize::from(partitions.count())], clock::now()),
                retention: config.fence_retention,
                losses,
                recorded: AtomicU32::new(UNKNOWN),
                reading: Errand::new(CLOCKS_PAUSE, 2 * config.operation_deadline),
                readings: watch::Sender::new(0),
                reconciling: Errand::new(RECONCILE_PAUSE, RECONCILE_JITTER + 2 * RECONCILE_DEADLINE),
                settlements: Arc::new(Semaphore::new(SETTLEMENTS_MAX)),
                own: own.clone(),
            }
        })
    }

    pub(super) fn at(&self, partition: u16) -> &RedisStore {
        &self.each[usize::from(partition)]
    }

    pub(super) fn home(&self, key: &str) -> &RedisStore {
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
        store.pool.run(script, store.layout.stripe(&declared), &[&declared], &args, until).await
    }

    /// A reply has told this of a partition's clock.
    pub(super) fn saw(&self, partition: u16, told: &HomeReading) {
        self.at(partition).losses.saw(told.seq);
        if self.known.saw(partition, told) {
            self.heal();
        }
    }

    /// Has what was lost made good, if that is why a value was not stored.
    pub(super) fn heal_after(&self, reply: FillReply) {
        if reply == FillReply::Refused(Refusal::ForeignIncarnation) {
            self.heal();
        }
    }

    /// Registers at each foreign home of the names of a fill. Returns what the partition's clock
    /// has if it knows these homes, or why one has refused. The marks of an operation that the fill
    /// ends do not count.
    pub(super) async fn register(
        &self,
        own: u16,
        fill: &Fill<'_>,
        opens: Option<ClosingId>,
        until: Instant,
    ) -> Result<Result<Vec<String>, Refusal>, Error> {
        let by = &*opens.map_or_else(String::new, closing_text);
        let mut by_home = BTreeMap::<u16, Vec<&str>>::new();
        for name in fill.names.iter().filter(|name| !self.partitions.is_home(name, own)) {
            by_home.entry(self.partitions.home(name)).or_default().push(name.as_str());
        }
        let readings = fill.clock.homes.as_deref().unwrap_or_default();
        let registrations = by_home.into_iter().map(|(home, names)| async move {
            let known = readings.get(usize::from(home)).filter(|known| known.is_known());
            let Some(known) = known else { return Ok(Err(Refusal::ForeignIncarnation)) };
            let numbers = [u64::from(own), known.seq, millis(fill.ttl).max(1), millis(self.retention)];
            let [own, seq, ttl_ms, retention_ms] = numbers.map(|number| number.to_string());
            let args = [&[&*own, &known.incarnation, &seq, &ttl_ms, &retention_ms, by], &names[..]].concat();
            let reply = self.run(home, &scripts::REGISTER, &args, until).await?;
            self.at(home).losses.note_replaced(reply::replaced_by_registration(&reply));
            let (verdict, reading) = reply::registered(&reply)?;
            self.saw(home, &reading);
            self.at(home).wake_reaper();
            Ok(verdict.map(|()| format!("!known:{home}:{}", reading.incarnation)))
        });
        let answers = all(registrations).await;
        if answers.iter().any(|answer| matches!(answer, Ok(Err(Refusal::ForeignIncarnation)))) {
            self.heal();
        }
        answers.into_iter().collect()
    }

    /// What a write or a page has left to do, and what it has removed.
    pub(super) fn rest_of(
        &self,
        (partition, names): (u16, &[Name]),
        intent: Intent,
        reply: VisitReply,
        began: Option<&[HomeReading]>,
    ) -> (Operation<'static>, Removal) {
        let known = self.known.copy();
        let given = Chunk::of_given(partition, names.into(), intent);
        Operation::rest_over(self.partitions, began.unwrap_or(&known), &given, reply, Rules::default())
    }

    /// Whether a tag has members in a partition, and not marks alone.
    pub(super) async fn has_members(&self, partition: u16, tag: &str, until: Instant) -> Result<bool, Error> {
        let store = self.at(partition);
        let index = store.layout.key_of(StoreKey::Tagged(tag));
        let range = Command::new("ZRANGE").arg(&index).number(0).number(self.partitions.count().into());
        let members = reply::words(&store.pool.command(store.layout.stripe(tag), range, until).await?)?;
        Ok(members.iter().any(|member| !member.starts_with('~')))
    }

    /// What a script has met. It does not know which of the names are at home there: the others
    /// were emptied in one partition alone.
    pub(super) fn heed(&self, partition: u16, reply: &mut VisitReply) {
        reply.removal.lost = self.losses.number_of_members(partition, reply.removal.lost);
        if let Some(met) = &mut reply.encounter {
            self.saw(partition, &met.reading);
            met.drained.retain(|name| self.partitions.is_home(name, partition));
            if !met.is_complete {
                self.heal();
            }
        }
    }
}

fn reap_marks(set: Weak<PartitionSet>, home: u16) -> ReapMarks {
    Arc::new(move |names| {
        let set = set.upgrade();
        Box::pin(async move {
            if let Some(set) = set {
                // What is not reaped now is found again after the retention.
                let _ = set.reap_marks(home, names).await;
            }
        })
    })
}
