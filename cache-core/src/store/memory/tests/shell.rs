//! The lock and the time around the state.

use crate::store::far;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use super::{LEASE, TTL, key};
use crate::config::Config;
use crate::error::ErrorKind;
use crate::store::memory::MemoryStore;
use crate::store::{Fill, FillReply, IfPresent, Intent, LeaseReply, LeaseRequest, Recall, Refusal, Store, Token};

async fn fill(store: &MemoryStore, clock: &crate::store::ClockReading, token: Token) -> FillReply {
    let fill = Fill { key: "a", value: Bytes::from_static(b"1"), names: &[], ttl: TTL, clock, token, learned: None };
    store.fill(fill, far()).await.expect("the embedded store answers")
}

#[tokio::test(start_paused = true)]
async fn time_is_the_runtimes() {
    let store = MemoryStore::new(&Config::default());
    let clock = store.read_clock("a", Recall::Nothing, far()).await.expect("a reading");
    assert_eq!(fill(&store, &clock, Token::new()).await, FillReply::Stored);
    assert_eq!(store.get("a", far()).await.expect("an answer"), Some(Bytes::from_static(b"1")));
    tokio::time::advance(TTL).await;
    assert_eq!(store.get("a", far()).await.expect("an answer"), None);
    let later = store.read_clock("a", Recall::Nothing, far()).await.expect("a reading");
    assert_eq!(later.read_at_ms - clock.read_at_ms, TTL.as_millis() as u64);
}

// Otherwise it never ends: the read lock is held until the hit has been answered.
#[test]
fn a_hit_needs_the_read_lock_only() {
    let run = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = MemoryStore::new(&Config::default());
    let clock = run().block_on(store.read_clock("a", Recall::Nothing, far())).expect("a reading");
    run().block_on(fill(&store, &clock, Token::new()));
    let reader = store.state.read().expect("not poisoned");
    let hit = std::thread::scope(|scope| scope.spawn(|| run().block_on(store.get("a", far()))).join());
    assert!(hit.expect("no panic").expect("an answer").is_some());
    drop(reader);
}

#[tokio::test]
async fn nothing_happens_before_the_answer_is_asked_for() {
    let store = MemoryStore::new(&Config::default());
    drop(store.take_lease("a", LeaseRequest::waiting(Token(1), LEASE, IfPresent::Return, Recall::Nothing), far()));
    let reply = store
        .take_lease("a", LeaseRequest::waiting(Token(2), LEASE, IfPresent::Return, Recall::Nothing), far())
        .await
        .expect("an answer");
    assert!(matches!(reply, LeaseReply::Granted(_)));
}

#[tokio::test]
async fn a_panic_inside_costs_the_partition_and_no_stale_read() {
    let store = MemoryStore::new(&Config::default());
    let clock = store.read_clock("a", Recall::Nothing, far()).await.expect("a reading");
    fill(&store, &clock, Token::new()).await;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _state = store.state.write().expect("not poisoned");
        panic!("in the middle of a change");
    }));
    assert!(panicked.is_err());
    assert_eq!(store.get("a", far()).await.expect("an answer"), None);
    assert_eq!(fill(&store, &clock, Token::new()).await, FillReply::Refused(Refusal::ForeignIncarnation));
    let clock = store.read_clock("a", Recall::Nothing, far()).await.expect("a reading");
    assert_eq!(fill(&store, &clock, Token::new()).await, FillReply::Stored);
    assert!(store.get("a", far()).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_key_that_is_no_name_is_an_error() {
    let store = MemoryStore::new(&Config::default());
    let error = store
        .take_lease("", LeaseRequest::waiting(Token(1), LEASE, IfPresent::Return, Recall::Nothing), far())
        .await
        .expect_err("no name");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn the_store_is_always_ready() {
    let store = MemoryStore::new(&Config::default());
    store.ready(Duration::from_secs(1)).await.expect("ready");
    let given = [key("a")];
    let drained = store.step(&mut store.begin(&given, Intent::Invalidate), far()).await.expect("an answer");
    assert_eq!(drained, Default::default());
    assert!(store.now().at.elapsed() < Duration::from_secs(60));
}
