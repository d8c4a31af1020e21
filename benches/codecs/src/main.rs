//! What the codecs and compressions make of five shapes of value: bytes in the server, time and
//! memory. Prints Markdown. Run by `cargo xtask bench codecs`.
//!
//! What is timed is this library's own writing and reading of an entry, header and checksum
//! included, without the way to the server. All ways of one shape take turns in every round.

use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use cache_core::__entry::{packed, payload_of, value_of};
use cache_core::{Cache, Compression, Format};
use cache_tests::{Raw, Server, ServerKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rounds::Rounds;

#[path = "../../src/rounds.rs"]
mod rounds;
mod shapes;

const FORMATS: [(&str, Format); 3] =
    [("`json`", Format::Json), ("`postcard`", Format::Postcard), ("`rmp`", Format::MessagePack)];
const COMPRESSIONS: [(&str, Compression); 3] =
    [("", Compression::None), ("LZ4", Compression::Lz4), ("Zstandard", Compression::Zstd)];
/// Larger than any shape.
const INFLATED_BYTES_MAX: usize = 32 << 20;
const NAMESPACE: &str = "codecs";
/// Where an entry says how its payload is compressed.
const COMPRESSION_AT: usize = 3;
/// What an entry without names has around its payload.
const HEADER_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 4;

trait Value: Clone + Debug + PartialEq + Serialize + DeserializeOwned {}

impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned> Value for T {}

struct Bench {
    server: Server,
    raw: Raw,
    rounds: usize,
    slice: Duration,
}

/// One codec with one compression, for one value.
struct Way {
    names: (&'static str, &'static str),
    format: Format,
    compression: Compression,
    entry: Bytes,
    write_us: Rounds,
    read_us: Rounds,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let server = Server::start(ServerKind::Redis);
    let raw = server.raw().await;
    let (rounds, slice_ms) = if quick { (3, 2) } else { (9, 10) };
    let mut bench = Bench { server, raw, rounds, slice: Duration::from_millis(slice_ms) };
    bench.compare("a small struct", &shapes::flight()).await;
    bench.compare(&format!("a list of {} flights", shapes::LISTED), &shapes::list()).await;
    bench.compare("a long text", &shapes::text()).await;
    bench.compare(&format!("{} numbers", 2 * shapes::LOCATED), &shapes::numbers()).await;
    bench.compare(&format!("a map of {} nested enums", shapes::MAPPED), &shapes::statuses()).await;
}

impl Bench {
    async fn compare<T: Value>(&mut self, shape: &str, value: &T) {
        let mut ways = Vec::new();
        for (format_name, format) in FORMATS {
            for (compression_name, compression) in COMPRESSIONS {
                let entry = self.stored(value, format, compression).await;
                // Too short to be compressed, or nothing is gained: the same as without.
                if compression != Compression::None && entry[COMPRESSION_AT] == 0 {
                    continue;
                }
                let names = (format_name, compression_name);
                let (write_us, read_us) = (Rounds::default(), Rounds::default());
                ways.push(Way { names, format, compression, entry, write_us, read_us });
            }
        }
        for round in 0..self.rounds {
            for turn in 0..ways.len() {
                let at = (round + turn) % ways.len();
                ways[at].time(value, self.slice);
            }
        }
        println!("\n## {shape}: {} rounds of {:?} each; median (min..max)\n", self.rounds, self.slice);
        print::<T>(&ways);
    }

    /// The entry that a cache has put into the server; what is timed is the same but for the times.
    async fn stored<T: Value>(&mut self, value: &T, format: Format, compression: Compression) -> Bytes {
        let builder = Cache::builder().url(self.server.url()).namespace(NAMESPACE);
        let cache = builder.codec(format).compress(compression).build().expect("a cache");
        cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
        cache.put("value", value).await.expect("stored");
        let stored: Bytes = self.raw.get(&format!("{NAMESPACE}:value")).await.expect("an entry").into();
        let compression = if stored[COMPRESSION_AT] == 0 { Compression::None } else { compression };
        let timed = written(value, format, compression);
        let payload = |entry: &Bytes| entry.slice(HEADER_BYTES..entry.len() - CHECKSUM_BYTES);
        assert_eq!(payload(&stored), payload(&timed), "what is timed is what is stored");
        assert_eq!(value_of::<T>(stored.clone(), None, INFLATED_BYTES_MAX).as_ref(), Ok(value));
        stored
    }
}

impl Way {
    fn time<T: Value>(&mut self, value: &T, slice: Duration) {
        self.write_us.push(us_of(slice, || written(black_box(value), self.format, self.compression)));
        self.read_us.push(us_of(slice, || self.read::<T>()));
    }

    fn read<T: Value>(&self) -> Option<T> {
        value_of(black_box(&self.entry).clone(), None, INFLATED_BYTES_MAX).ok()
    }

    /// How often a read allocates, and how many bytes it has at most, those of the value included.
    fn memory<T: Value>(&self) -> (u64, u64) {
        let AllocationInfo { count_total, bytes_max, .. } = allocation_counter::measure(|| {
            assert!(self.read::<T>().is_some());
        });
        match self.compression {
            // Allocated by C, once for each read.
            Compression::Zstd => (count_total + 1, bytes_max + zstd_safe::DCtx::create().sizeof() as u64),
            _ => (count_total, bytes_max),
        }
    }
}

/// A value as an entry, written as a load writes it.
fn written<T: Value>(value: &T, format: Format, compression: Compression) -> Bytes {
    let (codec, compression, payload) = payload_of(value, format, compression);
    packed(codec, compression, false, &payload)
}

/// Microseconds that one call takes, what it returns dropped.
fn us_of<R>(slice: Duration, call: impl Fn() -> R) -> f64 {
    let (mut calls, begun) = (0_u32, Instant::now());
    while begun.elapsed() < slice {
        // The clock is asked once for some calls.
        for _ in 0..8 {
            drop(black_box(call()));
        }
        calls += 8;
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn print<T: Value>(ways: &[Way]) {
    println!(
        "| codec | compressed | bytes in Redis | of `json` | write, µs | read, µs | `json` / this | allocations of a read | its peak, bytes |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let json = &ways[0];
    for way in ways {
        let Way { names: (codec, compressed), entry, write_us, read_us, .. } = way;
        let (bytes, share) = (entry.len(), 100.0 * entry.len() as f64 / json.entry.len() as f64);
        let (speed, (allocations, peak)) = (json.read_us.over(read_us).median(), way.memory::<T>());
        println!(
            "| {codec} | {compressed} | {bytes} | {share:.0} % | {write_us} | {read_us} | {speed:.2} | {allocations} | {peak} |"
        );
    }
}
