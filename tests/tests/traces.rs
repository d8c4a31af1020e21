//! What stands in traces: spans of what takes long, none of hits, and no secret.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Cache, cached, invalidates, prometheus_text};
use cache_tests::{Fault, FaultProxy, ServerKind, TestStore, each_store, until};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Stands in arguments, values and credentials.
const SECRET: &str = "SECRET5b1f";

/// Every span and event at INFO and above, with their fields.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    /// A span has its place as its id.
    lines: Vec<Line>,
    entered: Vec<Id>,
}

struct Line {
    name: String,
    fields: String,
    parent: Option<usize>,
}

/// While it lives, this thread's spans are written down.
struct Listening {
    _guard: DefaultGuard,
    _second: Dispatch,
}

impl Trace {
    fn listen() -> (Self, Listening) {
        let trace = Self::default();
        // A lone subscriber can be overlooked: see `Log`.
        let _second = Dispatch::new(Self::default());
        (trace.clone(), Listening { _guard: tracing::subscriber::set_default(trace), _second })
    }

    fn named(&self, name: &str) -> Vec<String> {
        let trace = self.0.lock().unwrap();
        trace.lines.iter().filter(|line| line.name == name).map(|line| line.fields.clone()).collect()
    }

    /// The names of the spans around the last span of this name.
    fn around(&self, name: &str) -> Vec<String> {
        let trace = self.0.lock().unwrap();
        let mut span = trace.lines.iter().rfind(|line| line.name == name).unwrap();
        let mut names = Vec::new();
        while let Some(parent) = span.parent {
            span = &trace.lines[parent];
            names.push(span.name.clone());
        }
        names
    }

    fn text(&self) -> String {
        let trace = self.0.lock().unwrap();
        trace.lines.iter().fold(String::new(), |text, line| text + &line.name + &line.fields + "\n")
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().lines.len()
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut trace = self.0.lock().unwrap();
        let contextual = trace.entered.last().filter(|_| span.is_contextual()).cloned();
        let parent = span.parent().cloned().or(contextual).map(|id| id.into_u64() as usize - 1);
        let mut fields = String::new();
        span.record(&mut Fields(&mut fields));
        trace.lines.push(Line { name: span.metadata().name().to_owned(), fields, parent });
        Id::from_u64(trace.lines.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap().lines[span.into_u64() as usize - 1].fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = String::new();
        event.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().lines.push(Line { name: "event".to_owned(), fields, parent: None });
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.clone());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }
}

struct App {
    cache: Cache,
    loads: AtomicU64,
    is_down: AtomicBool,
}

impl App {
    fn new(cache: Cache) -> Arc<Self> {
        Arc::new(Self { cache, loads: AtomicU64::new(0), is_down: AtomicBool::new(false) })
    }

    fn read(&self) -> Result<String, &'static str> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) { Err("the source is down") } else { Ok(SECRET.to_owned()) }
    }
}

#[cached(prefix = "part", ttl = "1h", tags = ["part:{token}"], skip(app), cache = app.cache)]
async fn part(app: &App, token: &str) -> Result<String, &'static str> {
    _ = token;
    app.read()
}

#[cached(prefix = "whole", ttl = "1h", skip(app), cache = app.cache)]
async fn whole(app: &App, token: &str) -> Result<String, &'static str> {
    part(app, token).await
}

#[cached(prefix = "late", ttl = "1ms", stale_while_revalidate = "1h", stale_if_error = "1h", skip(app), cache = app.cache)]
async fn late(app: Arc<App>, token: &str) -> Result<String, &'static str> {
    _ = token;
    app.read()
}

#[invalidates(keys = [part(token)], tags = ["part:{token}"], patterns = ["late:{token}*"], cache = app.cache)]
async fn change(app: &App, token: &str) {
    _ = (app, token);
}

each_store! {
async fn loads_and_invalidations_have_spans_and_hits_have_none(store: TestStore) {
    let app = App::new(store.cache().await);
    let (trace, _listening) = Trace::listen();
    whole(&app, "a").await.unwrap();
    let cache = format!(" cache={:?} prefix", store.namespace());
    let loads = trace.named("cache load");
    assert_eq!(loads, [format!("{cache}=\"whole\" keys=1"), format!("{cache}=\"part\" keys=1")]);
    assert_eq!(trace.around("cache load"), ["cache load"], "a load inside of a load");
    let before = trace.count();
    whole(&app, "a").await.unwrap();
    part(&app, "a").await.unwrap();
    assert_eq!(trace.count(), before, "{}", trace.text());
    app.cache.invalidate_tag("part:a").await.unwrap();
    let removed = format!(" cache={:?} kind=\"names\" names=1 entries=2", store.namespace());
    assert_eq!(trace.named("cache invalidation"), [removed]);
}

async fn a_refresh_has_a_span_of_its_own_with_its_load_inside(store: TestStore) {
    let app = App::new(store.cache().await);
    late(app.clone(), "a").await.unwrap();
    let (trace, _listening) = Trace::listen();
    let request = tracing::info_span!("request");
    let _inside = request.enter();
    until(async || {
        late(app.clone(), "a").await.unwrap();
        trace.named("cache load").len() == 1
    })
    .await;
    assert_eq!(trace.named("cache refresh").len(), 1);
    assert_eq!(trace.around("cache load"), ["cache refresh"]);
}

async fn no_secret_is_in_a_trace_or_a_metric(store: TestStore) {
    let app = App::new(store.cache().await);
    // Nobody listens there, and everything fails.
    let builder = Cache::builder().url(format!("redis://{SECRET}:{SECRET}@127.0.0.1:1"));
    let nowhere = App::new(builder.operation_deadline(Duration::from_millis(10)).build().unwrap());
    let (trace, _listening) = Trace::listen();
    for app in [&app, &nowhere] {
        for is_down in [false, true] {
            app.is_down.store(is_down, Ordering::SeqCst);
            for _ in 0..3 {
                _ = whole(app, SECRET).await;
                _ = late(app.clone(), SECRET).await;
                let load = || async { Ok::<_, &str>(SECRET) };
                _ = app.cache.get_or_load(SECRET, async || load().await.map(str::to_owned)).await;
                change(app, SECRET).await;
                _ = app.cache.put(SECRET, &SECRET.to_owned()).await;
            }
        }
    }
    let metrics = prometheus_text([&app.cache.stats(), &nowhere.cache.stats()]);
    assert!(trace.named("cache load").len() > 8 && trace.named("cache invalidation").len() > 8, "{}", trace.text());
    for text in [trace.text(), metrics] {
        let line = text.lines().find(|line| line.contains(SECRET));
        assert_eq!(line, None);
    }
}
}

#[test]
fn a_call_that_waits_long_for_the_store_is_told() {
    cache_tests::run(0, async {
        let (trace, app) = after_a_lost_reply(None).await;
        let said = trace.named("event");
        let slow = said.iter().find(|line| line.contains(SLOW)).expect("a line");
        let fields =
            ["prefix=\"part\"", "db.system.name=\"redis\"", "db.operation.name=\"get\"", "failed=true", "count=1"];
        assert!(fields.iter().all(|field| slow.contains(field)), "{slow}");
        drop(app);
        // A longer time may be what one is used to.
        let (trace, _app) = after_a_lost_reply(Some(Duration::from_secs(1))).await;
        assert!(!trace.text().contains(SLOW), "{}", trace.text());
    });
}

const SLOW: &str = "waited for the store";

/// What was heard of a call that has waited for 120 ms, where `slow_store_call` is this.
async fn after_a_lost_reply(slow: Option<Duration>) -> (Trace, Arc<App>) {
    let store = TestStore::redis();
    let address = ServerKind::Redis.shared_url();
    let address = address.trim_start_matches("redis://").trim_end_matches('/').parse().unwrap();
    let proxy = FaultProxy::start(address).await;
    let builder = Cache::builder().url(proxy.url()).namespace(store.namespace());
    let builder = slow.into_iter().fold(builder, cache_core::Builder::slow_store_call);
    let app = App::new(builder.operation_deadline(Duration::from_millis(120)).build().unwrap());
    app.cache.ready(Duration::from_secs(60)).await.unwrap();
    proxy.set(Fault::LoseReplies).await;
    let (trace, _listening) = Trace::listen();
    part(&app, SECRET).await.unwrap();
    (trace, app)
}
