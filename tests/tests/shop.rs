//! The ten situations of a shop, through the attributes, as its developers would write them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cache_core::{Cache, TtlClasses, cached, invalidates, key, tag};
use cache_tests::{Data, Probe, Server, TestStore, each_server, each_store, ready, until};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct Shop {
    cache: Cache,
    data: Data,
}

impl Shop {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, data: Data::new() }
    }

    /// Whether an entry of text is stored.
    async fn has(&self, key: &str) -> bool {
        self.cache.peek::<String>(key).await.expect("the store answers").is_some()
    }
}

#[cached(prefix = "weather", ttl = "60s", cache = shop.cache, skip(shop))]
async fn weather(shop: &Shop, city: &str) -> String {
    shop.data.read(city).await
}

each_store! {
    async fn a_decorated_function_is_served_from_cache(store: TestStore) {
        let shop = Shop::new(&store).await;
        let begun = Instant::now();
        shop.data.set("Dallas", "sunny");
        assert_eq!(weather(&shop, "Dallas").await, "sunny");
        shop.data.set("Dallas", "rain");
        assert_eq!(weather(&shop, "Dallas").await, "sunny");
        assert_eq!(shop.data.reads("Dallas"), 1);
        if store.kind().is_some() {
            let entry = format!("{}:weather:Dallas", store.namespace());
            store.raw().await.assert_ttl(&entry, Duration::from_secs(60), begun).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_decorated_function_is_served_until_its_ttl_and_no_longer() {
    let shop = Shop::new(&TestStore::embedded()).await;
    shop.data.set("Dallas", "sunny");
    assert_eq!(weather(&shop, "Dallas").await, "sunny");
    shop.data.set("Dallas", "rain");
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(weather(&shop, "Dallas").await, "sunny");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(weather(&shop, "Dallas").await, "rain");
}

#[cached(prefix = "route", ttl = "60s", cache = shop.cache, skip(shop))]
async fn route(shop: &Shop, from: &str, to: Option<&str>, stops: Vec<String>) -> String {
    shop.data.read("route").await;
    format!("{from:?} {to:?} {stops:?}")
}

each_store! {
    async fn two_argument_lists_never_share_a_key(store: TestStore) {
        let shop = Shop::new(&store).await;
        let texts =
            ["", ":", "!", "+", "a", "a:b", "b", "ab", "1", "'1", "#", "*", "%3A", "{a}", " ", "\n", "None", "é"];
        let stops = [vec![], vec![String::new()], vec!["a".to_owned(), "b".to_owned()], vec!["ab".to_owned()]];
        let mut calls = Vec::new();
        for from in texts {
            for to in texts.map(Some).into_iter().chain([None]) {
                calls.push((from, to, stops[calls.len() % stops.len()].clone()));
            }
        }
        for stops in &stops {
            calls.push(("one", Some("two"), stops.clone()));
        }
        let mut keys = BTreeSet::new();
        for (from, to, stops) in &calls {
            route(&shop, from, *to, stops.clone()).await;
            keys.insert(route::key(from, to, stops).to_string());
        }
        assert_eq!(keys.len(), calls.len());
        assert_eq!(shop.data.reads("route"), calls.len() as u64, "each was loaded for itself");
        for (from, to, stops) in &calls {
            assert_eq!(route(&shop, from, *to, stops.clone()).await, format!("{from:?} {to:?} {stops:?}"));
        }
        assert_eq!(shop.data.reads("route"), calls.len() as u64, "all of them are stored");
    }
}

macro_rules! data_classes {
    ($($class:ident: $name:literal,)*) => {
        $(#[cached(prefix = $name, class = $name, cache = shop.cache, skip(shop))]
        async fn $class(shop: &Shop) -> String {
            shop.data.read($name).await
        })*

        async fn read_all_classes(shop: &Shop) {
            $($class(shop).await;)*
        }
    };
}

data_classes! {
    user_profile: "user_profile",
    user_settings: "user_settings",
    product_list: "product_list",
    inventory: "inventory",
    live_scores: "live_scores",
    unheard_of: "unheard_of",
}

const TABLE: [(&str, u64); 5] =
    [("user_profile", 3600), ("user_settings", 1800), ("product_list", 300), ("inventory", 60), ("live_scores", 10)];
const DEFAULT: (&str, u64) = ("unheard_of", 300);

async fn classified(store: &TestStore) -> Shop {
    let table: TtlClasses = TABLE.iter().map(|(class, seconds)| (*class, Duration::from_secs(*seconds))).collect();
    Shop { cache: ready(store.builder().ttl_classes(table)).await, data: Data::new() }
}

each_server! {
    async fn each_data_class_has_its_ttl(store: TestStore) {
        let shop = classified(&store).await;
        let mut raw = store.raw().await;
        let entry = |class| format!("{}:{class}", store.namespace());
        let begun = Instant::now();
        read_all_classes(&shop).await;
        for (class, seconds) in TABLE.into_iter().chain([DEFAULT]) {
            raw.assert_ttl(&entry(class), Duration::from_secs(seconds), begun).await;
        }
        // At run time: for what is filled from now on.
        shop.cache.set_ttl_class("live_scores", Duration::from_secs(7_200));
        shop.cache.set_ttl_class("unheard_of", Duration::from_secs(90));
        for (class, most) in [("live_scores", 10_000), ("unheard_of", 300_000)] {
            assert!(raw.ttl_ms(&entry(class)).await <= most, "what is stored stays as it is");
        }
        shop.cache.clear().await.unwrap();
        let begun = Instant::now();
        read_all_classes(&shop).await;
        for (class, seconds) in [("live_scores", 7_200), ("unheard_of", 90)] {
            raw.assert_ttl(&entry(class), Duration::from_secs(seconds), begun).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_data_class_has_its_ttl_in_the_embedded_store() {
    let shop = classified(&TestStore::embedded()).await;
    let begun = tokio::time::Instant::now();
    read_all_classes(&shop).await;
    for seconds in [10, 60, 300, 1800, 3600] {
        for moment_ms in [seconds * 1_000 - 1, seconds * 1_000] {
            tokio::time::advance(begun + Duration::from_millis(moment_ms) - tokio::time::Instant::now()).await;
            for (class, ttl_seconds) in TABLE.into_iter().chain([DEFAULT]) {
                assert_eq!(shop.has(class).await, moment_ms < ttl_seconds * 1_000, "{class} after {moment_ms} ms");
            }
        }
    }
    shop.cache.set_ttl_class("live_scores", Duration::from_secs(7_200));
    read_all_classes(&shop).await;
    tokio::time::advance(Duration::from_secs(7_199)).await;
    assert!(shop.has("live_scores").await && !shop.has("user_profile").await);
}

#[cached(prefix = "user", ttl = "1h", cache = shop.cache, skip(shop))]
async fn user(shop: &Shop, id: u64) -> String {
    shop.data.read(&format!("user:{id}")).await
}

#[cached(prefix = "user_profile", ttl = "1h", cache = shop.cache, skip(shop))]
async fn profile_of(shop: &Shop, id: u64) -> String {
    shop.data.read(&format!("user:{id}")).await
}

#[cached(prefix = "user_settings", ttl = "30m", cache = shop.cache, skip(shop))]
async fn settings_of(shop: &Shop, id: u64) -> String {
    shop.data.read(&format!("user:{id}")).await
}

#[invalidates(
    keys = ["user:{id}", "user_profile:{id}", "user_settings:{id}"],
    background,
    cache = shop.cache
)]
async fn update_user(shop: &Shop, id: u64, name: String) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err("a name is needed");
    }
    shop.data.set(&format!("user:{id}"), &name);
    Ok(name)
}

async fn read_user(shop: &Shop, id: u64) -> [String; 3] {
    [user(shop, id).await, profile_of(shop, id).await, settings_of(shop, id).await]
}

/// How many of a user's three entries are stored.
async fn entries_of(shop: &Shop, id: u64) -> usize {
    let mut stored = 0;
    for prefix in ["user", "user_profile", "user_settings"] {
        stored += usize::from(shop.has(&format!("{prefix}:{id}")).await);
    }
    stored
}

each_store! {
    async fn update_invalidates_a_users_three_entries_in_the_background(store: TestStore) {
        let shop = Shop::new(&store).await;
        for id in [1, 2] {
            shop.data.set(&format!("user:{id}"), "Ann");
            read_user(&shop, id).await;
        }
        assert_eq!(update_user(&shop, 1, String::new()).await, Err("a name is needed"));
        assert_eq!(entries_of(&shop, 1).await, 3, "nothing was written");
        assert_eq!(update_user(&shop, 1, "Bea".to_owned()).await.as_deref(), Ok("Bea"));
        until(async || entries_of(&shop, 1).await == 0).await;
        assert_eq!(entries_of(&shop, 2).await, 3);
        assert_eq!(read_user(&shop, 1).await, ["Bea"; 3]);
        assert_eq!(shop.cache.stats().total().failed_invalidations, 0);
    }
}

each_server! {
    async fn an_update_in_the_background_does_not_wait_for_the_server(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let shop = Shop { cache: ready(store.builder().url(server.url())).await, data: Data::new() };
        read_user(&shop, 1).await;
        server.pause();
        tokio::select! {
            biased;
            name = update_user(&shop, 1, "Bea".to_owned()) => assert_eq!(name.as_deref(), Ok("Bea")),
            () = std::future::ready(()) => panic!("it waits for something"),
        }
        server.resume();
        until(async || entries_of(&shop, 1).await == 0).await;
    }
}

#[cached(prefix = "page", ttl = "1h", cache = shop.cache, skip(shop))]
async fn page(shop: &Shop, user: &str, number: u32) -> String {
    shop.data.read(&format!("page:{user}:{number}")).await
}

#[invalidates(patterns = ["page:{user}:*"], cache = shop.cache)]
async fn delete_user(shop: &Shop, user: &str) {
    shop.data.set(user, "");
}

each_store! {
    async fn delete_invalidates_by_pattern(store: TestStore) {
        let shop = Shop::new(&store).await;
        let pages = ["ann", "anna", "*", "a?"];
        for user in pages {
            for number in 0..20 {
                page(&shop, user, number).await;
            }
        }
        for (deleted, left) in [("*", 60), ("a?", 40), ("ann", 20)] {
            delete_user(&shop, deleted).await;
            let mut stored = 0;
            for user in pages {
                for number in 0..20 {
                    stored += u32::from(shop.cache.peek(page::key(user, &number)).await.unwrap().is_some());
                }
            }
            assert_eq!(stored, left, "after {deleted} was deleted");
        }
    }
}

each_server! {
    /// In many small steps, between which others get their turn: never KEYS, never one long script.
    async fn delete_by_pattern_does_not_block_the_server(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let shop = Shop { cache: ready(store.builder().url(server.url())).await, data: Data::new() };
        for number in 0..20 {
            page(&shop, "ann", number).await;
        }
        let mut raw = server.raw().await;
        let many = "for at = 1, 10000 do redis.call('SET', KEYS[1] .. at, '') end";
        raw.command::<Option<String>>("EVAL", &[many, "1", "somebody-else:"]).await;
        raw.command::<String>("CONFIG", &["RESETSTAT"]).await;
        delete_user(&shop, "ann").await;
        assert_eq!(shop.cache.stats().total().invalidated, 20);
        assert_eq!(raw.calls_of("keys").await, 0);
        let scans = raw.calls_of("scan").await;
        // Two walks over 10,000 keys, at most 500 keys a step.
        assert!(scans >= 40, "{scans}");
        assert_eq!(raw.calls_of("evalsha").await, scans, "a script for each step");
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Product {
    id: u64,
    category: String,
}

#[cached(prefix = "product", ttl = "5m", cache = shop.cache, skip(shop), tags = ["category:{result.category}"])]
async fn product(shop: &Shop, id: u64) -> Product {
    let category = shop.data.read(&format!("product:{id}")).await;
    Product { id, category }
}

each_store! {
    async fn a_tag_removes_all_products_of_a_category_and_says_how_many(store: TestStore) {
        let shop = Shop::new(&store).await;
        for id in 0..30 {
            shop.data.set(&format!("product:{id}"), if id < 18 { "shoes" } else { "toys" });
            product(&shop, id).await;
        }
        let category = "shoes";
        assert_eq!(shop.cache.invalidate_tag(tag!("category:{category}")).await.unwrap().entries, 18);
        assert_eq!(shop.cache.invalidate_tag("category:shoes").await.unwrap().entries, 0);
        for id in 0..30 {
            assert_eq!(shop.cache.peek(product::key(&id)).await.unwrap().is_some(), id >= 18);
        }
        // A product that moves to another category leaves the tag with its next fill.
        shop.data.set("product:20", "shoes");
        shop.cache.invalidate_key(product::key(&20)).await.unwrap();
        product(&shop, 20).await;
        assert_eq!(shop.cache.invalidate_tag("category:toys").await.unwrap().entries, 11);
        assert_eq!(shop.cache.invalidate_tag("category:shoes").await.unwrap().entries, 1);
    }
}

#[cached(prefix = "offer", ttl = "150ms", cache = shop.cache, skip(shop), tags = ["sale"])]
async fn offer(shop: &Shop, id: u64) -> String {
    shop.data.read(&format!("offer:{id}")).await
}

#[cached(prefix = "catalogue", ttl = "1h", cache = shop.cache, skip(shop), tags = ["sale"])]
async fn catalogue(shop: &Shop) -> String {
    shop.data.read("catalogue").await
}

each_store! {
    async fn a_short_lived_member_does_not_shorten_a_tags_life(store: TestStore) {
        for short_first in [true, false] {
            let shop = Shop::new(&store).await;
            if short_first {
                offer(&shop, 1).await;
            }
            catalogue(&shop).await;
            offer(&shop, 2).await;
            until(async || !shop.has("offer:1").await && !shop.has("offer:2").await).await;
            assert!(shop.has("catalogue").await);
            assert_eq!(shop.cache.invalidate_tag("sale").await.unwrap().entries, 1);
            assert!(!shop.has("catalogue").await);
        }
    }
}

/// Made from a user and two products, which nobody declares; and from its
/// invoice, so that there is a cycle.
#[cached(prefix = "order", ttl = "10m", cache = shop.cache, skip(shop), depends_on = [invoice(id)])]
async fn order(shop: &Shop, id: u64) -> String {
    let buyer = user(shop, 1).await;
    let (first, second) = (product(shop, 1).await, product(shop, 2).await);
    format!("{buyer}: {}, {}", first.category, second.category)
}

#[cached(prefix = "invoice", ttl = "1h", cache = shop.cache, skip(shop))]
async fn invoice(shop: &Shop, id: u64) -> String {
    format!("invoice of {}", order(shop, id).await)
}

#[cached(prefix = "statement", ttl = "1h", cache = shop.cache, skip(shop))]
async fn statement(shop: &Shop) -> Vec<String> {
    vec![invoice(shop, 1).await, invoice(shop, 2).await]
}

/// Calls nothing of what it depends on.
#[cached(prefix = "reminder", ttl = "1h", cache = shop.cache, skip(shop), depends_on = [invoice(2)])]
async fn reminder(shop: &Shop) -> String {
    shop.data.read("reminder").await
}

#[invalidates(keys = [product(id)], cache = shop.cache)]
async fn change_product(shop: &Shop, id: u64, category: &str) {
    shop.data.set(&format!("product:{id}"), category);
}

each_store! {
    async fn an_order_falls_with_its_dependents_when_a_product_changes(store: TestStore) {
        let shop = Shop::new(&store).await;
        shop.data.set("user:1", "Ann");
        for id in 1..=3 {
            shop.data.set(&format!("product:{id}"), "shoes");
            product(&shop, id).await;
        }
        assert_eq!(statement(&shop).await, ["invoice of Ann: shoes, shoes"; 2]);
        reminder(&shop).await;
        change_product(&shop, 3, "toys").await;
        assert_eq!(shop.cache.stats().total().invalidated, 1, "no order has it");
        change_product(&shop, 2, "toys").await;
        // The product, two orders, two invoices, a statement and a reminder: each
        // once, through the cycle as well.
        let stats = shop.cache.stats();
        let fell = ["product", "order", "invoice", "statement", "reminder"].map(|of| stats.prefix(of).invalidated);
        assert_eq!((fell, stats.total().invalidated), ([1 + 1, 2, 2, 1, 1], 1 + 7));
        assert!(shop.has("user:1").await && shop.cache.peek(product::key(&1)).await.unwrap().is_some());
        assert_eq!(statement(&shop).await, ["invoice of Ann: shoes, toys"; 2]);
        // The same counts as text keys say it, and through the other end of the cycle.
        assert_eq!(shop.cache.invalidate_key("invoice:1").await.unwrap().entries, 3);
        statement(&shop).await;
        assert_eq!(shop.cache.invalidate_key(user::key(&1)).await.unwrap().entries, 6);
        assert_eq!(shop.cache.invalidate_key("user:1").await.unwrap().entries, 0);
    }
}

each_store! {
    async fn cache_aside_fetches_once_write_goes_through_invalidate_removes(store: TestStore) {
        let shop = Shop::new(&store).await;
        let fetches = Probe::new();
        let fetch = async || {
            shop.cache.get_or_load(product::key(&7), || async {
                fetches.mark();
                Err::<Product, _>("no such product")
            })
            .await
        };
        shop.data.set("product:7", "shoes");
        assert_eq!(product(&shop, 7).await, product(&shop, 7).await);
        assert_eq!(shop.data.reads("product:7"), 1, "fetched once");
        let bought = Product { id: 7, category: "toys".to_owned() };
        let put = shop.cache.put(product::key(&7), &bought).await.unwrap();
        assert!(put.stored && put.entries == 1, "{put:?}");
        assert_eq!(product(&shop, 7).await, bought);
        assert_eq!(fetch().await, Ok(bought), "by the function's key as well");
        assert_eq!((shop.data.reads("product:7"), fetches.count()), (1, 0), "the write went through");
        // What was put has the function's tags.
        assert_eq!(shop.cache.invalidate_tag("category:toys").await.unwrap().entries, 1);
        assert_eq!(fetch().await, Err("no such product"));
        assert_eq!(product(&shop, 7).await.category, "shoes");
        let id = 7;
        assert_eq!(shop.cache.invalidate_key(key!("product:{id}")).await.unwrap().entries, 1);
        assert_eq!(shop.cache.peek(product::key(&7)).await.unwrap(), None);
    }
}

each_server! {
    async fn with_redis_down_every_request_still_answers(store: TestStore) {
        let mut server = Server::start(store.kind().expect("a server"));
        let shop = Shop { cache: ready(store.builder().url(server.url())).await, data: Data::new() };
        shop.data.set("user:1", "Ann");
        shop.data.set("product:2", "shoes");
        statement(&shop).await;
        server.stop();
        for _ in 0..20 {
            assert_eq!(user(&shop, 1).await, "Ann");
            assert_eq!(product(&shop, 2).await.category, "shoes");
            assert_eq!(statement(&shop).await, ["invoice of Ann: , shoes"; 2]);
            change_product(&shop, 2, "toys").await;
            assert_eq!(product(&shop, 2).await.category, "toys");
            shop.data.set("product:2", "shoes");
        }
        assert_eq!(update_user(&shop, 1, "Bea".to_owned()).await.as_deref(), Ok("Bea"));
        delete_user(&shop, "ann").await;
        assert_eq!(user(&shop, 1).await, "Bea");
        // And caches again once it is back, when what failed meanwhile was made good.
        server.start_again();
        until(async || {
            user(&shop, 1).await;
            product(&shop, 2).await;
            // A connection may still be found to be the old server's.
            let stored = (shop.cache.peek::<String>("user:1").await, shop.cache.peek(product::key(&2)).await);
            matches!(stored, (Ok(Some(_)), Ok(Some(_))))
        })
        .await;
    }
}
