//! Values past their TTL, or near its end, through the attribute: who is served what, and the litmus under every policy.
//!
//! TTLs are a millisecond, so that a value is stale at once, and windows are long, so that no test depends on speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cache_core::{Cache, cached};
use cache_tests::{Data, TestStore, each_server, each_store, until};

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the database is down")
    }
}

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
    down: Arc<AtomicBool>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: store.cache().await, data, down: Arc::default() }
    }

    async fn elsewhere(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, ..self.clone() }
    }

    async fn read(&self) -> Result<String, Down> {
        if self.down.load(Ordering::SeqCst) { Err(Down) } else { Ok(self.data.read("row").await) }
    }

    fn stats(&self) -> cache_core::PrefixStats {
        self.cache.stats().total().clone()
    }
}

/// Early refresh goes by what a load costs; one without a cost is never worth it.
async fn costs_something() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Waits for the clock, not for anybody: TTLs of a millisecond are over after this.
async fn pass_ttl() {
    let begun = SystemTime::now();
    until(async || begun.elapsed().is_ok_and(|passed| passed > Duration::from_millis(2))).await;
}

#[cached(prefix = "swr", ttl = "1ms", stale_while_revalidate = "1h", skip(app), tags = ["team:{team}"], cache = app.cache)]
async fn revalidated(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(prefix = "sie", ttl = "1ms", stale_if_error = "1h", skip(app), tags = ["team:{team}"], cache = app.cache)]
async fn stands_in(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(prefix = "early", ttl = "1h", early_refresh = 1e15, skip(app), tags = ["team:{team}"], cache = app.cache)]
async fn early(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    costs_something().await;
    app.read().await
}

#[cached(
    prefix = "all", ttl = "1ms", stale_while_revalidate = "1h", stale_if_error = "2h", early_refresh, skip(app),
    tags = ["team:{team}"], cache = app.cache
)]
async fn all(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(prefix = "adaptive", adaptive_ttl = "1h..2h", skip(app), tags = ["team:{team}"], cache = app.cache)]
async fn adaptive(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[derive(Clone, Copy, Debug)]
enum Policy {
    Revalidated,
    StandsIn,
    Early,
    All,
}

impl Policy {
    async fn get(self, app: &App) -> Result<String, Down> {
        match self {
            Self::Revalidated => revalidated(app, 1, "a").await,
            Self::StandsIn => stands_in(app, 1, "a").await,
            Self::Early => early(app, 1, "a").await,
            Self::All => all(app, 1, "a").await,
        }
    }

    fn key(self) -> String {
        match self {
            Self::Revalidated => revalidated::key(&1, "a").to_string(),
            Self::StandsIn => stands_in::key(&1, "a").to_string(),
            Self::Early => early::key(&1, "a").to_string(),
            Self::All => all::key(&1, "a").to_string(),
        }
    }

    /// Stored, and old enough to be stale.
    async fn stale(self, app: &App) {
        assert_eq!(self.get(app).await.unwrap(), "old");
        pass_ttl().await;
    }
}

const IN_BACKGROUND: [Policy; 3] = [Policy::Revalidated, Policy::Early, Policy::All];

/// A refresh reads "old" and is held, the data changes, `writer` invalidates, the refresh goes on.
async fn litmus_of_a_refresh(policy: Policy, app: &App, writer: &Cache, by_tag: bool) {
    let before = app.stats();
    policy.stale(app).await;
    let held = app.data.hold("row");
    assert_eq!(policy.get(app).await.unwrap(), "old", "{policy:?}: served at once");
    held.reached().await;
    app.data.set("row", "new");
    let invalidated = match by_tag {
        true => writer.invalidate_tag("team:a").await,
        false => writer.invalidate_key(policy.key()).await,
    };
    assert_eq!(invalidated.unwrap().entries, 1, "{policy:?}");
    let key_read = policy.get(app).await.unwrap();
    assert_eq!(key_read, "new", "{policy:?}: read while the refresh is held");
    held.open();
    until(async || app.stats().refused_fills > before.refused_fills).await;
    assert_eq!(policy.get(app).await.unwrap(), "new", "{policy:?}: read after the refresh");
    until(async || app.stats().loads - before.loads >= 3).await;
    assert_eq!(policy.get(app).await.unwrap(), "new");
    app.data.set("row", "old");
    app.cache.clear().await.unwrap();
}

each_store! {
    async fn a_refresh_overtaken_by_its_key_is_refused(store: TestStore) {
        for policy in IN_BACKGROUND {
            let app = App::new(&store).await;
            litmus_of_a_refresh(policy, &app, &app.cache, false).await;
        }
    }

    async fn a_refresh_overtaken_by_its_tag_is_refused(store: TestStore) {
        // A tag does not free the lease of the refresh: callers wait for it a moment only.
        let moment = Duration::from_millis(100);
        let cache = store.builder().lease(moment).lease_wait(moment).build().unwrap();
        cache.ready(Duration::from_secs(10)).await.unwrap();
        for policy in IN_BACKGROUND {
            let app = App { cache: cache.clone(), ..App::new(&store).await };
            litmus_of_a_refresh(policy, &app, &app.cache, true).await;
        }
    }

    /// The value that was read before an invalidation stands in for nobody who comes after it.
    async fn a_value_that_was_invalidated_never_stands_in(store: TestStore) {
        for policy in [Policy::StandsIn, Policy::All] {
            for by_tag in [false, true] {
                let app = App::new(&store).await;
                policy.stale(&app).await;
                app.down.store(true, Ordering::SeqCst);
                assert_eq!(policy.get(&app).await.unwrap(), "old");
                match by_tag {
                    true => app.cache.invalidate_tag("team:a").await,
                    false => app.cache.invalidate_key(policy.key()).await,
                }
                .unwrap();
                policy.get(&app).await.unwrap_err();
            }
        }
    }

    async fn a_stale_value_is_served_while_one_refresh_runs(store: TestStore) {
        let app = App::new(&store).await;
        Policy::Revalidated.stale(&app).await;
        app.data.set("row", "new");
        let held = app.data.hold("row");
        for _ in 0..10 {
            assert_eq!(revalidated(&app, 1, "a").await.unwrap(), "old");
        }
        held.reached().await;
        held.open();
        until(async || app.stats().fills == 2).await;
        assert_eq!(app.data.reads("row"), 2);
        assert_eq!(revalidated(&app, 1, "a").await.unwrap(), "new");
        assert!(app.stats().stale_hits >= 10);
    }

    async fn a_fresh_value_is_refreshed_early(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(early(&app, 1, "a").await.unwrap(), "old");
        app.data.set("row", "new");
        assert_eq!(early(&app, 1, "a").await.unwrap(), "old");
        until(async || app.stats().fills == 2).await;
        assert_eq!(early(&app, 1, "a").await.unwrap(), "new");
        assert_eq!(app.stats().stale_hits, 0);
    }

    async fn a_failing_refresh_leaves_the_value_as_it_is(store: TestStore) {
        let app = App::new(&store).await;
        Policy::Revalidated.stale(&app).await;
        app.down.store(true, Ordering::SeqCst);
        assert_eq!(revalidated(&app, 1, "a").await.unwrap(), "old");
        until(async || app.stats().hidden_failures == 1).await;
        assert_eq!(revalidated(&app, 1, "a").await.unwrap(), "old");
    }

    async fn if_the_load_fails_the_old_value_is_served_and_the_failure_counted(store: TestStore) {
        let app = App::new(&store).await;
        Policy::StandsIn.stale(&app).await;
        app.down.store(true, Ordering::SeqCst);
        assert_eq!(stands_in(&app, 1, "a").await.unwrap(), "old");
        let stats = app.stats();
        assert_eq!((stats.hidden_failures, stats.stale_hits, stats.fills), (1, 1, 1));
        app.down.store(false, Ordering::SeqCst);
        app.data.set("row", "new");
        assert_eq!(stands_in(&app, 1, "a").await.unwrap(), "new");
    }
}

each_store! {
    /// A TTL that follows the data is still only a TTL.
    async fn a_load_with_an_adaptive_ttl_that_its_key_or_tag_overtook_is_refused(store: TestStore) {
        let moment = Duration::from_millis(100);
        let cache = store.builder().lease(moment).lease_wait(moment).build().unwrap();
        cache.ready(Duration::from_secs(10)).await.unwrap();
        let app = App { cache, ..App::new(&store).await };
        for by_tag in [false, true] {
            app.data.set("row", "old");
            let held = app.data.hold("row");
            let late = tokio::spawn({
                let app = app.clone();
                async move { adaptive(&app, 1, "a").await.unwrap() }
            });
            held.reached().await;
            app.data.set("row", "new");
            match by_tag {
                true => app.cache.invalidate_tag("team:a").await,
                false => app.cache.invalidate_key(adaptive::key(&1, "a")).await,
            }
            .unwrap();
            assert_eq!(adaptive(&app, 1, "a").await.unwrap(), "new");
            held.open();
            assert_eq!(late.await.unwrap(), "old");
            assert_eq!(adaptive(&app, 1, "a").await.unwrap(), "new");
            app.cache.clear().await.unwrap();
        }
        assert_eq!(app.stats().refused_fills, 2);
    }
}

each_server! {
    async fn what_an_adaptive_ttl_has_learned_is_shared_and_outlives_the_entry(store: TestStore) {
        let app = App::new(&store).await;
        let there = app.elsewhere(&store).await;
        adaptive(&app, 1, "a").await.unwrap();
        let mut raw = store.raw().await;
        let entry = format!("{}:{}", store.namespace(), adaptive::key(&1, "a"));
        let learned = format!("{}:~learned:{}", store.namespace(), adaptive::key(&1, "a"));
        // A new key begins near the root of its bounds; jitter takes 5 % at most.
        let (first, shortest) = (raw.ttl_ms(&entry).await, 3_600_000);
        assert!(first > shortest, "{first}");
        app.cache.invalidate_key(adaptive::key(&1, "a")).await.unwrap();
        assert!(raw.ttl_ms(&learned).await > first);
        adaptive(&there, 1, "a").await.unwrap();
        let second = raw.ttl_ms(&entry).await;
        assert!(second <= shortest, "{second} after {first}: invalidated at once, it lives as short as it may");
    }

    async fn another_process_s_refresh_is_refused_after_an_invalidation(store: TestStore) {
        for policy in IN_BACKGROUND {
            let app = App::new(&store).await;
            litmus_of_a_refresh(policy, &app, &app.elsewhere(&store).await.cache, false).await;
        }
    }

    async fn one_process_refreshes_for_all(store: TestStore) {
        let app = App::new(&store).await;
        let others = [app.elsewhere(&store).await, app.elsewhere(&store).await];
        Policy::Revalidated.stale(&app).await;
        let held = app.data.hold("row");
        assert_eq!(revalidated(&app, 1, "a").await.unwrap(), "old");
        held.reached().await;
        for other in &others {
            assert_eq!(revalidated(other, 1, "a").await.unwrap(), "old");
        }
        app.data.set("row", "new");
        held.open();
        until(async || app.stats().fills == 2).await;
        assert_eq!(others.map(|other| other.stats().refreshes), [0, 0]);
    }
}

/// Arguments of every kind that can be copied for a background load.
mod arguments {
    use super::*;

    #[derive(Clone)]
    struct Repo {
        app: App,
        seen: Arc<std::sync::Mutex<Vec<String>>>,
    }

    impl Repo {
        #[cached(prefix = "by-ref", ttl = "1ms", stale_while_revalidate = "1h", skip(self), cache = self.app.cache)]
        async fn by_ref(&self, mut id: u64, name: String, part: &str, parts: &[u8]) -> u64 {
            self.seen.lock().unwrap().push(format!("{id} {name} {part} {parts:?}"));
            id += 1;
            id
        }

        #[cached(prefix = "by-value", ttl = "1ms", stale_while_revalidate = "1h", skip(self), cache = self.app.cache)]
        async fn by_value(self, id: u64) -> u64 {
            self.seen.lock().unwrap().push(format!("{id}"));
            id
        }

        #[cached(prefix = "by-arc", ttl = "1h", early_refresh = 1e15, skip(self), cache = self.app.cache)]
        async fn by_arc(self: Arc<Self>, id: u64) -> u64 {
            costs_something().await;
            self.seen.lock().unwrap().push(format!("{id}"));
            id
        }
    }

    #[cached(prefix = "generic", ttl = "1ms", stale_while_revalidate = "1h", skip(repo), cache = repo.app.cache)]
    async fn generic<T>(repo: &Repo, load: T, word: &'static str) -> String
    where
        T: serde::Serialize + Clone + Send + Sync + 'static,
    {
        repo.seen.lock().unwrap().push(word.to_owned());
        let _ = load;
        word.to_owned()
    }

    each_store! {
        async fn a_refresh_has_copies_of_them(store: TestStore) {
            let app = App::new(&store).await;
            let repo = Repo { app: app.clone(), seen: Arc::default() };
            for _ in 0..2 {
                repo.by_ref(1, "n".to_owned(), "p", &[1, 2]).await;
                repo.clone().by_value(2).await;
                Arc::new(repo.clone()).by_arc(3).await;
                generic(&repo, 7_u8, "word").await;
                pass_ttl().await;
            }
            until(async || app.stats().loads == 8).await;
            let mut seen = repo.seen.lock().unwrap().clone();
            seen.sort();
            assert_eq!(seen, ["1 n p [1, 2]", "1 n p [1, 2]", "2", "2", "3", "3", "word", "word"]);
        }
    }
}
