//! Loads that go on although their callers are gone, through the attribute.

use std::sync::Arc;
use std::time::Duration;

use cache_core::{Cache, Invalidation, cached};
use cache_tests::{Data, Log, TestStore, each_server, each_store, until};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument;

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: store.cache().await, data }
    }

    fn begin(&self, id: u64) -> JoinHandle<Result<String, std::io::Error>> {
        let app = self.clone();
        tokio::spawn(async move { row(&app, id, "a").await })
    }

    fn stats(&self) -> cache_core::PrefixStats {
        self.cache.stats().total().clone()
    }
}

#[cached(
    prefix = "row", ttl = "1h", finish, skip(app), tags = ["team:{team}:{id}"], depends_on = ["user:{id}"],
    cache = app.cache
)]
async fn row(app: &App, id: u64, team: &str) -> Result<String, std::io::Error> {
    let _ = (id, team);
    Ok(app.data.read("row").await)
}

const LOAD: Duration = Duration::from_millis(150);

#[cached(prefix = "slow", ttl = "1h", finish, skip(cache), cache = cache)]
async fn slow(cache: Cache, id: u64) -> u64 {
    tokio::time::sleep(LOAD).await;
    id
}

#[tokio::test(start_paused = true)]
async fn callers_who_wait_for_less_than_a_load_takes_cost_one_load() {
    let cache = Cache::in_memory();
    let patience = Duration::from_millis(100);
    timeout(patience, slow(cache.clone(), 1)).await.unwrap_err();
    assert_eq!(timeout(patience, slow(cache.clone(), 1)).await, Ok(1), "it follows the load that goes on");
    assert_eq!(timeout(patience, slow(cache.clone(), 1)).await, Ok(1), "it hits");
    let stats = cache.stats();
    let slow = stats.prefix("slow");
    assert_eq!((slow.loads, slow.fills, slow.shared, slow.hits), (1, 1, 1, 1));
}

/// A load reads "old", its caller goes, the data changes, `writer` invalidates, the load goes on.
async fn litmus(app: &App, writer: &Cache) {
    let names = |id: u64| {
        [
            Invalidation::new().key(row::key(&id, "a")),
            Invalidation::new().tag(format!("team:a:{id}")),
            Invalidation::new().key(format!("user:{id}")),
            Invalidation::new().pattern(format!("row:{id}:*")),
        ]
    };
    for (id, by) in (0..4).map(|id| (id, names(id).into_iter().nth(id as usize).unwrap())) {
        app.data.set("row", "old");
        let held = app.data.hold("row");
        let call = app.begin(id);
        held.reached().await;
        call.abort();
        call.await.unwrap_err();
        app.data.set("row", "new");
        let what = format!("{by:?}");
        writer.invalidate(by).await.unwrap();
        held.open();
        until(async || app.stats().refused_fills == id + 1).await;
        assert_eq!(row(app, id, "a").await.unwrap(), "new", "{what}");
    }
}

each_store! {
    async fn a_load_goes_on_and_fills_although_its_caller_is_gone(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let gone = app.begin(1);
        held.reached().await;
        gone.abort();
        gone.await.unwrap_err();
        let follower = app.begin(1);
        held.open();
        assert_eq!(follower.await.unwrap().unwrap(), "old");
        until(async || app.stats().fills == 1).await;
        assert_eq!(row(&app, 1, "a").await.unwrap(), "old");
        assert_eq!(app.data.reads("row"), 1);
    }

    async fn a_load_without_a_caller_that_was_overtaken_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        litmus(&app, &app.cache).await;
    }
}

each_server! {
    async fn another_process_waits_for_a_load_without_a_caller(store: TestStore) {
        let app = App::new(&store).await;
        let there = App { cache: store.another_process().await, ..app.clone() };
        let held = app.data.hold("row");
        let gone = app.begin(1);
        held.reached().await;
        gone.abort();
        gone.await.unwrap_err();
        let waits = there.begin(1);
        until(async || there.stats().store_time > Duration::ZERO).await;
        held.open();
        assert_eq!(waits.await.unwrap().unwrap(), "old");
        assert_eq!((app.data.reads("row"), there.stats().loads), (1, 0));
    }

    async fn a_load_without_a_caller_that_another_process_overtook_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        litmus(&app, &store.another_process().await).await;
    }
}

#[cached(
    prefix = "in-time", ttl = "1s", stale_if_error = "1h", load_timeout = "200ms", wait = "10s", skip(cache, takes),
    cache = cache
)]
async fn in_time(cache: Cache, takes: Duration) -> Result<u64, String> {
    tokio::time::sleep(takes).await;
    Ok(takes.as_millis() as u64)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_get_a_value_in_time_is_served_the_one_before() {
    let cache = Cache::in_memory();
    let call = |ms| in_time(cache.clone(), Duration::from_millis(ms));
    assert_eq!(call(3_000).await, Ok(3_000), "there is none");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(call(5_000).await, Ok(3_000));
    assert_eq!(begun.elapsed(), Duration::from_millis(200));
    assert_eq!(call(9_000).await, Ok(3_000), "it follows the load that goes on");
    assert_eq!(begun.elapsed(), Duration::from_millis(400));
    tokio::time::sleep_until(begun + Duration::from_millis(5_001)).await;
    assert_eq!(call(9_000).await, Ok(5_000), "which has filled");
    assert_eq!(cache.stats().prefix("in-time").loads, 2);
}

#[cached(prefix = "spanned", ttl = "1h", finish, skip(cache), cache = cache)]
async fn spanned(cache: Cache, id: u64) -> u64 {
    tracing::info!("it loads");
    id
}

#[tokio::test]
async fn a_load_is_in_the_span_of_its_call() {
    let (log, _listening) = Log::listen();
    spanned(Cache::in_memory(), 1).instrument(tracing::info_span!("request")).await;
    let log = log.text();
    let line = log.lines().find(|line| line.contains("it loads")).unwrap();
    assert!(line.contains("request:cache load"), "{line}");
}

/// Arguments of every kind that can be taken along.
mod arguments {
    use super::*;

    #[derive(Clone)]
    struct Repo(Cache);

    /// It cannot be copied, and is moved.
    #[derive(serde::Serialize)]
    struct Id(u64);

    impl Repo {
        #[cached(prefix = "by-ref", ttl = "1h", finish, skip(self), cache = self.0)]
        async fn by_ref(&self, mut id: u64, name: Id, part: &str, parts: &[u8]) -> String {
            id += 1;
            format!("{id} {} {part} {parts:?}", name.0)
        }

        #[cached(prefix = "by-value", ttl = "1h", finish, skip(self), cache = self.0)]
        async fn by_value(self, id: u64) -> u64 {
            id
        }

        #[cached(prefix = "by-arc", ttl = "1h", finish, stale_while_revalidate = "1h", skip(self), cache = self.0)]
        async fn by_arc(self: Arc<Self>, id: u64) -> u64 {
            id
        }
    }

    #[cached(prefix = "generic", ttl = "1h", finish, skip(repo), cache = repo.0)]
    async fn generic<T>(repo: &Repo, value: T, word: &'static str) -> Result<T, &'static str>
    where
        T: serde::Serialize + serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
    {
        if word == "fail" { Err(word) } else { Ok(value) }
    }

    #[tokio::test]
    async fn a_load_takes_its_arguments_along() {
        let repo = Repo(Cache::in_memory());
        for _ in 0..2 {
            assert_eq!(repo.by_ref(1, Id(2), "p", &[3, 4]).await, "2 2 p [3, 4]");
            assert_eq!(repo.clone().by_value(5).await, 5);
            assert_eq!(Arc::new(repo.clone()).by_arc(6).await, 6);
            assert_eq!(generic(&repo, 7_u8, "word").await, Ok(7));
            assert_eq!(generic(&repo, 7_u8, "fail").await, Err("fail"));
        }
        assert_eq!(repo.0.stats().total().loads, 6);
    }
}
