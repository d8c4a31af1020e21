//! What an entry takes of the server's memory, beside what one would store by hand.

use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, cached};
use cache_tests::{Raw, Server};

use crate::flight::Flight;

/// So many that the tables of the server weigh little in each.
const ENTRIES: u64 = 20_000;

#[cached(prefix = "mem", ttl = "1h", skip(cache), cache = cache)]
async fn plain(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

#[cached(prefix = "mem", ttl = "1h", skip(cache), cache = cache, tags = ["airport"])]
async fn tagged(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

#[cached(prefix = "mem", ttl = "1h", skip(cache), cache = cache, depends_on = ["route"])]
async fn dependent(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

#[derive(Clone, Copy)]
enum Way {
    Naive { tag: bool },
    Plain,
    Tagged,
    Dependent,
}

const WAYS: [(&str, Way); 5] = [
    ("`SETEX`", Way::Naive { tag: false }),
    ("cache-core", Way::Plain),
    ("`SETEX`, and `SADD` into one set", Way::Naive { tag: true }),
    ("cache-core, one tag", Way::Tagged),
    ("cache-core, one dependency", Way::Dependent),
];

impl Way {
    /// Stores the entries under `<namespace>:mem:<id>`.
    async fn store(self, server: &Server, raw: &mut Raw, namespace: &str) {
        let cache = Cache::builder().url(server.url()).namespace(namespace).build().expect("a cache");
        cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
        for id in 0..ENTRIES {
            let stored = match self {
                Self::Naive { tag } => {
                    store_naively(raw, namespace, id, tag).await;
                    continue;
                }
                Self::Plain => plain(&cache, id).await,
                Self::Tagged => tagged(&cache, id).await,
                Self::Dependent => dependent(&cache, id).await,
            };
            stored.expect("infallible");
        }
    }
}

async fn store_naively(raw: &mut Raw, namespace: &str, id: u64, tag: bool) {
    let (key, value) = (format!("{namespace}:mem:{id}"), serde_json::to_vec(&Flight::new(id)).expect("a flight"));
    let mut pipe = redis::pipe();
    pipe.set_ex(&key, value, 3_600).ignore();
    if tag {
        pipe.sadd(format!("{namespace}:tag"), &key).ignore();
    }
    pipe.exec_async(raw.connection()).await.expect("the server answers");
}

pub async fn run(server: &Server) {
    let mut raw = server.raw().await;
    let payload = serde_json::to_vec(&Flight::new(1)).expect("a flight").len();
    println!("\n## Memory of the server: {ENTRIES} entries with {payload} bytes of JSON each\n");
    println!("| | bytes an entry, all told | `MEMORY USAGE` of its key | more than the first row |\n|---|---|---|---|");
    let mut first = None;
    for (at, (name, way)) in WAYS.into_iter().enumerate() {
        raw.command::<()>("FLUSHALL", &[]).await;
        // As long as any other name here.
        let namespace = format!("mem{at}");
        let before = raw.info("memory", "used_memory").await;
        way.store(server, &mut raw, &namespace).await;
        let each = (raw.info("memory", "used_memory").await - before) as f64 / ENTRIES as f64;
        let own: u64 = raw.command("MEMORY", &["USAGE", &format!("{namespace}:mem:1")]).await;
        println!("| {name} | {each:.0} | {own} | {:.0} |", each - *first.get_or_insert(each));
    }
}
