//! Plays the day against one set-up, in virtual time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Cache, Warmer};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::by_hand::{ByHand, SharedStore};
use crate::day::{Action, Event, MINUTE_S};
use crate::db::Db;
use crate::process::{Library, Process, Step, get_flights};

/// Processes of the service.
pub(crate) const PROCESSES: usize = 4;
/// How many flights are kept warm, and the pause between two looks at them.
const WARM: usize = 100;
const WARM_PAUSE: Duration = Duration::from_secs(20);

/// What stands between the processes and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    NoCache,
    /// A cache without fences. Without `deletes` nothing but the TTL ends an entry.
    ByHand {
        deletes: bool,
        single_flight: bool,
    },
    /// One embedded store, and in each process a peer on it.
    Library(Step),
}

/// What was counted.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) queries: u64,
    pub(crate) stale: u64,
    /// Pages that waited for the database, or for another's load.
    pub(crate) waited: u64,
}

struct World {
    processes: Vec<Process>,
    db: Db,
    /// By flight: the version whose change, invalidation included, has returned.
    settled: Vec<AtomicU32>,
    stale: AtomicU64,
    waited: AtomicU64,
}

pub(crate) fn play(setup: Setup, flights: usize, events: &[Event], seed: u64) -> Outcome {
    // The library's jitter draws from the generator of this thread, and this runtime has no other.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let db = Db::new(flights, seed);
        let world = Arc::new(World {
            processes: processes(setup, &db),
            db,
            settled: (0..flights).map(|_| AtomicU32::new(0)).collect(),
            stale: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        });
        run(&world, events, setup).await;
        let loads: Option<u64> = world.processes.iter().map(Process::loads).sum();
        assert!(
            loads.is_none_or(|loads| loads == world.db.queries()),
            "each process counts its own loads, and no other's"
        );
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Outcome { queries: world.db.queries(), stale: counted(&world.stale), waited: counted(&world.waited) }
    })
}

fn processes(setup: Setup, db: &Db) -> Vec<Process> {
    let peers = |cache: Cache, step| -> Vec<Process> {
        (0..PROCESSES).map(|_| Process::Library(Library { cache: cache.peer(), db: db.clone(), step })).collect()
    };
    match setup {
        Setup::NoCache => peers(Cache::disabled(), Step::Lease),
        Setup::ByHand { deletes, single_flight } => {
            let by_hand = ByHand::new(SharedStore::Map(Arc::default()), db, deletes);
            let of_process = || if single_flight { by_hand.clone().single_flight() } else { by_hand.clone() };
            (0..PROCESSES).map(|_| Process::ByHand(of_process())).collect()
        }
        Setup::Library(step) => peers(Cache::in_memory(), step),
    }
}

async fn run(world: &Arc<World>, events: &[Event], setup: Setup) {
    let midnight = Instant::now();
    let seen: Arc<Mutex<HashMap<u32, f64>>> = Arc::default();
    let warming = match (&world.processes[0], setup) {
        // One process does it for all.
        (Process::Library(library), Setup::Library(Step::Warm)) => Some(warmer(library, &seen).schedule(WARM_PAUSE)),
        _ => None,
    };
    let mut tasks = JoinSet::new();
    for event in events {
        sleep_until(midnight + Duration::from_secs_f64(event.at_s)).await;
        let world = world.clone();
        match event.what.clone() {
            Action::Visit { process, ids } => {
                if warming.is_some() {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    ids.iter().for_each(|&id| note(&mut seen, id, event.at_s));
                }
                tasks.spawn(async move { world.visit(process, &ids).await });
            }
            Action::Delay { id, minutes } => _ = tasks.spawn(async move { world.delay(id, minutes).await }),
        }
        while let Some(done) = tasks.try_join_next() {
            done.expect("no task of the day panics");
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task of the day panics");
    }
}

impl World {
    /// Stale is what the flight had before a change that was complete when this visit began.
    async fn visit(&self, process: usize, ids: &[u32]) {
        let version = |&id: &u32| self.settled[id as usize].load(Ordering::Relaxed);
        let (begun, due): (_, Vec<u32>) = (Instant::now(), ids.iter().map(version).collect());
        let page = self.processes[process].page(ids).await;
        let stale = page.iter().zip(due).filter(|(flight, due)| flight.version < *due).count();
        self.stale.fetch_add(stale as u64, Ordering::Relaxed);
        self.waited.fetch_add(u64::from(begun.elapsed() > Duration::ZERO), Ordering::Relaxed);
    }

    async fn delay(&self, id: u32, minutes: i32) {
        let version = self.db.set_delay(id, minutes).await;
        self.processes[id as usize % PROCESSES].invalidate(id).await;
        self.settled[id as usize].fetch_max(version, Ordering::Relaxed);
    }
}

/// A look counts for half as much after half an hour. Instead of ageing the old ones, each
/// new look counts `2^(t / half)`.
fn note(seen: &mut HashMap<u32, f64>, id: u32, at_s: f64) {
    *seen.entry(id).or_default() += (at_s / (30.0 * MINUTE_S)).exp2();
}

/// Keeps what is looked at most warm: all of it that has expired or was invalidated is one query.
fn warmer(library: &Library, seen: &Arc<Mutex<HashMap<u32, f64>>>) -> Warmer {
    let (seen, library) = (seen.clone(), library.clone());
    let warmer = Warmer::new(&library.cache);
    warmer.register("most looked at", move || {
        let library = library.clone();
        let mut ids: Vec<(u32, f64)> = {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.iter().map(|(&id, &looks)| (id, looks)).collect()
        };
        let more_looks = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if ids.len() > WARM {
            ids.select_nth_unstable_by(WARM, more_looks);
            ids.truncate(WARM);
        }
        // Nothing may depend on the order of a map: every run counts the same.
        ids.sort_by(more_looks);
        let ids: Vec<u32> = ids.into_iter().map(|(id, _)| id).collect();
        async move { get_flights(&library, &ids).await }
    })
}
