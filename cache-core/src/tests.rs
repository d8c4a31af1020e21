//! The rules of the paths, each a claim. Time is paused, tasks run on one thread, and nothing
//! sleeps to wait for another.

mod batch;
mod closing;
mod cutting;
mod explaining;
mod failing;
mod faulty;
mod feed;
mod finish;
mod freshness;
mod guard;
mod holding;
mod invalidation;
mod limits;
mod lineage;
mod load_timeout;
mod near;
mod outage;
mod patience;
mod peers;
mod reading;
mod recovery;
mod round_trips;
mod sharing;
mod shutdown;
mod standing_in;
mod tracing;
mod unkept;
mod values;
mod verifying;
mod waking;
mod warming;
mod writing;

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::faulty::{Faulty, Op};
use crate::cache::Cache;
use crate::call::{Load, Refresh};
use crate::config::Config;
use crate::freshness::TtlClasses;
use crate::key::Key;
use crate::name::TextKey;
use crate::runtime::tenants::Tenancy;
use crate::store::far;

/// A cache and the store under it. Another one on the same store is another process.
fn rig() -> (Cache, Faulty) {
    let store = Faulty::new();
    (on(&store), store)
}

fn on(store: &Faulty) -> Cache {
    with(store, |_| ())
}

fn with(store: &Faulty, change: impl FnOnce(&mut Config)) -> Cache {
    let mut config = Config { jitter: 0.0, ..Config::default() };
    change(&mut config);
    Cache::new(Some(Arc::new(store.clone())), config, TtlClasses::default(), Tenancy::Disabled)
}

fn tagged(key: &str, tags: &[&str]) -> Key<u32> {
    TextKey::literal(key).unwrap().typed().with_tags(tags)
}

async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    load(cache, key, async move { value }).await
}

async fn load(cache: &Cache, key: &str, body: impl Future<Output = u32>) -> u32 {
    load_key(cache, tagged(key, &[]), body).await
}

async fn load_key(cache: &Cache, key: Key<u32>, body: impl Future<Output = u32>) -> u32 {
    let Ok(value) = cache.get_or_load(key, || async { Ok::<_, Infallible>(body.await) }).await;
    value
}

/// A call in a task of its own.
fn spawn(cache: &Cache, key: &str, body: impl Future<Output = u32> + Send + 'static) -> JoinHandle<u32> {
    let (cache, key) = (cache.clone(), key.to_owned());
    tokio::spawn(async move { load(&cache, &key, body).await })
}

async fn stored(cache: &Cache, key: &str) -> Option<u32> {
    cache.peek::<u32>(key).await.unwrap()
}

/// Lets every other task run until it waits for something.
async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

impl<T> Refresh<T> {
    /// Of a load that is a refresh, which is made once.
    fn spawn_once<R, F>(self, reload: R)
    where
        R: FnOnce(Load<T>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
        T: 'static,
    {
        let reload = Mutex::new(Some(reload));
        self.spawn(move |load| reload.lock().unwrap().take().expect("one load")(load));
    }
}

/// A place where somebody waits, and that the test waits for somebody to reach.
#[derive(Clone, Default)]
struct Gate(Arc<(Notify, Notify)>);

impl Gate {
    async fn pass(&self) {
        self.0.0.notify_one();
        self.0.1.notified().await;
    }

    async fn reached(&self) {
        self.0.0.notified().await;
    }

    fn open(&self) {
        self.0.1.notify_one();
    }

    /// A load that waits here.
    fn body(&self, value: u32) -> impl Future<Output = u32> + Send + use<> {
        let gate = self.clone();
        async move {
            gate.pass().await;
            value
        }
    }
}

async fn forbidden() -> u32 {
    panic!("this call must not load")
}

const LEASE_WAIT: Duration = crate::config::LEASE_WAIT;
const DEADLINE: Duration = crate::config::OPERATION_DEADLINE;
