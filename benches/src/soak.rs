//! Millions of fills with ever-new tags and a short TTL. Shows what is on record meanwhile, and how
//! soon nothing is left on record.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Raw, Server};

const CALLERS: u64 = 256;
const TTL: Duration = Duration::from_secs(1);
/// How long the rest on record is watched once all entries have died.
const WATCHED: Duration = Duration::from_secs(600);

async fn fill(cache: &Cache, key: String, tags: Vec<String>) {
    let key: Key<u64> = key.into_key().expect("a valid key");
    let key = key.with_tags(tags).with_ttl(TTL);
    cache.get_or_load(&key, || async { Ok::<u64, Infallible>(1) }).await.expect("infallible");
}

async fn open(server: &Server) -> Cache {
    let cache = Cache::builder().url(server.url()).fence_retention(TTL).operation_deadline(Duration::from_secs(5));
    let cache = cache.build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    cache
}

/// Makes `fills` fills, each with `names` names of its own. `round` tells the names of one call
/// from those of another.
async fn fill_all(cache: &Cache, fills: u64, names: u64, round: &'static str) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for at in (caller..fills).step_by(CALLERS as usize) {
                    let tags = (0..names).map(|name| format!("{round}:{at}:{name}")).collect();
                    fill(&cache, format!("a:{at}"), tags).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no caller panics");
    }
}

struct Report<'a> {
    raw: &'a mut Raw,
    names: u64,
    begun: Instant,
}

impl Report<'_> {
    async fn line(&mut self, when: &str) {
        let keys: u64 = self.raw.command("DBSIZE", &[]).await;
        let on_record = self.on_record().await;
        let memory: String = self.raw.command("INFO", &["memory"]).await;
        let bytes = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or("?").to_owned();
        let seconds = self.begun.elapsed().as_secs_f64();
        println!("| {} | {when} | {seconds:.0} | {keys} | {on_record} | {bytes} |", self.names);
    }

    async fn on_record(&mut self) -> u64 {
        self.raw.command("ZCARD", &["cache:~due"]).await
    }

    /// Waits until no more than `left` indexes are on record, and does something else meanwhile.
    async fn watch(&mut self, left: u64, meanwhile: impl AsyncFn()) {
        let watched = Instant::now();
        while self.on_record().await > left && watched.elapsed() < WATCHED {
            meanwhile().await;
        }
    }
}

pub async fn run(server: &Server, fills: u64) {
    println!("\n## {fills} fills, each with so many tags of its own, TTL and fence retention {TTL:?}\n");
    println!("| tags | | after s | keys in Redis | indexes on record | bytes used |\n|---|---|---|---|---|---|");
    for names in [1, 5, 20] {
        let mut raw = server.raw().await;
        raw.command::<()>("FLUSHALL", &[]).await;
        let mut report = Report { raw: &mut raw, names, begun: Instant::now() };
        let cache = open(server).await;
        fill_all(&cache, fills, names, "first").await;
        report.line("after the last of them").await;
        report.watch(0, async || tokio::time::sleep(Duration::from_millis(100)).await).await;
        report.line("without any traffic").await;
        // On a busy machine a few take longer than the retention.
        assert!(cache.stats().total().fills >= fills * 9 / 10, "many were not stored");

        fill_all(&cache, fills / 10, names, "second").await;
        // The reaper in the background of this process ends with the cache.
        drop(cache);
        report.line("after a tenth as many more, whose process ended").await;
        let another = open(server).await;
        let more = async || {
            fill(&another, "b:1".to_owned(), vec!["one".to_owned()]).await;
            another.invalidate_key("b:1").await.expect("a server that answers");
        };
        more().await;
        report.watch(1, more).await;
        report.line("with traffic of another process").await;
    }
}
