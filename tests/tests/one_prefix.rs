//! Two functions with one prefix, one shape of keys and one type of values: neither is served what
//! the other has loaded.

use std::collections::HashMap;

use cache_core::{Cache, ErrorKind, Warmer, cached, key, write_through};
use cache_tests::{Data, Log, TestStore, each_server, each_store, ready, run};

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

impl App {
    fn new(cache: Cache, data: &Data) -> Self {
        Self { cache, data: data.clone() }
    }

    async fn of(store: &TestStore) -> Self {
        Self::new(store.cache().await, &Data::new())
    }
}

#[cached(prefix = "of", ttl = "60s", cache = app.cache, skip(app), tags = ["orders"])]
async fn orders(app: &App, user: u32) -> String {
    app.data.read("orders").await + &user.to_string()
}

#[cached(prefix = "of", ttl = "60s", cache = app.cache, skip(app))]
async fn invoices(app: &App, user: u32) -> Option<String> {
    Some(app.data.read("invoices").await + &user.to_string())
}

#[write_through(invoices(&user), cache = app.cache)]
async fn set_invoices(app: &App, user: u32) -> Option<String> {
    Some(app.data.read("invoices").await + &user.to_string())
}

/// Made of both.
#[cached(prefix = "account", ttl = "60s", cache = app.cache, skip(app))]
async fn account(app: &App, user: u32) -> String {
    orders(app, user).await + &invoices(app, user).await.unwrap_or_default()
}

fn rows(app: &App) {
    app.data.set("orders", "order ");
    app.data.set("invoices", "invoice ");
}

async fn each_is_served_its_own(app: &App) {
    assert_eq!(orders(app, 7).await, "order 7");
    assert_eq!(invoices(app, 7).await.as_deref(), Some("invoice 7"));
}

each_store! {
    async fn neither_is_served_what_the_other_has_loaded(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        for _ in 0..3 {
            each_is_served_its_own(&app).await;
        }
        let stats = app.cache.stats().prefix("of");
        assert_eq!((stats.loads, stats.hits, stats.fills, stats.bypasses), (6, 0, 1, 5), "every call loads, and counts");
        assert_eq!(app.cache.peek::<String>("of:7").await.unwrap(), None, "nothing is left");
    }

    async fn nothing_else_stores_or_reads_for_them(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        orders(&app, 1).await;
        invoices(&app, 2).await;
        assert_eq!(app.cache.peek(orders::key(&1)).await.unwrap(), None);
        let error = app.cache.put(orders::key(&3), &String::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        set_invoices(&app, 4).await;
        assert_eq!(app.cache.peek::<String>("of:4").await.unwrap(), None);
        orders::refresh(&app, 5).await;
        assert_eq!(app.cache.peek::<String>("of:5").await.unwrap(), None);
        assert_eq!(app.cache.stats().prefix("of").fills, 1);
    }

    async fn the_first_use_of_any_kind_counts(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        assert!(app.cache.put(orders::key(&7), &"order 7".to_owned()).await.unwrap().stored);
        assert_eq!(invoices(&app, 7).await.as_deref(), Some("invoice 7"));
        let app = App::new(ready(store.builder()).await, &app.data);
        assert_eq!(app.cache.peek(invoices::key(&7)).await.unwrap(), None);
        assert_eq!(orders(&app, 7).await, "order 7");
        assert_eq!(app.cache.stats().prefix("of").bypasses, 1);
    }

    async fn what_is_made_of_them_is_stored_and_falls_with_them(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        for _ in 0..2 {
            assert_eq!(account(&app, 7).await, "order 7invoice 7");
        }
        assert_eq!(app.cache.stats().prefix("account").hits, 1);
        assert_eq!(app.cache.invalidate_tag("orders").await.unwrap().entries, 1);
        account(&app, 7).await;
        assert_eq!(app.cache.invalidate_key(invoices::key(&7)).await.unwrap().entries, 1);
    }

    /// The load that is under way when the second function is called.
    async fn a_load_from_before_the_clash_is_not_stored_after_it(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        let held = app.data.hold("orders");
        let call = tokio::spawn({
            let app = app.clone();
            async move { orders(&app, 7).await }
        });
        held.reached().await;
        assert_eq!(invoices(&app, 7).await.as_deref(), Some("invoice 7"));
        held.open();
        assert_eq!(call.await.unwrap(), "order 7");
        assert_eq!(app.cache.peek::<String>("of:7").await.unwrap(), None);
    }
}

each_server! {
    /// Each calls them in its own order, and meets what the other has stored meanwhile.
    async fn processes_that_know_of_the_clash_serve_nothing_of_each_other(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        let other = App::new(store.another_process().await, &app.data);
        each_is_served_its_own(&app).await;
        assert_eq!(invoices(&other, 7).await.as_deref(), Some("invoice 7"), "what the first stored is gone");
        assert_eq!(orders(&other, 7).await, "order 7");
        for _ in 0..2 {
            each_is_served_its_own(&app).await;
            each_is_served_its_own(&other).await;
        }
        let late = App::new(store.another_process().await, &app.data);
        assert_eq!(orders(&late, 7).await, "order 7");
        each_is_served_its_own(&app).await;
        assert_eq!(invoices(&late, 7).await.as_deref(), Some("invoice 7"));
    }
}

fn errors(log: &Log) -> Vec<String> {
    log.text().lines().filter(|line| line.contains("ERROR ")).map(str::to_owned).collect()
}

#[test]
fn a_clash_is_said_once_with_the_prefix_and_both_functions() {
    run(0, async {
        let (log, _guard) = Log::listen();
        let app = App::new(Cache::in_memory(), &Data::new());
        orders(&app, 1).await;
        assert_eq!(errors(&log), Vec::<String>::new());
        for _ in 0..3 {
            invoices(&app, 1).await;
            orders(&app, 1).await;
        }
        let said = errors(&log);
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [r#"prefix="of""#, "one_prefix::orders (", "one_prefix::invoices (", "one_prefix.rs:"] {
            assert!(said[0].contains(part), "{part}: {}", said[0]);
        }
    });
}

mod helper {
    pub(crate) mod a {
        #[cache_core::cached(prefix = "helper", ttl = "60s", cache = app.cache, skip(app))]
        pub(crate) async fn load(app: &crate::App, id: u32) -> String {
            let _ = app;
            format!("a{id}")
        }
    }

    pub(crate) mod b {
        #[cache_core::cached(prefix = "helper", ttl = "60s", cache = app.cache, skip(app))]
        pub(crate) async fn load(app: &crate::App, id: u32) -> String {
            let _ = app;
            format!("b{id}")
        }
    }
}

struct Boats;
struct Ships;

impl Boats {
    #[cached(prefix = "fleet", ttl = "60s", cache = app.cache, skip(app), companion = Self)]
    async fn get(app: &App, id: u32) -> String {
        let _ = app;
        format!("boat {id}")
    }
}

impl Ships {
    #[cached(prefix = "fleet", ttl = "60s", cache = app.cache, skip(app), companion = Self)]
    async fn get(app: &App, id: u32) -> String {
        let _ = app;
        format!("ship {id}")
    }
}

trait Harbour {
    async fn berth(&self, app: &App, id: u32) -> String;
    async fn crane(&self, app: &App, id: u32) -> String;
}

impl Harbour for Boats {
    #[cached(prefix = "harbour", ttl = "60s", cache = app.cache, skip(self, app), companion = none)]
    async fn berth(&self, app: &App, id: u32) -> String {
        let _ = app;
        format!("berth {id}")
    }

    #[cached(prefix = "harbour", ttl = "60s", cache = app.cache, skip(self, app), companion = none)]
    async fn crane(&self, app: &App, id: u32) -> String {
        let _ = app;
        format!("crane {id}")
    }
}

macro_rules! function {
    ($name:ident, $text:literal) => {
        #[cached(prefix = "made", ttl = "60s", cache = app.cache, skip(app))]
        async fn $name(app: &App, id: u32) -> String {
            let _ = app;
            format!("{} {id}", $text)
        }
    };
}

function!(made_first, "first");
function!(made_second, "second");

#[cached(prefix = "inside", ttl = "60s", cache = app.cache, skip(app), key = "x:{id}")]
async fn by_key(app: &App, id: u32) -> String {
    let _ = app;
    format!("by key {id}")
}

#[cached(prefix = "inside", ttl = "60s", cache = app.cache, skip(app, other), key = "x:{id}")]
async fn by_same_key(app: &App, other: u32, id: u32) -> String {
    let _ = (app, other);
    format!("by same key {id}")
}

#[cached(prefix = "many", ttl = "60s", cache = app.cache, skip(app), each = ids)]
async fn many_first(app: &App, ids: &[u32]) -> Result<HashMap<u32, String>, String> {
    let _ = app;
    Ok(ids.iter().map(|id| (*id, format!("first {id}"))).collect())
}

#[cached(prefix = "many", ttl = "60s", cache = app.cache, skip(app), each = ids)]
async fn many_second(app: &App, ids: &[u32]) -> Result<HashMap<u32, String>, String> {
    let _ = app;
    Ok(ids.iter().map(|id| (*id, format!("second {id}"))).collect())
}

/// Shares entries with one of two that may have none.
#[cached(prefix = "of", ttl = "60s", cache = app.cache, skip(app), each = users)]
async fn many_orders(app: &App, users: &[u32]) -> Result<HashMap<u32, String>, String> {
    let order = app.data.read("orders").await;
    Ok(users.iter().map(|user| (*user, format!("{order}{user}"))).collect())
}

each_store! {
    async fn a_function_of_many_keys_shares_nothing_with_two_of_one(store: TestStore) {
        let app = App::of(&store).await;
        rows(&app);
        let orders_of = async |user: u32| many_orders(&app, &[user]).await.unwrap().remove(&user);
        assert_eq!(orders_of(7).await.as_deref(), Some("order 7"));
        assert_eq!(orders(&app, 7).await, "order 7");
        assert_eq!(app.cache.stats().prefix("of").hits, 1);
        for _ in 0..2 {
            each_is_served_its_own(&app).await;
            assert_eq!(orders_of(7).await.as_deref(), Some("order 7"));
        }
        assert_eq!(app.cache.peek::<String>("of:7").await.unwrap(), None);
    }

    async fn it_does_not_matter_where_the_two_functions_stand(store: TestStore) {
        let app = App::of(&store).await;
        for _ in 0..2 {
            assert_eq!(helper::a::load(&app, 1).await, "a1");
            assert_eq!(helper::b::load(&app, 1).await, "b1");
            assert_eq!(Boats::get(&app, 1).await, "boat 1");
            assert_eq!(Ships::get(&app, 1).await, "ship 1");
            assert_eq!(Boats.berth(&app, 1).await, "berth 1");
            assert_eq!(Boats.crane(&app, 1).await, "crane 1");
            assert_eq!(made_first(&app, 1).await, "first 1");
            assert_eq!(made_second(&app, 1).await, "second 1");
            assert_eq!(by_key(&app, 1).await, "by key 1");
            assert_eq!(by_same_key(&app, 2, 1).await, "by same key 1");
            assert_eq!(many_first(&app, &[1]).await.unwrap()[&1], "first 1");
            assert_eq!(many_second(&app, &[1]).await.unwrap()[&1], "second 1");
        }
    }
}

/// What shares a prefix without a clash, each called twice: the second time is a hit.
mod together {
    use super::*;

    #[cached(prefix = "square", ttl = "60s", cache = app.cache, skip(app))]
    pub(super) async fn square(app: &App, n: u64) -> Result<u64, String> {
        let _ = app;
        Ok(n * n)
    }

    #[cached(prefix = "square", ttl = "60s", cache = app.cache, skip(app), each = ns)]
    pub(super) async fn squares(app: &App, ns: &[u64]) -> Result<HashMap<u64, u64>, String> {
        let _ = app;
        Ok(ns.iter().map(|n| (*n, n * n)).collect())
    }

    #[cached(prefix = "generic", ttl = "60s", cache = app.cache, skip(app))]
    pub(super) async fn generic<T: std::fmt::Debug + serde::Serialize>(app: &App, value: T) -> String {
        let _ = app;
        format!("{value:?}")
    }

    /// Other keys.
    #[cached(prefix = "square", ttl = "60s", cache = app.cache, skip(app))]
    pub(super) async fn product(app: &App, a: u64, b: u64) -> Result<u64, String> {
        let _ = app;
        Ok(a * b)
    }

    #[cached(prefix = "square", ttl = "60s", cache = app.cache, skip(app), key = "of:{n}")]
    pub(super) async fn keyed(app: &App, n: u64) -> Result<u64, String> {
        let _ = app;
        Ok(n)
    }

    pub(super) struct Repo<T>(pub(super) T);

    impl<T: Clone> Repo<T> {
        #[cached(prefix = "repo", ttl = "60s", cache = app.cache, skip(self, app), companion = Self)]
        pub(super) async fn get(&self, app: &App, id: u32) -> u32 {
            let _ = app;
            id
        }
    }

    pub(super) trait Source {
        async fn source(&self, app: &App, id: u32) -> u32;
    }

    impl Source for u8 {
        #[cached(prefix = "source", ttl = "60s", cache = app.cache, skip(self, app), companion = none)]
        async fn source(&self, app: &App, id: u32) -> u32 {
            let _ = app;
            id
        }
    }

    impl Source for u16 {
        #[cached(prefix = "source", ttl = "60s", cache = app.cache, skip(self, app), companion = none)]
        async fn source(&self, app: &App, id: u32) -> u32 {
            let _ = app;
            id + 1
        }
    }
}

each_store! {
    async fn what_shares_a_prefix_on_purpose_is_cached(store: TestStore) {
        use together::{Repo, Source as _, generic, keyed, product, square, squares};
        let app = App::of(&store).await;
        for _ in 0..2 {
            assert_eq!(square(&app, 3).await, Ok(9));
            assert_eq!(squares(&app, &[3, 4]).await.unwrap().len(), 2);
            assert_eq!(product(&app, 3, 4).await, Ok(12));
            assert_eq!(keyed(&app, 3).await, Ok(3));
            assert_eq!(generic(&app, 7u32).await, "7");
            assert_eq!(generic(&app, "text").await, r#""text""#);
            assert_eq!(Repo(1u8).get(&app, 1).await, 1);
            assert_eq!(Repo("text").get(&app, 1).await, 1);
            assert_eq!(1u8.source(&app, 1).await, 1);
            assert_eq!(1u16.source(&app, 1).await, 2);
            assert_eq!(app.cache.get_or_load(key!("square:3"), || async { Err::<u64, _>(()) }).await, Ok(9));
        }
        for (prefix, hits) in [("square", 8), ("generic", 2), ("repo", 2), ("source", 2)] {
            let stats = app.cache.stats().prefix(prefix);
            assert_eq!((stats.hits, stats.bypasses), (hits, 0), "{prefix}");
        }
    }

    async fn a_warmer_of_the_prefix_is_no_other_function(store: TestStore) {
        let app = App::of(&store).await;
        let warmer = Warmer::new(&app.cache);
        let loading = app.clone();
        warmer.loader("square", move |n: String| {
            let app = loading.clone();
            async move { together::square(&app, n.parse().unwrap()).await }
        });
        assert_eq!(warmer.warm_keys(["square:5"]).await.done, 1);
        assert_eq!(together::square(&app, 5).await, Ok(25));
        assert_eq!(app.cache.stats().prefix("square").hits, 1);
    }
}
