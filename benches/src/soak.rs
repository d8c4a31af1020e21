//! A million fills with ever-new tags and a short TTL: what is left of the bookkeeping when only fills clean up.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Raw, Server};

const FILLS: u64 = 1_000_000;
const CALLERS: u64 = 256;
const TTL: Duration = Duration::from_secs(1);

async fn fill(cache: &Cache, key: String, tag: String) {
    let key: Key<u64> = key.into_key().expect("a valid key");
    let key = key.with_tags([tag]).with_ttl(TTL);
    cache.get_or_load(&key, || async { Ok::<u64, Infallible>(1) }).await.expect("infallible");
}

async fn line(raw: &mut Raw, when: &str, seconds: f64) {
    let keys: u64 = raw.command("DBSIZE", &[]).await;
    let due: u64 = raw.command("ZCARD", &["cache:~due"]).await;
    let memory: String = raw.command("INFO", &["memory"]).await;
    let bytes = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or("?").to_owned();
    println!("| {when} | {seconds:.1} | {keys} | {due} | {bytes} |");
}

pub async fn run(server: &Server) {
    let cache = Cache::builder().url(server.url()).fence_retention(TTL).operation_deadline(Duration::from_secs(5));
    let cache = cache.build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    let begun = Instant::now();
    println!("\n## {FILLS} fills, each with a tag of its own, TTL and fence retention {TTL:?}\n");
    println!("| | after s | keys in Redis | indexes on record | bytes used |\n|---|---|---|---|---|");
    line(&mut raw, "before", 0.0).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for at in (caller..FILLS).step_by(CALLERS as usize) {
                    fill(&cache, format!("a:{at}"), format!("tag:{at}")).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no caller panics");
    }
    line(&mut raw, "after the last of them", begun.elapsed().as_secs_f64()).await;
    // More fills, of entries that add nothing lasting.
    let mut more = 0u64;
    while raw.command::<u64>("ZCARD", &["cache:~due"]).await > 2 && begun.elapsed() < Duration::from_secs(300) {
        for _ in 0..500 {
            fill(&cache, "b:1".to_owned(), "one".to_owned()).await;
            cache.invalidate_key("b:1").await.expect("a server that answers");
            more += 1;
        }
    }
    line(&mut raw, &format!("after {more} more, of one key"), begun.elapsed().as_secs_f64()).await;
    let fills = cache.stats().total().fills;
    assert!(fills >= FILLS, "{fills} fills were stored");
}
