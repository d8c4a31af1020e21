//! Loads that invalidate what they are made from: their values are refused, as they must be, and a
//! function that does so at each call is named once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_core::{Cache, cached, invalidates, write_through};
use cache_tests::{Log, TestStore, each_store};

#[derive(Clone)]
struct App {
    cache: Cache,
    /// Whether the rows are there already.
    created: Arc<AtomicBool>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, created: Arc::default() }
    }

    fn counts(&self, prefix: &str) -> (u64, u64, u64) {
        let stats = self.cache.stats().prefix(prefix);
        (stats.loads, stats.fills, stats.refused_fills)
    }
}

#[invalidates(tags = ["page:{id}"], cache = app.cache)]
async fn visit(app: &App, id: u64) {
    _ = (app, id);
}

#[cached(prefix = "by_tag", ttl = "60s", tags = ["page:{id}"], skip(app), cache = app.cache)]
async fn by_tag(app: &App, id: u64) -> u64 {
    visit(app, id).await;
    id
}

#[cached(prefix = "by_key", ttl = "60s", skip(app), cache = app.cache)]
async fn by_key(app: &App, id: u64) -> u64 {
    app.cache.invalidate_key(by_key::key(&id)).await.unwrap();
    id
}

#[cached(prefix = "part", ttl = "60s", skip(app), cache = app.cache)]
async fn part(app: &App, id: u64) -> u64 {
    _ = app;
    id
}

#[write_through(part(id), cache = app.cache)]
async fn set_part(app: &App, id: u64) -> u64 {
    _ = app;
    id
}

#[cached(prefix = "by_write", ttl = "60s", skip(app), cache = app.cache)]
async fn by_write(app: &App, id: u64) -> u64 {
    set_part(app, id).await;
    part(app, id).await
}

#[cached(prefix = "by_pattern", ttl = "60s", skip(app), cache = app.cache)]
async fn by_pattern(app: &App, id: u64) -> u64 {
    app.cache.invalidate_pattern("nothing:*").await.unwrap();
    id
}

#[cached(prefix = "inner", ttl = "60s", tags = ["page:{id}"], skip(app), cache = app.cache)]
async fn inner(app: &App, id: u64) -> u64 {
    _ = app;
    id
}

/// Made from an entry with the tag that it invalidates.
#[cached(prefix = "by_inner", ttl = "60s", skip(app), cache = app.cache)]
async fn by_inner(app: &App, id: u64) -> u64 {
    let value = inner(app, id).await;
    visit(app, id).await;
    value
}

#[cached(prefix = "by_batch", ttl = "60s", tags = ["page:{ids}"], each = ids, skip(app), cache = app.cache)]
async fn by_batch(app: &App, ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    visit(app, ids[0]).await;
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

/// Makes the row that it does not find.
#[cached(prefix = "create", ttl = "60s", tags = ["page:{id}"], skip(app), cache = app.cache)]
async fn get_or_create(app: &App, id: u64) -> u64 {
    if !app.created.load(Ordering::SeqCst) {
        visit(app, id).await;
    }
    id
}

#[cached(prefix = "other", ttl = "60s", tags = ["other:{id}"], skip(app), cache = app.cache)]
async fn invalidates_others(app: &App, id: u64) -> u64 {
    visit(app, id).await;
    id
}

fn warnings(log: &Log) -> Vec<String> {
    log.text().lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
}

each_store! {
    async fn a_function_whose_loads_invalidate_their_value_is_named_once(store: TestStore) {
        let app = App::new(&store).await;
        let (log, _listening) = Log::listen();
        for _ in 0..3 {
            by_tag(&app, 1).await;
            by_key(&app, 1).await;
            by_write(&app, 1).await;
            by_pattern(&app, 1).await;
            by_inner(&app, 1).await;
            by_batch(&app, &[1, 2]).await.unwrap();
        }
        let said = warnings(&log);
        for prefix in ["by_tag", "by_key", "by_write", "by_pattern", "by_inner"] {
            assert_eq!(app.counts(prefix), (3, 0, 3), "{prefix}");
            let of_prefix = said.iter().filter(|line| line.contains(&format!("prefix=\"{prefix}\""))).count();
            assert_eq!(of_prefix, 1, "{prefix}: {said:?}");
        }
        // The entry of the other id is not made from what the load invalidates.
        assert_eq!(app.counts("by_batch"), (3, 1, 3));
        assert_eq!(said.iter().filter(|line| line.contains("by_batch")).count(), 1, "{said:?}");
        assert!(said.iter().all(|line| line.contains("invalidate")), "{said:?}");
    }

    async fn a_load_that_creates_its_row_is_no_such_function(store: TestStore) {
        let app = App::new(&store).await;
        let (log, _listening) = Log::listen();
        for _ in 0..3 {
            for id in 0..100 {
                app.created.store(false, Ordering::SeqCst);
                get_or_create(&app, id).await;
                app.created.store(true, Ordering::SeqCst);
                get_or_create(&app, id).await;
                app.cache.invalidate_key(get_or_create::key(&id)).await.unwrap();
            }
        }
        assert_eq!(app.counts("create"), (600, 300, 300));
        assert_eq!(warnings(&log), Vec::<String>::new());
    }

    async fn loads_side_by_side_that_create_one_row_are_no_such_function(store: TestStore) {
        let app = App::new(&store).await;
        let (log, _listening) = Log::listen();
        // A refresh shares nobody's load, so both are under way at once.
        let both = || async { tokio::join!(get_or_create::refresh(&app, 1), get_or_create::refresh(&app, 1)) };
        both().await;
        let (_, fills, refused) = app.counts("create");
        assert!(fills + refused == 2 && refused > 0, "{fills} fills, {refused} refused");
        assert_eq!(warnings(&log), Vec::<String>::new());
    }

    async fn an_invalidation_of_something_else_or_by_somebody_else_is_none_of_its_own(store: TestStore) {
        let app = App::new(&store).await;
        let (log, _listening) = Log::listen();
        invalidates_others(&app, 1).await;
        assert_eq!(app.counts("other"), (1, 1, 0));
        let key = inner::key(&2);
        for _ in 0..3 {
            // In a task of its own it is somebody else's.
            let load = || async {
                let cache = app.cache.clone();
                tokio::spawn(async move { cache.invalidate_tag("page:2").await }).await.unwrap().unwrap();
                Ok::<_, ()>(2)
            };
            app.cache.get_or_load(key.clone().with_tags(["page:2"]), load).await.unwrap();
        }
        assert_eq!(app.counts("inner"), (3, 0, 3));
        assert_eq!(warnings(&log), Vec::<String>::new());
    }
}
