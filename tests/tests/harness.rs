//! The harness keeps its own promises: otherwise the other tests would prove nothing.

use std::time::Duration;

use cache_tests::{
    Fault, FaultProxy, Gate, Probe, Raw, Server, ServerKind, ServerOptions, TestStore, each_server, each_store,
};
use tokio::time::timeout;

/// Long enough for loopback, short enough to be waited for.
const MOMENT: Duration = Duration::from_millis(100);

each_store! {
    async fn every_run_has_its_own_namespace(store: TestStore) {
        let other = TestStore::embedded();
        assert_ne!(store.namespace(), other.namespace());
    }

    async fn a_test_has_one_cache(store: TestStore) {
        store.cache().await.put("key", &1).await.unwrap();
        assert_eq!(store.cache().await.peek("key").await.unwrap(), Some(1));
    }
}

each_server! {
    #![multi_thread]
    async fn processes_share_what_is_stored(store: TestStore) {
        store.cache().await.put("key", &1).await.unwrap();
        assert_eq!(store.another_process().await.peek("key").await.unwrap(), Some(1));
        assert_eq!(store.another_process().await.stats().prefix("key").hits, 0);
    }

    async fn the_shared_server_answers(store: TestStore) {
        let key = format!("{}:key", store.namespace());
        let mut raw = store.raw().await;
        raw.set(&key, b"bytes").await;
        assert_eq!(raw.get(&key).await.as_deref(), Some(&b"bytes"[..]));
        assert_eq!(raw.keys(store.namespace()).await, [key]);
    }

    async fn the_shared_server_is_what_it_is_called(store: TestStore) {
        let info: String = store.raw().await.command("INFO", &["server"]).await;
        assert_eq!(info.contains("valkey_version"), store.kind() == Some(ServerKind::Valkey), "{info}");
    }

    async fn a_paused_server_answers_only_after_resume(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let mut raw = server.raw().await;
        server.pause();
        let ping = tokio::spawn(async move { raw.command::<String>("PING", &[]).await });
        assert!(timeout(MOMENT, Raw::connect(&server.url())).await.is_err());
        assert!(!ping.is_finished());
        server.resume();
        assert_eq!(ping.await.unwrap(), "PONG");
    }

    async fn a_restarted_server_is_empty_and_at_the_same_address(store: TestStore) {
        let mut server = Server::start(store.kind().expect("a server"));
        let address = server.address();
        server.raw().await.set("key", b"bytes").await;
        server.stop();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        server.start_again();
        assert_eq!(server.address(), address);
        assert_eq!(server.raw().await.get("key").await, None);
    }

    async fn a_server_starts_again_as_it_is_told(store: TestStore) {
        let mut server = Server::start(store.kind().expect("a server"));
        server.restart_as(ServerOptions::new().line("maxclients 77").variable("TZ", "UTC"));
        let told: Vec<String> = server.raw().await.command("CONFIG", &["GET", "maxclients"]).await;
        assert_eq!(told, ["maxclients", "77"]);
    }

    async fn options_reach_the_server(store: TestStore) {
        let options = ServerOptions::new().password("secret").unix_socket().memory(8 << 20, "allkeys-lru");
        let server = Server::with(store.kind().expect("a server"), options);
        let policy: Vec<String> = server.raw().await.command("CONFIG", &["GET", "maxmemory-policy"]).await;
        assert_eq!(policy, ["maxmemory-policy", "allkeys-lru"]);
        let nobody = redis::Client::open(format!("redis://{}", server.address())).unwrap();
        let mut nobody = nobody.get_multiplexed_async_connection().await.unwrap();
        assert!(redis::cmd("GET").arg("key").exec_async(&mut nobody).await.is_err());
        let mut through_socket = Raw::connect(&server.unix_url()).await;
        assert_eq!(through_socket.command::<String>("PING", &[]).await, "PONG");
    }
}

#[test]
fn a_dropped_server_is_dead() {
    let server = Server::start(ServerKind::Redis);
    let (address, directory) = (server.address(), server.directory().to_owned());
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!directory.exists());
}

/// A connection through a proxy, and the proxy.
async fn proxied() -> (Server, FaultProxy, Raw) {
    let server = Server::start(ServerKind::Redis);
    let proxy = FaultProxy::start(server.address()).await;
    let raw = Raw::connect(&proxy.url()).await;
    (server, proxy, raw)
}

fn increment(raw: &Raw) -> tokio::task::JoinHandle<redis::RedisResult<u64>> {
    let mut raw = raw.clone();
    tokio::spawn(async move { redis::cmd("INCR").arg("count").query_async(raw.connection()).await })
}

async fn count(server: &Server) -> Option<Vec<u8>> {
    server.raw().await.get("count").await
}

#[tokio::test]
async fn a_stalled_request_is_answered_when_the_fault_ends() {
    let (server, proxy, raw) = proxied().await;
    proxy.set(Fault::Stall).await;
    let mut reply = increment(&raw);
    assert!(timeout(MOMENT, &mut reply).await.is_err());
    assert_eq!(count(&server).await, None);
    proxy.set(Fault::None).await;
    assert_eq!(reply.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_delayed_reply_arrives_late() {
    let (_server, proxy, raw) = proxied().await;
    proxy.set(Fault::Delay(MOMENT)).await;
    let asked = std::time::Instant::now();
    assert_eq!(increment(&raw).await.unwrap().unwrap(), 1);
    assert!(asked.elapsed() >= MOMENT);
}

#[tokio::test]
async fn replies_are_delayed_by_a_time_of_their_own_each() {
    let (_server, proxy, raw) = proxied().await;
    let (least, most) = (Duration::from_millis(1), Duration::from_millis(41));
    proxy.set(Fault::DelayBetween(least, most)).await;
    let mut took = Vec::new();
    for _ in 0..40 {
        let asked = std::time::Instant::now();
        increment(&raw).await.unwrap().unwrap();
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    assert!(took[0] >= least && took[30] - took[0] > (most - least) / 4, "{took:?}");
}

#[tokio::test]
async fn a_cut_hides_the_reply_of_what_was_done() {
    let (server, proxy, raw) = proxied().await;
    proxy.set(Fault::CutAfter(0)).await;
    assert!(increment(&raw).await.unwrap().is_err());
    assert_eq!(count(&server).await.as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn a_cut_lets_exactly_that_many_bytes_pass() {
    let (_server, proxy, _) = proxied().await;
    proxy.set(Fault::CutAfter(3)).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"PING\r\n").await.unwrap();
    let mut reply = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut reply).await.unwrap();
    assert_eq!(reply, b"+PO");
}

#[tokio::test]
async fn a_refusing_proxy_closes_and_refuses_until_the_fault_ends() {
    let (_server, proxy, raw) = proxied().await;
    proxy.set(Fault::Refuse).await;
    assert!(increment(&raw).await.unwrap().is_err());
    assert!(tokio::net::TcpStream::connect(proxy.address()).await.is_err());
    proxy.set(Fault::None).await;
    assert_eq!(increment(&Raw::connect(&proxy.url()).await).await.unwrap().unwrap(), 1);
    assert_eq!(proxy.accepted().count(), 2);
}

#[tokio::test]
async fn a_half_open_connection_stays_dead_and_a_new_one_works() {
    let (server, proxy, raw) = proxied().await;
    proxy.set(Fault::HalfOpen).await;
    let mut reply = increment(&raw);
    assert!(timeout(MOMENT, &mut reply).await.is_err());
    proxy.set(Fault::None).await;
    assert!(timeout(MOMENT, &mut reply).await.is_err());
    assert_eq!(count(&server).await, None);
    assert_eq!(increment(&Raw::connect(&proxy.url()).await).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_lost_reply_leaves_the_outcome_unknown() {
    let (server, proxy, raw) = proxied().await;
    proxy.set(Fault::LoseReplies).await;
    let mut reply = increment(&raw);
    assert!(timeout(MOMENT, &mut reply).await.is_err());
    assert_eq!(count(&server).await.as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn garbage_is_no_reply() {
    let (_server, proxy, raw) = proxied().await;
    proxy.set(Fault::Garbage).await;
    assert!(increment(&raw).await.unwrap().is_err());
}

#[tokio::test]
async fn a_reset_is_told_as_such() {
    let (_server, proxy, _) = proxied().await;
    proxy.set(Fault::Reset).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"PING\r\n").await.unwrap();
    let error = tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_narrow_link_takes_its_time_and_loses_nothing() {
    let (server, proxy, mut raw) = proxied().await;
    server.raw().await.set("key", &[b'x'; 2_000]).await;
    proxy.set(Fault::Narrow(20_000)).await;
    let asked = std::time::Instant::now();
    assert_eq!(raw.get("key").await.map(|bytes| bytes.len()), Some(2_000));
    assert!(asked.elapsed() >= MOMENT);
}

#[tokio::test]
async fn a_proxy_leads_new_connections_elsewhere() {
    let (server, proxy, raw) = proxied().await;
    let other = Server::start(ServerKind::Redis);
    proxy.lead_to(other.address()).await;
    increment(&raw).await.unwrap().unwrap();
    increment(&Raw::connect(&proxy.url()).await).await.unwrap().unwrap();
    for server in [&server, &other] {
        assert_eq!(count(server).await.as_deref(), Some(&b"1"[..]));
    }
}

#[tokio::test]
async fn open_connections_can_be_cut_once() {
    let (_server, proxy, raw) = proxied().await;
    proxy.cut().await;
    assert!(increment(&raw).await.unwrap().is_err());
    assert_eq!(increment(&Raw::connect(&proxy.url()).await).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_gate_lets_one_through_for_each_opening() {
    let (gate, probe) = (Gate::new(), Probe::new());
    let load = |gate: Gate, probe: Probe| async move {
        gate.pass().await;
        probe.mark()
    };
    let loads = [tokio::spawn(load(gate.clone(), probe.clone())), tokio::spawn(load(gate.clone(), probe.clone()))];
    gate.reached().await;
    gate.reached().await;
    assert_eq!(probe.count(), 0);
    gate.open();
    probe.reached(1).await;
    assert_eq!(probe.count(), 1);
    gate.open_for_good();
    for load in loads {
        load.await.unwrap();
    }
    assert_eq!(probe.count(), 2);
}
