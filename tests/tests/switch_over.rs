//! A planned switch-over that loses no write: the old primary is a replica now, and still there for
//! who holds connections.

use std::time::{Duration, Instant};

use cache_core::Cache;
use cache_tests::{Raw, Server, ServerKind, ServerOptions, TestStore, each_server, run, until};

/// What the README states.
const TRUST: Duration = Duration::from_secs(1);

struct Pair {
    old: Server,
    new: Server,
}

impl Pair {
    /// The second one is a replica of the first.
    async fn start(kind: ServerKind) -> Self {
        let options = || ServerOptions::new().line("repl-diskless-sync-delay 0");
        let (old, new) = (Server::with(kind, options()), Server::with(kind, options()));
        let mut raw = new.raw().await;
        raw.command::<()>("REPLICAOF", &["127.0.0.1", &old.address().port().to_string()]).await;
        until(async || info(&mut raw, "master_link_status").await == "up").await;
        Self { old, new }
    }

    /// The old one follows a server that does not let it: its link does not come up, and it keeps
    /// what it has.
    async fn switch_over(&self) {
        let (mut old, mut new) = (self.old.raw().await, self.new.raw().await);
        let written = info(&mut old, "master_repl_offset").await;
        until(async || info(&mut new, "slave_repl_offset").await >= written).await;
        new.command::<()>("REPLICAOF", &["NO", "ONE"]).await;
        old.command::<()>("REPLICAOF", &["127.0.0.1", "1"]).await;
    }
}

async fn info(raw: &mut Raw, field: &str) -> String {
    let text: String = raw.command("INFO", &["replication"]).await;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().to_owned()
}

async fn ready(url: &str) -> Cache {
    let cache = Cache::builder().url(url).operation_deadline(Duration::from_secs(10)).jitter(0.0).build().unwrap();
    cache.ready(Duration::from_secs(20)).await.unwrap();
    cache
}

async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

each_server! {
    #![multi_thread]

    async fn hits_of_a_demoted_primary_end_within_the_stated_time(store: TestStore) {
        let pair = Pair::start(store.kind().unwrap()).await;
        let reader = ready(&pair.old.url()).await;
        for at in 0..32 {
            get(&reader, &format!("a:{at}"), 1).await;
        }
        pair.switch_over().await;
        let demoted = Instant::now();
        let writer = ready(&pair.new.url()).await;
        let keys: Vec<String> = (0..32).map(|at| format!("a:{at}")).collect();
        for key in &keys {
            assert_eq!(writer.invalidate_key(key.as_str()).await.unwrap().entries, 1);
        }
        let mut last_stale = Duration::ZERO;
        while demoted.elapsed() < TRUST * 4 {
            for key in &keys {
                let began = demoted.elapsed();
                if get(&reader, key, 2).await == 1 {
                    last_stale = began;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(last_stale <= TRUST, "an old value was served to a call {last_stale:?} after the switch-over");
        assert!(reader.health().disconnected, "{:?}", reader.health());
    }

    async fn a_process_that_stood_still_during_a_switch_over_serves_nothing_old(store: TestStore) {
        let pair = Pair::start(store.kind().unwrap()).await;
        let (url, kind) = (pair.old.url(), store.kind().unwrap());
        let (switched, is_switched) = std::sync::mpsc::channel::<()>();
        let (filled, is_filled) = tokio::sync::oneshot::channel();
        let stopped = std::thread::spawn(move || {
            run(0, async move {
                let reader = ready(&url).await;
                assert_eq!(get(&reader, "a:1", 1).await, 1);
                filled.send(()).unwrap();
                // Nothing of this runtime runs meanwhile.
                is_switched.recv().unwrap();
                assert_eq!(get(&reader, "a:1", 2).await, 2, "{kind:?}");
            });
        });
        is_filled.await.unwrap();
        pair.switch_over().await;
        assert_eq!(ready(&pair.new.url()).await.invalidate_key("a:1").await.unwrap().entries, 1);
        tokio::time::sleep(TRUST).await;
        switched.send(()).unwrap();
        tokio::task::spawn_blocking(|| stopped.join()).await.unwrap().unwrap();
    }
}
