//! An application with secrets everywhere, all of which can fail.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::{
    Builder, Cache, Cacheable, Error, Invalidation, Warmer, cached, invalidates, observe, prometheus_text,
    write_through,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::ear::{HASHED, SECRETS, SPELLED, VALUE, holds_none, words_of};

/// All that a cache says of itself without being asked for a key.
pub(crate) fn said_of(cache: &Cache) -> String {
    let stats = cache.stats();
    let json = serde_json::to_string(&stats).unwrap();
    format!(
        "{cache:?}\n{:?}\n{stats}\n{stats:?}\n{json}\n{}\n{:?}\n{:?}",
        cache.health(),
        prometheus_text([&stats]),
        stats.metrics(),
        cache.memory(),
    )
}

/// An argument that a key hashes.
#[derive(Clone, Serialize)]
pub(crate) struct Form {
    token: String,
    parts: Vec<f64>,
}

pub(crate) fn form() -> Form {
    Form { token: HASHED.to_owned(), parts: vec![0.5] }
}

/// A value that no one is to see.
#[derive(Clone, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
pub(crate) struct Card(String);

/// Fails to be encoded, with the value in its error.
#[derive(Deserialize)]
pub(crate) struct Opaque;

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(VALUE))
    }
}

/// An argument that cannot be encoded.
pub(crate) struct Unfit;

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(HASHED))
    }
}

/// An error that says nothing, and knows everything.
pub(crate) struct Down(&'static str);

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is down")
    }
}

impl fmt::Debug for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Down {}

pub(crate) struct App {
    pub(crate) cache: Cache,
    is_down: AtomicBool,
    loads: AtomicU64,
}

impl App {
    pub(crate) fn new(cache: Cache) -> Arc<Self> {
        Arc::new(Self { cache, is_down: AtomicBool::new(false), loads: AtomicU64::new(0) })
    }

    fn read(&self) -> Result<Card, Down> {
        let load = self.loads.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) { Err(Down(VALUE)) } else { Ok(Card(format!("{VALUE}{load}"))) }
    }
}

#[cached(prefix = "plain", tags = ["of:{id}"], skip(app), cache = app.cache)]
pub(crate) async fn plain(app: &App, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (id, form);
    app.read()
}

#[cached(prefix = "aging", ttl = "1ms", stale_if_error = "1h", skip(app), cache = app.cache)]
pub(crate) async fn aging(app: &App, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (id, form);
    app.read()
}

#[cached(prefix = "fresh", ttl = "1ms", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
pub(crate) async fn fresh(app: Arc<App>, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (id, form);
    app.read()
}

#[cached(prefix = "checked", ttl = "1h", verify = 1, skip(app), cache = app.cache)]
pub(crate) async fn checked(app: Arc<App>, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (id, form);
    app.read()
}

#[cached(prefix = "opaque", ttl = "1h", skip(app), cache = app.cache)]
pub(crate) async fn opaque(app: &App, id: &str) -> Opaque {
    _ = (app, id);
    Opaque
}

#[cached(prefix = "unfit", ttl = "1h", skip(app), cache = app.cache)]
pub(crate) async fn unfit(app: &App, argument: &Unfit) -> Card {
    _ = argument;
    app.read().unwrap()
}

#[cached(prefix = "lost", ttl = "1h", skip(app), cache = app.cache)]
pub(crate) async fn lost(app: &App, id: &str) -> Vec<Option<Option<String>>> {
    _ = (app, id);
    vec![Some(None), Some(Some(VALUE.to_owned()))]
}

#[cached(prefix = "large", ttl = "1h", skip(app), cache = app.cache)]
pub(crate) async fn large(app: &App, id: &str) -> String {
    _ = (app, id);
    VALUE.repeat(1_000)
}

#[cached(prefix = "self-made", ttl = "1h", skip(app), cache = app.cache)]
pub(crate) async fn relapse(app: &App, id: &str) -> Card {
    app.cache.invalidate_key(relapse::key(id)).await.ok();
    app.read().unwrap()
}

#[cached(prefix = "panics", ttl = "1h", finish, skip(app), cache = app.cache)]
pub(crate) async fn panics(app: Arc<App>, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (app, id, form);
    std::panic::panic_any(VALUE)
}

#[invalidates(
    keys = [plain(id, form), ..[format!("~{id}")]],
    tags = ["of:{id}", "{id}"],
    patterns = ["plain:{id}*"],
    cache = app.cache
)]
pub(crate) async fn change(app: &App, id: &str, form: &Form) {
    _ = (app, id, form);
}

#[invalidates(keys = [plain(id, form)], around, cache = app.cache)]
pub(crate) async fn change_around(app: &App, id: &str, form: &Form) {
    _ = (app, id, form);
}

#[write_through(plain(id, form), cache = app.cache)]
pub(crate) async fn write(app: &App, id: &str, form: &Form) -> Result<Card, Down> {
    _ = (id, form);
    app.read()
}

/// Whatever an app can do, with secrets everywhere.
pub(crate) async fn everything(app: &Arc<App>) {
    let (id, form) = (SPELLED, &form());
    for is_down in [false, true, false] {
        app.is_down.store(is_down, Ordering::SeqCst);
        for _ in 0..2 {
            _ = plain(app, id, form).await;
            _ = aging(app, id, form).await;
            _ = fresh(app.clone(), id, form).await;
            _ = checked(app.clone(), id, form).await;
            _ = write(app, id, form).await;
            change(app, id, form).await;
            change_around(app, id, form).await;
            tokio::task::yield_now().await;
        }
    }
    opaque(app, id).await;
    unfit(app, &Unfit).await;
    lost(app, id).await;
    large(app, id).await;
    relapse(app, id).await;
    relapse(app, id).await;
    let panicked = tokio::spawn({
        let (app, form) = (app.clone(), form.clone());
        async move { panics(app, SPELLED, &form).await.map(drop) }
    });
    assert!(panicked.await.is_err());
    let load = async || Ok::<_, Down>(Card(VALUE.to_owned()));
    _ = app.cache.get_or_load(id, load).await;
    _ = app.cache.get_or_load(format!("known:{id}"), async || Err::<Card, _>(Down(VALUE))).await;
    warm(app).await;
}

pub(crate) async fn warm(app: &Arc<App>) {
    let warmer = Warmer::new(&app.cache);
    warmer.register("mornings", || async { Err::<(), _>(Down(VALUE)) });
    warmer.loader("plain", |_| async { Err::<Card, _>(Down(VALUE)) });
    let warmed = warmer.run().await;
    let keys = warmer.warm_keys([format!("plain:{SPELLED}"), format!("unknown:{SPELLED}")]).await;
    let text = format!("{warmer:?} {warmed:?} {keys:?} {:?} {:?}", warmed.errors(), keys.errors());
    holds_none(&text, &SECRETS);
}

/// What a cache says when it is asked for a key, or for what it did.
pub(crate) async fn asked_for(app: &Arc<App>) -> String {
    let (id, form) = (SPELLED, &form());
    let key = plain::key(id, form);
    let invalidation = || Invalidation::new().key(plain::key(id, form)).tag(format!("of:{SPELLED}")).pattern("plain:*");
    let mut text = format!("{key} {key:?} {:?} {:?}", invalidation(), invalidation().to_json());
    let (_, calls) = observe(plain(app, id, form)).await;
    write!(text, "{calls:?}").unwrap();
    for key in [plain::key(id, form).to_string(), checked::key(id, form).to_string(), format!("~{SPELLED}")] {
        match app.cache.explain(key).await {
            Ok(known) => write!(text, "{known} {known:?} {}", serde_json::to_string(&known).unwrap()).unwrap(),
            Err(error) => text += &words_of(&error),
        }
    }
    match app.cache.preview(invalidation()).await {
        Ok(preview) => write!(text, "{preview} {preview:?}").unwrap(),
        Err(error) => text += &words_of(&error),
    }
    match app.cache.close(Invalidation::new().key(plain::key(id, form))).await {
        Ok(closing) => {
            write!(text, "{closing:?}").unwrap();
            closing.open().await.ok();
        }
        Err(error) => text += &words_of(&error),
    }
    match app.cache.put(format!("put:{SPELLED}"), &Card(VALUE.to_owned())).await {
        Ok(put) => write!(text, "{put:?}").unwrap(),
        Err(error) => text += &words_of(&error),
    }
    text
}

/// The errors of calls that have one.
pub(crate) async fn errors_of(app: &Arc<App>) -> String {
    let mut text = String::new();
    let mut add = |error: Option<Error>| text.extend(error.as_ref().map(words_of));
    add(app.cache.put(format!("put:{SPELLED}"), &Opaque).await.err());
    add(app.cache.put(format!("put:{SPELLED}"), &VALUE.repeat(1_000)).await.err());
    add(app.cache.put(format!("~{SPELLED}"), &VALUE.to_owned()).await.err());
    add(app.cache.peek::<u64>(format!("plain:{SPELLED}")).await.err());
    add(app.cache.invalidate_key(format!("~{SPELLED}")).await.err());
    add(app.cache.invalidate_tag(format!("{SPELLED}\n")).await.err());
    add(app.cache.invalidate_pattern(SPELLED.repeat(100)).await.err());
    add(app.cache.invalidate_key(plain::key(SPELLED, &form())).await.err());
    add(app.cache.clear().await.err());
    add(app.cache.ready(Duration::from_millis(50)).await.err());
    text
}

pub(crate) fn small(builder: Builder) -> Arc<App> {
    let text = format!("{builder:?}");
    holds_none(&text, &SECRETS);
    App::new(builder.value_bytes_max(2_000).operation_deadline(Duration::from_millis(250)).build().unwrap())
}
