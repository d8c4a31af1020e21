//! Cached functions over numbered data, driven by commands as text: the same
//! in this process and in others.

use std::pin::Pin;
use std::sync::Arc;

use cache_core::{Cache, Error, Invalidated, Invalidation, cached};
use serde::{Deserialize, Serialize};

/// Where a load reads the version of a datum. Numbers from [`PAUSE`] on name no datum: a
/// load asks for one to be held up.
pub type Source = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = u64> + Send>> + Send + Sync>;

/// See [`Source`].
pub const PAUSE: u64 = 1_000;
/// Asked for when names are closed: the COMMIT of the change.
pub const COMMIT: u64 = 3 * PAUSE;
/// Asked for after the COMMIT, before the names are opened.
pub const COMMITTED: u64 = 4 * PAUSE;

/// A cache, and the data that its entries are made from.
///
/// `leaf:d` holds datum `d`; its tag is `group:0` or `group:1`, by the parity of `d`.
/// `pair:d` is made from the leaves `d` and `d + 1`, and expires in a moment. `board:d` is
/// made from the pairs `d` and `d + 2`.
#[derive(Clone)]
pub struct World {
    cache: Cache,
    source: Source,
}

#[derive(Serialize, Deserialize)]
struct Leaf {
    group: u64,
    version: u64,
}

#[cached(prefix = "leaf", ttl = "60s", cache = world.cache, skip(world), tags = ["group:{result.group}"])]
async fn leaf(world: &World, datum: u64) -> Leaf {
    Leaf { group: datum % 2, version: (world.source)(datum).await }
}

/// Each datum that an entry was made from, and the version that was read of it.
type Versions = Vec<(u64, u64)>;

#[cached(prefix = "pair", ttl = "40ms", cache = world.cache, skip(world))]
async fn pair(world: &World, at: u64) -> Versions {
    let first = leaf(world, at).await.version;
    (world.source)(PAUSE + at).await;
    let second = leaf(world, at + 1).await.version;
    vec![(at, first), (at + 1, second)]
}

#[cached(prefix = "board", ttl = "60s", cache = world.cache, skip(world))]
async fn board(world: &World, at: u64) -> Versions {
    let mut seen = pair(world, at).await;
    (world.source)(2 * PAUSE + at).await;
    seen.extend(pair(world, at + 2).await);
    seen
}

impl World {
    /// On a cache.
    pub fn new(cache: Cache, source: Source) -> Self {
        Self { cache, source }
    }

    /// Does what a command says, and answers in text:
    /// - `read leaf|pair|board <at>`: `datum=version …`;
    /// - `key <key>`, `tag <tag>`, `pattern <pattern>`, `clear`: how many entries that removed;
    /// - `around tag|key <name>`: closes it, asks for [`COMMIT`] and then for [`COMMITTED`], and
    ///   opens it: how many entries that removed;
    /// - `put <datum> <version>`: whether it was stored;
    /// - `stored <key>`: whether it is;
    /// - `refused`: how many fills were refused so far.
    ///
    /// # Errors
    /// What the cache said.
    ///
    /// # Panics
    /// On anything else.
    pub async fn run(&self, command: &str) -> Result<String, String> {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let cache = &self.cache;
        let removed = match name {
            "read" => return Ok(self.read(rest).await),
            "put" => {
                let (datum, version) = rest.split_once(' ').expect("a datum and a version");
                let (datum, version) = (number(datum), number(version));
                let put = cache.put(leaf::key(&datum), &Leaf { group: datum % 2, version }).await;
                return put.map(|put| put.stored.to_string()).map_err(|error| error.to_string());
            }
            "stored" => {
                let stored = cache.peek::<serde::de::IgnoredAny>(rest).await;
                return stored.map(|stored| stored.is_some().to_string()).map_err(|error| error.to_string());
            }
            "refused" => return Ok(cache.stats().total().refused_fills.to_string()),
            "key" => cache.invalidate_key(rest).await,
            "tag" => cache.invalidate_tag(rest).await,
            "pattern" => cache.invalidate_pattern(rest).await,
            "clear" => cache.clear().await,
            "around" => self.around(rest).await,
            _ => panic!("unknown command: {command}"),
        };
        removed.map(|removed| removed.entries.to_string()).map_err(|error| error.to_string())
    }

    async fn around(&self, what: &str) -> Result<Invalidated, Error> {
        let names = match what.split_once(' ').expect("a kind and a name") {
            ("tag", tag) => Invalidation::new().tag(tag),
            (_, key) => Invalidation::new().key(key),
        };
        let closing = self.cache.close(names).await?;
        (self.source)(COMMIT).await;
        (self.source)(COMMITTED).await;
        closing.open().await
    }

    async fn read(&self, entry: &str) -> String {
        let (kind, at) = entry.split_once(' ').expect("a kind and a number");
        let at = number(at);
        let seen = match kind {
            "leaf" => vec![(at, leaf(self, at).await.version)],
            "pair" => pair(self, at).await,
            "board" => board(self, at).await,
            _ => panic!("unknown entry: {entry}"),
        };
        seen.iter().map(|(datum, version)| format!("{datum}={version}")).collect::<Vec<_>>().join(" ")
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}
