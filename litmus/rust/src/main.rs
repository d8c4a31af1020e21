//! The litmus on caching libraries for Rust: see `../README.md`. Prints one line for each answer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cached::{CachedExt, ConcurrentCached};
use hitbox::backend::{Backend, DeleteStatus};
use hitbox::policy::PolicyConfig;
use hitbox::{CacheKey, KeyPart};
use hitbox_moka::MokaBackend;
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// Turns of the runtime, after which every task waits for the gate or has ended.
const TURNS: usize = 200;

/// For longer than what is to be refreshed is fresh.
const AGE: Duration = Duration::from_millis(50);

/// What is cached. One load reads, and then stands at a gate.
struct Source {
    is_new: AtomicBool,
    loads: AtomicU64,
    held: AtomicU64,
    reached: Notify,
    gate: Notify,
}

impl Source {
    const fn new() -> Self {
        let (is_new, loads, held) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Self { is_new, loads, held, reached: Notify::const_new(), gate: Notify::const_new() }
    }

    async fn load(&self) -> String {
        let read = if self.is_new.load(Ordering::SeqCst) { "new" } else { "old" };
        if self.loads.fetch_add(1, Ordering::SeqCst) == self.held.load(Ordering::SeqCst) {
            self.reached.notify_one();
            self.gate.notified().await;
        }
        read.to_owned()
    }
}

async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

fn pass_time(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// A load reads, the data change, the invalidation returns, the load ends: what does a later call
/// return?
async fn overtaken<G>(
    library: &str,
    experiment: &str,
    source: &'static Source,
    get: impl Fn() -> G,
    invalidate: impl Future<Output = ()>,
) where
    G: Future<Output = String> + 'static,
{
    if experiment == "refresh" {
        source.held.store(1, Ordering::SeqCst);
        get().await;
        pass_time(AGE);
    }
    let loading = tokio::task::spawn_local(get());
    source.reached.notified().await;
    source.is_new.store(true, Ordering::SeqCst);
    invalidate.await;
    pass_time(Duration::from_millis(2)); // libraries that compare times may have a clock of milliseconds
    let later = (experiment == "joined").then(|| tokio::task::spawn_local(get()));
    settle().await;
    source.gate.notify_one();
    loading.await.expect("the first call returns");
    settle().await;
    let answer = match later {
        Some(later) => later.await.expect("the later call returns"),
        None => get().await,
    };
    println!("{library}\t{experiment}\t{answer}");
}

macro_rules! source {
    () => {{
        static SOURCE: Source = Source::new();
        &SOURCE
    }};
}

mod ours {
    use super::*;

    #[cache_core::cached(prefix = "item", ttl = "60s", tags = ["items"], skip(cache, source), cache = cache)]
    pub(super) async fn item(cache: cache_core::Cache, source: &'static Source) -> String {
        source.load().await
    }

    #[derive(Clone, Copy)]
    pub(super) struct At(pub(super) &'static Source);

    #[cache_core::cached(
        prefix = "aging",
        ttl = "10ms",
        stale_while_revalidate = "60s",
        skip(cache, at),
        cache = cache
    )]
    pub(super) async fn aging(cache: cache_core::Cache, at: At) -> String {
        at.0.load().await
    }
}

async fn cache_core() {
    const NAME: &str = concat!("cache-core\t", env!("CARGO_PKG_VERSION"));
    for (experiment, source) in
        [("key", source!()), ("tag", source!()), ("everything", source!()), ("joined", source!())]
    {
        let cache = cache_core::Cache::in_memory();
        let invalidate = async {
            let invalidated = match experiment {
                "tag" => cache.invalidate_tag("items").await,
                "everything" => cache.clear().await,
                _ => cache.invalidate_key(ours::item::key()).await,
            };
            invalidated.expect("the embedded store answers");
        };
        overtaken(NAME, experiment, source, || ours::item(cache.clone(), source), invalidate).await;
    }
    let (cache, source) = (cache_core::Cache::in_memory(), source!());
    let invalidate =
        async { assert_eq!(cache.invalidate_key(ours::aging::key()).await.map(|done| done.entries).ok(), Some(1)) };
    overtaken(NAME, "refresh", source, || ours::aging(cache.clone(), ours::At(source)), invalidate).await;
}

mod peer {
    use super::*;

    pub(super) static OF_KEY: Source = Source::new();
    pub(super) static OF_ALL: Source = Source::new();
    pub(super) static OF_JOINED: Source = Source::new();

    #[cached::macros::concurrent_cached(max_size = 100, ttl_secs = 60)]
    pub(super) async fn by_key(_id: u64) -> String {
        OF_KEY.load().await
    }

    #[cached::macros::concurrent_cached(max_size = 100, ttl_secs = 60)]
    pub(super) async fn all(_id: u64) -> String {
        OF_ALL.load().await
    }

    #[cached::macros::cached(max_size = 100, ttl_secs = 60, sync_writes = "by_key")]
    pub(super) async fn joined(_id: u64) -> String {
        OF_JOINED.load().await
    }
}

async fn cached() {
    const NAME: &str = "cached\t4.1.0";
    let key = async { peer::BY_KEY.get().expect("in use").cache_remove(&1).map(drop).expect("infallible") };
    overtaken(NAME, "key", &peer::OF_KEY, || peer::by_key(1), key).await;
    let everything = async { peer::ALL.get().expect("in use").clear() };
    overtaken(NAME, "everything", &peer::OF_ALL, || peer::all(1), everything).await;
    let joined = async { drop(peer::JOINED.write().await.remove(&1)) };
    overtaken(NAME, "joined", &peer::OF_JOINED, || peer::joined(1), joined).await;
}

mod other_peer {
    use super::*;

    pub(super) static SOURCE: Source = Source::new();

    #[hitbox_fn::cached(prefix = "item")]
    pub(super) async fn item(id: u64) -> Text {
        let _ = id;
        Text { text: SOURCE.load().await }
    }

    #[derive(Clone, serde::Serialize, serde::Deserialize, hitbox_fn::CacheableResponse)]
    pub(super) struct Text {
        pub(super) text: String,
    }
}

/// hitbox has no way to remove what a function has stored but through its store, by the key there.
async fn hitbox() {
    let policy = PolicyConfig::builder().ttl(Duration::from_secs(60)).build();
    let backend = MokaBackend::builder().max_entries(100).build();
    let cache = Arc::new(hitbox_fn::Cache::builder().backend(backend).policy(policy).build());
    let get = || {
        let cache = cache.clone();
        async move { other_peer::item(1).cache(&*cache).await.text }
    };
    let parts = vec![KeyPart::new("fn", Some("item")), KeyPart::new("id", Some("1"))];
    let key = CacheKey::new("", 0, parts);
    let remove = async || cache.backend().remove(&key).await.expect("the store answers");
    overtaken("hitbox\t0.2.4", "key", &other_peer::SOURCE, get, async { drop(remove().await) }).await;
    assert_eq!(remove().await, DeleteStatus::Deleted(1), "this is its key");
}

async fn moka() {
    const NAME: &str = "moka\t0.12.16";
    for (experiment, source) in [("key", source!()), ("everything", source!()), ("joined", source!())] {
        let cache = moka::future::Cache::<u64, String>::new(100);
        let get = || {
            let cache = cache.clone();
            async move { cache.get_with(1, source.load()).await }
        };
        let invalidate = async {
            match experiment {
                "everything" => cache.invalidate_all(),
                _ => cache.invalidate(&1).await,
            }
        };
        overtaken(NAME, experiment, source, get, invalidate).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    LocalSet::new()
        .run_until(async {
            cache_core().await;
            cached().await;
            hitbox().await;
            moka().await;
        })
        .await;
}
