//! Tenants of one cache: a namespace each, over the same connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Cache, CacheContext, ErrorKind, StoreRequest, TtlClasses, cached, in_context, invalidates};
use cache_tests::{
    ClusterSet, Fault, FaultProxy, Log, Server, ServerOptions, TestStore, each_server, each_store, ready, until,
};

async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    let Ok(value) = cache.get_or_load(key, || async move { Ok::<_, Infallible>(value) }).await;
    value
}

async fn stored(cache: &Cache, key: &str) -> Option<u32> {
    cache.peek(key).await.unwrap()
}

/// Lets the tasks end that renewed a lease, or have made an invalidation good: each has its cache
/// until it is polled for the last time.
async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[derive(Clone, CacheContext)]
struct Tenant {
    cache: Cache,
}

#[cached(prefix = "cart", ttl = "60s", tags = ["carts"], context = tenant)]
async fn cart(tenant: &Tenant, id: u64) -> u64 {
    id + tenant.cache.tenant_name().map_or(0, |name| name.len() as u64)
}

#[invalidates(keys = [cart(id)], context = tenant)]
async fn order(tenant: &Tenant, id: u64) {
    let _ = id;
}

#[in_context(tenant: Tenant)]
mod prices {
    use std::sync::Arc;

    use cache_core::{cached, invalidates, write_through};

    use super::Tenant;

    #[cached(prefix = "price", ttl = "60s", near = "5s")]
    pub(crate) async fn price(tenant: &Tenant, id: u64) -> u64 {
        let _ = tenant;
        id
    }

    #[write_through(price(id))]
    pub(crate) async fn set_price(tenant: Arc<Tenant>, id: u64, value: u64) -> u64 {
        let _ = (tenant, id);
        value
    }

    pub(crate) mod every {
        use super::*;

        #[invalidates(patterns = ["price:*"])]
        pub(crate) async fn forget(tenant: Tenant) {
            let _ = tenant;
        }
    }
}

#[in_context(self: Tenant)]
impl Tenant {
    #[cached(prefix = "rate", ttl = "60s", companion = Self)]
    async fn rate(&self) -> u32 {
        1
    }

    #[invalidates(keys = [Self::rate()])]
    async fn set_rate(&self) {}
}

each_store! {
    async fn no_tenant_sees_or_removes_what_another_one_has(store: TestStore) {
        let cache = store.cache().await;
        // The second name is one that an attacker would choose.
        let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("7:a").unwrap());
        let caches = [&cache, &one, &other];
        for (value, cache) in caches.into_iter().enumerate() {
            assert_eq!(get(cache, "a:1", value as u32).await, value as u32);
        }
        one.invalidate_pattern("*").await.unwrap();
        assert_eq!(stored(&one, "a:1").await, None);
        assert_eq!((stored(&cache, "a:1").await, stored(&other, "a:1").await), (Some(0), Some(2)));
        assert_eq!(cache.clear().await.unwrap().entries, 1);
        assert_eq!(stored(&other, "a:1").await, Some(2));
        assert_eq!(other.clear().await.unwrap().entries, 1);
        let loads = caches.map(|cache| cache.stats().prefix("a").loads);
        assert_eq!(loads, [1, 1, 1], "each counts its own");
    }

    async fn a_tenant_that_is_asked_for_again_is_the_same_cache(store: TestStore) {
        let cache = store.cache().await;
        get(&cache.tenant("7").unwrap(), "a:1", 1).await;
        let again = cache.tenant("7").unwrap();
        assert_eq!((again.tenant_name(), again.stats().prefix("a").loads), (Some("7"), 1));
        assert_eq!(cache.tenants().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["7"]);
        // As the cache's own entries are.
        assert_eq!(stored(&cache.peer().tenant("7").unwrap(), "a:1").await, Some(1));
        assert_eq!(stored(&again.peer(), "a:1").await, Some(1));
    }

    async fn functions_use_the_tenant_of_their_context(store: TestStore) {
        let cache = store.cache().await;
        let [one, other] = ["7", "88"].map(|name| Tenant { cache: cache.tenant(name).unwrap() });
        assert_eq!((cart(&one, 1).await, cart(&other, 1).await), (2, 3));
        order(&one, 1).await;
        assert_eq!(one.cache.peek(cart::key(&1)).await.unwrap(), None);
        assert_eq!(other.cache.peek(cart::key(&1)).await.unwrap(), Some(3));
        one.cache.invalidate_tag("carts").await.unwrap();
        assert_eq!(other.cache.peek(cart::key(&1)).await.unwrap(), Some(3));
    }

    async fn a_module_in_context_uses_the_tenant_of_each_call(store: TestStore) {
        let cache = store.cache().await;
        let [one, other] = ["7", "8"].map(|name| Tenant { cache: cache.tenant(name).unwrap() });
        let price = async |of: &Tenant| of.cache.peek(prices::price::key(&1)).await.unwrap();
        assert_eq!((prices::price(&one, 1).await, prices::price(&other, 1).await), (1, 1));
        prices::set_price(Arc::new(one.clone()), 1, 5).await;
        assert_eq!((price(&one).await, price(&other).await), (Some(5), Some(1)));
        prices::every::forget(other.clone()).await;
        assert_eq!((price(&one).await, price(&other).await), (Some(5), None));
        assert_eq!((one.rate().await, other.rate().await), (1, 1));
        one.set_rate().await;
        assert_eq!([&one, &other].map(|of| of.cache.stats().prefix("rate").invalidated), [1, 0]);
        assert_eq!(cache.stats().total().loads, 0, "nothing is common to all");
    }

    async fn a_quota_bounds_the_entries_of_a_tenant_over_all_processes(store: TestStore) {
        let cache = ready(store.builder().tenant_entries_max(3)).await;
        let (one, beside) = (cache.tenant("7").unwrap(), cache.peer().tenant("7").unwrap());
        for id in 0..3 {
            get(&one, &format!("k:{id}"), id).await;
            get(&beside, &format!("l:{id}"), id).await;
        }
        let mut there = 0;
        for id in 0..3 {
            there += usize::from(stored(&one, &format!("k:{id}")).await.is_some());
            there += usize::from(stored(&one, &format!("l:{id}")).await.is_some());
        }
        assert_eq!(there, 3);
        let refused = [("k", &one), ("l", &beside)].map(|(prefix, tenant)| {
            let stats = tenant.stats().prefix(prefix);
            stats.unstored_by_reason().filter(|reason| reason.reason == "quota_reached").map(|reason| reason.count).sum::<u64>()
        });
        assert_eq!(refused.iter().sum::<u64>(), 3);
        // A written value is not stored either, and what it was to replace goes.
        assert!(!one.put("k:0", &9_u32).await.unwrap().stored);
        assert_eq!(stored(&one, "k:0").await, None);
        // There is room again, and others had it all the time.
        until(async || {
            get(&one, "k:9", 1).await;
            stored(&one, "k:9").await.is_some()
        })
        .await;
        for id in 0..5 {
            get(&cache, &format!("k:{id}"), id).await;
        }
        assert_eq!(cache.stats().prefix("k").fills, 5, "the cache itself has no quota");
    }

    async fn the_clear_of_one_tenant_refuses_no_load_of_another(store: TestStore) {
        let cache = store.cache().await;
        let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("8").unwrap());
        let Ok(_) = other.get_or_load("a:1", async || {
            one.clear().await.unwrap();
            cache.clear().await.unwrap();
            Ok::<_, Infallible>(1)
        }).await;
        assert_eq!(stored(&other, "a:1").await, Some(1));
        assert_eq!(other.stats().total().refused_fills, 0);
    }

    async fn what_is_made_from_another_tenants_data_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("8").unwrap());
        let Ok(sum) = other.get_or_load("sum", async || Ok::<_, Infallible>(get(&one, "a:1", 1).await)).await;
        assert_eq!((sum, stored(&other, "sum").await), (1, None));
        let reasons: Vec<_> = other.stats().prefix("sum").unstored_by_reason().map(|reason| reason.reason).collect();
        assert_eq!(reasons, ["of_another_cache"]);
    }

    async fn beyond_the_limit_the_tenant_that_was_used_least_recently_is_let_go(store: TestStore) {
        let cache = ready(store.builder().tenants_max(2)).await;
        let names = || cache.tenants().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        for name in ["1", "2", "1", "3"] {
            get(&cache.tenant(name).unwrap(), "a:1", 1).await;
            idle().await;
        }
        assert_eq!(names(), ["1", "3"]);
        let held = [cache.tenant("1").unwrap(), cache.tenant("3").unwrap()];
        assert_eq!(cache.tenant("4").unwrap_err().kind(), ErrorKind::Limit, "both are in use");
        drop(held);
        cache.tenant("4").unwrap();
        assert_eq!(names(), ["3", "4"]);
        // On a server the entries are still there.
        let expected = store.kind().map(|_| 1);
        assert_eq!(stored(&cache.tenant("2").unwrap(), "a:1").await, expected);
    }

    async fn ttl_classes_are_those_of_the_cache(store: TestStore) {
        let classes: TtlClasses = [("c", Duration::from_secs(60))].into_iter().collect();
        let cache = ready(store.builder().ttl_classes(classes)).await;
        let tenant = cache.tenant("7").unwrap();
        cache.set_ttl_class("c", Duration::ZERO);
        let classed = Tenant { cache: tenant.clone() };
        #[cached(prefix = "classed", class = "c", context = tenant)]
        async fn classed_value(tenant: &Tenant) -> u32 {
            let _ = tenant;
            1
        }
        classed_value(&classed).await;
        assert_eq!(tenant.stats().prefix("classed").fills, 0, "changed for the tenant as well");
    }
}

each_server! {
    /// A copy of one tenant's entry is dropped by what another process does to that tenant.
    async fn copies_are_told_of_changes_by_tenant(store: TestStore) {
        let (here, there) = (store.cache().await, store.another_process().await);
        let tenant = |cache: &Cache, name| Tenant { cache: cache.tenant(name).unwrap() };
        let (one, other) = (tenant(&here, "7"), tenant(&here, "8"));
        for tenant in [&one, &other] {
            until(async || {
                prices::price(tenant, 1).await;
                tenant.cache.stats().prefix("price").near_hits > 0
            })
            .await;
        }
        prices::set_price(Arc::new(tenant(&there, "7")), 1, 5).await;
        until(async || prices::price(&one, 1).await == 5).await;
        let before = other.cache.stats().prefix("price").near_hits;
        until(async || {
            assert_eq!(prices::price(&other, 1).await, 1);
            other.cache.stats().prefix("price").near_hits > before
        })
        .await;
    }

    /// There a call is sent to the node of its cache's slot.
    async fn on_a_cluster_a_tenant_lies_in_the_slot_of_its_cache(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let cache = ready(store.builder().url(set.url())).await;
        let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("a:b").unwrap());
        let caches = [&cache, &one, &other];
        for (value, cache) in caches.into_iter().enumerate() {
            assert_eq!(get(cache, "a:1", value as u32).await, value as u32);
            assert_eq!(stored(cache, "a:1").await, Some(value as u32));
        }
        assert_eq!(one.clear().await.unwrap().entries, 1);
        assert_eq!((stored(&cache, "a:1").await, stored(&other, "a:1").await), (Some(0), Some(2)));
    }

    async fn tenants_share_the_connections(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new());
        let cache = ready(store.builder().url(server.url())).await;
        let mut raw = server.raw().await;
        let before = raw.info("clients", "connected_clients").await;
        for tenant in 0..20 {
            let tenant = cache.tenant(tenant.to_string()).unwrap();
            get(&tenant, "a:1", 1).await;
            get(&tenant, "a:1", 1).await;
        }
        assert_eq!(raw.info("clients", "connected_clients").await, before);
        let keys = raw.keys(&format!("{}@7", store.namespace())).await;
        assert!(keys.contains(&format!("{}@7:a:1", store.namespace())), "{keys:?}");
    }

    async fn the_first_call_of_a_tenant_takes_no_round_trip_more(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new());
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        let mut raw = server.raw().await;
        let tenant = cache.tenant("7").unwrap();
        let before = raw.calls_of("evalsha").await;
        assert_eq!(stored(&tenant, "a:1").await, None);
        assert_eq!(raw.calls_of("evalsha").await, before);
    }

    /// ★ Each namespace has a clock of its own, so each tenant finds by itself what was lost.
    async fn a_tenant_serves_nothing_that_its_lost_writes_had_invalidated(store: TestStore) {
        let dump = ServerOptions::new().line("dbfilename dump.rdb");
        let mut server = Server::with(store.kind().unwrap(), dump);
        let cache = ready(store.builder().url(server.url())).await;
        let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("8").unwrap());
        for tenant in [&cache, &one, &other] {
            get(tenant, "a:1", 1).await;
        }
        server.raw().await.command::<()>("SAVE", &[]).await;
        assert_eq!(one.invalidate_key("a:1").await.unwrap().entries, 1);
        server.restart();
        until(async || {
            assert_eq!(get(&one, "a:1", 2).await, 2);
            one.peek::<u32>("a:1").await.ok().flatten() == Some(2)
        })
        .await;
        cache.ready(Duration::from_secs(60)).await.unwrap();
        assert_eq!(stored(&other, "a:1").await, Some(1), "it has lost nothing");
        assert!(!other.health().owes_invalidations);
    }

    /// ★ A tenant that comes after the connections notes for others with what its clock began.
    async fn a_loss_is_found_although_a_tenant_of_another_process_came_first(store: TestStore) {
        let dump = ServerOptions::new().line("dbfilename dump.rdb");
        let mut server = Server::with(store.kind().unwrap(), dump);
        let proxy = FaultProxy::start(server.address()).await;
        let last = ready(store.builder().url(proxy.url())).await;
        let tenant = last.tenant("7").unwrap();
        get(&tenant, "a:1", 1).await;
        server.raw().await.command::<()>("SAVE", &[]).await;
        tenant.invalidate_key("a:1").await.unwrap();
        proxy.set(Fault::Refuse).await;
        server.restart();
        let first = ready(store.builder().url(server.url())).await;
        get(&first, "b:1", 1).await; // its connections have met the server
        let early = first.tenant("7").unwrap();
        for _ in 0..3 {
            early.invalidate_key("b:1").await.unwrap();
        }
        proxy.set(Fault::None).await;
        until(async || {
            assert_eq!(get(&tenant, "a:1", 2).await, 2);
            tenant.peek::<u32>("a:1").await.ok().flatten() == Some(2)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_breaker_stands_before_all_tenants() {
    let (cache, script) = Cache::scripted();
    let (one, other) = (cache.tenant("7").unwrap(), cache.tenant("8").unwrap());
    script.fail(StoreRequest::Any);
    for _ in 0..5 {
        get(&one, "a:1", 1).await;
    }
    assert!(other.health().breaker_open && cache.health().breaker_open);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_owes_an_invalidation_is_not_let_go() {
    let (cache, script) = Cache::builder().tenants_max(1).build_scripted().unwrap();
    script.fail(StoreRequest::Invalidate);
    cache.tenant("7").unwrap().invalidate_key("a:1").await.unwrap_err();
    assert_eq!(cache.tenant("8").unwrap_err().kind(), ErrorKind::Limit);
    script.heal();
    while cache.tenant("7").unwrap().health().owes_invalidations {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    idle().await;
    cache.tenant("8").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_sends_what_its_tenants_owe() {
    let (cache, script) = Cache::scripted();
    let tenant = cache.tenant("7").unwrap();
    script.fail(StoreRequest::Invalidate);
    tenant.invalidate_key("a:1").await.unwrap_err();
    assert!(cache.shutdown(Duration::from_millis(10)).await.is_empty(), "it is another namespace's");
    assert!(!tenant.shutdown(Duration::from_millis(10)).await.is_empty());
    script.heal();
    assert!(cache.shutdown(Duration::from_secs(60)).await.is_empty());
    assert!(!tenant.health().owes_invalidations);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_says_what_its_tenants_have_not_sent() {
    let (cache, script) = Cache::scripted();
    let tenant = cache.tenant("7").unwrap();
    let mut sent = script.hold(StoreRequest::Invalidate);
    let invalidation = tokio::spawn(async move { tenant.invalidate_key("a:1").await });
    sent.reached().await;
    let (log, _guard) = Log::listen();
    assert!(cache.shutdown(Duration::from_millis(10)).await.is_empty(), "it is another namespace's");
    assert!(log.text().contains("ERROR"), "{}", log.text());
    sent.open();
    invalidation.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_name_that_names_nothing_is_refused() {
    let cache = Cache::in_memory();
    for name in [String::new(), "x".repeat(1_024), "\0".repeat(400)] {
        assert_eq!(cache.tenant(name).unwrap_err().kind(), ErrorKind::Config);
    }
    let tenant = cache.tenant("7").unwrap();
    assert_eq!(tenant.tenant("8").unwrap_err().kind(), ErrorKind::Config, "a tenant has no tenants");
    assert!(cache.tenant_name().is_none());
    let disabled = Cache::disabled().tenant("7").unwrap();
    assert_eq!((get(&disabled, "a", 1).await, get(&disabled, "a", 2).await), (1, 2));
}
