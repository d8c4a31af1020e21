//! Values past their TTL, or near its end, through the attribute: who is served what, and
//! the litmus under every policy.
//!
//! TTLs are a millisecond, so that a value is stale at once, and windows are long, so
//! that no test depends on speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cache_core::{Cache, cached};
use cache_tests::{Data, Log, TestStore, each_layout, each_server, ready, until};

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
    /// What its calls ask for.
    id: u64,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: store.cache().await, data, down: Arc::default(), id: 1 }
    }

    /// With an [impatient](TestStore::impatient) cache.
    async fn impatient(store: &TestStore) -> Self {
        Self { cache: ready(store.impatient()).await, ..Self::new(store).await }
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

/// Waits until TTLs of a millisecond are over.
async fn pass_ttl() {
    let begun = SystemTime::now();
    until(async || begun.elapsed().is_ok_and(|passed| passed > Duration::from_millis(2))).await;
}

#[cached(
    prefix = "swr", ttl = "1ms", stale_while_revalidate = "1h", skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn revalidated(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(
    prefix = "sie", ttl = "1ms", stale_if_error = "1h", skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn stands_in(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(
    prefix = "early", ttl = "1h", early_refresh = 1e15, skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn early(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    costs_something().await;
    app.read().await
}

#[cached(
    prefix = "all", ttl = "2ms", stale_while_revalidate = "1h", stale_if_error = "2h", early_refresh, jitter = 0.5,
    skip(app), tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn all(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(
    prefix = "adaptive", adaptive_ttl = "1h..2h", skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn adaptive(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(
    prefix = "finish", ttl = "1h", finish, skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn finishes(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(
    prefix = "in-time", ttl = "1ms", stale_if_error = "1h", load_timeout = "1ms", skip(app),
    tags = ["team:{team}:{id}"], depends_on = ["user:{id}"], cache = app.cache
)]
async fn in_time(app: &App, id: u64, team: &str) -> Result<String, Down> {
    let _ = (id, team);
    app.read().await
}

#[cached(prefix = "row", ttl = "1ms", stale_while_revalidate = "1h", when = |row| row.as_deref() != Some("draft"), skip(app), cache = app.cache)]
async fn row(app: &App, id: u64) -> Result<Option<String>, Down> {
    let _ = id;
    Ok(Some(app.read().await?).filter(|row| row != "deleted"))
}

const TEAM: &str = "a";

#[derive(Clone, Copy, Debug)]
enum Policy {
    Revalidated,
    StandsIn,
    Early,
    All,
    Adaptive,
    Finishes,
    InTime,
}

impl Policy {
    async fn get(self, app: &App) -> Result<String, Down> {
        match self {
            Self::Revalidated => revalidated(app, app.id, TEAM).await,
            Self::StandsIn => stands_in(app, app.id, TEAM).await,
            Self::Early => early(app, app.id, TEAM).await,
            Self::All => all(app, app.id, TEAM).await,
            Self::Adaptive => adaptive(app, app.id, TEAM).await,
            Self::Finishes => finishes(app, app.id, TEAM).await,
            Self::InTime => in_time(app, app.id, TEAM).await,
        }
    }

    fn key(self, id: u64) -> String {
        match self {
            Self::Revalidated => revalidated::key(&id, TEAM).to_string(),
            Self::StandsIn => stands_in::key(&id, TEAM).to_string(),
            Self::Early => early::key(&id, TEAM).to_string(),
            Self::All => all::key(&id, TEAM).to_string(),
            Self::Adaptive => adaptive::key(&id, TEAM).to_string(),
            Self::Finishes => finishes::key(&id, TEAM).to_string(),
            Self::InTime => in_time::key(&id, TEAM).to_string(),
        }
    }

    /// Stored, and old enough to be stale.
    async fn stale(self, app: &App) {
        assert_eq!(self.get(app).await.unwrap(), "old");
        pass_ttl().await;
    }
}

/// The caller is served "old" while the load goes on.
const IN_BACKGROUND: [Policy; 4] = [Policy::Revalidated, Policy::Early, Policy::All, Policy::InTime];

const LOADING: [Policy; 5] = [Policy::StandsIn, Policy::All, Policy::Adaptive, Policy::Finishes, Policy::InTime];
const STANDING_IN: [Policy; 3] = [Policy::StandsIn, Policy::All, Policy::InTime];

/// How the entry falls.
#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Tag,
    Dependency,
    Pattern,
    Clear,
}

const BY_ALL: [By; 5] = [By::Key, By::Tag, By::Dependency, By::Pattern, By::Clear];

impl By {
    async fn invalidate(self, cache: &Cache, policy: Policy, id: u64) -> u64 {
        let key = policy.key(id);
        let invalidated = match self {
            Self::Key => cache.invalidate_key(key).await,
            Self::Tag => cache.invalidate_tag(format!("team:{TEAM}:{id}")).await,
            Self::Dependency => cache.invalidate_key(format!("user:{id}")).await,
            Self::Pattern => cache.invalidate_pattern(&format!("{key}*")).await,
            Self::Clear => cache.clear().await,
        };
        invalidated.unwrap().entries
    }
}

/// A refresh reads "old" and is held, the data changes, `writer` invalidates, the refresh goes on.
async fn litmus_of_a_refresh(policy: Policy, app: &App, writer: &Cache, by: By) {
    policy.stale(app).await;
    let held = app.data.hold("row");
    assert_eq!(policy.get(app).await.unwrap(), "old", "{policy:?}: served at once");
    held.reached().await;
    app.data.set("row", "new");
    assert!(by.invalidate(writer, policy, app.id).await >= 1, "{policy:?} {by:?}");
    let read = policy.get(app).await.unwrap();
    assert_eq!(read, "new", "{policy:?} {by:?}: read while the refresh is held");
    held.open();
    until(async || app.stats().refused_fills == 1).await;
    assert_eq!(policy.get(app).await.unwrap(), "new", "{policy:?} {by:?}: read after the refresh");
    until(async || app.stats().loads >= 3).await;
    assert_eq!(policy.get(app).await.unwrap(), "new");
}

/// The same of a load that a caller waits for.
async fn litmus_of_a_load(policy: Policy, app: &App, writer: &Cache, by: By) {
    let held = app.data.hold("row");
    let late = tokio::spawn({
        let app = app.clone();
        async move { policy.get(&app).await.unwrap() }
    });
    held.reached().await;
    app.data.set("row", "new");
    by.invalidate(writer, policy, app.id).await;
    assert_eq!(policy.get(app).await.unwrap(), "new", "{policy:?} {by:?}: read while the load is held");
    held.open();
    assert_eq!(late.await.unwrap(), "old", "its own caller gets what it loaded");
    assert_eq!(app.stats().refused_fills, 1, "{policy:?} {by:?}");
    assert_eq!(policy.get(app).await.unwrap(), "new", "{policy:?} {by:?}: read after the load");
}

/// What is stale stands in for a load that fails, and for nobody who comes
/// after `writer` has invalidated it.
async fn litmus_of_standing_in(policy: Policy, app: &App, writer: &Cache, by: By) {
    policy.stale(app).await;
    app.down.store(true, Ordering::SeqCst);
    assert_eq!(policy.get(app).await.unwrap(), "old", "{policy:?}");
    assert!(by.invalidate(writer, policy, app.id).await >= 1, "{policy:?} {by:?}");
    policy.get(app).await.unwrap_err();
}

/// In every way that an entry can fall, by this process or another.
async fn litmus_of_refreshes(store: &TestStore, by_another: bool) {
    let mut id = 0;
    for by in BY_ALL {
        for policy in IN_BACKGROUND {
            let (app, writer) = case(store, by_another, &mut id).await;
            litmus_of_a_refresh(policy, &app, &writer, by).await;
        }
    }
}

async fn litmus_of_loads(store: &TestStore, by_another: bool) {
    let mut id = 0;
    for by in BY_ALL {
        for policy in LOADING {
            let (app, writer) = case(store, by_another, &mut id).await;
            litmus_of_a_load(policy, &app, &writer, by).await;
        }
    }
}

async fn litmus_of_values_that_stand_in(store: &TestStore, by_another: bool) {
    let mut id = 0;
    for by in BY_ALL {
        for policy in STANDING_IN {
            let (app, writer) = case(store, by_another, &mut id).await;
            litmus_of_standing_in(policy, &app, &writer, by).await;
        }
    }
}

/// A process of its own and a key: what one case leaves behind must not be in the way of the next.
async fn case(store: &TestStore, by_another: bool, id: &mut u64) -> (App, Cache) {
    *id += 1;
    let app = App { id: *id, ..App::impatient(store).await };
    let writer = if by_another { store.another_process().await } else { app.cache.clone() };
    (app, writer)
}

each_layout! {
    async fn a_value_is_gone_once_its_refresh_found_nothing_to_keep(store: TestStore) {
        let app = App::new(&store).await;
        for (id, news) in [(1, "deleted"), (2, "draft")] {
            app.data.set("row", "old");
            assert_eq!(row(&app, id).await.unwrap().as_deref(), Some("old"));
            pass_ttl().await;
            app.data.set("row", news);
            assert_eq!(row(&app, id).await.unwrap().as_deref(), Some("old"), "served at once");
            let kept = Some(news).filter(|news| *news != "deleted");
            until(async || row(&app, id).await.unwrap().as_deref() == kept).await;
            assert_eq!(app.stats().refreshes, id);
        }
    }

    async fn a_refresh_that_was_overtaken_is_refused(store: TestStore) {
        litmus_of_refreshes(&store, false).await;
    }

    async fn a_load_that_was_overtaken_is_refused_whatever_the_policy(store: TestStore) {
        litmus_of_loads(&store, false).await;
    }

    async fn a_value_that_was_invalidated_stands_in_for_nobody(store: TestStore) {
        litmus_of_values_that_stand_in(&store, false).await;
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
        let (log, _listening) = Log::listen();
        assert_eq!(stands_in(&app, 1, "a").await.unwrap(), "old");
        let warned = |line: &str| line.contains("WARN") && line.contains("the database is down");
        assert_eq!(log.text().lines().filter(|line| warned(line)).count(), 1, "{}", log.text());
        let stats = app.stats();
        assert_eq!((stats.hidden_failures, stats.stale_hits, stats.fills), (1, 1, 1));
        app.down.store(false, Ordering::SeqCst);
        app.data.set("row", "new");
        assert_eq!(stands_in(&app, 1, "a").await.unwrap(), "new");
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

    async fn a_refresh_that_another_process_overtook_is_refused(store: TestStore) {
        litmus_of_refreshes(&store, true).await;
    }

    async fn a_load_that_another_process_overtook_is_refused_whatever_the_policy(store: TestStore) {
        litmus_of_loads(&store, true).await;
    }

    async fn a_value_that_another_process_invalidated_stands_in_for_nobody(store: TestStore) {
        litmus_of_values_that_stand_in(&store, true).await;
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

    each_layout! {
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
            until(async || app.stats().fills == 8).await;
            let mut seen = repo.seen.lock().unwrap().clone();
            seen.sort();
            assert_eq!(seen, ["1 n p [1, 2]", "1 n p [1, 2]", "2", "2", "3", "3", "word", "word"]);
        }
    }
}
