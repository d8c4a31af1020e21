//! The calls that are compared.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

use cache_core::{Cache, IntoKey, Key};

use super::naive::Naive;

/// What is stored.
pub const VALUE_BYTES: usize = 200;
pub const TTL: Duration = Duration::from_secs(3_600);
/// How many entries share a tag of a miss.
const SHARED: u64 = 100;
/// Entries that depend on another one, at each of two levels.
pub const DEPENDENTS: u64 = 4;
/// Entries of a namespace that is cleared.
pub const CLEARED: u64 = 1_000;
/// Callers that prepare at once.
const PREPARERS: u64 = 32;

#[derive(Clone, Copy, PartialEq)]
pub enum Operation {
    Hit,
    /// With so many tags.
    Miss(u64),
    /// Nothing depends on it.
    Key,
    /// With so many members.
    Tag(u64),
    Cascade,
    Clear,
}

use Operation::*;

pub const OPERATIONS: [Operation; 12] =
    [Hit, Miss(0), Miss(1), Miss(2), Miss(5), Key, Tag(1), Tag(3), Tag(16), Tag(100), Cascade, Clear];

impl Operation {
    pub fn name(self) -> String {
        match self {
            Hit => "hit".to_owned(),
            Miss(tags) => format!("miss and fill, {tags} tags"),
            Key => "invalidation of a key".to_owned(),
            Tag(members) => format!("of a tag with {members} members"),
            Cascade => format!("of a key with {DEPENDENTS} dependents, each with {DEPENDENTS}"),
            Clear => format!("`clear` of {CLEARED} entries"),
        }
    }

    /// In one round.
    pub fn calls(self) -> u64 {
        match self {
            Hit => 2_000,
            Miss(_) | Key | Tag(1) => 400,
            Tag(3) => 200,
            Tag(16) | Cascade => 80,
            Tag(_) => 24,
            Clear => 1,
        }
    }

    /// Of one of the entries that belong to a call.
    pub fn key(self, id: u64, member: u64) -> String {
        let spread = spread(id, member);
        match self {
            Hit => format!("hit:{spread}"),
            Miss(tags) => format!("miss{tags}:{spread}"),
            Key => format!("key:{spread}"),
            Tag(members) => format!("member{members}:{spread}"),
            Cascade => format!("node:{spread}"),
            Clear => format!("cleared:{spread}"),
        }
    }

    pub fn tags(self, id: u64) -> Vec<String> {
        match self {
            Miss(tags) => (0..tags).map(|tag| format!("shared{tags}:{}", spread(id / SHARED, tag))).collect(),
            Tag(members) => vec![format!("tag{members}:{}", spread(id, 0))],
            Hit | Key | Cascade | Clear => Vec::new(),
        }
    }

    /// How many entries are stored for one call before it.
    fn entries(self) -> u64 {
        match self {
            Miss(_) => 0,
            Hit | Key | Cascade => 1,
            Tag(members) => members,
            Clear => CLEARED,
        }
    }
}

/// A name as names are that share little: texts that differ in one digit need not be spread over
/// partitions as many names are.
fn spread(id: u64, member: u64) -> String {
    format!("{:016x}", (id * 1_024 + member).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[derive(Clone)]
pub enum Contestant {
    Naive(Naive),
    Ours(Cache),
}

impl Contestant {
    /// Stores what the calls need.
    pub async fn prepare(&self, operation: Operation, ids: Range<u64>) {
        let entries = operation.entries();
        at_once(0..(ids.end - ids.start) * entries, PREPARERS, |at| {
            let (contestant, id, member) = (self.clone(), ids.start + at / entries, at % entries);
            async move { contestant.store(operation, id, member).await }
        })
        .await;
    }

    async fn store(self, operation: Operation, id: u64, member: u64) {
        match self {
            Self::Naive(mut naive) if operation == Cascade => naive.store_cascade(id).await,
            Self::Naive(mut naive) => {
                naive.fill(&operation.key(id, member), &operation.tags(id)).await;
            }
            Self::Ours(cache) if operation == Cascade => {
                for leaf in 0..DEPENDENTS * DEPENDENTS {
                    load_leaf(&cache, id, leaf).await;
                }
            }
            Self::Ours(cache) => drop(load(&cache, &key(operation, id, member)).await),
        }
    }

    /// So many callers share the calls.
    pub async fn make_all(&self, operation: Operation, ids: Range<u64>, callers: u64) {
        at_once(ids, callers, |id| {
            let contestant = self.clone();
            async move {
                match contestant {
                    Self::Naive(mut naive) => drop(naive.make(operation, id).await),
                    Self::Ours(cache) => make(&cache, operation, id).await,
                }
            }
        })
        .await;
    }

    /// Nothing is left of what was stored.
    pub async fn clear(&self) {
        match self {
            Self::Naive(naive) => drop(naive.clone().clear().await),
            Self::Ours(cache) => drop(cache.clear().await.expect("the cluster answers")),
        }
    }
}

async fn make(cache: &Cache, operation: Operation, id: u64) {
    let entries = match operation {
        Hit | Miss(_) => return drop(load(cache, &key(operation, id, 0)).await),
        Key | Cascade => cache.invalidate_key(operation.key(id, 0)).await,
        Tag(_) => cache.invalidate_tag(&*operation.tags(id)[0]).await,
        Clear => cache.clear().await,
    };
    let expected = if operation == Cascade { 1 + DEPENDENTS + DEPENDENTS * DEPENDENTS } else { operation.entries() };
    assert!(entries.expect("the cluster answers").entries >= expected, "{}", operation.name());
}

fn key(operation: Operation, id: u64, member: u64) -> Key<String> {
    let key: Key<String> = operation.key(id, member).into_key().expect("a valid key");
    key.with_tags(operation.tags(id)).with_ttl(TTL)
}

async fn load(cache: &Cache, key: &Key<String>) -> String {
    cache.get_or_load(key, || async { Ok::<_, Infallible>("x".repeat(VALUE_BYTES)) }).await.expect("infallible")
}

/// Made from one of the next level up, which is made from the first.
async fn load_leaf(cache: &Cache, id: u64, leaf: u64) {
    let [root, middle, leaf] = [0, 1 + leaf / DEPENDENTS, 1 + DEPENDENTS + leaf].map(|member| key(Cascade, id, member));
    let load_middle = || async { Ok::<_, Infallible>(load(cache, &root).await) };
    let load_leaf = || async { cache.get_or_load(&middle, load_middle).await };
    cache.get_or_load(&leaf, load_leaf).await.expect("infallible");
}

/// So many tasks share the numbers.
async fn at_once<F: Future<Output = ()> + Send + 'static>(ids: Range<u64>, tasks: u64, call: impl Fn(u64) -> F) {
    // A task polls one future after the other: they are made here, where `call` lives.
    let mut shares: Vec<Vec<F>> = (0..tasks).map(|_| Vec::new()).collect();
    ids.zip((0..shares.len()).cycle()).for_each(|(id, share)| shares[share].push(call(id)));
    let tasks = shares.into_iter().map(|share| {
        tokio::spawn(async move {
            for call in share {
                call.await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no call panics");
    }
}
