//! Two versions of a program share a Redis: each has its own entries, and neither is served the
//! other's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Cache, StoreKey, cached, write_through};
use cache_tests::{Data, Raw, TestStore, each_server, each_store, until};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Arc<Data>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let app = Self { cache: store.cache().await, data: Arc::new(Data::new()) };
        app.data.set("row", "a");
        app
    }

    /// As another process would see it.
    async fn elsewhere(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, ..self.clone() }
    }

    async fn row(&self) -> String {
        self.data.read("row").await
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Old {
    name: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct New {
    name: String,
    size: usize,
}

#[cached(prefix = "row", ttl = "1h", tags = ["team:7"], skip(app), cache = app.cache)]
async fn old(app: &App, id: u64) -> Old {
    let _ = id;
    Old { name: app.row().await }
}

mod later {
    use super::*;

    #[cached(prefix = "row", ttl = "1h", tags = ["team:7"], skip(app), cache = app.cache)]
    pub(super) async fn new(app: &App, id: u64) -> New {
        let _ = id;
        New { name: app.row().await, size: 1 }
    }

    #[cached(prefix = "row", ttl = "1h", skip(app), each = ids, cache = app.cache)]
    pub(super) async fn many(app: &App, ids: &[u64]) -> Result<HashMap<u64, New>, Infallible> {
        let name = app.row().await;
        Ok(ids.iter().map(|id| (*id, New { name: name.clone(), size: 1 })).collect())
    }

    /// Calls itself with the same key.
    #[cached(prefix = "row", ttl = "1h", skip(app, depth), cache = app.cache)]
    pub(super) async fn deep(app: &App, id: u64, depth: u32) -> New {
        match depth {
            0 => New { name: app.row().await, size: 1 },
            _ => Box::pin(deep(app, id, depth - 1)).await,
        }
    }

    #[cached(prefix = "page", ttl = "1h", skip(app), cache = app.cache)]
    pub(super) async fn page(app: &App) -> String {
        new(app, 1).await.name
    }
}

#[cached(prefix = "name", ttl = "1h", skip(app), cache = app.cache)]
async fn old_name(app: &App, of: &str) -> Old {
    app.row().await;
    Old { name: of.to_owned() }
}

#[cached(prefix = "name", ttl = "1h", skip(app), cache = app.cache)]
async fn new_name(app: &App, of: &str) -> New {
    app.row().await;
    New { name: of.to_owned(), size: 1 }
}

#[write_through(old(id), cache = app.cache)]
async fn write(app: &App, id: u64, name: &str) -> Old {
    let _ = id;
    app.data.set("row", name);
    Old { name: name.to_owned() }
}

each_store! {
    async fn no_argument_spells_the_key_of_an_entry_beside(store: TestStore) {
        let app = App::new(&store).await;
        old_name(&app, "ann").await;
        new_name(&app, "ann").await;
        let mut keys = app.cache.keys("name:*");
        let mut beside = None;
        while let Some(page) = keys.next_page().await.unwrap() {
            beside = beside.or(page.into_iter().find_map(|key| Some(key.strip_prefix("name:ann~")?.to_owned())));
        }
        let mallory = format!("ann~{}", beside.expect("the entry of the second version"));
        assert_eq!(new_name(&app, &mallory).await.name, mallory, "it is served what belongs to ann");
        assert_eq!(app.data.reads("row"), 3);
        assert_eq!(new_name(&app, "ann").await.name, "ann", "and ann what belongs to it");
        assert_eq!(app.data.reads("row"), 3);
    }

    async fn a_batch_of_one_version_is_beside_single_calls_of_another(store: TestStore) {
        let app = App::new(&store).await;
        let ids: Vec<u64> = (0..10).collect();
        for id in 0..5 {
            old(&app, id).await;
        }
        for _ in 0..10 {
            assert_eq!(later::many(&app, &ids).await.unwrap().len(), 10);
        }
        assert_eq!(app.data.reads("row"), 6, "the batch loaded once");
        for id in 0..5 {
            old(&app, id).await;
            later::new(&app, id).await;
        }
        assert_eq!(app.data.reads("row"), 6, "nothing was stored over");
    }

    async fn what_falls_with_the_key_falls_in_each_version(store: TestStore) {
        let app = App::new(&store).await;
        for by in ["key", "tag", "pattern", "write", "clear"] {
            app.data.set("row", "a");
            assert_eq!((old(&app, 1).await.name, later::new(&app, 1).await.name), ("a".to_owned(), "a".to_owned()));
            assert_eq!(later::page(&app).await, "a");
            app.data.set("row", "b");
            match by {
                "key" => assert_eq!(app.cache.invalidate_key(old::key(&1)).await.unwrap().entries, 3),
                "tag" => assert_eq!(app.cache.invalidate_tag("team:7").await.unwrap().entries, 3),
                "pattern" => assert_eq!(app.cache.invalidate_pattern("row:1").await.unwrap().entries, 3),
                "write" => assert_eq!(write(&app, 1, "b").await.name, "b"),
                _ => assert_eq!(app.cache.clear().await.unwrap().entries, 3),
            }
            assert_eq!((later::page(&app).await, later::new(&app, 1).await.name), ("b".to_owned(), "b".to_owned()), "{by}");
            assert_eq!(old(&app, 1).await.name, "b", "{by}");
            app.cache.clear().await.unwrap();
        }
    }

    async fn a_load_that_was_overtaken_is_refused_beside_the_key_as_well(store: TestStore) {
        let app = App::new(&store).await;
        old(&app, 1).await;
        let held = app.data.hold("row");
        let late = tokio::spawn({
            let app = app.clone();
            async move { later::new(&app, 1).await }
        });
        held.reached().await;
        app.data.set("row", "b");
        app.cache.invalidate_key(later::new::key(&1)).await.unwrap();
        assert_eq!(later::new(&app, 1).await.name, "b", "while the load is held");
        app.cache.invalidate_key(later::new::key(&1)).await.unwrap();
        held.open();
        assert_eq!(late.await.unwrap().name, "a", "its own caller gets what it loaded");
        assert_eq!((old(&app, 1).await.name, later::new(&app, 1).await.name), ("b".to_owned(), "b".to_owned()));
    }

    async fn each_version_is_found_by_its_own_key(store: TestStore) {
        let app = App::new(&store).await;
        later::new(&app, 1).await;
        old(&app, 1).await;
        let a = "a".to_owned();
        assert_eq!(later::new::key(&1).to_string(), old::key(&1).to_string());
        assert_eq!(app.cache.peek(later::new::key(&1)).await.unwrap(), Some(New { name: a.clone(), size: 1 }));
        assert_eq!(app.cache.peek(old::key(&1)).await.unwrap(), Some(Old { name: a }));
    }
}

/// It must not wait for itself.
#[tokio::test(start_paused = true)]
async fn a_load_beside_the_key_may_call_for_its_own_key() {
    let app = App { cache: Cache::in_memory(), data: Arc::new(Data::new()) };
    app.data.set("row", "a");
    old(&app, 1).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(later::deep(&app, 1, 2).await.name, "a");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// The loads of a day of traffic, which is the same each time: 20,000 calls for 40 rows, and a row
/// that changes every ten minutes. So many of 100 calls come from the later version.
async fn loads_of_a_day(later_of_100: u64) -> u64 {
    let cache = Cache::builder().url("memory://").jitter(0.0).build().unwrap();
    let app = App { cache: cache.peer(), data: Arc::new(Data::new()) };
    let elsewhere = App { cache, ..app.clone() };
    app.data.set("row", "a");
    let mut random = fastrand::Rng::with_seed(1);
    let (mut now, mut changes_at) = (0, 600);
    while now < 24 * 3_600 {
        let step = random.u64(1..=8);
        tokio::time::advance(Duration::from_secs(step)).await;
        now += step;
        let (id, is_later) = (random.u64(0..40), random.u64(0..100) < later_of_100);
        if now >= changes_at {
            changes_at += 600;
            elsewhere.cache.invalidate_key(old::key(&id)).await.unwrap();
        }
        if is_later {
            later::new(&elsewhere, id).await;
        } else {
            old(&app, id).await;
        }
    }
    app.data.reads("row")
}

/// No version can load more often than if all calls came from it. If they overwrote each other's
/// entries, every second call of a fleet of halves would load.
#[tokio::test(start_paused = true)]
async fn a_mixed_fleet_loads_as_often_in_a_day_as_two_fleets_of_one_version() {
    let one_version = loads_of_a_day(0).await;
    let mut loads = vec![one_version];
    for later_of_100 in [50, 90] {
        let mixed = loads_of_a_day(later_of_100).await;
        assert!((one_version..=2 * one_version).contains(&mixed), "{later_of_100}: {mixed} of {one_version}");
        loads.push(mixed);
    }
    let [one, halves, nine_tenths] = loads[..] else { unreachable!("three fleets") };
    let told = format!(
        "one version loads {one} times, and two versions together {halves} times if each makes half of the calls, \
         {nine_tenths} times if the later one makes nine tenths"
    );
    let page: Vec<&str> = include_str!("../../cache-core/docs/cached.md").split_whitespace().collect();
    assert!(page.join(" ").contains(&told), "the page does not say that {told}");
}

each_server! {
    async fn each_version_loads_once_however_their_calls_alternate(store: TestStore) {
        let app = App::new(&store).await;
        let elsewhere = app.elsewhere(&store).await;
        for _ in 0..50 {
            old(&app, 1).await;
            later::new(&elsewhere, 1).await;
        }
        assert_eq!(app.data.reads("row"), 2);
    }

    /// For people who look into the server, during the deploy and when it is over.
    async fn both_versions_are_readable_in_the_server_and_the_one_that_goes_on_takes_the_key(store: TestStore) {
        let app = App::new(&store).await;
        let mut raw = store.raw().await;
        old(&app, 1).await;
        later::new(&app, 1).await;
        let key = app.cache.physical_key(StoreKey::Value("row:1")).unwrap();
        let keys = raw.keys(store.namespace()).await;
        let beside = keys.iter().find(|other| other.starts_with(&format!("{key}~"))).expect("the entry beside").clone();
        let text = async |raw: &mut Raw, key: &str| String::from_utf8_lossy(&raw.get(key).await.unwrap()).into_owned();
        assert!(text(&mut raw, &key).await.contains(r#"{"name":"a"}"#));
        assert!(text(&mut raw, &beside).await.contains(r#"{"name":"a","size":1}"#));
        // The TTL of the entry that the earlier version has stored ends.
        let _: u64 = raw.command("PEXPIRE", &[&key, "1"]).await;
        until(async || raw.get(&key).await.is_none()).await;
        later::new(&app, 1).await;
        assert!(text(&mut raw, &key).await.contains(r#"{"name":"a","size":1}"#));
    }
}
