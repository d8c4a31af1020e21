//! Two caches of one process that were opened at the same server with the same namespace, such as
//! the installed one and that of a context: what one of them does counts for the other.

use std::convert::Infallible;

use cache_core::{Cache, CacheContext, IntoKey, Invalidation, Key, cached, invalidates};
use cache_tests::{Data, TestStore, each_server, ready, until};

#[derive(Clone, CacheContext)]
struct App {
    cache: Cache,
    data: Data,
}

#[cached(prefix = "row", ttl = "60s", context = app, tags = ["rows"])]
async fn row(app: &App) -> String {
    app.data.read("row").await
}

#[cached(prefix = "near_row", ttl = "60s", near = "30s", context = app, tags = ["rows"])]
async fn near_row(app: &App) -> String {
    app.data.read("row").await
}

/// By text, which does not say in which cache the entry is: that of the scope is used.
#[invalidates(keys = ["row"], tags = ["rows"])]
async fn change(data: Data, value: &str) {
    data.set("row", value);
}

#[invalidates(tags = ["rows"], around)]
async fn change_around(data: Data, value: &str) {
    data.set("row", value);
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: ready(store.impatient()).await, data }
    }

    /// The handle that functions use which name no cache.
    async fn other(&self, store: &TestStore) -> Cache {
        ready(store.impatient()).await
    }
}

fn key(text: &str) -> Key<String> {
    text.into_key().expect("a valid key")
}

async fn load(cache: &Cache, key: Key<String>, load: impl AsyncFnOnce() -> String) -> String {
    cache.get_or_load(key, || async { Ok::<_, Infallible>(load().await) }).await.unwrap_or_else(|e| match e {})
}

each_server! {
    /// Also while a load through the first handle is under way, which callers could join.
    async fn an_invalidation_through_one_handle_counts_for_calls_through_the_other(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.other(&store).await;
        assert_eq!(row(&app).await, "old");
        other.scope(change(app.data.clone(), "new")).await;
        assert_eq!(row(&app).await, "new");
        for around in [false, true] {
            other.scope(change(app.data.clone(), "old")).await;
            let held = app.data.hold("row");
            let late = tokio::spawn({
                let app = app.clone();
                async move { row(&app).await }
            });
            held.reached().await;
            match around {
                false => other.scope(change(app.data.clone(), "new")).await,
                true => other.scope(change_around(app.data.clone(), "new")).await,
            }
            // Calls that joined the load that is held would be served its value.
            let calls = tokio::spawn({
                let app = app.clone();
                async move { (row(&app).await, row(&app).await) }
            });
            tokio::task::yield_now().await;
            held.open();
            assert_eq!(late.await.unwrap(), "old");
            assert_eq!(calls.await.unwrap(), ("new".to_owned(), "new".to_owned()), "around: {around}");
        }
    }

    async fn a_load_depends_on_what_it_calls_through_the_other_handle(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.other(&store).await;
        let page = async || load(&other, key("page"), async || row(&app).await).await;
        assert_eq!(page().await, "old");
        assert_eq!(other.peek::<String>("page").await.unwrap().as_deref(), Some("old"), "it is stored");
        app.data.set("row", "new");
        app.cache.invalidate_tag("rows").await.unwrap();
        assert_eq!(page().await, "new");
    }

    /// A wait for the load that waits would end with the lease.
    async fn a_call_inside_the_load_of_its_own_key_does_not_wait_for_itself(store: TestStore) {
        let app = App::new(&store).await;
        let (one, other) = (store.cache().await, ready(store.builder()).await);
        let inner = async || load(&other, key("recursive"), async || app.data.read("row").await).await;
        assert_eq!(load(&one, key("recursive"), async || inner().await).await, "old");
    }

    /// The server's message may come after the invalidation has returned.
    async fn no_copy_of_one_handle_is_served_after_a_change_through_the_other(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.other(&store).await;
        let there = App { cache: other.clone(), ..app.clone() };
        for round in 0..100 {
            let before = app.cache.stats().total().near_hits;
            until(async || {
                near_row(&app).await;
                app.cache.stats().total().near_hits > before
            })
            .await;
            let name = round.to_string();
            app.data.set("row", &name);
            match round % 4 {
                0 => drop(other.invalidate_key(near_row::key()).await.unwrap()),
                1 => drop(other.invalidate_tag("rows").await.unwrap()),
                2 => drop(other.put(near_row::key(), &name).await.unwrap()),
                _ => drop(near_row::refresh(&there).await),
            }
            assert_eq!(near_row(&app).await, name);
        }
    }

    async fn names_closed_through_one_handle_are_opened_by_it_alone(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.other(&store).await;
        let closing = other.close(Invalidation::new().tag("rows")).await.unwrap();
        change_around_in(&app).await;
        assert_eq!((row(&app).await.as_str(), row(&app).await.as_str()), ("new", "new"));
        assert!(other.peek::<String>(row::key()).await.unwrap().is_none(), "still closed");
        closing.open().await.unwrap();
        row(&app).await;
        assert!(other.peek::<String>(row::key()).await.unwrap().is_some());
    }
}

async fn change_around_in(app: &App) {
    app.cache.scope(change_around(app.data.clone(), "new")).await;
}
