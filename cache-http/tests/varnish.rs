//! A real Varnish serves nothing that was invalidated once a purge has returned; and each rule that
//! this rests on.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use cache_core::{Cache, cached};
use cache_http::{CacheHeaders, Cdn, CdnDialect, Purge, PurgeError, Purger};
use cache_tests::{Data, TestStore, each_server, each_store, until};
use support::varnish::{Varnish, VarnishPurge, Wire};
use support::{Visitor, serve};

/// Where what is purged again is waited for. A busy machine makes a response in less than half of
/// it.
const FLIGHT: Duration = Duration::from_secs(6);
/// Where nothing depends on it.
const LONG_FLIGHT: Duration = Duration::from_secs(600);

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

#[cached(prefix = "city", ttl = "10m", cache = app.cache, skip(app), tags = ["state:{result}"])]
async fn city(app: &App, name: &str) -> String {
    app.data.read(name).await
}

/// Declares what it depends on, and does not call it.
#[cached(prefix = "map", ttl = "10m", cache = app.cache, skip(app), depends_on = [city(name)])]
async fn map(app: &App, name: &str) -> String {
    app.data.read(name).await
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> String {
    // Read first, and held later: the call may be a hit that is overtaken.
    let shown = city(&app, &name).await;
    app.data.read("gate").await;
    shown
}

async fn draw(State(app): State<App>, Path(name): Path<String>) -> String {
    map(&app, &name).await
}

/// A site behind a Varnish, with a wire in between.
struct Site {
    app: App,
    wire: Wire,
    varnish: Varnish,
    purger: Purger,
}

impl Site {
    async fn of(cache: Cache) -> Self {
        Self::flying(cache, LONG_FLIGHT, |headers, purger| headers.purger(purger)).await
    }

    async fn flying(cache: Cache, flight: Duration, with: impl FnOnce(CacheHeaders, &Purger) -> CacheHeaders) -> Self {
        let app = App { cache: cache.clone(), data: Data::new() };
        app.data.set("dallas", "TX");
        app.data.set("boston", "MA");
        let (wire, cdn) = (Wire::default(), Cdn::new("shop", CdnDialect::Surrogate).flight(flight));
        let site =
            Router::new().route("/city/{name}", get(show)).route("/map/{name}", get(draw)).with_state(app.clone());
        // The purger needs Varnish, which needs the port of a server, which needs the purger.
        let late = Late::default();
        let purger = Purger::start(&cache, &cdn, late.clone());
        let headers = with(CacheHeaders::new(&cache).name("shop").cdn(&cdn), &purger);
        let port = wire.to(serve(site.layer(headers)).await).await;
        let varnish = Varnish::before(port, flight).await;
        assert!(late.purge.set(varnish.purge()).is_ok());
        assert!(purger.purged().await, "everything from before");
        Self { app, wire, varnish, purger }
    }

    fn visitor(&self) -> Visitor {
        self.varnish.visitor()
    }

    /// What Varnish serves, and whether it had it.
    async fn served(&self, path: &str) -> (String, bool) {
        let answer = self.visitor().get(path).await;
        let body = answer.text().to_owned();
        // Two numbers: that of the request, and that of the one that has fetched what was stored.
        (body, answer.header("x-varnish").unwrap().split_whitespace().count() == 2)
    }

    /// A request whose answer is on its way.
    fn asked(&self, path: &'static str) -> tokio::task::JoinHandle<String> {
        let visitor = self.visitor();
        tokio::spawn(async move { visitor.get(path).await.text().to_owned() })
    }

    async fn change(&self, name: &str, value: &str) {
        self.app.data.set(name, value);
        self.app.cache.peer().invalidate_key(city::key(name)).await.unwrap();
    }
}

/// A purge of a Varnish that is not there yet.
#[derive(Clone, Default)]
struct Late {
    purge: Arc<tokio::sync::SetOnce<VarnishPurge>>,
}

impl Purge for Late {
    async fn purge(&self, keys: &[String]) -> Result<(), PurgeError> {
        self.purge.wait().await.purge(keys).await
    }
}

fn text(value: &str, had: bool) -> (String, bool) {
    (value.to_owned(), had)
}

each_store! {
    async fn what_is_invalidated_is_purged_and_nothing_else(store: TestStore) {
        let site = Site::of(store.cache().await).await;
        for path in ["/city/dallas", "/city/boston", "/map/dallas"] {
            assert!(!site.served(path).await.1);
            assert!(site.served(path).await.1, "Varnish has stored {path}");
        }
        site.change("dallas", "Texas").await;
        assert!(site.purger.purged().await);
        assert_eq!(site.served("/city/dallas").await, text("Texas", false));
        assert_eq!(site.served("/city/boston").await, text("MA", true), "it was not made from that");
        // It was reached by a cascade, through a dependency that it had only declared.
        assert_eq!(site.served("/map/dallas").await, text("Texas", false));
        site.app.data.set("boston", "Massachusetts");
        site.app.cache.invalidate_tag("state:MA").await.unwrap();
        assert!(site.purger.purged().await);
        assert_eq!(site.served("/city/boston").await, text("Massachusetts", false));
        assert_eq!(site.served("/city/dallas").await, text("Texas", true));
    }

    async fn a_pattern_and_a_clear_purge_everything(store: TestStore) {
        let site = Site::of(store.cache().await).await;
        let cache = site.app.cache.clone();
        for round in 0..2 {
            site.served("/city/dallas").await;
            assert!(site.served("/city/dallas").await.1);
            let pattern = cache.invalidate_pattern("city:dal*");
            let _: () = if round == 0 { pattern.await.map(drop) } else { cache.clear().await.map(drop) }.unwrap();
            assert!(site.purger.purged().await);
            assert!(!site.served("/city/dallas").await.1);
        }
    }

    /// ★ A response that was made from what is old by now is stored after the purge. It is purged
    /// again when nothing can be in flight any more.
    async fn what_was_on_the_wire_is_gone_when_all_is_settled(store: TestStore) {
        let site = Site::flying(store.cache().await, FLIGHT, |headers, purger| headers.purger(purger)).await;
        let held = site.wire.hold();
        let asked = site.asked("/city/dallas");
        held.reached().await;
        site.change("dallas", "Texas").await;
        assert!(site.purger.purged().await);
        held.open();
        assert_eq!(asked.await.unwrap(), "TX");
        assert_eq!(site.served("/city/dallas").await, text("TX", true), "this is what is not promised");
        assert!(site.purger.settled().await);
        assert_eq!(site.served("/city/dallas").await, text("Texas", false));
    }

    /// ★ It is old, and what is purged again is purged. So Varnish must not store it.
    async fn what_was_on_the_wire_for_too_long_is_not_stored(store: TestStore) {
        let site = Site::flying(store.cache().await, FLIGHT, |headers, purger| headers.purger(purger)).await;
        let held = site.wire.hold();
        let asked = site.asked("/city/dallas");
        held.reached().await;
        site.change("dallas", "Texas").await;
        assert!(site.purger.settled().await);
        held.open();
        assert_eq!(asked.await.unwrap(), "TX");
        assert_eq!(site.served("/city/dallas").await, text("Texas", false));
    }

    /// ★ A hit that is overtaken while the handler goes on is not refused by the store, as a load
    /// is. The layer asks the purger.
    async fn what_was_invalidated_while_its_response_was_made_is_not_stored(store: TestStore) {
        let site = Site::of(store.cache().await).await;
        city(&site.app, "dallas").await;
        let held = site.app.data.hold("gate");
        let asked = site.asked("/city/dallas");
        held.reached().await;
        site.change("dallas", "Texas").await;
        assert!(site.purger.purged().await);
        held.open();
        assert_eq!(asked.await.unwrap(), "TX");
        assert_eq!(site.served("/city/dallas").await, text("Texas", false));
    }
}

each_server! {
    /// Another program has invalidated, and ended: the purge does not go with it.
    async fn what_another_process_invalidates_is_purged(store: TestStore) {
        let site = Site::of(store.cache().await).await;
        site.served("/city/dallas").await;
        let another = store.another_process().await;
        site.app.data.set("dallas", "Texas");
        another.invalidate_tag("state:TX").await.unwrap();
        drop(another);
        // Nobody asks: the purger looks by itself.
        until(async || site.served("/city/dallas").await.0 == "Texas").await;
    }
}

/// A CDN that refuses, and says what it was asked.
#[derive(Clone, Default)]
struct Refusing {
    refuses: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    keys: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Purge for Refusing {
    async fn purge(&self, keys: &[String]) -> Result<(), PurgeError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err("the CDN is down".into());
        }
        self.keys.lock().unwrap().extend(keys.iter().cloned());
        Ok(())
    }
}

fn cdn() -> Cdn {
    Cdn::new("shop", CdnDialect::Surrogate)
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_fails_is_tried_until_it_succeeds_and_its_health_says_so() {
    let (cache, purge) = (Cache::in_memory(), Refusing::default());
    let purger = Purger::start(&cache, &cdn(), purge.clone());
    assert!(purger.settled().await);
    assert_eq!(std::mem::take(&mut *purge.keys.lock().unwrap()), ["shop/all", "shop/all"], "what was before");
    purge.refuses.store(true, Ordering::SeqCst);
    cache.invalidate_tag("state:TX").await.unwrap();
    until(async || purger.health().failures >= 3).await;
    let health = purger.health();
    assert_eq!((health.owed, health.in_flight), (2, 0), "the tag, and what does not list its names");
    assert_eq!(health.last_error.as_deref(), Some("the CDN is down"));
    assert!(health.behind_for.is_some_and(|time| !time.is_zero()));
    let text = health.to_prometheus();
    assert!(text.contains("cache_http_purge_keys{state=\"owed\"} 2\n"), "{text}");
    purge.refuses.store(false, Ordering::SeqCst);
    assert!(purger.purged().await);
    let health = purger.health();
    assert_eq!((health.owed, health.in_flight, health.last_error), (0, 2, None));
    assert_eq!(*purge.keys.lock().unwrap(), ["shop/any", "shop/t:state:TX"]);
    assert!(purger.settled().await);
    assert_eq!(purge.keys.lock().unwrap().len(), 4, "each twice");
}

#[tokio::test(start_paused = true)]
async fn pauses_between_tries_grow_up_to_a_limit() {
    let (cache, purge) = (Cache::in_memory(), Refusing::default());
    purge.refuses.store(true, Ordering::SeqCst);
    let _purger = Purger::start(&cache, &cdn(), purge.clone());
    tokio::time::sleep(Duration::from_secs(60)).await;
    // 50, 100, … 3200 ms, and then 5 s each.
    let tries = purge.asked.load(Ordering::SeqCst);
    assert!((17..=19).contains(&tries), "{tries}");
}

/// A CDN that never answers.
struct Mute;

impl Purge for Mute {
    async fn purge(&self, _: &[String]) -> Result<(), PurgeError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_never_ends_counts_as_failed() {
    let purger = Purger::start(&Cache::in_memory(), &cdn(), Mute);
    until(async || purger.health().failures >= 2).await;
    assert_eq!(purger.health().last_error.as_deref(), Some("it took too long"));
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_may_wait_are_everything() {
    let (cache, purge) = (Cache::in_memory(), Refusing::default());
    let purger = Purger::start(&cache, &cdn(), purge.clone());
    assert!(purger.settled().await);
    purge.refuses.store(true, Ordering::SeqCst);
    let mut invalidated = 0;
    while purger.health().overflows == 0 {
        for _ in 0..4 {
            let invalidation = (0..250).fold(cache_core::Invalidation::new(), |all, _| {
                invalidated += 1;
                all.tag(format!("tag:{invalidated}"))
            });
            cache.invalidate(invalidation).await.unwrap();
        }
        let looked = purger.health().owed;
        until(async || purger.health().owed != looked || purger.health().overflows > 0).await;
    }
    assert_eq!((purger.health().owed, purger.health().overflows), (1, 1));
    purge.keys.lock().unwrap().clear();
    purge.refuses.store(false, Ordering::SeqCst);
    assert!(purger.purged().await);
    assert_eq!(purge.keys.lock().unwrap()[0], "shop/all");
}

#[tokio::test(start_paused = true)]
async fn the_last_purger_takes_its_task_along() {
    let (cache, purge) = (Cache::in_memory(), Refusing::default());
    let purger = Purger::start(&cache, &cdn(), purge.clone());
    assert!(purger.clone().purged().await);
    drop(purger);
    until(async || Arc::strong_count(&purge.asked) == 1).await;
}

/// What has too many names for a header is purged by any of them.
#[tokio::test]
async fn a_response_of_many_names_is_purged_with_every_invalidation() {
    let cache = Cache::in_memory();
    let site = Site::flying(cache.clone(), LONG_FLIGHT, |headers, _| {
        headers.cdn(&Cdn::new("shop", CdnDialect::Surrogate).key_header_bytes_max(10))
    })
    .await;
    site.served("/city/dallas").await;
    assert!(site.served("/city/dallas").await.1);
    site.app.data.set("dallas", "Texas");
    cache.invalidate_key(city::key("dallas")).await.unwrap();
    assert!(site.purger.purged().await);
    assert_eq!(site.served("/city/dallas").await, text("Texas", false));
    assert!(site.served("/city/dallas").await.1);
    cache.invalidate_tag("unrelated").await.unwrap();
    assert!(site.purger.purged().await);
    assert!(!site.served("/city/dallas").await.1, "it does not say what it was made from");
}

#[test]
fn the_guide_shows_the_purge_that_runs_here() {
    let (guide, support) = (include_str!("../docs/http.md"), include_str!("support/varnish.rs"));
    let (_, rest) = support.split_once("#[derive(Clone)]\npub struct VarnishPurge").expect("the purge");
    let purge = rest.split("\nimpl Varnish {").next().unwrap_or(rest).trim();
    assert!(guide.contains(purge), "the guide does not show\n{purge}");
}
