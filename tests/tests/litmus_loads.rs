//! The litmus: a load reads "old" and is held, the data changes, something invalidates,
//! the load goes on. Whoever reads after the invalidation has returned gets "new", and the
//! late fill is refused and counted.

use std::convert::Infallible;

use cache_core::{Cache, IntoKey, Invalidation, Key, cached, invalidates};
use cache_tests::{Data, TestStore, each_layout, each_server, ready};
use tokio::task::JoinHandle;

/// Entries of text: `user:1` and what is made from it.
#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

fn key(text: &str) -> Key<String> {
    text.into_key().expect("a valid key")
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: store.cache().await, data }
    }

    /// With an [impatient](TestStore::impatient) cache.
    async fn impatient(store: &TestStore) -> Self {
        Self { cache: ready(store.impatient()).await, ..Self::new(store).await }
    }

    /// The same data through a cache that shares nothing but the server with this one.
    async fn elsewhere(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, data: self.data.clone() }
    }

    async fn load(&self, key: Key<String>, load: impl AsyncFnOnce() -> String) -> String {
        self.cache.get_or_load(key, || async { Ok::<_, Infallible>(load().await) }).await.unwrap_or_else(|e| match e {})
    }

    /// An entry of its own, which others are made from.
    async fn user(&self) -> String {
        self.load(key("user:1"), async || self.data.read("user").await).await
    }

    /// The entry that is raced for: has a tag, and depends on a user.
    async fn profile(&self) -> String {
        self.load(key("profile:1").with_tags(["team:7"]), async || {
            self.user().await;
            self.data.read("row").await
        })
        .await
    }

    fn begin_profile(&self) -> JoinHandle<String> {
        let app = self.clone();
        tokio::spawn(async move { app.profile().await })
    }

    fn refused_fills(&self) -> u64 {
        self.cache.stats().total().refused_fills
    }
}

/// How the entry falls.
#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Tag,
    Dependency,
    Pattern,
    Clear,
}

impl By {
    async fn invalidate(self, cache: &Cache) {
        match self {
            Self::Key => cache.invalidate_key("profile:1").await,
            Self::Tag => cache.invalidate_tag("team:7").await,
            Self::Dependency => cache.invalidate_key("user:1").await,
            Self::Pattern => cache.invalidate_pattern("prof*").await,
            Self::Clear => cache.clear().await,
        }
        .expect("the store answers");
    }
}

/// `writer` invalidates while a load of `app` is held.
async fn litmus(app: &App, writer: &Cache, by: By) {
    let held = app.data.hold("row");
    let late = app.begin_profile();
    held.reached().await;
    app.data.set("row", "new");
    by.invalidate(writer).await;
    // While the overtaken load is still held: nobody joins it, nobody waits for its lease.
    assert_eq!(app.profile().await, "new", "{by:?}: read while the load is held");
    by.invalidate(writer).await;
    held.open();
    assert_eq!(late.await.unwrap(), "old", "its own caller gets what it loaded");
    assert_eq!(app.refused_fills(), 1, "{by:?}: the late fill");
    assert_eq!(app.profile().await, "new", "{by:?}: read after the load");
    assert_eq!(app.profile().await, "new");
    assert_eq!(app.data.reads("row"), 3, "the fresh value is cached");
}

each_layout! {
    async fn a_load_overtaken_by_its_key_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.cache, By::Key).await;
    }

    async fn a_load_overtaken_by_its_tag_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.cache, By::Tag).await;
    }

    async fn a_load_overtaken_by_what_it_was_made_from_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.cache, By::Dependency).await;
    }

    async fn a_load_overtaken_by_a_pattern_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.cache, By::Pattern).await;
    }

    async fn a_load_overtaken_by_clear_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.cache, By::Clear).await;
    }
}

each_server! {
    async fn another_cache_s_load_is_refused_after_its_key_was_invalidated(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.elsewhere(&store).await.cache, By::Key).await;
    }

    async fn another_cache_s_load_is_refused_after_its_tag_was_invalidated(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.elsewhere(&store).await.cache, By::Tag).await;
    }

    async fn another_cache_s_load_is_refused_after_what_it_was_made_from_was_invalidated(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.elsewhere(&store).await.cache, By::Dependency).await;
    }

    async fn another_cache_s_load_is_refused_after_a_pattern(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.elsewhere(&store).await.cache, By::Pattern).await;
    }

    async fn another_cache_s_load_is_refused_after_clear(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus(&app, &app.elsewhere(&store).await.cache, By::Clear).await;
    }
}

/// Its tag is known from the result alone.
#[cached(prefix = "member", ttl = "60s", cache = app.cache, skip(app), tags = ["team:{result.team}"])]
async fn member(app: &App, id: u64) -> Member {
    Member { team: id % 10, name: app.data.read("row").await }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Member {
    team: u64,
    name: String,
}

#[invalidates(tags = ["team:{result.team}"], cache = app.cache)]
async fn rename(app: &App, id: u64, name: &str) -> Member {
    app.data.set("row", name);
    Member { team: id % 10, name: name.to_owned() }
}

/// `writer` changes what a load of `app` has read already.
async fn litmus_of_the_attributes(app: &App, writer: &App) {
    let held = app.data.hold("row");
    let late = tokio::spawn({
        let app = app.clone();
        async move { member(&app, 17).await.name }
    });
    held.reached().await;
    rename(writer, 17, "new").await;
    assert_eq!(member(app, 17).await.name, "new", "read while the load is held");
    rename(writer, 17, "newer").await;
    held.open();
    assert_eq!(late.await.unwrap(), "old");
    assert_eq!(app.refused_fills(), 1);
    assert_eq!(member(app, 17).await.name, "newer");
    assert_eq!(member(writer, 17).await.name, "newer");
    assert_eq!(app.data.reads("row"), 3, "the fresh value is cached, for everyone");
}

each_layout! {
    async fn a_load_overtaken_by_a_tag_of_its_result_is_refused(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus_of_the_attributes(&app, &app).await;
    }
}

each_server! {
    async fn another_cache_s_load_is_refused_after_a_tag_of_its_result_was_invalidated(store: TestStore) {
        let app = App::impatient(&store).await;
        litmus_of_the_attributes(&app, &app.elsewhere(&store).await).await;
    }
}

/// Invalidates one thing, and says how many entries that removed.
async fn removed(cache: &Cache, invalidation: Invalidation) -> u64 {
    cache.invalidate(invalidation).await.expect("the store answers").entries
}

each_layout! {
    /// Nothing was stored when the tag fell, so nothing but its fence can refuse the fill.
    async fn an_invalidation_before_any_read_reaches_the_load_that_runs_meanwhile(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let late = app.begin_profile();
        held.reached().await;
        let teams = Invalidation::new().tag("team:7").tag("team:8");
        assert_eq!(removed(&app.cache, teams).await, 0, "nothing is stored yet");
        held.open();
        late.await.unwrap();
        assert_eq!(app.refused_fills(), 1);
        assert_eq!(app.cache.peek::<String>("profile:1").await.unwrap(), None);
    }

    async fn an_unrelated_invalidation_refuses_nothing(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let load = app.begin_profile();
        held.reached().await;
        removed(&app.cache, Invalidation::new().tag("team:8").key("profile:2").key("user:2")).await;
        held.open();
        load.await.unwrap();
        assert_eq!(app.refused_fills(), 0);
        assert_eq!(app.cache.peek::<String>("profile:1").await.unwrap().as_deref(), Some("old"));
    }
}

/// Three levels over one row: `c` is made from `b`, `b` from `a`, `a` from the row. Each level then
/// reads a row of its own, where it can be held.
impl App {
    async fn a(&self) -> String {
        self.load(key("a"), async || self.data.read("row").await).await
    }

    async fn b(&self) -> String {
        self.load(key("b"), async || {
            let value = self.a().await;
            self.data.read("b").await;
            value
        })
        .await
    }

    async fn c(&self) -> String {
        self.load(key("c"), async || {
            let value = self.b().await;
            self.data.read("c").await;
            value
        })
        .await
    }

    async fn d(&self) -> String {
        self.load(key("d"), async || {
            let value = self.c().await;
            self.data.read("d").await;
            value
        })
        .await
    }
}

/// `d` is loaded and held where `held` says; the innermost entry falls;
/// nothing made from it is ever served.
async fn nested_litmus(app: &App, writer: &Cache, held: &str, refused: u64) {
    let gate = app.data.hold(held);
    let late = tokio::spawn({
        let app = app.clone();
        async move { app.d().await }
    });
    gate.reached().await;
    app.data.set("row", "new");
    writer.invalidate_key("a").await.unwrap();
    gate.open();
    assert_eq!(late.await.unwrap(), "old");
    assert_eq!(app.refused_fills(), refused, "held at {held}");
    for (level, value) in [("a", app.a().await), ("b", app.b().await), ("c", app.c().await), ("d", app.d().await)] {
        assert_eq!(value, "new", "{level}, held at {held}");
    }
    assert_eq!(writer.invalidate_key("a").await.unwrap().entries, 4);
}

each_layout! {
    async fn a_load_held_in_its_innermost_call_is_refused_at_every_level(store: TestStore) {
        let app = App::new(&store).await;
        nested_litmus(&app, &app.cache, "row", 4).await;
    }

    async fn a_load_held_one_level_above_the_invalidated_entry_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        nested_litmus(&app, &app.cache, "b", 3).await;
    }

    async fn a_load_held_two_levels_above_the_invalidated_entry_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        nested_litmus(&app, &app.cache, "c", 2).await;
    }

    async fn a_load_held_three_levels_above_the_invalidated_entry_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        nested_litmus(&app, &app.cache, "d", 1).await;
    }
}

each_server! {
    async fn a_nested_load_is_refused_after_another_cache_invalidated(store: TestStore) {
        let app = App::new(&store).await;
        nested_litmus(&app, &app.elsewhere(&store).await.cache, "c", 2).await;
    }
}

each_layout! {
    /// A local invalidation closes every flight that began before it.
    async fn a_caller_after_an_invalidation_joins_no_earlier_flight(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let late = app.begin_profile();
        held.reached().await;
        app.data.set("row", "new");
        app.cache.invalidate_key("profile:1").await.unwrap();
        let next = app.data.hold("row");
        let follower = app.begin_profile();
        next.reached().await;
        held.open();
        next.open();
        assert_eq!((late.await.unwrap().as_str(), follower.await.unwrap().as_str()), ("old", "new"));
        assert_eq!(app.profile().await, "new");
    }

    /// Two fills of one key by one process: the overtaken one neither overwrites the other's
    /// value nor gives its lease back.
    async fn the_overtaken_one_of_two_fills_of_one_process_changes_nothing(store: TestStore) {
        for overtaken_first in [true, false] {
            let app = App { cache: store.cache().await, data: Data::new() };
            app.cache.clear().await.unwrap();
            let refused_before = app.refused_fills();
            app.data.set("row", "old");
            let held_old = app.data.hold("row");
            let old = app.begin_profile();
            held_old.reached().await;
            app.data.set("row", "new");
            app.cache.invalidate_key("profile:1").await.unwrap();
            let held_new = app.data.hold("row");
            let new = app.begin_profile();
            held_new.reached().await;
            if overtaken_first {
                held_old.open();
                assert_eq!(old.await.unwrap(), "old");
                // The lease is still the second load's: this one waits for it.
                let third = app.begin_profile();
                tokio::task::yield_now().await;
                held_new.open();
                assert_eq!(new.await.unwrap(), "new");
                assert_eq!(third.await.unwrap(), "new");
            } else {
                held_new.open();
                assert_eq!(new.await.unwrap(), "new");
                held_old.open();
                assert_eq!(old.await.unwrap(), "old");
            }
            assert_eq!(app.profile().await, "new");
            assert_eq!(app.refused_fills() - refused_before, 1);
            assert_eq!(app.data.reads("row"), 2, "the second load's value is cached, and nobody loaded beside it");
        }
    }
}

each_server! {
    /// A lease is a fill's, not a process's: the overtaken fill ends, and
    /// the other load keeps its lease.
    async fn the_overtaken_one_of_two_fills_gives_back_no_lease(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.elsewhere(&store).await;
        let held_old = app.data.hold("row");
        let old = app.begin_profile();
        held_old.reached().await;
        app.data.set("row", "new");
        app.cache.invalidate_key("profile:1").await.unwrap();
        let held_new = app.data.hold("row");
        let new = app.begin_profile();
        held_new.reached().await;
        held_old.open();
        assert_eq!(old.await.unwrap(), "old");
        // On every connection, what was asked before these was answered before them: the third
        // call's request for the lease, too.
        let third = other.begin_profile();
        for _ in 0..20 {
            other.cache.peek::<String>("another").await.unwrap();
        }
        assert_eq!(app.data.reads("row"), 2, "the third call waits for the second");
        held_new.open();
        assert_eq!((new.await.unwrap().as_str(), third.await.unwrap().as_str()), ("new", "new"));
        assert_eq!(app.data.reads("row"), 2);
    }

    /// The follower comes after another process's invalidation has returned. Its own
    /// process knows nothing of that.
    async fn a_follower_that_joined_late_does_not_take_an_overtaken_value(store: TestStore) {
        // One connection answers in order, so an answered question proves that the
        // one before it was answered, too.
        let app = App { cache: ready(store.builder().connections(1)).await, ..App::new(&store).await };
        let writer = store.another_process().await;
        let held = app.data.hold("row");
        let leader = app.begin_profile();
        held.reached().await;
        app.data.set("row", "new");
        writer.invalidate_key("profile:1").await.unwrap();
        let follower = app.begin_profile();
        tokio::task::yield_now().await;
        app.cache.peek::<String>("another").await.unwrap();
        assert_eq!(app.data.reads("row"), 1, "it waits for the leader");
        held.open();
        assert_eq!(leader.await.unwrap(), "old");
        assert_eq!(follower.await.unwrap(), "new");
        assert_eq!(app.profile().await, "new");
        assert_eq!(app.data.reads("row"), 2);
    }
}
