//! What stands in the log at WARN and above: whose it is, never a key, and one line in a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::{Cache, Warmer, cached, invalidates, write_through};
use cache_tests::Log;

/// Stands in arguments, and so in keys, tags and patterns.
const SECRET: &str = "SECRET5b1f";

/// The lines at WARN and above.
fn lines(log: &Log) -> Vec<String> {
    log.text().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR ")).map(str::to_owned).collect()
}

#[track_caller]
fn says_no_secret(log: &Log) {
    let lines = lines(log);
    assert!(!lines.is_empty(), "nothing was said");
    for line in lines {
        assert!(!line.contains(SECRET), "{line}");
    }
}

/// What all lines with this text count.
fn counted(log: &Log, text: &str) -> u64 {
    let lines = lines(log).into_iter().filter(|line| line.contains(text));
    lines
        .map(|line| {
            line.split_once(" count=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok()).unwrap()
        })
        .sum()
}

#[derive(Clone)]
struct App {
    cache: Cache,
    down: Arc<AtomicBool>,
}

impl App {
    fn new(cache: Cache) -> Self {
        Self { cache, down: Arc::default() }
    }

    fn read(&self) -> Result<u32, &'static str> {
        if self.down.load(Ordering::SeqCst) { Err("the database is down") } else { Ok(1) }
    }
}

#[cached(prefix = "session", ttl = "1ms", stale_if_error = "1h", skip(app), cache = app.cache)]
async fn session(app: &App, token: &str) -> Result<u32, &'static str> {
    _ = token;
    app.read()
}

#[cached(prefix = "fresh", ttl = "1ms", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
async fn fresh(app: App, token: &str) -> Result<u32, &'static str> {
    _ = token;
    app.read()
}

#[cached(prefix = "text", ttl = "1h", skip(app), tags = [..[format!("{token}\n")]], cache = app.cache)]
async fn unspellable(app: &App, token: &str) -> String {
    _ = app;
    token.to_owned()
}

#[invalidates(
    keys = [session(token)],
    tags = ["token:{token}", "{token}"],
    patterns = ["board:{token}*", "{token}*"],
    cache = app.cache
)]
async fn log_out(app: &App, token: &str) {
    _ = (app, token);
}

#[invalidates(keys = [..[format!("~{token}")]], cache = app.cache)]
async fn misnamed(app: &App, token: &str) {
    _ = (app, token);
}

#[write_through(session(token), cache = app.cache)]
async fn log_in(app: &App, token: &str) -> Result<u32, &'static str> {
    _ = token;
    app.read()
}

fn in_memory() -> Cache {
    Cache::builder().jitter(0.0).build().unwrap()
}

/// Nobody listens there.
fn nowhere() -> App {
    let cache = Cache::builder().url("redis://127.0.0.1:1").operation_deadline(Duration::from_millis(10)).build();
    App::new(cache.unwrap())
}

#[tokio::test(start_paused = true)]
async fn errors_that_stale_if_error_hides_are_one_line_a_second_with_a_count() {
    let app = App::new(in_memory());
    session(&app, SECRET).await.unwrap();
    app.down.store(true, Ordering::SeqCst);
    let (log, _listening) = Log::listen();
    let calls = async |count: usize| {
        for _ in 0..count {
            tokio::time::advance(Duration::from_millis(2)).await;
            assert_eq!(session(&app, SECRET).await, Ok(1));
        }
    };
    calls(200).await;
    assert_eq!(lines(&log).len(), 1, "{}", log.text());
    tokio::time::advance(Duration::from_secs(1)).await;
    calls(1).await;
    let said = lines(&log);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("prefix=\"session\"") && said[0].contains("the database is down"), "{said:?}");
    assert_eq!(counted(&log, "a load failed"), 201);
    assert_eq!(app.cache.stats().prefix("session").hidden_failures, 201);
    says_no_secret(&log);
}

#[tokio::test(start_paused = true)]
async fn refreshes_that_fail_are_one_line_a_second_with_a_count() {
    let app = App::new(in_memory());
    for at in 0..50 {
        fresh(app.clone(), &format!("{SECRET}{at}")).await.unwrap();
    }
    app.down.store(true, Ordering::SeqCst);
    let (log, _listening) = Log::listen();
    tokio::time::sleep(Duration::from_millis(2)).await;
    for at in 0..50 {
        assert_eq!(fresh(app.clone(), &format!("{SECRET}{at}")).await, Ok(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(app.cache.stats().prefix("fresh").hidden_failures, 50);
    assert_eq!(lines(&log).len(), 1, "{}", log.text());
    says_no_secret(&log);
}

#[tokio::test]
async fn invalidations_that_fail_are_one_line_a_second_that_names_the_function() {
    let app = nowhere();
    let (log, _listening) = Log::listen();
    let begun = std::time::Instant::now();
    for at in 0..1_000 {
        log_out(&app, &format!("{SECRET}{at}")).await;
    }
    let seconds = begun.elapsed().as_secs() as usize;
    let said: Vec<_> = lines(&log).into_iter().filter(|line| line.contains("an invalidation failed")).collect();
    assert!((1..=1 + seconds).contains(&said.len()), "{seconds} s: {said:#?}");
    assert!(said[0].contains("ERROR") && said[0].contains("log_out"), "{said:?}");
    assert_eq!(app.cache.stats().total().failed_invalidations, 1_000);
    says_no_secret(&log);
}

#[tokio::test]
async fn functions_whose_invalidations_fail_are_named_one_by_one() {
    let app = nowhere();
    let (log, _listening) = Log::listen();
    log_out(&app, SECRET).await;
    log_in(&app, SECRET).await.unwrap();
    misnamed(&app, SECRET).await;
    misnamed(&app, SECRET).await;
    let said = lines(&log).join("\n");
    assert!(said.contains("log_out") && said.contains("by=\"session\"") && said.contains("misnamed"), "{said}");
    assert_eq!(said.matches("misnamed").count(), 1, "{said}");
    says_no_secret(&log);
}

#[tokio::test]
async fn a_value_that_is_not_stored_is_said_without_its_key() {
    let cache = Cache::builder().value_bytes_max(100).build().unwrap();
    let app = App::new(cache.clone());
    let (log, _listening) = Log::listen();
    unspellable(&app, SECRET).await;
    let large = || async { Ok::<_, ()>("x".repeat(200)) };
    cache.get_or_load(format!("page:{SECRET}"), large).await.unwrap();
    // No function, and nothing before a `:`: the whole text may be a user's.
    cache.get_or_load(SECRET, large).await.unwrap();
    let said = lines(&log);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("prefix=\"text\"") && said[1].contains("prefix=\"page\""), "{said:?}");
    says_no_secret(&log);
}

#[tokio::test]
async fn keys_that_cannot_be_warmed_are_said_without_the_keys_and_seldom() {
    let app = App::new(in_memory());
    app.down.store(true, Ordering::SeqCst);
    let warmer = Warmer::new(&app.cache);
    let loads = app.clone();
    warmer.loader("session", move |token| {
        let app = loads.clone();
        async move { session(&app, &token).await }
    });
    warmer.register("mornings", || async { Err::<(), _>("not today") });
    let (log, _listening) = Log::listen();
    let keys = (0..50).map(|at| format!("session:{SECRET}{at}"));
    let others = [format!("unknown:{SECRET}"), SECRET.to_owned(), format!("~{SECRET}")];
    let warmed = warmer.warm_keys(keys.chain(others)).await;
    assert_eq!((warmed.failed, warmed.errors().len()), (53, 53));
    assert!(warmed.errors().iter().all(|error| error.name.contains(SECRET)));
    warmer.run().await;
    let said = lines(&log).join("\n");
    assert!(said.contains("session") && said.contains("mornings"), "{said}");
    assert!(lines(&log).len() <= 6, "{said}");
    says_no_secret(&log);
}

/// Each function is never stored, for a reason of its own.
mod unkept {
    use std::time::Duration;

    use cache_core::{Cache, cached, invalidates, write_through};
    use serde::{Deserialize, Serialize, Serializer};

    /// Fails to be encoded.
    #[derive(Deserialize)]
    pub(super) struct Opaque;

    impl Serialize for Opaque {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("on purpose"))
        }
    }

    #[cached(prefix = "unencodable", ttl = "1h", context = cache)]
    pub(super) async fn unencodable(cache: &Cache, id: u64) -> Opaque {
        _ = (cache, id);
        Opaque
    }

    /// JSON has no such number.
    #[cached(prefix = "undecodable", ttl = "1h", context = cache)]
    pub(super) async fn undecodable(cache: &Cache, id: u64) -> f64 {
        _ = (cache, id);
        f64::NAN
    }

    #[cached(prefix = "changed", ttl = "1h", context = cache)]
    pub(super) async fn changed(cache: &Cache, id: u64) -> Vec<Option<Option<u64>>> {
        _ = (cache, id);
        vec![Some(None)]
    }

    #[cached(prefix = "large", ttl = "1h", context = cache)]
    pub(super) async fn large(cache: &Cache, id: u64) -> String {
        _ = (cache, id);
        "x".repeat(2_000)
    }

    #[cached(prefix = "names", ttl = "1h", context = cache, tags = [..(0..20).map(|tag| format!("{id}:{tag}"))])]
    pub(super) async fn many_names(cache: &Cache, id: u64) -> u64 {
        _ = cache;
        id
    }

    #[cached(prefix = "misnamed", ttl = "1h", context = cache, tags = [..[format!("{id}\n")]])]
    pub(super) async fn misnamed(cache: &Cache, id: u64) -> u64 {
        _ = cache;
        id
    }

    #[cached(prefix = "mixed", ttl = "1h", context = cache)]
    pub(super) async fn mixed(cache: &Cache, id: u64) -> u64 {
        let another = Cache::in_memory();
        _ = (cache, another.peek::<u64>("another").await);
        id
    }

    #[cached(prefix = "nan", ttl = "1h", context = cache)]
    pub(super) async fn unspelled(cache: &Cache, id: u64, share: f64) -> u64 {
        _ = (cache, share);
        id
    }

    #[cached(prefix = "old", ttl = "1s", stale_if_error = "1h", context = cache, skip(fails))]
    async fn old(cache: &Cache, id: u64, fails: bool) -> Result<u64, &'static str> {
        _ = cache;
        if fails { Err("on purpose") } else { Ok(id) }
    }

    #[cached(prefix = "stale", ttl = "1h", context = cache)]
    pub(super) async fn of_stale(cache: &Cache, id: u64) -> u64 {
        _ = (old(cache, id, false).await, tokio::time::advance(Duration::from_secs(2)).await);
        old(cache, id, true).await.unwrap()
    }

    #[cached(prefix = "slow", ttl = "1h", context = cache)]
    pub(super) async fn slow(cache: &Cache, id: u64) -> u64 {
        _ = cache;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        id
    }

    #[cached(prefix = "current", ttl = "1h", context = cache)]
    async fn current(cache: &Cache, id: u64) -> u64 {
        _ = cache;
        id
    }

    #[write_through(current(id), context = cache)]
    pub(super) async fn from_itself(cache: &Cache, id: u64) -> u64 {
        current(cache, id).await + 1
    }

    #[invalidates(keys = ["relapse:{id}"], context = cache)]
    async fn falls(cache: &Cache, id: u64) {
        _ = (cache, id);
    }

    #[cached(prefix = "relapse", ttl = "1h", context = cache)]
    pub(super) async fn relapse(cache: &Cache, id: u64) -> u64 {
        falls(cache, id).await;
        id
    }
}

#[tokio::test(start_paused = true)]
async fn why_values_are_not_stored_is_said_once_for_each_prefix_and_reason_with_the_way_out() {
    let cache = Cache::builder().value_bytes_max(1_000).names_max(10).build().unwrap();
    let (log, _listening) = Log::listen();
    for id in [1, 2, 1, 2] {
        unkept::unencodable(&cache, id).await;
        unkept::undecodable(&cache, id).await;
        unkept::changed(&cache, id).await;
        unkept::large(&cache, id).await;
        unkept::many_names(&cache, id).await;
        unkept::misnamed(&cache, id).await;
        unkept::mixed(&cache, id).await;
        unkept::unspelled(&cache, id, f64::NAN).await;
        unkept::of_stale(&cache, id).await;
        unkept::slow(&cache, id).await;
        unkept::from_itself(&cache, id).await;
        unkept::relapse(&cache, id).await;
    }
    let said = lines(&log);
    let said: Vec<&String> = said.iter().filter(|line| line.contains("values are not stored")).collect();
    for (prefix, why) in [
        ("unencodable", "cannot be encoded"),
        ("undecodable", "cannot be read back"),
        ("changed", "read back as other values"),
        ("large", "too large"),
        ("names", "too many"),
        ("misnamed", "cannot be spelled"),
        ("mixed", "another cache's entries"),
        ("nan", "their key cannot be encoded"),
        ("stale", "stood in for a failed load"),
        ("slow", "take too long"),
        ("current", "made from the entry that they replace"),
        ("relapse", "invalidates what they are made from"),
    ] {
        let lines: Vec<_> = said.iter().filter(|line| line.contains(&format!("prefix=\"{prefix}\""))).collect();
        assert_eq!(lines.len(), 1, "{prefix}: {said:#?}");
        assert!(lines[0].contains(why) && lines[0].contains("way_out=\""), "{prefix}: {}", lines[0]);
    }
    assert_eq!(said.len(), 12, "{said:#?}");
}
