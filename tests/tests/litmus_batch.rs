//! The litmus of loads for many keys: what an invalidation has overtaken is not
//! stored, and what it has not is.

use std::collections::HashMap;

use cache_core::{Cache, cached};
use cache_tests::{Data, TestStore, each_layout, each_server, ready};
use tokio::task::JoinHandle;

const IDS: [u64; 3] = [1, 2, 3];

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

#[cached(prefix = "team", ttl = "60s", cache = app.cache, skip(app))]
async fn team(app: &App) -> String {
    app.data.read("team").await
}

/// A row of each id, and what all of them are made from.
#[cached(
    prefix = "profile", each = ids, ttl = "60s", cache = app.cache, skip(app), tags = ["id-{ids}", "is:{result}"]
)]
async fn profiles(app: &App, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
    let team = team(app).await;
    let mut profiles = HashMap::new();
    for id in ids {
        profiles.insert(*id, format!("{team}.{}", app.data.read(&id.to_string()).await));
    }
    Ok(profiles)
}

#[cached(prefix = "page", ttl = "60s", cache = app.cache, skip(app))]
async fn page(app: &App) -> Result<Vec<String>, String> {
    let profiles = profiles(app, &IDS).await?;
    app.data.read("page").await;
    Ok(IDS.iter().map(|id| profiles[id].clone()).collect())
}

/// An [impatient](TestStore::impatient) cache with a namespace for each way to fall.
async fn cache(store: &TestStore, by: By) -> Cache {
    ready(store.impatient().namespace(format!("{}-{by:?}", store.namespace()))).await
}

impl App {
    async fn new(store: &TestStore, by: By) -> Self {
        let data = Data::new();
        for (row, value) in [("team", "t"), ("1", "a"), ("2", "b"), ("3", "c")] {
            data.set(row, value);
        }
        Self { cache: cache(store, by).await, data }
    }

    fn begin(&self) -> JoinHandle<HashMap<u64, String>> {
        let app = self.clone();
        tokio::spawn(async move { profiles(&app, &IDS).await.unwrap() })
    }

    async fn stored(&self) -> [bool; 3] {
        let mut stored = [false; 3];
        for (stored, id) in stored.iter_mut().zip(IDS) {
            *stored = self.cache.peek(&profiles::key(&id)).await.unwrap().is_some();
        }
        stored
    }

    fn refused_fills(&self) -> u64 {
        self.cache.stats().total().refused_fills
    }
}

/// How the second of three entries falls.
#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Tag,
    TagOfItsValue,
    Dependency,
    Pattern,
    Clear,
}

impl By {
    /// Those that need no walk over all keys of the server, and so cost a test little.
    const NAMES: [Self; 4] = [Self::Key, Self::Tag, Self::TagOfItsValue, Self::Dependency];

    async fn invalidate(self, cache: &Cache) {
        match self {
            Self::Key => cache.invalidate_key(profiles::key(&2)).await,
            Self::Tag => cache.invalidate_tag("id-2").await,
            Self::TagOfItsValue => cache.invalidate_tag("is:t.b").await,
            Self::Dependency => cache.invalidate_key(team::key()).await,
            Self::Pattern => cache.invalidate_pattern("prof*").await,
            Self::Clear => cache.clear().await,
        }
        .expect("the store answers");
    }

    /// What has changed, and what is read afterwards.
    fn change(self) -> (&'static str, &'static str) {
        match self {
            Self::Dependency => ("team", "new.b"),
            _ => ("2", "t.new"),
        }
    }

    /// Whether it reaches one of the entries alone.
    fn is_of_one(self) -> bool {
        matches!(self, Self::Key | Self::Tag | Self::TagOfItsValue)
    }
}

/// `writer` invalidates while a load of `app` is held that has read everything.
async fn litmus(app: &App, writer: &Cache, by: By) {
    let held = app.data.hold("3");
    let late = app.begin();
    held.reached().await;
    let (row, new) = by.change();
    app.data.set(row, "new");
    by.invalidate(writer).await;
    assert_eq!(profiles(app, &[2]).await.unwrap()[&2], new, "{by:?}: read while the load is held");
    held.open();
    assert_eq!(late.await.unwrap()[&2], "t.b", "its own caller gets what it loaded");
    assert_eq!(app.refused_fills(), if by.is_of_one() { 1 } else { 3 }, "{by:?}");
    assert_eq!(app.stored().await, [by.is_of_one(), true, by.is_of_one()], "{by:?}");
    assert_eq!(profiles(app, &IDS).await.unwrap()[&2], new, "{by:?}: read after the load");
    assert_eq!(app.data.reads("2"), 2, "{by:?}: the fresh value is cached");
}

each_layout! {
    async fn of_a_batch_load_what_was_overtaken_is_refused_and_the_rest_is_stored(store: TestStore) {
        for by in By::NAMES {
            let app = App::new(&store, by).await;
            litmus(&app, &app.cache, by).await;
        }
    }

    async fn a_batch_load_that_a_pattern_overtook_is_refused(store: TestStore) {
        let app = App::new(&store, By::Pattern).await;
        litmus(&app, &app.cache, By::Pattern).await;
    }

    async fn a_batch_load_that_clear_overtook_is_refused(store: TestStore) {
        let app = App::new(&store, By::Clear).await;
        litmus(&app, &app.cache, By::Clear).await;
    }

    async fn what_is_made_from_a_batch_is_refused_if_one_of_its_keys_was_overtaken(store: TestStore) {
        for by in By::NAMES {
            let app = App::new(&store, by).await;
            let held = app.data.hold("page");
            let late = tokio::spawn({
                let app = app.clone();
                async move { page(&app).await.unwrap() }
            });
            held.reached().await;
            let (row, new) = by.change();
            app.data.set(row, "new");
            by.invalidate(&app.cache).await;
            held.open();
            assert_eq!(late.await.unwrap()[1], "t.b");
            assert_eq!(app.refused_fills(), 1, "{by:?}");
            assert_eq!(page(&app).await.unwrap()[1], new, "{by:?}");
        }
    }
}

each_server! {
    async fn another_process_s_batch_load_is_refused_in_the_same_way(store: TestStore) {
        for by in By::NAMES {
            litmus(&App::new(&store, by).await, &cache(&store, by).await, by).await;
        }
    }
}
