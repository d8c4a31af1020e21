//! What the headers of a response say, over HTTP, on every store.

mod support;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use cache_core::{Cache, cached};
use cache_http::{CacheHeaders, Cdn, CdnDialect, RequestFacts};
use cache_tests::{Data, TestStore, each_store};
use support::Visitor;

const CONTROL: &str = "surrogate-control";
const KEYS: &str = "surrogate-key";

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

/// May be served for two minutes after its TTL.
#[cached(prefix = "city", ttl = "60s", stale_while_revalidate = "2m", cache = app.cache, skip(app), tags = ["state:{result}"])]
async fn city(app: &App, name: &str) -> String {
    app.data.read(name).await
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> String {
    city(&app, &name).await
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let app = Self { cache: store.cache().await, data: Data::new() };
        app.data.set("dallas", "TX");
        app
    }

    async fn visitor(&self, headers: &CacheHeaders) -> Visitor {
        let cookie = async |State(app): State<App>| ([("set-cookie", "a=1")], city(&app, "dallas").await);
        let secret = async |State(app): State<App>| ([("cache-control", "no-store")], city(&app, "dallas").await);
        let own =
            async |State(app): State<App>| ([("cache-control", "private, max-age=5")], city(&app, "dallas").await);
        let brief = async |State(app): State<App>| ([("cache-control", "max-age=5")], city(&app, "dallas").await);
        let still = async || ([("cache-control", "max-age=86400")], "still");
        let stream = async |State(app): State<App>| {
            let city = city(&app, "dallas").await;
            Body::new(http_body_util::StreamBody::new(Once(Some(city.into()))))
        };
        let failing = async |State(app): State<App>| (StatusCode::SERVICE_UNAVAILABLE, city(&app, "dallas").await);
        let app = Router::new()
            .route("/city/{name}", get(show).post(show))
            .route("/cookie", get(cookie))
            .route("/secret", get(secret))
            .route("/own", get(own))
            .route("/brief", get(brief))
            .route("/still", get(still))
            .route("/stream", get(stream))
            .route("/failing", get(failing))
            .layer(headers.clone())
            .with_state(self.clone());
        Visitor::at(app).await
    }

    fn headers(&self) -> CacheHeaders {
        CacheHeaders::new(&self.cache).name("shop").cdn(&cdn())
    }
}

/// A body of one frame, and of unknown length.
struct Once(Option<Bytes>);

impl futures_core::Stream for Once {
    type Item = Result<http_body::Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

fn cdn() -> Cdn {
    Cdn::new("shop", CdnDialect::Surrogate).flight(Duration::from_secs(600))
}

each_store! {
    async fn a_response_says_what_its_calls_were(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers().server_timing()).await;
        let loaded = visitor.get("/city/dallas").await;
        assert_eq!((loaded.text(), loaded.header("cache-status")), ("TX", Some("shop; fwd=miss")));
        assert!(loaded.header("server-timing").unwrap().starts_with(r#"city;desc="miss=1";dur="#), "{loaded:?}");
        let hit = visitor.get("/city/dallas").await;
        assert_eq!((hit.text(), hit.header("cache-status")), ("TX", Some("shop; hit")));
        let untold = app.visitor(&app.headers()).await.get("/city/dallas").await;
        assert_eq!(untold.header("server-timing"), None);
        assert_eq!(visitor.get("/still").await.header("cache-status"), None, "it called nothing");
    }

    async fn a_cdn_is_told_the_names_and_what_is_left_of_the_ttl(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        for _ in 0..2 {
            let told = visitor.get("/city/dallas").await;
            assert_eq!(told.header(KEYS), Some("shop/all shop/k:city:dallas shop/t:state:TX"));
            assert!((1..=60).contains(&told.seconds(CONTROL, "max-age=").unwrap()), "{told:?}");
            assert_eq!(told.seconds(CONTROL, "stale-while-revalidate="), Some(120));
            assert_eq!(told.header("cache-control"), Some("no-cache"), "browsers ask");
        }
        let tagged = CacheHeaders::new(&app.cache).cdn(&Cdn::new("shop", CdnDialect::CacheTag));
        let told = app.visitor(&tagged).await.get("/city/dallas").await;
        assert_eq!(told.header("cache-tag"), Some("shop/all,shop/k:city:dallas,shop/t:state:TX"));
        assert!(told.seconds("cdn-cache-control", "max-age=").is_some() && told.header(KEYS).is_none());
    }

    async fn browsers_keep_for_as_long_as_they_are_told(store: TestStore) {
        let app = App::new(&store).await;
        let keep = |time| CacheHeaders::new(&app.cache).browsers_keep(Duration::from_secs(time));
        let told = app.visitor(&keep(5)).await.get("/city/dallas").await;
        assert_eq!(told.header("cache-control"), Some("max-age=5, stale-while-revalidate=120"));
        let told = app.visitor(&keep(600)).await.get("/city/dallas").await;
        assert!((1..=60).contains(&told.seconds("cache-control", "max-age=").unwrap()), "{told:?}");
        assert!(told.header(KEYS).is_none() && told.header(CONTROL).is_none(), "there is no CDN");
    }

    async fn who_has_the_response_is_told_that_it_is_the_same(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        let full = visitor.get("/city/dallas").await;
        let tag = full.header("etag").unwrap();
        assert!(tag.starts_with("W/\""), "{tag}");
        let ask = async |tag: &str| visitor.ask(Method::GET, "/city/dallas", &[("if-none-match", tag)]).await;
        let same = ask(tag).await;
        assert_eq!((same.status, same.text()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!((same.header("etag"), same.header("content-type")), (Some(tag), None));
        assert_eq!(same.header(KEYS), full.header(KEYS), "whoever asks anew keeps it under its keys");
        app.data.set("dallas", "Texas");
        app.cache.invalidate_tag("state:TX").await.unwrap();
        let other = ask(tag).await;
        assert_eq!((other.status, other.text()), (StatusCode::OK, "Texas"));
        assert_ne!(other.header("etag"), Some(tag));
        let strong = app.visitor(&app.headers().strong_tags()).await.get("/city/dallas").await;
        assert!(strong.header("etag").unwrap().starts_with('"'));
    }

    async fn what_is_no_read_is_left_as_it_is(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        let posted = visitor.ask(Method::POST, "/city/dallas", &[("if-none-match", "*")]).await;
        assert_eq!((posted.status, posted.text()), (StatusCode::OK, "TX"));
        for name in [CONTROL, KEYS, "cache-control", "etag", "cache-status"] {
            assert_eq!(posted.header(name), None);
        }
        let head = visitor.ask(Method::HEAD, "/city/dallas", &[]).await;
        assert_eq!((head.header("etag"), head.header("content-length")), (None, Some("2")));
    }

    async fn nobody_is_told_to_keep_what_is_personal(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        let authorized = [("authorization", "Bearer of-ann")];
        let asked = visitor.ask(Method::GET, "/city/dallas", &authorized).await;
        for personal in [asked, visitor.get("/cookie").await] {
            assert_eq!(personal.header("cache-control"), Some("private, no-cache"));
            assert_eq!((personal.header(CONTROL), personal.header(KEYS)), (Some("no-store"), None));
        }
        let own = visitor.get("/own").await;
        assert_eq!((own.header("cache-control"), own.header(CONTROL)), (Some("private, max-age=5"), Some("no-store")));
        let told = app.visitor(&app.headers().keep_authorized()).await;
        let asked = told.ask(Method::GET, "/city/dallas", &authorized).await;
        assert!(asked.header(KEYS).is_some() && asked.seconds(CONTROL, "max-age=").is_some());
    }

    async fn what_the_handler_says_holds(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        let secret = visitor.get("/secret").await;
        assert_eq!((secret.header("cache-control"), secret.header(CONTROL)), (Some("no-store"), Some("no-store")));
        let brief = visitor.get("/brief").await;
        assert_eq!(brief.header("cache-control"), Some("max-age=5"));
        assert_eq!(brief.seconds(CONTROL, "max-age="), Some(5), "it is not kept for longer than that");
        let still = visitor.get("/still").await;
        assert_eq!((still.header("cache-control"), still.header(CONTROL)), (Some("max-age=86400"), None));
        assert_eq!(visitor.get("/failing").await.header(CONTROL), Some("no-store"));
    }

    /// What it reads while it is sent is not known when the headers are.
    async fn what_is_streamed_is_passed_on_and_not_kept(store: TestStore) {
        let app = App::new(&store).await;
        let stream = app.visitor(&app.headers()).await.get("/stream").await;
        assert_eq!((stream.text(), stream.header("etag"), stream.header(CONTROL)), ("TX", None, Some("no-store")));
        let long = app.visitor(&app.headers().body_bytes_max(1)).await.get("/city/dallas").await;
        assert_eq!((long.text(), long.header("etag"), long.header(CONTROL)), ("TX", None, Some("no-store")));
        let just = app.visitor(&app.headers().body_bytes_max(2)).await.get("/city/dallas").await;
        assert!(just.header("etag").is_some() && just.header(KEYS).is_some());
    }

    /// ★ It has read what was there before the invalidation. A purge may be over before it arrives.
    async fn what_was_overtaken_while_it_was_loaded_is_not_kept(store: TestStore) {
        let app = App::new(&store).await;
        let visitor = app.visitor(&app.headers()).await;
        let held = app.data.hold("dallas");
        let asked = tokio::spawn({
            let visitor = visitor.clone();
            async move { visitor.get("/city/dallas").await }
        });
        held.reached().await;
        app.data.set("dallas", "Texas");
        app.cache.peer().invalidate_key(city::key("dallas")).await.unwrap();
        held.open();
        let overtaken = asked.await.unwrap();
        assert_eq!((overtaken.text(), overtaken.header(CONTROL)), ("TX", Some("no-store")));
        let next = visitor.get("/city/dallas").await;
        assert!(next.text() == "Texas" && next.header(KEYS).is_some(), "{next:?}");
    }
}

/// ★ The CDN may store it after the last purge of what was invalidated meanwhile.
#[tokio::test(start_paused = true)]
async fn what_took_too_long_to_make_is_not_kept() {
    let app = App::new(&TestStore::embedded()).await;
    let flight = Duration::from_secs(10);
    let headers = CacheHeaders::new(&app.cache).cdn(&cdn().flight(flight));
    let made_in = async |time: Duration| {
        let respond = async {
            tokio::time::sleep(time).await;
            Ok::<Response<Body>, Infallible>(city(&app, "dallas").await.into_response())
        };
        let request = RequestFacts::of(&Method::GET, &HeaderMap::new());
        headers.around(&request, respond).await.unwrap().headers()[CONTROL].to_str().unwrap().to_owned()
    };
    assert!(made_in(flight / 2).await.starts_with("max-age="));
    assert_eq!(made_in(flight / 2 + Duration::from_millis(1)).await, "no-store");
}

/// A response that a cache inside has kept counts its lifetime from when it was made.
#[tokio::test(start_paused = true)]
async fn what_is_left_is_said_beside_the_age() {
    let app = App::new(&TestStore::embedded()).await;
    let headers = CacheHeaders::new(&app.cache).cdn(&cdn()).browsers_keep(Duration::from_secs(30));
    let said = async |control: &'static str| {
        let respond = async {
            let said = [("age", "20"), ("cache-control", control)];
            let mut response = (said, city(&app, "dallas").await).into_response();
            if control.is_empty() {
                response.headers_mut().remove("cache-control");
            }
            Ok::<Response<Body>, Infallible>(response)
        };
        let request = RequestFacts::of(&Method::GET, &HeaderMap::new());
        let response = headers.around(&request, respond).await.unwrap();
        [CONTROL, "cache-control"].map(|name| response.headers()[name].to_str().unwrap().to_owned())
    };
    let stale = "stale-while-revalidate=120";
    assert_eq!(said("").await, [format!("max-age=80, {stale}"), format!("max-age=50, {stale}")]);
    assert_eq!(said("max-age=50").await, [format!("max-age=50, {stale}"), "max-age=50".to_owned()]);
}
