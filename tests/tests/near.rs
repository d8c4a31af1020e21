//! Copies in a process (`near`): served without the store, and never past what they may be.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_core::{Builder, Cache, Cacheable, cached, write_through};
use cache_tests::{Data, Fault, FaultProxy, Raw, Server, TestStore, each_deployment, each_server, ready, run, until};
use serde::{Deserialize, Serialize};

/// For how long a copy may be served after the last answer of its connection.
const TRUST: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
    _proxy: Option<Arc<FaultProxy>>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self::with(store.cache().await)
    }

    /// As in another process than the caches that are opened at the store's own address: two that
    /// are opened at one address tell each other what they change.
    async fn apart(store: &TestStore) -> Self {
        if let Some((scheme, nodes)) = store.url().split_once("-cluster://") {
            let (places, query) = nodes.split_once('/').unwrap();
            let (first, others) = places.split_once(',').unwrap();
            let same = format!("{scheme}-cluster://{others},{first}/{query}");
            return Self::with(ready(store.builder().url(same)).await);
        }
        let proxy = FaultProxy::start(address(store)).await;
        let app = Self::with(ready(store.builder().url(proxy.url())).await);
        Self { _proxy: Some(Arc::new(proxy)), ..app }
    }

    fn with(cache: Cache) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache, data, _proxy: None }
    }

    fn near_hits(&self) -> u64 {
        self.cache.stats().total().near_hits
    }

    /// Calls until the value is served from a copy.
    async fn is_near(&self) {
        let before = self.near_hits();
        until(async || {
            user(self, 1).await;
            self.near_hits() > before
        })
        .await;
    }

    /// The value, and whether it came from a copy.
    async fn served(&self) -> (Arc<String>, bool) {
        let before = self.near_hits();
        (user(self, 1).await, self.near_hits() > before)
    }
}

#[cached(prefix = "user", ttl = "60s", near = "30s", cache = app.cache, skip(app), tags = ["users"])]
async fn user(app: &App, id: u64) -> Arc<String> {
    group(app).await;
    Arc::new(app.data.read("row").await)
}

/// What every user is made from.
#[cached(prefix = "group", ttl = "60s", cache = app.cache, skip(app), tags = ["groups"])]
async fn group(app: &App) -> u32 {
    7
}

#[write_through(user(1), cache = app.cache)]
async fn rename(app: &App, name: &str) -> Arc<String> {
    app.data.set("row", name);
    Arc::new(name.to_owned())
}

/// Each way to change a user.
const CHANGES: [&str; 9] =
    ["key", "tag", "dependency", "tag of a dependency", "pattern", "clear", "put", "write through", "refresh"];

/// Changes the user to `name` as `cache` does it.
async fn change(app: &App, by: &Cache, how: &str, name: &str) {
    app.data.set("row", name);
    match how {
        "key" => drop(by.invalidate_key(user::key(&1)).await.unwrap()),
        "tag" => drop(by.invalidate_tag("users").await.unwrap()),
        "dependency" => drop(by.invalidate_key(group::key()).await.unwrap()),
        "tag of a dependency" => drop(by.invalidate_tag("groups").await.unwrap()),
        "pattern" => drop(by.invalidate_pattern("user:*").await.unwrap()),
        "clear" => drop(by.clear().await.unwrap()),
        "put" => assert!(by.put(user::key(&1), &Arc::new(name.to_owned())).await.unwrap().stored),
        "write through" => drop(rename(&App { cache: by.clone(), ..app.clone() }, name).await),
        "refresh" => drop(user::refresh(&App { cache: by.clone(), ..app.clone() }, 1).await),
        _ => unreachable!("{how}"),
    }
}

each_deployment! {
    async fn a_copy_is_served_without_asking_the_store(store: TestStore) {
        let app = App::new(&store).await;
        app.is_near().await;
        let before = app.cache.stats().prefix("user");
        for _ in 0..10 {
            assert_eq!(*user(&app, 1).await, "old");
        }
        let after = app.cache.stats().prefix("user");
        assert_eq!(after.near_hits - before.near_hits, 10);
        assert_eq!((after.hits, after.misses, after.store_time), (before.hits, before.misses, before.store_time));
        assert!(Arc::ptr_eq(&user(&app, 1).await, &user(&app, 1).await), "they share one value");
    }

    /// The push may come after the reply to who has made the change.
    async fn no_copy_is_served_after_a_change_of_this_process(store: TestStore) {
        let app = App::new(&store).await;
        for how in CHANGES {
            for round in 0..8 {
                app.is_near().await;
                let name = format!("{how} {round}");
                change(&app, &app.cache, how, &name).await;
                assert_eq!(*user(&app, 1).await, name);
            }
        }
    }

    /// Of reads that begin later than a second after the change, none is served the old value.
    async fn a_change_of_another_process_is_seen_within_a_second(store: TestStore) {
        let (app, other) = (App::apart(&store).await, store.cache().await);
        for how in CHANGES {
            app.is_near().await;
            change(&app, &other, how, how).await;
            let changed = Instant::now();
            until(async || {
                let began = Instant::now();
                let (value, _) = app.served().await;
                assert!(*value == how || began - changed <= TRUST, "{how}: served {value} after {:?}", began - changed);
                *value == how
            })
            .await;
        }
    }

    /// Whatever is made from a copy would be shared by all processes.
    async fn a_load_is_not_made_from_a_copy(store: TestStore) {
        #[cached(prefix = "page", ttl = "60s", cache = app.cache, skip(app))]
        async fn page(app: &App) -> String {
            user(app, 1).await.to_string()
        }

        let app = App::new(&store).await;
        app.is_near().await;
        let before = app.near_hits();
        page(&app).await;
        assert_eq!(app.near_hits(), before);
        app.data.set("row", "new");
        app.cache.invalidate_tag("users").await.unwrap();
        assert_eq!(page(&app).await, "new", "it depends on what the user depends on");
    }

    /// It is dropped in the task that reads the connection, which every call rests on.
    async fn the_connection_outlives_values_whose_drop_panics(store: TestStore) {
        static ARMED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

        #[derive(Serialize, Deserialize)]
        struct Bomb(u64);

        impl Drop for Bomb {
            fn drop(&mut self) {
                let is_armed = ARMED.lock().unwrap().contains(&self.0);
                assert!(!is_armed, "of a user's drop");
            }
        }

        #[cached(prefix = "bomb", ttl = "60s", near = "30s", cache = app.cache, skip(app))]
        async fn bomb(app: &App, id: u64) -> Arc<Bomb> {
            group(app).await;
            Arc::new(Bomb(id))
        }

        let (app, other) = (App::apart(&store).await, store.cache().await);
        let ids = [0; 3].map(|_| fastrand::u64(..));
        for id in ids {
            let before = app.near_hits();
            until(async || {
                bomb(&app, id).await;
                app.near_hits() > before
            })
            .await;
        }
        ARMED.lock().unwrap().extend(ids);
        other.invalidate_tag("groups").await.unwrap();
        app.data.set("row", "new");
        app.is_near().await;
        assert!(!app.cache.health().bypasses_copies);
    }

    async fn calls_with_other_arguments_have_copies_of_their_own(store: TestStore) {
        let app = App::new(&store).await;
        app.is_near().await;
        let before = app.near_hits();
        assert_eq!(*user(&app, 2).await, "old");
        assert_eq!(app.near_hits(), before);
    }

    /// The type may say that copies of it are kept.
    async fn a_type_may_be_near(store: TestStore) {
        #[derive(Clone, Serialize, Deserialize, Cacheable)]
        #[cacheable(ttl = "60s", near = "5s")]
        struct Plan(String);

        #[cached(prefix = "plan", cache = app.cache, skip(app))]
        async fn plan(app: &App) -> Result<Option<Plan>, ()> {
            Ok(Some(Plan(app.data.read("row").await)))
        }

        let app = App::new(&store).await;
        until(async || {
            assert_eq!(plan(&app).await.unwrap().unwrap().0, "old");
            app.near_hits() > 0
        })
        .await;
    }
}

each_server! {
    async fn a_flushed_server_takes_the_copies_along(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let app = App::with(ready(Cache::builder().url(server.url()).jitter(0.0)).await);
        app.is_near().await;
        app.data.set("row", "new");
        Raw::connect(&server.url()).await.command::<String>("FLUSHALL", &[]).await;
        let flushed = Instant::now();
        until(async || {
            let began = Instant::now();
            let (value, _) = app.served().await;
            assert!(*value == "new" || began - flushed <= TRUST, "a copy after {:?}", began - flushed);
            *value == "new"
        })
        .await;
    }

    async fn a_silent_connection_vouches_for_a_second_and_no_longer(store: TestStore) {
        let other = store.cache().await;
        for fault in [Fault::Stall, Fault::HalfOpen, Fault::LoseReplies, Fault::CutAfter(0), Fault::Refuse] {
            let proxy = FaultProxy::start(address(&store)).await;
            let app = App::with(ready(hasty(&store, &proxy)).await);
            app.is_near().await;
            proxy.set(fault).await;
            app.data.set("row", "new");
            other.invalidate_tag("users").await.unwrap();
            let changed = Instant::now();
            until(async || {
                let began = Instant::now();
                let (value, is_copy) = app.served().await;
                assert!(*value == "new" || (is_copy && began - changed <= TRUST), "{fault:?}: {:?}", began - changed);
                *value == "new"
            })
            .await;
            // A connection that has ended leaves no copies behind.
            proxy.set(Fault::None).await;
            app.is_near().await;
            assert_eq!(*user(&app, 1).await, "new");
            other.clear().await.unwrap();
        }
    }

    /// It would always say that it has just answered.
    async fn an_answer_that_was_held_up_vouches_for_nothing(store: TestStore) {
        let proxy = FaultProxy::start(address(&store)).await;
        // The connection must not be given up for the delay.
        let app = App::with(ready(hasty(&store, &proxy).operation_deadline(10 * TRUST)).await);
        app.is_near().await;
        assert!(!app.cache.health().bypasses_copies);
        proxy.set(Fault::Delay(TRUST + Duration::from_millis(200))).await;
        until(async || !app.served().await.1).await;
        assert!(app.cache.health().bypasses_copies);
        let (began, before) = (Instant::now(), app.near_hits());
        until(async || {
            user(&app, 1).await;
            began.elapsed() > 3 * TRUST
        })
        .await;
        assert_eq!(app.near_hits(), before);
    }
}

/// The embedded store drops a copy before a change of its entry can be seen, in every cache on it.
#[test]
fn on_the_embedded_store_no_copy_outlives_a_change_of_a_peer() {
    run(0, async {
        let app = App::new(&TestStore::embedded()).await;
        let peer = app.cache.peer();
        for how in CHANGES {
            for round in 0..3 {
                let name = format!("{how} {round}");
                user(&app, 1).await;
                user(&app, 1).await;
                assert!(app.served().await.1, "a copy is at hand");
                change(&app, &peer, how, &name).await;
                assert_eq!(*user(&app, 1).await, name);
            }
        }
    });
}

fn address(store: &TestStore) -> std::net::SocketAddr {
    store.url().strip_prefix("redis://").unwrap().parse().unwrap()
}

/// Gives up soon on a server that is silent.
fn hasty(store: &TestStore, proxy: &FaultProxy) -> Builder {
    let builder = Cache::builder().url(proxy.url()).namespace(store.namespace()).jitter(0.0);
    builder.operation_deadline(Duration::from_millis(250))
}
