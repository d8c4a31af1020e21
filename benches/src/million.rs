//! An invalidation of one tag with a million entries, and one whose cascade goes down fifty levels,
//! beside readers of small hits.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, IntoKey, Key, cached};
use cache_tests::{Raw, Server};

const FILLERS: u64 = 256;
const READERS: u64 = 8;
/// Levels of the cascade. A tenth as many entries as the tag has stand on them all together.
const LEVELS: u64 = 50;
/// How many members the naive way deletes in one pipeline.
const NAIVE_PIPELINE: usize = 1_000;

#[cached(prefix = "small", ttl = "1h", skip(cache), cache = cache)]
async fn small(cache: &Cache, id: u64) -> Result<String, Infallible> {
    Ok(format!("{id:0200}"))
}

#[derive(Clone, Copy)]
enum Way {
    Tag,
    Naive,
    Deep,
}

const WAYS: [(&str, Way); 3] = [
    ("cache-core", Way::Tag),
    ("SSCAN, then DEL in pipelines of 1,000", Way::Naive),
    ("cache-core, a tenth as many on 50 levels", Way::Deep),
];

/// An entry of a chain. The first one has the tag, and each depends on the one above it.
#[cached(
    prefix = "deep", ttl = "1h", skip(cache), cache = cache, tags = [..top(&level)],
    depends_on = [..above(&level, &chain)],
)]
async fn deep(cache: &Cache, level: u64, chain: u64) -> Result<u64, Infallible> {
    Ok(level)
}

fn top(level: &u64) -> Option<&'static str> {
    (*level == 0).then_some("deep")
}

/// As text: a typed call would bring along all that is above it, and the cascade were flat.
fn above(level: &u64, chain: &u64) -> Option<String> {
    Some(format!("deep:{}:{chain}", level.checked_sub(1)?))
}

async fn fill_deep(cache: &Cache, chains: u64) {
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for chain in (filler..chains).step_by(FILLERS as usize) {
                    for level in 0..LEVELS {
                        deep(&cache, level, chain).await.expect("infallible");
                    }
                }
            })
        })
        .collect();
    for filler in fillers {
        filler.await.expect("no filler panics");
    }
}

/// The key of a member of the tag.
pub fn key(at: u64) -> Key<u64> {
    format!("member:{at}").into_key().expect("a valid key")
}

/// Stores members of the tag `million`, with these numbers.
pub async fn fill(cache: &Cache, members: Range<u64>) {
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| {
            let (cache, members) = (cache.clone(), members.clone());
            tokio::spawn(async move {
                for at in (members.start + filler..members.end).step_by(FILLERS as usize) {
                    let key = key(at).with_tags(["million"]).with_ttl(Duration::from_secs(3_600));
                    cache.get_or_load(&key, || async { Ok::<u64, Infallible>(1) }).await.expect("infallible");
                }
            })
        })
        .collect();
    for filler in fillers {
        filler.await.expect("no filler panics");
    }
}

async fn fill_naively(raw: &mut Raw, members: u64) {
    for chunk in 0..members / NAIVE_PIPELINE as u64 {
        let mut pipe = redis::pipe();
        for at in 0..NAIVE_PIPELINE as u64 {
            let key = format!("naive:{}", chunk * NAIVE_PIPELINE as u64 + at);
            pipe.set_ex(&key, 1, 3_600).ignore().sadd("naive:tag:million", key).ignore();
        }
        pipe.exec_async(raw.connection()).await.expect("the server answers");
    }
}

async fn invalidate_naively(raw: &mut Raw) -> u64 {
    let (mut removed, mut cursor, count) = (0, "0".to_owned(), NAIVE_PIPELINE.to_string());
    loop {
        // Not SMEMBERS: the server would do nothing else for half a second.
        let page = ["naive:tag:million", &cursor, "COUNT", &count];
        let (next, members): (String, Vec<String>) = raw.command("SSCAN", &page).await;
        let mut pipe = redis::pipe();
        members.iter().for_each(|key| {
            pipe.del(key);
        });
        if !members.is_empty() {
            let counts: Vec<u64> = pipe.query_async(raw.connection()).await.expect("the server answers");
            removed += counts.iter().sum::<u64>();
        }
        if next == "0" {
            raw.command::<u64>("DEL", &["naive:tag:million"]).await;
            return removed;
        }
        cursor = next;
    }
}

/// What small hits take until `until` is over: p99.9 in ms.
async fn read_until<T>(cache: &Cache, until: impl Future<Output = T>) -> (T, f64) {
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|id| {
            let (cache, stop) = (cache.clone(), stop.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    small(&cache, id).await.expect("infallible");
                    took.push(begun.elapsed());
                }
                took
            })
        })
        .collect();
    let output = until.await;
    stop.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for reader in readers {
        took.extend(reader.await.expect("no reader panics"));
    }
    took.sort_unstable();
    (output, took[took.len() * 999 / 1_000].as_secs_f64() * 1e3)
}

/// The longest and the median time of the commands that took 1 ms and more, and their number.
async fn slow_commands(raw: &mut Raw) -> String {
    let commands: Vec<(u64, u64, u64, redis::Value, String, String)> = raw.command("SLOWLOG", &["GET", "-1"]).await;
    let mut took: Vec<u64> = commands.iter().map(|command| command.2).collect();
    took.sort_unstable();
    match took.last() {
        None => "none".to_owned(),
        Some(longest) => {
            let median = took[took.len() / 2] as f64 / 1e3;
            format!("{} over 1 ms, median {median:.1} ms, longest {:.1} ms", took.len(), *longest as f64 / 1e3)
        }
    }
}

pub async fn run(server: &Server, members: u64) {
    // A busy machine is not what is measured: with the usual deadline some fills were not stored.
    let cache = Cache::builder().url(server.url()).namespace("million").operation_deadline(Duration::from_secs(5));
    let cache = cache.build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    for id in 0..READERS {
        small(&cache, id).await.expect("infallible");
    }
    let chains = members / 10 / LEVELS;
    println!("\n## One tag with {members} entries falls, beside {READERS} readers of small hits\n");
    println!("| | took, s | readers' p99.9 before, ms | meanwhile, ms | commands on the server |");
    println!("|---|---|---|---|---|");
    for (name, way) in WAYS {
        match way {
            Way::Tag => fill(&cache, 0..members).await,
            Way::Naive => fill_naively(&mut raw, members).await,
            Way::Deep => fill_deep(&cache, chains).await,
        }
        let (_, idle) = read_until(&cache, tokio::time::sleep(Duration::from_secs(2))).await;
        raw.command::<()>("CONFIG", &["SET", "slowlog-log-slower-than", "1000", "slowlog-max-len", "100000"]).await;
        raw.command::<()>("SLOWLOG", &["RESET"]).await;
        let begun = Instant::now();
        let by_tag = async |tag| cache.invalidate_tag(tag).await.expect("it answers").entries;
        let (removed, meanwhile) = match way {
            Way::Tag => read_until(&cache, by_tag("million")).await,
            Way::Naive => read_until(&cache, invalidate_naively(&mut raw)).await,
            Way::Deep => read_until(&cache, by_tag("deep")).await,
        };
        let took = begun.elapsed().as_secs_f64();
        let all = if matches!(way, Way::Deep) { chains * LEVELS } else { members };
        assert_eq!(removed, all, "everything falls, each once");
        let slow = slow_commands(&mut raw).await;
        println!("| {name} | {took:.1} | {idle:.2} | {meanwhile:.2} | {slow} |");
    }
}
