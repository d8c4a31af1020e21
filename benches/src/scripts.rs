//! What each kind of call has the server do: its commands, those of its scripts, and their time.
//! The server's own clock measures that, in one run beside commands that one would send by hand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use cache_core::{Cache, IntoKey, Key, cached};
use cache_tests::{Raw, Server};

use crate::rounds::Rounds;
use crate::server_time::{cpu_us, figures_of};

/// Calls of one kind in a round.
const CALLS: u64 = 2_000;
/// How many entries share a tag or a dependency.
const SHARED: u64 = 100;

/// Scripts with the commands that ours send most often, and nothing else: what is beyond them in a
/// row of ours is its own.
struct Bare {
    lease: String,
    fill: String,
    invalidation: String,
}

/// KEYS clock, value, lease; ARGV what is under the lease
const LEASE: &str = "
redis.call('TIME')
redis.call('ZRANGE', KEYS[1], '0', '0')
redis.call('ZMSCORE', KEYS[1], '!seq', '!mark')
redis.call('GET', KEYS[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', '10000', 'NX')
return ARGV[1]";

/// KEYS clock, value, lease, due, indexes; ARGV value, when it ends, and `due` once more in pairs
const FILL: &str = "
redis.call('TIME')
redis.call('ZMSCORE', KEYS[1], '!inc:bare', '!seq', '!closed', '!mark')
for at = 5, #KEYS do
  redis.call('ZADD', KEYS[at], 'GT', ARGV[2], KEYS[2])
end
if #KEYS > 4 then
  redis.call('ZADD', KEYS[4], 'LT', unpack(ARGV, 3))
end
redis.call('ZCOUNT', KEYS[4], '-inf', '1')
redis.call('SET', KEYS[2], ARGV[1], 'PX', '3600000', 'NX')
redis.call('GET', KEYS[3])
redis.call('DEL', KEYS[3])
return 'stored'";

/// KEYS clock, value, lease, index; ARGV the sequence number, the name
const INVALIDATION: &str = "
redis.call('TIME')
redis.call('ZMSCORE', KEYS[1], '!seq', '!lost', '!mark')
redis.call('EXISTS', KEYS[4])
redis.call('GETRANGE', KEYS[2], '0', '1079')
redis.call('ZADD', KEYS[1], ARGV[1], '!seq', ARGV[1], ARGV[2])
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call('ZCARD', KEYS[1])
return 1";

impl Bare {
    async fn load(raw: &mut Raw) -> Self {
        raw.command::<u64>("ZADD", &["bare:clock", "-inf", "!inc:bare", "1", "!seq", "-1", "!mark"]).await;
        let mut scripts = Vec::new();
        for text in [LEASE, FILL, INVALIDATION] {
            scripts.push(raw.command::<String>("SCRIPT", &["LOAD", text]).await);
        }
        let [lease, fill, invalidation] = scripts.try_into().expect("three scripts");
        Self { lease, fill, invalidation }
    }

    async fn miss(&self, raw: &mut Raw, id: u64, names: usize) {
        let (key, lease) = (format!("bare{names}:{id}"), format!("bare{names}:lease:{id}"));
        assert_eq!(raw.get(&key).await, None);
        raw.command::<()>("EVALSHA", &[&self.lease, "3", "bare:clock", &key, &lease, "token bare 1 1 0"]).await;
        let indexes: Vec<String> = (0..names).map(|name| format!("bare:tag{name}:{}", id % SHARED)).collect();
        let (keys, value) = ((4 + names).to_string(), "x".repeat(200));
        let mut arguments = vec![&*self.fill, &keys, "bare:clock", &key, &lease, "bare:due"];
        arguments.extend(indexes.iter().map(String::as_str));
        arguments.extend([&*value, "4000000000000"]);
        arguments.extend(indexes.iter().flat_map(|index| ["4000000060000", index]));
        raw.command::<()>("EVALSHA", &arguments).await;
    }

    async fn invalidation(&self, raw: &mut Raw, id: u64) {
        let (key, lease, index) = (format!("raw:{id}"), format!("raw:lease:{id}"), format!("raw:index:{id}"));
        let (seq, name) = ((1_700_000_000_000_000 + id).to_string(), format!("kraw:{id}"));
        let arguments = [&*self.invalidation, "4", "bare:clock", &key, &lease, &index, &seq, &name];
        raw.command::<()>("EVALSHA", &arguments).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    Get,
    Hit,
    SetEx,
    /// `SETEX`, and `SADD` and `EXPIRE` for each of so many names.
    NaiveMiss(usize),
    Miss(usize),
    /// The commands of a miss in scripts that have nothing else.
    BareMiss(usize),
    Refresh,
    Put(usize),
    Del,
    ScriptedDel,
    Invalidation(usize),
    BareInvalidation,
    InvalidationWithDependent,
}

use Call::*;

const KINDS: [Call; 21] = [
    Get,
    Hit,
    SetEx,
    NaiveMiss(4),
    BareMiss(0),
    Miss(0),
    Miss(1),
    Miss(2),
    BareMiss(4),
    Miss(4),
    Miss(5),
    Refresh,
    Put(0),
    Put(2),
    Del,
    ScriptedDel,
    BareInvalidation,
    Invalidation(0),
    Invalidation(1),
    Invalidation(4),
    InvalidationWithDependent,
];

impl Call {
    fn name(self) -> String {
        match self {
            Get => "`GET`".to_owned(),
            Hit => "a hit".to_owned(),
            SetEx => "`SETEX`".to_owned(),
            NaiveMiss(names) => format!("`GET`, `SETEX`, and `SADD` and `EXPIRE` for each of {names} names"),
            Miss(names) => format!("a miss and its fill, {names} names"),
            BareMiss(names) => format!("the commands of such a miss with {names} names, in scripts with nothing else"),
            BareInvalidation => "the commands of an invalidation, in a script with nothing else".to_owned(),
            Refresh => "a refresh of what is stored, 4 names".to_owned(),
            Put(names) => format!("`put` over what is stored, {names} tags"),
            Del => "`DEL`".to_owned(),
            ScriptedDel => "`DEL` in a script".to_owned(),
            Invalidation(names) => format!("an invalidation of a key that has {names} names"),
            InvalidationWithDependent => "an invalidation of a key that one entry depends on".to_owned(),
        }
    }

    /// What must be stored before.
    async fn prepare(self, cache: &Cache, raw: &mut Raw, ids: std::ops::Range<u64>) {
        for id in ids {
            match self {
                Hit => drop(load(cache, &key("hit", id, 0)).await),
                Refresh => drop(refreshed(cache, id / SHARED, id % SHARED).await.expect("infallible")),
                Put(names) => drop(load(cache, &key(&format!("old{names}"), id, names)).await),
                Invalidation(names) => drop(load(cache, &key("gone", id, names)).await),
                InvalidationWithDependent => {
                    let (effect, cause) = (key("effect", id, 0), key("cause", id, 0));
                    let load_effect = || async { Ok::<_, Infallible>(load(cache, &cause).await) };
                    cache.get_or_load(&effect, load_effect).await.expect("infallible");
                }
                Get | Del | ScriptedDel | BareInvalidation => raw.set(&format!("raw:{id}"), &[b'x'; 200]).await,
                SetEx | NaiveMiss(_) | BareMiss(_) | Miss(_) => {}
            }
        }
    }

    async fn make(self, cache: &Cache, (raw, bare): (&mut Raw, &Bare), id: u64) {
        match self {
            BareMiss(names) => bare.miss(raw, id, names).await,
            BareInvalidation => bare.invalidation(raw, id).await,
            Get => assert!(raw.get(&format!("raw:{id}")).await.is_some()),
            Hit => drop(load(cache, &key("hit", id, 0)).await),
            SetEx => raw.command::<()>("SETEX", &[&format!("set:{id}"), "3600", &"x".repeat(200)]).await,
            NaiveMiss(names) => {
                assert_eq!(raw.get(&format!("naive:{id}")).await, None);
                let mut pipe = redis::pipe();
                pipe.set_ex(format!("naive:{id}"), "x".repeat(200), 3_600);
                for name in 0..names as u64 {
                    let set = format!("naive:{name}:{}", id % SHARED);
                    pipe.sadd(&set, format!("naive:{id}")).expire(&set, 3_600);
                }
                pipe.exec_async(raw.connection()).await.expect("the server answers");
            }
            Miss(names) => drop(load(cache, &key(&format!("new{names}"), id, names)).await),
            Refresh => drop(refreshed::refresh(cache, id / SHARED, id % SHARED).await.expect("infallible")),
            Put(names) => {
                _ = cache
                    .put(&key(&format!("old{names}"), id, names), &"x".repeat(200))
                    .await
                    .expect("the server answers");
            }
            Del => assert_eq!(raw.command::<u64>("DEL", &[&format!("raw:{id}")]).await, 1),
            ScriptedDel => {
                let script = "return redis.call('DEL', KEYS[1])";
                assert_eq!(raw.command::<u64>("EVAL", &[script, "1", &format!("raw:{id}")]).await, 1);
            }
            Invalidation(_) => invalidate(cache, format!("gone:{id}"), 1).await,
            InvalidationWithDependent => invalidate(cache, format!("cause:{id}"), 2).await,
        }
    }
}

/// With tags that others share.
fn key(prefix: &str, id: u64, names: usize) -> Key<String> {
    let key: Key<String> = format!("{prefix}:{id}").into_key().expect("a valid key");
    let tags = (0..names).map(|name| format!("tag{name}:{}", id % SHARED));
    key.with_tags(tags.collect::<Vec<_>>()).with_ttl(Duration::from_secs(3_600))
}

async fn load(cache: &Cache, key: &Key<String>) -> String {
    let load = || async { Ok::<String, Infallible>("x".repeat(200)) };
    cache.get_or_load(key, load).await.expect("infallible")
}

#[cached(
    prefix = "refreshed", ttl = "1h", skip(cache), cache = cache, key = "{high}:{low}",
    tags = ["high:{high}", "low:{low}"], depends_on = ["high:{high}", "low:{low}"]
)]
async fn refreshed(cache: &Cache, high: u64, low: u64) -> Result<String, Infallible> {
    Ok("x".repeat(200))
}

async fn invalidate(cache: &Cache, key: String, entries: u64) {
    assert_eq!(cache.invalidate_key(key).await.expect("it answers").entries, entries);
}

/// The CPU time of the server in µs, and the calls and µs of each of its commands since its
/// statistics began.
async fn spent(raw: &mut Raw) -> (f64, BTreeMap<String, [f64; 3]>) {
    let cpu = cpu_us(raw).await;
    let commands: String = raw.command("INFO", &["commandstats"]).await;
    let figures = commands.lines().filter_map(figures_of);
    let ours = figures.filter(|(name, _)| !["info", "config|resetstat"].contains(name));
    (cpu, ours.map(|(name, figures)| (name.to_owned(), figures)).collect())
}

pub async fn run(server: &Server, rounds: usize) {
    let cache = Cache::builder().url(server.url()).namespace("scripts").build().expect("a cache");
    cache.ready(Duration::from_secs(5)).await.expect("a server that answers");
    let mut raw = server.raw().await;
    let bare = Bare::load(&mut raw).await;
    let mut measured = [(); KINDS.len()].map(|()| [(); 2].map(|()| Rounds::default()));
    let mut sent = [(); KINDS.len()].map(|()| String::new());
    for round in 0..rounds as u64 {
        for (at, kind) in KINDS.into_iter().enumerate() {
            let ids = round * CALLS..(round + 1) * CALLS;
            kind.prepare(&cache, &mut raw, ids.clone()).await;
            raw.command::<()>("CONFIG", &["RESETSTAT"]).await;
            let (cpu_before, _) = spent(&mut raw).await;
            for id in ids {
                kind.make(&cache, (&mut raw, &bare), id).await;
            }
            let (cpu, commands) = spent(&mut raw).await;
            let scripts: f64 =
                commands.iter().filter(|(name, _)| name.starts_with("eval")).map(|(_, [_, us, _])| us).sum();
            let all: f64 = commands.values().map(|[_, us, _]| us).sum();
            let [in_commands, in_cpu] = &mut measured[at];
            in_commands.push(if scripts > 0.0 { scripts } else { all } / CALLS as f64);
            in_cpu.push((cpu - cpu_before) / CALLS as f64);
            let counts = commands.iter().map(|(name, [calls, ..])| (name, calls / CALLS as f64));
            let counts = counts.filter(|(_, calls)| *calls > 0.05).map(|(name, calls)| format!("{name} {calls:.1}"));
            sent[at] = counts.collect::<Vec<_>>().join(", ");
        }
    }
    println!("\n## What a call has the server do: {CALLS} calls of each kind, {rounds} rounds; median (min..max)\n");
    println!(
        "Scripts are `evalsha`, and the time of a script has that of its commands in it. If there are scripts, the"
    );
    println!("time in commands is theirs.\n");
    println!("| | in commands, µs | CPU, its sockets included, µs | commands a call |");
    println!("|---|---|---|---|");
    for ((kind, [commands, cpu]), sent) in KINDS.iter().zip(&measured).zip(&sent) {
        println!("| {} | {commands:.1} | {cpu:.1} | {sent} |", kind.name());
    }
}
