//! One load per key: who loads, who waits, and what becomes of those who wait when the load fails.
//!
//! Leases outlast the tests, so whoever waits for one to run out fails with the test's deadline.
//! For callers in several processes see `stampede.rs`.

use std::time::{Duration, Instant};

use cache_core::{Cache, cached};
use cache_tests::{Data, PATIENCE, Probe, TestStore, each_deployment, each_store, ready, until};
use tokio::task::{JoinHandle, JoinSet};

const CALLERS: usize = 40;
/// How long a call waits in tests of a leader that hangs.
const WAIT: Duration = Duration::from_millis(200);

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

/// What the row says happens: a panic, an error, or the value.
#[cached(prefix = "report", ttl = "60s", cache = app.cache, skip(app))]
async fn report(app: &App) -> Result<String, String> {
    let value = app.data.read("row").await;
    match value.as_str() {
        "panic" => panic!("the body panics, as this test wants"),
        "error" => Err(value),
        _ => Ok(value),
    }
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self::on(store.cache().await)
    }

    fn on(cache: Cache) -> Self {
        let data = Data::new();
        data.set("row", "value");
        Self { cache, data }
    }

    /// The same data through a cache of another process.
    async fn elsewhere(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, data: self.data.clone() }
    }

    fn begin(&self) -> JoinHandle<Result<String, String>> {
        let app = self.clone();
        tokio::spawn(async move { report(&app).await })
    }

    fn begin_many(&self) -> JoinSet<Result<String, String>> {
        let calls = (0..CALLERS).map(|_| self.clone()).map(|app| async move { report(&app).await });
        calls.collect()
    }

    /// Lets everyone go as far as they come without this test.
    async fn settle(&self) {
        for _ in 0..CALLERS {
            tokio::task::yield_now().await;
        }
        self.cache.peek::<String>("another").await.unwrap();
    }
}

async fn all(calls: JoinSet<Result<String, String>>) -> Vec<Result<String, String>> {
    calls.join_all().await
}

fn values(count: usize) -> Vec<Result<String, String>> {
    vec![Ok("value".to_owned()); count]
}

each_store! {
    async fn callers_of_one_key_load_once(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let calls = app.begin_many();
        held.reached().await;
        app.settle().await;
        held.open();
        assert_eq!(all(calls).await, values(CALLERS));
        assert_eq!(app.data.reads("row"), 1);
    }

    async fn a_cancelled_leader_has_exactly_one_successor(store: TestStore) {
        let app = App::new(&store).await;
        let (held, held_again) = (app.data.hold("row"), app.data.hold("row"));
        let leader = app.begin();
        held.reached().await;
        let followers = app.begin_many();
        app.settle().await;
        leader.abort();
        held_again.reached().await;
        app.settle().await;
        assert_eq!(app.data.reads("row"), 2, "and one only");
        held_again.open();
        assert_eq!(all(followers).await, values(CALLERS));
        assert_eq!(app.data.reads("row"), 2);
    }

    async fn a_panicking_leader_has_exactly_one_successor(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("row", "panic");
        let (held, held_again) = (app.data.hold("row"), app.data.hold("row"));
        let leader = app.begin();
        held.reached().await;
        let followers = app.begin_many();
        app.settle().await;
        app.data.set("row", "value");
        held.open();
        assert!(leader.await.unwrap_err().is_panic());
        held_again.reached().await;
        app.settle().await;
        assert_eq!(app.data.reads("row"), 2, "and one only");
        held_again.open();
        assert_eq!(all(followers).await, values(CALLERS));
    }

    async fn an_error_is_not_shared(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("row", "error");
        let held = app.data.hold("row");
        let leader = app.begin();
        held.reached().await;
        let followers = app.begin_many();
        app.settle().await;
        app.data.set("row", "value");
        held.open();
        assert_eq!(leader.await.unwrap(), Err("error".to_owned()));
        assert_eq!(all(followers).await, values(CALLERS));
        assert_eq!(app.cache.peek(report::key()).await.unwrap().as_deref(), Some("value"));
    }

    async fn others_go_on_without_a_leader_that_hangs(store: TestStore) {
        let app = App::on(ready(store.builder().lease(WAIT).lease_wait(WAIT)).await);
        let held = app.data.hold("row");
        let leader = app.begin();
        held.reached().await;
        let begun = Instant::now();
        let followers = app.begin_many();
        assert_eq!(all(followers).await, values(CALLERS));
        assert!(begun.elapsed() >= WAIT, "none before it has waited");
        let reads = app.data.reads("row");
        assert_eq!(report(&app).await, Ok("value".to_owned()));
        assert_eq!(app.data.reads("row"), reads, "what they loaded is stored");
        held.open();
        assert_eq!(leader.await.unwrap(), Ok("value".to_owned()));
    }

    async fn a_cancelled_follower_disturbs_nobody(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let leader = app.begin();
        held.reached().await;
        let (mut followers, cancelled) = (app.begin_many(), app.begin());
        app.settle().await;
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_cancelled());
        followers.spawn(async { leader.await.unwrap() });
        held.open();
        assert_eq!(all(followers).await, values(CALLERS + 1));
        assert_eq!(app.data.reads("row"), 1);
    }

    /// If it waited, it would wait for itself.
    async fn a_load_of_its_own_key_loads_alone(store: TestStore) {
        let app = App::new(&store).await;
        let loads = Probe::new();
        let inner = async || {
            app.cache.get_or_load("own", || async {
                loads.mark();
                Ok::<_, String>(1u32)
            })
            .await
        };
        let outer = app.cache.get_or_load("own", || async {
            loads.mark();
            inner().await.map(|value| value + 1)
        });
        assert_eq!(outer.await, Ok(2));
        assert_eq!(loads.count(), 2);
    }
}

each_deployment! {
    /// The lease is given back, not waited out.
    async fn a_cancelled_leaders_lease_is_free_for_another_cache(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.elsewhere(&store).await;
        let held = app.data.hold("row");
        let leader = app.begin();
        held.reached().await;
        let waiting = other.begin();
        other.settle().await;
        leader.abort();
        assert_eq!(waiting.await.unwrap(), Ok("value".to_owned()));
        assert_eq!(app.data.reads("row"), 2);
    }

    async fn a_failed_leaders_lease_is_free_for_another_cache(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.elsewhere(&store).await;
        app.data.set("row", "error");
        assert_eq!(report(&app).await, Err("error".to_owned()));
        app.data.set("row", "value");
        assert_eq!(report(&other).await, Ok("value".to_owned()));
    }

    async fn another_cache_goes_on_without_a_leader_that_hangs(store: TestStore) {
        let app = App::new(&store).await;
        let impatient = ready(store.builder().lease(WAIT).lease_wait(WAIT)).await;
        let other = App { cache: impatient, data: app.data.clone() };
        let held = app.data.hold("row");
        let leader = app.begin();
        held.reached().await;
        assert_eq!(report(&other).await, Ok("value".to_owned()));
        assert_eq!(app.data.reads("row"), 2);
        assert_eq!(report(&other).await, Ok("value".to_owned()));
        assert_eq!(app.data.reads("row"), 2, "what it loaded is stored");
        held.open();
        leader.await.unwrap().unwrap();
    }

    /// Its connections die with the runtime.
    async fn a_cache_outlives_the_runtime_that_it_was_opened_on(store: TestStore) {
        let builder = store.builder();
        let opened = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let cache = builder.build().unwrap();
                cache.ready(PATIENCE).await.unwrap();
                cache
            })
        });
        let cache = tokio::task::spawn_blocking(|| opened.join().unwrap()).await.unwrap();
        let app = App { cache, ..App::new(&store).await };
        assert_eq!(report(&app).await, Ok("value".to_owned()));
        until(async || {
            report(&app).await.unwrap();
            app.cache.stats().prefix("report").hits > 0
        })
        .await;
    }
}
