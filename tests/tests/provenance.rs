//! What a load was made from: the names of every cached call inside it become the entry's
//! own, whatever came of the call.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, IntoKey, Key, cached, in_current_load};
use cache_tests::{Data, TestStore, each_layout, ready, until};

fn key(text: &str) -> Key<String> {
    text.into_key().expect("a valid key")
}

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, data: Data::new() }
    }

    async fn load(&self, key: Key<String>, load: impl AsyncFnOnce() -> String) -> String {
        self.cache.get_or_load(key, || async { Ok::<_, Infallible>(load().await) }).await.unwrap_or_else(|e| match e {})
    }

    /// A call with a tag of its own.
    async fn inner(&self) -> String {
        self.load(key("inner").with_tags(["inner-tag"]), async || self.data.read("inner").await).await
    }

    /// An entry made by `body`.
    async fn outer(&self, body: impl AsyncFnOnce()) {
        let load = async || {
            body().await;
            self.data.read("outer").await
        };
        self.load(key("outer"), load).await;
    }

    async fn has(&self, key: &str) -> bool {
        self.cache.peek::<String>(key).await.expect("the store answers").is_some()
    }

    /// Whether `outer` is stored, and falls with `name` of the inner call.
    async fn outer_falls(&self, name: Name) -> bool {
        assert!(self.has("outer").await, "stored before");
        match name {
            Name::Key(key) => self.cache.invalidate_key(key).await,
            Name::Tag(tag) => self.cache.invalidate_tag(tag).await,
        }
        .expect("the store answers");
        !self.has("outer").await
    }
}

/// Has a tag of what it read.
#[cached(prefix = "city", ttl = "60s", cache = app.cache, skip(app), tags = ["state:{result}"])]
async fn city(app: &App) -> String {
    app.data.read("city").await
}

#[derive(Clone, Copy)]
enum Name {
    Key(&'static str),
    Tag(&'static str),
}

each_layout! {
    async fn names_are_inherited_from_a_stored_load(store: TestStore) {
        for name in [Name::Key("inner"), Name::Tag("inner-tag")] {
            let app = App::new(&store).await;
            app.outer(async || _ = app.inner().await).await;
            assert!(app.outer_falls(name).await);
            assert!(!app.has("inner").await);
        }
    }

    async fn names_are_inherited_from_a_hit(store: TestStore) {
        for name in [Name::Key("inner"), Name::Tag("inner-tag")] {
            let app = App::new(&store).await;
            app.inner().await;
            app.outer(async || _ = app.inner().await).await;
            assert_eq!(app.data.reads("inner"), 1, "a hit");
            assert!(app.outer_falls(name).await);
        }
    }

    /// What was read had that tag, whatever is stored in its place by now.
    async fn names_of_a_hit_count_also_when_the_entry_was_replaced_since(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("city", "TX");
        city(&app).await;
        let held = app.data.hold("outer");
        let load = tokio::spawn({
            let app = app.clone();
            async move { app.outer(async || assert_eq!(city(&app).await, "TX")).await }
        });
        held.reached().await;
        app.data.set("city", "OK");
        assert_eq!(city::refresh(&app).await, "OK");
        assert_eq!(app.cache.invalidate_tag("state:TX").await.unwrap().entries, 0, "it has left the tag");
        held.open();
        load.await.unwrap();
        assert!(!app.has("outer").await);
        assert_eq!(app.cache.stats().prefix("outer").refused_fills, 1);
    }

    async fn names_are_inherited_from_a_peek(store: TestStore) {
        let app = App::new(&store).await;
        app.outer(async || assert!(!app.has("inner").await)).await;
        assert!(app.outer_falls(Name::Key("inner")).await, "that there was nothing is what it was made from");
        app.inner().await;
        app.outer(async || assert!(app.has("inner").await)).await;
        assert!(app.outer_falls(Name::Tag("inner-tag")).await);
    }

    /// `None` says that there is no such row: the entry must fall when there is one.
    async fn names_are_inherited_from_none(store: TestStore) {
        let app = App::new(&store).await;
        let call = async || {
            let none = async || Ok::<Option<u32>, Infallible>(None);
            assert_eq!(app.cache.get_or_load("none:1", none).await, Ok(None));
        };
        app.outer(call).await;
        assert!(app.outer_falls(Name::Key("none:1")).await);
    }

    async fn names_are_inherited_from_an_error(store: TestStore) {
        let app = App::new(&store).await;
        let call = async || {
            let failing = async || {
                app.inner().await;
                Err::<u32, _>("no such row")
            };
            assert!(app.cache.get_or_load("failing", failing).await.is_err());
        };
        for name in [Name::Key("failing"), Name::Key("inner"), Name::Tag("inner-tag")] {
            app.outer(call).await;
            assert!(app.outer_falls(name).await);
        }
    }

    async fn names_are_inherited_from_a_value_that_was_not_stored(store: TestStore) {
        let cache = ready(store.builder().value_bytes_max(1_000)).await;
        let app = App { cache, data: Data::new() };
        let call = async || {
            let large = async || {
                app.inner().await;
                "x".repeat(2_000)
            };
            app.load(key("large").with_tags(["large-tag"]), large).await;
        };
        for name in [Name::Key("large"), Name::Tag("large-tag"), Name::Key("inner"), Name::Tag("inner-tag")] {
            app.outer(call).await;
            assert!(!app.has("large").await, "over the limit");
            assert!(app.outer_falls(name).await);
        }
        assert_eq!(app.cache.stats().prefix("large").unstored, 4);
    }

    /// A `select!` that the other branch won: what was read until then may have decided it.
    async fn names_are_inherited_from_a_dropped_call(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("middle");
        let middle = async || {
            app.inner().await;
            app.data.read("middle").await
        };
        let call = async || {
            tokio::select! {
                _ = app.load(key("middle").with_tags(["middle-tag"]), middle) => panic!("it is held"),
                _ = held.reached() => {}
            }
        };
        app.outer(call).await;
        assert!(app.outer_falls(Name::Key("middle")).await);
        let held = app.data.hold("middle");
        let call = async || {
            tokio::select! {
                _ = app.load(key("middle"), middle) => panic!("it is held"),
                _ = held.reached() => {}
            }
        };
        app.outer(call).await;
        assert!(app.outer_falls(Name::Tag("inner-tag")).await);
    }

    async fn names_are_inherited_through_every_level(store: TestStore) {
        let app = App::new(&store).await;
        let middle = async || _ = app.load(key("middle"), async || app.inner().await).await;
        for name in [Name::Tag("inner-tag"), Name::Key("inner"), Name::Key("middle")] {
            app.outer(middle).await;
            assert!(app.outer_falls(name).await);
        }
        // The same from stored headers alone.
        middle().await;
        app.outer(middle).await;
        assert!(app.outer_falls(Name::Tag("inner-tag")).await);
    }

    /// `outer` is made from `middle`, and `middle` from `inner`. The entry of `middle` has expired.
    async fn an_entry_falls_also_when_the_one_between_is_gone(store: TestStore) {
        let app = App::new(&store).await;
        let soon = key("middle").with_ttl(Duration::from_millis(50));
        app.outer(async || _ = app.load(soon, async || app.inner().await).await).await;
        until(async || !app.has("middle").await).await;
        assert!(app.outer_falls(Name::Tag("inner-tag")).await);
    }

    async fn an_entry_falls_also_when_what_it_was_made_from_expired(store: TestStore) {
        let app = App::new(&store).await;
        let soon = || key("short").with_tags(["short-tag"]).with_ttl(Duration::from_millis(50));
        for name in [Name::Key("short"), Name::Tag("short-tag")] {
            app.outer(async || _ = app.load(soon(), async || String::new()).await).await;
            until(async || !app.has("short").await).await;
            assert!(app.outer_falls(name).await);
        }
    }

    async fn calls_that_run_side_by_side_are_all_inherited(store: TestStore) {
        let app = App::new(&store).await;
        let call = async |at: u32| _ = app.load(key(&format!("part:{at}")), async || String::new()).await;
        for part in ["part:1", "part:2", "part:3"] {
            app.outer(async || _ = tokio::join!(call(1), call(2), call(3))).await;
            assert!(app.outer_falls(Name::Key(part)).await, "{part}");
        }
    }

    /// What the second of two calls reads is not what the first was made from.
    async fn names_are_not_inherited_sideways(store: TestStore) {
        let app = App::new(&store).await;
        let (left, right) = (key("left"), key("right").with_tags(["right-tag"]));
        app.outer(async || {
            app.load(left, async || app.inner().await).await;
            app.load(right, async || String::new()).await;
        })
        .await;
        app.cache.invalidate_tag("right-tag").await.unwrap();
        assert!(app.has("left").await && app.has("inner").await);
        assert!(!app.has("right").await && !app.has("outer").await);
    }

    /// Its key and tags mean nothing in the cache of the enclosing load.
    async fn a_load_that_used_another_cache_is_not_stored(store: TestStore) {
        let app = App::new(&store).await;
        let other = App { cache: Cache::in_memory(), data: app.data.clone() };
        app.outer(async || _ = other.inner().await).await;
        assert!(!app.has("outer").await);
        assert_eq!(app.cache.stats().prefix("outer").unstored, 1);
        // A hit in the other cache, and one level further in.
        let middle = async || _ = app.load(key("middle"), async || other.inner().await).await;
        app.outer(middle).await;
        assert!(!app.has("outer").await && !app.has("middle").await);
        assert!(other.has("inner").await, "the inner one is as good as ever");
    }

    async fn a_clone_of_the_cache_is_the_same_cache(store: TestStore) {
        let app = App::new(&store).await;
        let clone = App { cache: app.cache.clone(), data: app.data.clone() };
        app.outer(async || _ = clone.inner().await).await;
        assert!(app.outer_falls(Name::Key("inner")).await);
    }

    async fn a_spawned_task_leaves_the_load(store: TestStore) {
        let app = App::new(&store).await;
        let call = async || {
            let app = app.clone();
            tokio::spawn(async move { app.inner().await }).await.unwrap();
        };
        app.outer(call).await;
        assert!(!app.outer_falls(Name::Key("inner")).await);
    }

    async fn in_current_load_carries_the_load_into_a_task(store: TestStore) {
        let app = App::new(&store).await;
        let call = async || {
            let app = app.clone();
            tokio::spawn(in_current_load(async move { app.inner().await })).await.unwrap();
        };
        for name in [Name::Key("inner"), Name::Tag("inner-tag")] {
            app.outer(call).await;
            assert!(app.outer_falls(name).await);
        }
        // Outside of any load it changes nothing.
        assert_eq!(in_current_load(app.inner()).await, "");
    }

    async fn an_entry_of_more_names_than_names_max_is_not_stored(store: TestStore) {
        let cache = ready(store.builder().names_max(10)).await;
        let app = App { cache, data: Data::new() };
        let calls = async |count: u32| {
            for at in 0..count {
                app.load(key(&format!("part:{at}")), async || String::new()).await;
            }
        };
        app.outer(async || calls(10).await).await;
        assert!(app.has("outer").await, "ten are allowed");
        app.cache.invalidate_key("outer").await.unwrap();
        app.outer(async || calls(11).await).await;
        assert!(!app.has("outer").await);
        assert_eq!(app.cache.stats().prefix("outer").unstored, 1);
        assert_eq!(app.cache.stats().prefix("part").unstored, 0);
    }

    async fn a_name_that_is_met_again_and_again_counts_once(store: TestStore) {
        let cache = ready(store.builder().names_max(2)).await;
        let app = App { cache, data: Data::new() };
        app.outer(async || {
            for _ in 0..20 {
                app.inner().await;
            }
        })
        .await;
        assert!(app.outer_falls(Name::Tag("inner-tag")).await);
    }
}
