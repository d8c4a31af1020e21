//! The litmus of `put`: whatever races with it, the older value is never served.

use cache_core::{Cache, cached};
use cache_tests::{Data, Probe, TestStore, each_layout};
use tokio::task::JoinHandle;

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
}

#[cached(prefix = "user", ttl = "60s", cache = app.cache, skip(app), tags = ["users"])]
async fn user(app: &App) -> String {
    app.data.read("row").await
}

#[cached(prefix = "profile", ttl = "60s", cache = app.cache, skip(app))]
async fn profile(app: &App) -> String {
    let user = user(app).await;
    app.data.read("profile").await;
    user
}

each_layout! {
    async fn a_load_overtaken_by_a_put_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.data.hold("row");
        let late = tokio::spawn({
            let app = app.clone();
            async move { user(&app).await }
        });
        held.reached().await;
        app.data.set("row", "new");
        assert!(app.cache.put(user::key(), &"new".to_owned()).await.unwrap().stored);
        assert_eq!(user(&app).await, "new", "while the load is held");
        held.open();
        assert_eq!(late.await.unwrap(), "old");
        assert_eq!(app.cache.stats().prefix("user").refused_fills, 1);
        assert_eq!(user(&app).await, "new");
        assert_eq!(app.data.reads("row"), 1, "the value that was put is served");
    }

    /// Its dependents were made from the value that it replaces.
    async fn a_put_takes_the_loads_of_its_dependents_along(store: TestStore) {
        let app = App::new(&store).await;
        user(&app).await;
        let held = app.data.hold("profile");
        let late = tokio::spawn({
            let app = app.clone();
            async move { profile(&app).await }
        });
        held.reached().await;
        app.data.set("row", "new");
        app.cache.put(user::key(), &"new".to_owned()).await.unwrap();
        held.open();
        assert_eq!(late.await.unwrap(), "old");
        assert_eq!(app.cache.stats().prefix("profile").refused_fills, 1);
        assert_eq!(profile(&app).await, "new");
        // What is stored by now falls as well.
        app.cache.put(user::key(), &"newer".to_owned()).await.unwrap();
        assert_eq!(profile(&app).await, "newer");
    }

    async fn a_value_that_was_put_falls_with_the_tags_of_its_function(store: TestStore) {
        let app = App::new(&store).await;
        app.cache.put(user::key(), &"new".to_owned()).await.unwrap();
        assert_eq!(app.cache.invalidate_tag("users").await.unwrap().entries, 1);
        assert_eq!(user(&app).await, "old");
    }
}

/// A text that is held while it is encoded: that is after `put` has read
/// the clock and before it writes.
struct HeldText {
    text: String,
    encoding: Probe,
    go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl serde::Serialize for HeldText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoding.mark();
        // An error is a sender that is gone: the way is free.
        let _ = self.go_on.lock().unwrap().recv();
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for HeldText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (_, closed) = std::sync::mpsc::channel();
        let text = String::deserialize(deserializer)?;
        Ok(Self { text, encoding: Probe::new(), go_on: std::sync::Mutex::new(closed) })
    }
}

/// A put that is under way, on a thread of its own: encoding blocks.
struct PendingPut {
    encoding: Probe,
    go_on: std::sync::mpsc::Sender<()>,
    done: JoinHandle<cache_core::Put>,
}

impl PendingPut {
    async fn begin(cache: &Cache, text: &str) -> Self {
        let (go_on, waits) = std::sync::mpsc::channel();
        let held = HeldText { text: text.to_owned(), encoding: Probe::new(), go_on: std::sync::Mutex::new(waits) };
        let (encoding, cache) = (held.encoding.clone(), cache.clone());
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || runtime.block_on(cache.put("a", &held)).unwrap());
        encoding.reached(1).await;
        Self { encoding, go_on, done }
    }

    async fn finish(self) -> cache_core::Put {
        assert!(self.encoding.count() >= 1);
        drop(self.go_on);
        self.done.await.unwrap()
    }
}

each_layout! {
    #![multi_thread]
    /// Nobody knows whose write came last in the database, so neither value stays.
    async fn two_concurrent_puts_end_in_a_miss_in_either_order(store: TestStore) {
        let cache = store.cache().await;
        for first_writes_first in [true, false] {
            let first = PendingPut::begin(&cache, "first").await;
            let second = PendingPut::begin(&cache, "second").await;
            let (earlier, later) = if first_writes_first { (first, second) } else { (second, first) };
            assert!(earlier.finish().await.stored);
            let later = later.finish().await;
            assert_eq!((later.stored, later.entries), (false, 1), "it removes the earlier one's value");
            assert_eq!(cache.peek::<String>("a").await.unwrap(), None);
        }
    }

    async fn a_put_overtaken_by_an_invalidation_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        let put = PendingPut::begin(&cache, "old").await;
        cache.invalidate_key("a").await.unwrap();
        assert!(!put.finish().await.stored);
        assert_eq!(cache.peek::<String>("a").await.unwrap(), None);
    }
}
