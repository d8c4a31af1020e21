//! Whole responses from the cache, over HTTP, on every store.

mod support;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use cache_core::{Cache, cached};
use cache_http::{CacheHeaders, Cdn, CdnDialect, ResponseCache};
use cache_tests::{Data, TestStore, each_store};
use http_body_util::StreamBody;
use support::Visitor;

const TTL: Duration = Duration::from_secs(600);

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

#[cached(prefix = "city", ttl = "10m", cache = app.cache, skip(app), tags = ["state:{result}"])]
async fn city(app: &App, name: &str) -> String {
    app.data.read(name).await
}

/// A page; the row `pages` counts how often one was made.
async fn page(State(app): State<App>, Path(name): Path<String>) -> impl IntoResponse {
    let made_from = city(&app, &name).await;
    let text = app.data.read("pages").await;
    ([("x-city", "yes"), ("etag", "\"1\""), ("content-type", "text/x-page")], made_from + &text)
}

/// A response with the header that the path names.
async fn with_header(State(app): State<App>, Path((name, value)): Path<(String, String)>) -> impl IntoResponse {
    app.data.read("pages").await;
    let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
    ([(name, value)], "text")
}

async fn with_status(State(app): State<App>, Path(status): Path<u16>) -> impl IntoResponse {
    app.data.read("pages").await;
    (StatusCode::from_u16(status).unwrap(), "text")
}

async fn stream(State(app): State<App>) -> impl IntoResponse {
    app.data.read("pages").await;
    let frame = Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"text")));
    Body::new(StreamBody::new(Once(Some(frame))))
}

async fn echo(State(app): State<App>, headers: HeaderMap) -> String {
    app.data.read("pages").await;
    let said = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    [said("accept-language"), said("if-none-match"), said("host")].join(" ")
}

async fn bytes(State(app): State<App>) -> Vec<u8> {
    app.data.read("pages").await;
    (0..=255).collect()
}

struct Once<T>(Option<T>);

impl<T: Unpin> futures_core::Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.take())
    }
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let app = Self { cache: store.cache().await, data: Data::new() };
        app.data.set("dallas", "TX");
        app
    }

    fn responses(&self) -> ResponseCache {
        ResponseCache::new(&self.cache, "page", TTL)
    }

    fn router(&self, responses: ResponseCache) -> Router {
        Router::new()
            .route("/page/{name}", get(page).post(page))
            .route("/header/{name}/{value}", get(with_header))
            .route("/status/{status}", get(with_status))
            .route("/stream", get(stream))
            .route("/echo", get(echo))
            .route("/bytes", get(bytes))
            .layer(responses)
            .with_state(self.clone())
    }

    async fn visitor(&self, responses: ResponseCache) -> Visitor {
        Visitor::at(self.router(responses)).await
    }

    fn made(&self) -> u64 {
        self.data.reads("pages")
    }

    /// Whether the second of two such requests is answered from the cache.
    async fn stores(&self, visitor: &Visitor, method: Method, path: &str, headers: &[(&str, &str)]) -> bool {
        let before = self.made();
        let first = visitor.ask(method.clone(), path, headers).await;
        let second = visitor.ask(method, path, headers).await;
        assert_eq!((first.status, &first.body), (second.status, &second.body));
        self.made() == before + 1
    }
}

each_store! {
    async fn a_response_is_served_as_it_was_made(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        let (made, stored) = (visitor.get("/page/dallas").await, visitor.get("/page/dallas").await);
        assert_eq!((app.made(), made.text(), stored.text()), (1, "TX", "TX"));
        for name in ["x-city", "etag", "content-type", "content-length"] {
            assert_eq!(stored.header(name), made.header(name), "{name}");
        }
        assert!(made.header("age").is_none() && stored.header("age").is_some());
        let bytes = (visitor.get("/bytes").await.body, visitor.get("/bytes").await.body);
        assert_eq!((bytes.0, bytes.1, app.made()), ((0..=255).collect(), (0..=255).collect::<Vec<u8>>(), 2));
    }

    async fn a_response_falls_with_what_it_was_made_from(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses().tags(["pages"])).await;
        for name in ["state:TX", "pages"] {
            visitor.get("/page/dallas").await;
            let made = app.made();
            app.cache.peer().invalidate_tag(name).await.unwrap();
            visitor.get("/page/dallas").await;
            assert_eq!(app.made(), made + 1, "{name}");
        }
        app.data.set("dallas", "Texas");
        app.cache.invalidate_pattern("page:/page/d*").await.unwrap();
        app.cache.invalidate_key(city::key("dallas")).await.unwrap();
        assert_eq!(visitor.get("/page/dallas").await.text(), "Texas");
    }

    /// ★ The litmus: it was made from what was there before the invalidation.
    async fn a_response_that_an_invalidation_has_overtaken_is_not_stored(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        let held = app.data.hold("pages");
        let asked = tokio::spawn({
            let visitor = visitor.clone();
            async move { visitor.get("/page/dallas").await }
        });
        held.reached().await;
        app.data.set("dallas", "Texas");
        app.cache.peer().invalidate_key(city::key("dallas")).await.unwrap();
        held.open();
        assert_eq!(asked.await.unwrap().text(), "TX");
        assert_eq!(visitor.get("/page/dallas").await.text(), "Texas");
    }

    async fn one_request_makes_the_response_that_many_ask_for(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        let held = app.data.hold("pages");
        let ask = || {
            let visitor = visitor.clone();
            tokio::spawn(async move { visitor.get("/page/dallas").await.text().to_owned() })
        };
        let first = ask();
        held.reached().await;
        let others: Vec<_> = (0..8).map(|_| ask()).collect();
        held.open();
        assert_eq!(first.await.unwrap(), "TX");
        for other in others {
            assert_eq!(other.await.unwrap(), "TX");
        }
        assert_eq!(app.made(), 1);
    }

    async fn what_is_personal_is_not_stored_without_being_told(store: TestStore) {
        let app = App::new(&store).await;
        let authorized = [("authorization", "Bearer of-ann")];
        let visitor = app.visitor(app.responses()).await;
        assert!(!app.stores(&visitor, Method::GET, "/page/dallas", &authorized).await);
        assert!(!app.stores(&visitor, Method::GET, "/header/set-cookie/a=1", &[]).await);
        let told = app.responses().keep_authorized().keep_cookies().vary_by([header::AUTHORIZATION]);
        let visitor = app.visitor(told).await;
        assert!(app.stores(&visitor, Method::GET, "/page/dallas", &authorized).await);
        assert!(app.stores(&visitor, Method::GET, "/page/dallas", &[("authorization", "Bearer of-ben")]).await);
        assert!(app.stores(&visitor, Method::GET, "/header/set-cookie/a=1", &[]).await);
    }

    async fn what_may_not_be_stored_is_not(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses().vary_by([header::ACCEPT_LANGUAGE])).await;
        let get = async |path: &str| app.stores(&visitor, Method::GET, path, &[]).await;
        for said in ["no-store", "private", "no-cache", "max-age=599", "s-maxage=1, max-age=600"] {
            assert!(!get(&format!("/header/cache-control/{}", said.replace(' ', "%20"))).await, "{said}");
        }
        for said in ["expires/Thu,%2001%20Jan%202026%2000:00:00%20GMT", "vary/cookie", "vary/*", "vary/accept-language,cookie"] {
            assert!(!get(&format!("/header/{said}")).await, "{said}");
        }
        for status in [206, 302, 304, 400, 403, 500, 503] {
            assert!(!get(&format!("/status/{status}")).await, "{status}");
        }
        for said in ["cache-control/max-age=600", "vary/Accept-Language", "x-any/1"] {
            assert!(get(&format!("/header/{said}")).await, "{said}");
        }
        for status in [200, 301, 404, 410] {
            assert!(get(&format!("/status/{status}")).await, "{status}");
        }
        for (name, value) in [("range", "bytes=0-1"), ("cache-control", "no-store")] {
            assert!(!app.stores(&visitor, Method::GET, "/page/dallas", &[(name, value)]).await, "{name}");
        }
        assert!(!app.stores(&visitor, Method::POST, "/page/dallas", &[]).await);
    }

    async fn a_body_beyond_the_limit_or_of_unknown_length_is_passed_on(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        assert!(!app.stores(&visitor, Method::GET, "/stream", &[]).await);
        let (at, below) = (app.responses().body_bytes_max(256), app.responses().body_bytes_max(255));
        let visitor = app.visitor(below).await;
        assert!(!app.stores(&visitor, Method::GET, "/bytes", &[]).await);
        let visitor = app.visitor(at).await;
        assert!(app.stores(&visitor, Method::GET, "/bytes", &[]).await);
    }

    async fn requests_share_a_response_only_if_all_that_it_varies_by_is_the_same(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses().vary_by([header::ACCEPT_LANGUAGE])).await;
        let ask = async |path: &str, headers: &[(&str, &str)]| visitor.ask(Method::GET, path, headers).await.text().to_owned();
        let german = ask("/echo", &[("accept-language", "de")]).await;
        assert!(german.starts_with("de ") && ask("/echo", &[("accept-language", "en")]).await.starts_with("en "));
        assert!(ask("/echo", &[]).await.starts_with("- "));
        assert_eq!((ask("/echo", &[("accept-language", "de"), ("user-agent", "x")]).await, app.made()), (german, 3));
        assert!(ask("/echo", &[("host", "other.example")]).await.ends_with(" other.example"));
        ask("/echo?a=1", &[]).await;
        ask("/echo?a=2", &[]).await;
        assert_eq!(app.made(), 6);
    }

    async fn who_has_a_stored_response_is_told_so(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        for _ in 0..2 {
            let same = visitor.ask(Method::GET, "/page/dallas", &[("if-none-match", "W/\"1\"")]).await;
            assert_eq!((same.status, same.text(), same.header("content-type")), (StatusCode::NOT_MODIFIED, "", None));
        }
        assert_eq!((visitor.get("/page/dallas").await.text(), app.made()), ("TX", 1), "the whole response is stored");
        let echoed = visitor.ask(Method::GET, "/echo", &[("if-none-match", "\"2\"")]).await;
        assert!(echoed.text().starts_with("- - "), "the handler is asked for all of it");
    }

    async fn a_head_is_answered_from_the_response_to_a_get(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(app.responses()).await;
        let head = async || visitor.ask(Method::HEAD, "/page/dallas", &[]).await;
        head().await;
        head().await;
        assert_eq!(app.made(), 2, "there is no body to store");
        visitor.get("/page/dallas").await;
        let stored = head().await;
        assert_eq!((app.made(), stored.status, stored.header("content-length")), (3, StatusCode::OK, Some("2")));
        assert!(stored.body.is_empty() && stored.header("age").is_some());
    }

    async fn the_headers_of_a_stored_response_say_what_it_was_made_from(store: TestStore) {
        let app = App::new(&store).await;
        let cdn = Cdn::new("shop", CdnDialect::Surrogate);
        let headers = CacheHeaders::new(&app.cache).name("shop").cdn(&cdn);
        let visitor = Visitor::at(app.router(app.responses()).layer(headers)).await;
        let (made, stored) = (visitor.get("/page/dallas").await, visitor.get("/page/dallas").await);
        assert_eq!((app.made(), stored.header("cache-status")), (1, Some("shop; hit")));
        let keys = stored.header("surrogate-key").unwrap();
        assert!(keys.contains(" shop/k:city:dallas ") && keys.ends_with(" shop/t:state:TX"), "{keys}");
        assert_eq!(made.header("surrogate-key"), Some(keys));
        // A CDN that asks anew goes on keeping what it has.
        let same = visitor.ask(Method::GET, "/page/dallas", &[("if-none-match", "\"1\"")]).await;
        assert_eq!((same.status, same.header("surrogate-key")), (StatusCode::NOT_MODIFIED, Some(keys)));
        assert!(same.seconds("surrogate-control", "max-age=").is_some(), "{same:?}");
    }
}

#[test]
#[should_panic(expected = "a prefix has 1 to 64")]
fn a_prefix_that_no_pattern_finds_is_refused() {
    let _ = ResponseCache::new(&Cache::in_memory(), "a*", TTL);
}
