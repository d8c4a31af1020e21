//! The hot paths, one at a time. `cargo xtask instructions` has valgrind count what each of them
//! executes and allocates, by running this program twice: what the longer run adds is a path's
//! cost, without start-up and warming.
//!
//! `instructions list` names the paths. `instructions PATH ITERATIONS` runs one; the server of
//! those that need one is `CACHE_URL`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::{__entry, Cache, cached};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// Calls before the counted ones: tables have grown, buffers are there, connections are open.
const WARMING: u64 = 64;
/// Callers of a crowd; their requests share system calls.
const CROWD: u64 = 32;

/// As many fields as a row of a real table has: 200-odd bytes of JSON.
#[derive(Clone, Serialize, Deserialize)]
struct Flight {
    id: u64,
    carrier: String,
    number: u32,
    origin: String,
    destination: String,
    departs_at: String,
    arrives_at: String,
    delay_min: i32,
    distance_km: u32,
    aircraft: Option<String>,
}

impl Flight {
    fn new(id: u64) -> Self {
        Self {
            id,
            carrier: "AA".to_owned(),
            number: 1000,
            origin: "DFW".to_owned(),
            destination: "LAX".to_owned(),
            departs_at: "2001-03-14T08:35:00-06:00".to_owned(),
            arrives_at: "2001-03-14T10:05:00-08:00".to_owned(),
            delay_min: -10,
            distance_km: 1987,
            aircraft: Some("N123AA".to_owned()),
        }
    }
}

#[cached(prefix = "flight", ttl = "1h", skip(cache), cache = cache)]
async fn flight(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

/// What costs nothing itself, so that the count is all ours.
#[cached(prefix = "number", ttl = "1h", skip(cache), cache = cache)]
async fn number(cache: &Cache, id: u64) -> Result<u64, Infallible> {
    Ok(black_box(id))
}

#[cached(prefix = "seat", ttl = "1h", skip(cache), cache = cache)]
async fn seat(cache: &Cache, row: &str, id: u64) -> Result<u64, Infallible> {
    Ok(black_box(id))
}

#[cached(prefix = "near", ttl = "1h", near = "1h", skip(cache), cache = cache)]
async fn near(cache: &Cache, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(Arc::new(Flight::new(id)))
}

#[cached(prefix = "near-seat", ttl = "1h", near = "1h", skip(cache), cache = cache)]
async fn near_seat(cache: &Cache, row: &str, id: u64) -> Result<Arc<Flight>, Infallible> {
    Ok(Arc::new(Flight::new(id)))
}

/// As many ids as a page of a list has.
const IDS: std::ops::Range<u64> = 0..20;

#[cached(prefix = "flight", ttl = "1h", skip(cache), cache = cache, each = ids)]
async fn flights_of(cache: &Cache, ids: &[u64]) -> Result<HashMap<u64, Flight>, Infallible> {
    Ok(ids.iter().map(|id| (*id, Flight::new(*id))).collect())
}

/// An argument that refuses to be encoded, so the call goes past the cache.
struct Unfit;

impl Serialize for Unfit {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("unfit"))
    }
}

#[cached(prefix = "unfit", ttl = "1h", skip(cache), cache = cache)]
async fn unfit(cache: &Cache, argument: &Unfit) -> Result<u64, Infallible> {
    Ok(black_box(1))
}

/// One path: its name in the file of counts, and what prepares it and hands its loop over.
struct Path {
    name: &'static str,
    run: fn(&Runtime, &Loops),
}

const PATHS: &[Path] = &[
    Path {
        name: "key-of-a-number",
        run: |_, loops| {
            loops.run(&mut |iterations| (0..iterations).for_each(|_| drop(black_box(number::key(black_box(&42))))));
        },
    },
    Path {
        name: "key-of-a-text-and-a-number",
        run: |_, loops| {
            loops.run(&mut |iterations| {
                (0..iterations).for_each(|_| drop(black_box(seat::key(black_box("27F"), black_box(&42)))));
            });
        },
    },
    Path {
        name: "header-of-an-entry",
        run: |_, loops| {
            let entry: Bytes = __entry::sample(&[b'x'; 200]);
            loops.run(&mut |iterations| (0..iterations).for_each(|_| assert!(__entry::is_readable(black_box(&entry)))));
        },
    },
    Path { name: "disabled", run: |runtime, loops| numbers(runtime, &Cache::disabled(), loops) },
    Path {
        name: "disabled-for-20-ids",
        run: |runtime, loops| {
            let (cache, ids) = (Cache::disabled(), Vec::from_iter(IDS));
            loops.run(&mut |iterations| {
                runtime.block_on(async {
                    for _ in 0..iterations {
                        black_box(flights_of(&cache, black_box(&ids)).await.expect("infallible"));
                    }
                });
            });
        },
    },
    Path {
        name: "argument-that-is-refused",
        run: |runtime, loops| {
            let cache = Cache::in_memory();
            loops.run(&mut |iterations| {
                runtime.block_on(async {
                    for _ in 0..iterations {
                        unfit(&cache, black_box(&Unfit)).await.expect("infallible");
                    }
                });
            });
        },
    },
    Path {
        name: "near-hit",
        run: |runtime, loops| {
            let cache = Cache::in_memory();
            loops.run(&mut |iterations| {
                runtime.block_on(async {
                    for _ in 0..iterations {
                        black_box(near(&cache, black_box(42)).await.expect("infallible"));
                    }
                });
            });
        },
    },
    Path {
        name: "near-hit-of-a-text-and-a-number",
        run: |runtime, loops| {
            let cache = Cache::in_memory();
            loops.run(&mut |iterations| {
                runtime.block_on(async {
                    for _ in 0..iterations {
                        black_box(near_seat(&cache, black_box("27F"), black_box(42)).await.expect("infallible"));
                    }
                });
            });
        },
    },
    Path { name: "embedded-hit-of-a-number", run: |runtime, loops| numbers(runtime, &Cache::in_memory(), loops) },
    Path { name: "embedded-hit", run: |runtime, loops| flights(runtime, &Cache::in_memory(), loops) },
    Path { name: "redis-hit", run: |runtime, loops| flights(runtime, &on_redis(runtime), loops) },
    Path { name: "redis-hit-in-a-crowd", run: |runtime, loops| crowds(runtime, &on_redis(runtime), loops) },
];

fn numbers(runtime: &Runtime, cache: &Cache, loops: &Loops) {
    loops.run(&mut |iterations| {
        runtime.block_on(async {
            for _ in 0..iterations {
                number(cache, black_box(42)).await.expect("infallible");
            }
        });
    });
}

fn flights(runtime: &Runtime, cache: &Cache, loops: &Loops) {
    loops.run(&mut |iterations| {
        runtime.block_on(async {
            for _ in 0..iterations {
                black_box(flight(cache, black_box(42)).await.expect("infallible"));
            }
        });
    });
}

/// One iteration is a hit of one of the callers.
fn crowds(runtime: &Runtime, cache: &Cache, loops: &Loops) {
    loops.run(&mut |iterations| {
        runtime.block_on(async {
            let caller = |id| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    for _ in 0..iterations / CROWD {
                        black_box(flight(&cache, black_box(id)).await.expect("infallible"));
                    }
                })
            };
            for caller in (0..CROWD).map(caller).collect::<Vec<_>>() {
                caller.await.expect("no caller panics");
            }
        });
    });
}

fn on_redis(runtime: &Runtime) -> Cache {
    let url = std::env::var("CACHE_URL").expect("CACHE_URL names a server");
    // Callgrind makes everything fifty times slower; what counts is what a hit executes.
    let patient = Duration::from_secs(60);
    let cache = Cache::builder().url(url).connect_timeout(patient).operation_deadline(patient);
    runtime.block_on(async {
        let cache = cache.build().expect("a cache");
        cache.ready(patient).await.expect("a server that answers");
        cache
    })
}

/// How many iterations are counted.
struct Loops(u64);

impl Loops {
    /// Runs a loop of so many iterations, once to warm, once to be counted.
    fn run(&self, iterate: &mut dyn FnMut(u64)) {
        iterate(WARMING);
        counted(iterate, self.0);
    }
}

/// What callgrind counts: it looks for this name, and for all that is called from here.
#[inline(never)]
fn counted(iterate: &mut dyn FnMut(u64), iterations: u64) {
    iterate(black_box(iterations));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [list] if list == "list" => PATHS.iter().for_each(|path| println!("{}", path.name)),
        [name, iterations] => {
            let path = PATHS.iter().find(|path| path.name == name).expect("one of the paths in `list`");
            let iterations = iterations.parse().expect("a number of iterations");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
            (path.run)(&runtime, &Loops(iterations));
        }
        _ => panic!("instructions list | instructions PATH ITERATIONS"),
    }
}
