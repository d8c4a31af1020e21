//! Makes the pictures in `docs/`: a cache with some traffic, and a headless Chromium.
//!
//! `CACHE_TEST_CHROMIUM_BIN=/usr/bin/chromium cargo run -p cache-admin --example screenshots`

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use cache_admin::Admin;
use cache_core::{Cache, Warmer, cached};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::sleep;

#[path = "../tests/support/browser.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the tests use all of it")]
mod browser;

const AIRPORTS: [&str; 8] = ["ATL", "BOS", "DFW", "JFK", "LAX", "ORD", "SEA", "SFO"];

#[derive(Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
}

#[cached(prefix = "flight", ttl = "60s", tags = ["airport:{result.origin}"])]
async fn flight(id: u64) -> Flight {
    query(2).await;
    Flight { id, origin: AIRPORTS[(id % 8) as usize].to_owned() }
}

#[cached(prefix = "board", ttl = "60s")]
async fn board(airport: &str) -> Vec<u64> {
    query(8).await;
    let first = AIRPORTS.iter().position(|known| *known == airport).unwrap_or(0) as u64;
    let mut ids = Vec::new();
    for id in (0..10).map(|row| first + 8 * row) {
        ids.push(flight(id).await.id);
    }
    ids
}

#[cached(prefix = "itinerary", ttl = "30s")]
async fn itinerary(from: u64, to: u64) -> u64 {
    flight(from).await.id + flight(to).await.id
}

#[cached(prefix = "search", ttl = "20s")]
async fn search(number: u64) -> u64 {
    query(20).await;
    number
}

/// A number below `most`, like chance enough for a picture.
fn chance(most: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % most
}

async fn query(ms: u64) {
    sleep(Duration::from_millis(ms + chance(ms))).await;
}

async fn visitors() {
    for turn in 0.. {
        for _ in 0..8 + (turn / 50 % 4) * 4 {
            let chance = chance(10_000);
            tokio::spawn(async move {
                match chance % 10 {
                    0..=4 => _ = flight(chance % 160).await,
                    5..=7 => _ = board(AIRPORTS[(chance % 8) as usize]).await,
                    8 => _ = itinerary(chance % 20, chance % 7).await,
                    _ => _ = search(chance % 900).await,
                }
            });
        }
        sleep(Duration::from_millis(40)).await;
    }
}

async fn changes(cache: Cache) {
    loop {
        sleep(Duration::from_millis(2_300)).await;
        let id = chance(160);
        let _ = cache.invalidate_key(flight::key(&id)).await;
        if id.is_multiple_of(3) {
            let airport = AIRPORTS[(id % 8) as usize];
            let _ = cache.invalidate_key(board::key(airport)).await;
            // It loads while its airport is invalidated: its fill is refused.
            let loading = tokio::spawn(board(airport));
            sleep(Duration::from_millis(4)).await;
            let _ = cache.invalidate_tag(format!("airport:{airport}")).await;
            let _ = loading.await;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("cache-admin/docs"), PathBuf::from);
    let cache = Cache::builder().namespace("flights").build()?.install()?;
    let warmer = Warmer::new(&cache).register_keys("busiest boards", || async {
        Ok::<_, Infallible>(AIRPORTS.map(|airport| format!("board:{airport}")))
    });
    let warmer = warmer.loader("board", |airport| async move { Ok::<_, Infallible>(board(&airport).await) });
    let admin = Admin::new("flights", &cache).warmer(&warmer).allow_actions();
    let app: Router = Router::new().nest("/cache", admin.router());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cache", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::spawn(visitors());
    tokio::spawn(changes(cache));

    let browser = browser::Browser::start();
    let tab = browser.open(&url, 1240, 820).await;
    let seconds = std::env::args().nth(2).and_then(|seconds| seconds.parse().ok()).unwrap_or(180);
    sleep(Duration::from_secs(seconds)).await;
    tab.eval("document.querySelector('[data-prefix=board] button').click()").await;
    tab.press("i").await;
    tab.type_text("airport:DFW").await;
    tab.press("Enter").await;
    tab.until("document.querySelector('#found svg')").await;
    for (name, scheme, width, height) in
        [("light", "light", 1240, 820), ("dark", "dark", 1240, 820), ("phone", "light", 390, 844)]
    {
        tab.scheme(scheme).await;
        tab.resize(width, height).await;
        tab.eval("document.activeElement.blur(); window.scrollTo(0, 0)").await;
        sleep(Duration::from_millis(2_500)).await;
        save(&folder, name, &tab.screenshot().await)?;
    }
    tab.resize(1240, 820).await;
    tab.eval("window.scrollTo(0, document.querySelector('#look').offsetTop - 60)").await;
    sleep(Duration::from_millis(300)).await;
    save(&folder, "cascade", &tab.screenshot().await)?;
    Ok(())
}

fn save(folder: &Path, name: &str, base64: &str) -> std::io::Result<()> {
    std::fs::write(folder.join(format!("{name}.png")), decoded(base64))
}

fn decoded(base64: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => u32::from(digit - b'A'),
        b'a'..=b'z' => u32::from(digit - b'a') + 26,
        b'0'..=b'9' => u32::from(digit - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = base64.bytes().filter(|digit| *digit != b'=').collect();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | value(*digit)) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
