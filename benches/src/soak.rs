//! Millions of fills with ever-new keys, tags, dependencies and prefixes, and a short TTL. Shows
//! what the server and this process hold meanwhile, and fails if anything is left once all has
//! died, or if either has grown.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, IntoKey, Key, cached};
use cache_tests::{Raw, Server};

const CALLERS: u64 = 256;
const TTL: Duration = Duration::from_secs(1);
/// So many tags of its own has one entry or the other.
const TAGS: [u64; 3] = [1, 5, 20];
/// One of so many calls is for a key with a prefix of its own.
const CALLS_PER_PREFIX: u64 = 16;
/// How often it is looked at while it fills.
const LOOKS: u64 = 10;
/// Keys that a look draws to see how many memberships are dead.
const DRAWN: usize = 4_000;
/// How long the rest on record is watched once all entries have died.
const WATCHED: Duration = Duration::from_secs(600);
/// Between two fills of a process that fills now and then. What these have on record themselves is
/// below [`ON_RECORD_MAX`] then.
const RESTS: Duration = Duration::from_millis(500);
const ON_RECORD_MAX: u64 = 100;
/// What a process or a server may take more at the end: an allocator gives back what it likes to.
const GROWN_MIB_MAX: f64 = 16.0;

#[cached(prefix = "part", ttl = "1s", near = "1s", skip(cache), cache = cache, tags = [..tags(&id)])]
async fn part(cache: &Cache, id: u64) -> Result<u64, Infallible> {
    Ok(id)
}

fn tags(id: &u64) -> Vec<String> {
    (0..TAGS[*id as usize % TAGS.len()]).map(|tag| format!("part:{id}:{tag}")).collect()
}

/// Made from a part, whose tags it inherits.
#[cached(prefix = "whole", ttl = "1s", near = "1s", skip(cache), cache = cache, tags = ["whole:{id}"])]
async fn whole(cache: &Cache, id: u64) -> Result<u64, Infallible> {
    part(cache, id).await
}

async fn fill(cache: &Cache, id: u64) {
    whole(cache, id).await.expect("infallible");
    if id.is_multiple_of(CALLS_PER_PREFIX) {
        let key: Key<u64> = format!("prefix{id}:1").into_key().expect("a valid key");
        cache.get_or_load(&key.with_ttl(TTL), || async { Ok::<u64, Infallible>(1) }).await.expect("infallible");
    }
}

async fn open(server: &Server) -> Cache {
    let cache = Cache::builder().url(server.url()).fence_retention(TTL).operation_deadline(Duration::from_secs(5));
    let cache = cache.build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    cache
}

/// Makes about so many fills, two for each id from `next` on. The callers end when this does.
async fn fill_all(cache: &Cache, fills: u64, next: &Arc<AtomicU64>) {
    let last = next.load(Ordering::Relaxed) + fills / 2;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (cache, next) = (cache.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= last {
                        return;
                    }
                    fill(&cache, id).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no caller panics");
    }
}

/// What server and process hold at one moment.
struct Look {
    keys: u64,
    server_mib: f64,
    process_mib: f64,
}

struct Report {
    raw: Raw,
    begun: Instant,
}

impl Report {
    async fn line(&mut self, when: &str, cache: &Cache) -> Look {
        let look = self.look().await;
        let dead = self.dead().await.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0));
        let (stats, seconds) = (cache.stats(), self.begun.elapsed().as_secs_f64());
        let (fills, prefixes) = (stats.total().fills, stats.prefixes().count());
        let Look { keys, server_mib, process_mib } = look;
        println!(
            "| {when} | {seconds:.0} | {fills} | {keys} | {dead} | {server_mib:.1} | {process_mib:.1} | {prefixes} |"
        );
        look
    }

    async fn look(&mut self) -> Look {
        let keys = self.raw.command("DBSIZE", &[]).await;
        let server_mib = self.raw.info("memory", "used_memory").await as f64 / 1048576.0;
        Look { keys, server_mib, process_mib: resident_mib() }
    }

    /// Of the memberships in indexes that were drawn, the share whose entry has expired.
    async fn dead(&mut self) -> Option<f64> {
        let (seconds, _): (u64, u64) = self.raw.command("TIME", &[]).await;
        let mut pipe = redis::pipe();
        (0..DRAWN).for_each(|_| _ = pipe.cmd("RANDOMKEY"));
        let drawn: Vec<Option<String>> = pipe.query_async(self.raw.connection()).await.expect("the server answers");
        let indexes: Vec<String> = drawn.into_iter().flatten().filter(|key| key.starts_with("cache:~index:")).collect();
        if indexes.is_empty() {
            return None;
        }
        let mut pipe = redis::pipe();
        for index in indexes {
            pipe.zcard(&index).zcount(&index, "-inf", seconds * 1_000);
        }
        let counts: Vec<u64> = pipe.query_async(self.raw.connection()).await.expect("the server answers");
        let sum = |at: usize| counts.iter().skip(at).step_by(2).sum::<u64>() as f64;
        (sum(0) > 0.0).then(|| sum(1) / sum(0))
    }

    async fn on_record(&mut self) -> u64 {
        self.raw.command("ZCARD", &["cache:~due"]).await
    }

    /// Waits until no more than `left` indexes are on record, and does something else meanwhile.
    async fn watch(&mut self, left: u64, meanwhile: impl AsyncFn()) {
        let watched = Instant::now();
        while self.on_record().await > left {
            assert!(watched.elapsed() < WATCHED, "{} indexes are still on record", self.on_record().await);
            meanwhile().await;
        }
    }
}

/// What the kernel has in memory of this process.
fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

pub async fn run(server: &Server, fills: u64) {
    println!(
        "\n## About {fills} fills with ever-new keys, tags, dependencies and prefixes, TTL and fence retention {TTL:?}\n"
    );
    println!("| | after s | fills | keys in Redis | dead memberships | MiB in Redis | MiB in the process | prefixes |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut report = Report { raw: server.raw().await, begun: Instant::now() };
    let (cache, next) = (open(server).await, Arc::new(AtomicU64::new(0)));
    let before = report.line("before", &cache).await;
    let mut looks = Vec::new();
    for look in 1..=LOOKS {
        fill_all(&cache, fills / LOOKS, &next).await;
        looks.push(report.line(&format!("{look} of {LOOKS}"), &cache).await);
    }
    report.watch(0, async || tokio::time::sleep(Duration::from_millis(100)).await).await;
    let after = report.line("once all have died, without any traffic", &cache).await;

    fill_all(&cache, fills / LOOKS, &next).await;
    // The reaper in the background of this process ends with the cache.
    report.line("after a tenth as many more", &cache).await;
    drop(cache);
    let another = open(server).await;
    let more = async || {
        fill(&another, next.fetch_add(1, Ordering::Relaxed)).await;
        tokio::time::sleep(RESTS).await;
    };
    report.watch(ON_RECORD_MAX, more).await;
    report.line("that process is gone, and another one fills now and then", &another).await;

    // The clock.
    assert_eq!(after.keys, 1, "keys are left");
    assert!(after.server_mib < before.server_mib + GROWN_MIB_MAX, "the server has grown");
    let (early, late) = (&looks[..looks.len() / 3], &looks[looks.len() - looks.len() / 3..]);
    let process_mib = |looks: &[Look]| looks.iter().map(|look| look.process_mib).fold(0.0, f64::max);
    assert!(process_mib(late) < process_mib(early) + GROWN_MIB_MAX, "this process grows");
    // How many there are at a time depends on what else the machine does.
    let keys = |looks: &[Look]| looks.iter().map(|look| look.keys).max();
    assert!(keys(late) < keys(early).map(|keys| 2 * keys), "what is on record grows");
}
