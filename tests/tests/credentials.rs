//! Passwords that rotate on a real server: connections log in again before the old password ends,
//! and no call fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use cache_core::{Cache, Credentials, Error, ErrorKind};
use cache_tests::{ClusterSet, PRIMARIES, Server, TestStore, each_server, until};

const LIFETIME: Duration = Duration::from_millis(400);
const ROTATIONS: u32 = 8;
const CALLERS: u64 = 16;
const CONNECTIONS: u32 = 2;
/// Each connection has a user, asks for the next one, and may do so at the same time.
const IN_USE: u32 = 2 * CONNECTIONS;

/// Issues a user of its own each time, and deletes old ones. A server that deletes a user ends the
/// connections that are logged in as that user.
#[derive(Clone)]
struct Issuer {
    servers: Arc<Vec<Server>>,
    issued: Arc<AtomicU32>,
}

impl Issuer {
    async fn issue(self) -> Result<Credentials, Error> {
        let user = format!("shop{}", self.issued.fetch_add(1, Ordering::SeqCst) + 1);
        let rules = ["SETUSER", &user, "on", ">pw", "~*", "&*", "+@all"];
        for server in self.servers.iter() {
            server.raw().await.command::<()>("ACL", &rules).await;
        }
        Ok(Credentials::new(user, "pw").valid_for(LIFETIME))
    }

    /// Deletes all users but the last ones, which may be in use.
    async fn delete_old(&self, in_use: u32) {
        let newest = self.issued.load(Ordering::SeqCst);
        let old: Vec<String> = (1..newest.saturating_sub(in_use)).map(|old| format!("shop{old}")).collect();
        let words: Vec<&str> = ["DELUSER"].into_iter().chain(old.iter().map(String::as_str)).collect();
        for server in self.servers.iter().filter(|_| !old.is_empty()) {
            server.raw().await.command::<u32>("ACL", &words).await;
        }
    }
}

each_server! {
    async fn a_rotation_under_load_fails_no_call(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let url = server.url();
        rotation_under_load(vec![server], &url, 1).await;
    }

    /// Each connection to each node logs in again by itself.
    async fn a_rotation_on_a_cluster_fails_no_call(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let url = format!("{}/?partitions=16", set.url());
        rotation_under_load(set.nodes, &url, PRIMARIES as u32).await;
    }

    async fn wrong_credentials_are_told_and_asked_for_again(store: TestStore) {
        wrong_credentials(Server::start(store.kind().unwrap())).await;
    }
}

async fn rotation_under_load(servers: Vec<Server>, url: &str, nodes: u32) {
    let issuer = Issuer { servers: Arc::new(servers), issued: Arc::default() };
    let provider = issuer.clone();
    let cache = Cache::builder()
        .url(url)
        .operation_deadline(Duration::from_secs(10))
        .credentials(move || provider.clone().issue())
        .build()
        .unwrap();
    cache.ready(Duration::from_secs(10)).await.unwrap();
    let logged_in = issuer.issued.load(Ordering::SeqCst);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (cache, stop) = (cache.clone(), stop.clone());
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("item:{}", (caller * 7 + calls) % 64);
                    cache.get_or_load::<u64, (), _>(key.as_str(), || async { Ok(calls) }).await.unwrap();
                    if calls.is_multiple_of(10) {
                        cache.invalidate_key(key.as_str()).await.unwrap();
                    }
                    calls += 1;
                    // Without a store a call waits for nothing, and this task would run alone.
                    tokio::task::yield_now().await;
                }
                calls
            })
        })
        .collect();
    until(async || {
        issuer.delete_old(IN_USE * nodes).await;
        issuer.issued.load(Ordering::SeqCst) >= logged_in + ROTATIONS * CONNECTIONS * nodes
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    let stats = cache.stats();
    let stats = stats.total();
    assert!(calls > 100, "{calls}");
    assert_eq!((stats.errors, stats.bypasses), (0, 0), "{stats:?}");
    let users: Vec<String> = issuer.servers[0].raw().await.command("ACL", &["USERS"]).await;
    assert!(!users.contains(&format!("shop{}", logged_in + 1)), "those of the start are gone: {users:?}");
}

async fn wrong_credentials(server: Server) {
    server.raw().await.command::<()>("ACL", &["SETUSER", "shop", "on", ">right", "~*", "&*", "+@all"]).await;
    let right = Arc::new(AtomicBool::new(false));
    let is_right = right.clone();
    let cache = Cache::builder()
        .url(server.url())
        .credentials(move || {
            let password = if is_right.load(Ordering::SeqCst) { "right" } else { "wrong" };
            async move { Ok::<_, Error>(Credentials::new("shop", password)) }
        })
        .build()
        .unwrap();
    let error = cache.ready(Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    right.store(true, Ordering::SeqCst);
    until(async || cache.ready(Duration::from_secs(10)).await.is_ok()).await;
}
