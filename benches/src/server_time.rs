//! What the server works for a miss and for an invalidation, beside the naive way. Its own clock
//! measures that, so what else the machine does hardly matters.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, cached};
use cache_tests::{Raw, Server};

use crate::flight::Flight;
use crate::rounds::Rounds;

const KEYS: u64 = 2_000;
/// How many keys share a tag or a dependency.
const SHARED: u64 = 100;

#[cached(
    prefix = "board", ttl = "1h", skip(cache), cache = cache,
    tags = ["airport:{high}", "day:{low}"], depends_on = ["route:{high}", "plane:{low}"], key = "{high}:{low}"
)]
async fn board(cache: &Cache, high: u64, low: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(high * SHARED + low))
}

#[cached(prefix = "plain", ttl = "1h", skip(cache), cache = cache)]
async fn plain(cache: &Cache, id: u64) -> Result<Flight, Infallible> {
    Ok(Flight::new(id))
}

/// What is done with one id.
#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Miss,
    NaiveMiss,
    PlainMiss,
    NaivePlainMiss,
    Invalidation,
    ScriptedDel,
    Del,
}

use Operation::*;

/// In this order: what is invalidated or deleted has been stored before.
const OPERATIONS: [(Operation, &str, Operation); 7] = [
    (NaiveMiss, "`GET`, `SETEX`, and `SADD` and `EXPIRE` for each of 4 names", NaiveMiss),
    (Miss, "cache-core: a miss and its fill, 2 tags, 2 dependencies", NaiveMiss),
    (NaivePlainMiss, "`GET`, `SETEX`", NaivePlainMiss),
    (PlainMiss, "cache-core: a miss and its fill, no names", NaivePlainMiss),
    (ScriptedDel, "`DEL` in a script", Del),
    (Del, "`DEL`", Del),
    (Invalidation, "cache-core: an invalidation of a key without dependents", Del),
];

impl Operation {
    async fn run(self, cache: &Cache, raw: &mut Raw, id: u64) {
        let (board_key, plain_key) = (format!("naive:board:{id}"), format!("naive:plain:{id}"));
        match self {
            Miss => drop(board(cache, id / SHARED, id % SHARED).await.expect("infallible")),
            PlainMiss => drop(plain(cache, id).await.expect("infallible")),
            NaiveMiss => fill_naively(raw, id, &board_key, &sets_of(id)).await,
            NaivePlainMiss => fill_naively(raw, id, &plain_key, &[]).await,
            Invalidation => {
                assert_eq!(cache.invalidate_key(plain::key(&id)).await.expect("it answers").entries, 1);
            }
            ScriptedDel => {
                let script = "return redis.call('DEL', KEYS[1])";
                assert_eq!(raw.command::<u64>("EVAL", &[script, "1", &board_key]).await, 1);
            }
            Del => assert_eq!(raw.command::<u64>("DEL", &[&plain_key]).await, 1),
        }
    }
}

fn sets_of(id: u64) -> [String; 4] {
    let (high, low) = (id / SHARED, id % SHARED);
    [("airport", high), ("day", low), ("route", high), ("plane", low)].map(|(set, of)| format!("naive:{set}:{of}"))
}

async fn fill_naively(raw: &mut Raw, id: u64, key: &str, sets: &[String]) {
    assert_eq!(raw.get(key).await, None, "a miss");
    let mut pipe = redis::pipe();
    pipe.set_ex(key, serde_json::to_vec(&Flight::new(id)).expect("a flight"), 3_600).ignore();
    for set in sets {
        pipe.sadd(set, key).ignore().expire(set, 3_600).ignore();
    }
    pipe.exec_async(raw.connection()).await.expect("the server answers");
}

/// What the server has spent on each of `KEYS` operations since its statistics began, in µs.
async fn spent_us(raw: &mut Raw) -> f64 {
    let commands: String = raw.command("INFO", &["commandstats"]).await;
    let figures: BTreeMap<&str, [f64; 3]> = commands.lines().filter_map(figures_of).collect();
    let scripts: f64 = ["evalsha", "eval"].iter().filter_map(|script| Some(figures.get(script)?[1])).sum();
    let whole = if scripts > 0.0 {
        // The time of a script has that of its commands in it. The only other command of ours is
        // the `GET` of a miss: there are as many as misses, and scripts send some too.
        let get = figures.get("get").filter(|[calls, ..]| *calls >= KEYS as f64);
        scripts + get.map_or(0.0, |[_, _, each]| each * KEYS as f64)
    } else {
        let ours = |name: &&str| ["get", "setex", "sadd", "expire", "del"].contains(name);
        figures.iter().filter(|(name, _)| ours(name)).map(|(_, [_, all, _])| all).sum()
    };
    whole / KEYS as f64
}

/// The CPU time of the server, in µs: besides its commands it reads requests and writes replies.
pub async fn cpu_us(raw: &mut Raw) -> f64 {
    let info: String = raw.command("INFO", &["cpu"]).await;
    let figure = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a figure of the CPU");
        line.trim().parse().expect("seconds")
    };
    (figure("used_cpu_user:") + figure("used_cpu_sys:")) * 1e6
}

/// A command with its calls, its µs, and its µs a call:
/// `cmdstat_get:calls=1,usec=2,usec_per_call=2.00,…`.
pub fn figures_of(line: &str) -> Option<(&str, [f64; 3])> {
    let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    let mut figures = figures.split(',').filter_map(|figure| figure.split_once('=')?.1.trim().parse().ok());
    Some((name, [figures.next()?, figures.next()?, figures.next()?]))
}

pub async fn run(server: &Server, rounds: usize) {
    let cache = Cache::builder().url(server.url()).namespace("server-time").build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    let mut spent = [(); OPERATIONS.len()].map(|()| [(); 2].map(|()| Rounds::default()));
    for round in 0..rounds as u64 {
        for ((operation, ..), [commands, cpu]) in OPERATIONS.iter().zip(&mut spent) {
            raw.command::<()>("CONFIG", &["RESETSTAT"]).await;
            let cpu_before = cpu_us(&mut raw).await;
            for id in round * KEYS..(round + 1) * KEYS {
                operation.run(&cache, &mut raw, id).await;
            }
            cpu.push((cpu_us(&mut raw).await - cpu_before) / KEYS as f64);
            commands.push(spent_us(&mut raw).await);
        }
    }
    println!("\n## Time of the server: {KEYS} operations, {rounds} rounds; median (min..max)\n");
    println!("| | in commands, µs | times the naive way | CPU, its sockets included, µs | times the naive way |");
    println!("|---|---|---|---|---|");
    for ((_, name, naive), [commands, cpu]) in OPERATIONS.iter().zip(&spent) {
        let naive = OPERATIONS.iter().position(|(operation, ..)| operation == naive).expect("one of the operations");
        let [naive_commands, naive_cpu] = &spent[naive];
        let (times, times_cpu) = (commands.over(naive_commands), cpu.over(naive_cpu));
        println!("| {name} | {commands:.1} | {times:.1} | {cpu:.1} | {times_cpu:.1} |");
    }
}
