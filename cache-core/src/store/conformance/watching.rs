//! What a call that waits for another's lease is told.

use std::future::Future;

use super::*;
use crate::store::{Change, Watch};

on_every_store! {
    a_fill_by_another_client_is_told
    a_fill_by_the_same_client_is_told
    a_refused_fill_is_told
    a_lease_that_is_given_back_is_told
    what_changed_before_the_watch_is_told_at_once
    a_value_that_is_to_be_ignored_is_no_change
    a_write_is_told
    a_refused_write_is_told
    an_invalidation_of_the_key_is_told_and_frees_the_lease
    an_invalidation_of_another_key_is_not_told
    other_keys_are_not_told_of
}

/// What stands between a hanging test and an answer; far longer than a push takes.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("the change should have been told")
}

async fn granted(store: &dyn Store, token: Token) -> ClockReading {
    match store
        .take_lease(
            "k",
            LeaseRequest::waiting(token, Duration::from_secs(30), IfPresent::Ignore, Recall::Nothing),
            far(),
        )
        .await
        .unwrap()
    {
        LeaseReply::Granted(clock) => clock,
        other => panic!("{other:?}"),
    }
}

async fn watch(rig: &Rig, if_present: IfPresent) -> Watch {
    rig.store.watch("k", if_present, far()).await.unwrap().expect("every store can tell")
}

async fn fill(store: &dyn Store, token: Token, clock: &ClockReading) -> FillReply {
    let value = Bytes::from_static(b"v");
    store
        .fill(Fill { key: "k", value, names: &[], ttl: Duration::from_secs(60), clock, token, learned: None }, far())
        .await
        .unwrap()
}

/// `false`: nothing has been told when another answer of the same connection is here.
async fn is_told(rig: &Rig, watch: &Watch) -> bool {
    rig.store.get("another", far()).await.unwrap();
    tokio::time::timeout(Duration::ZERO, watch.changed()).await.is_ok()
}

async fn a_fill_by_another_client_is_told(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    assert!(!is_told(&rig, &watch).await);
    assert_eq!(fill(&*other, token, &clock).await, FillReply::Stored);
    assert_eq!(soon(watch.changed()).await, Change::Value);
}

async fn a_fill_by_the_same_client_is_told(rig: Rig) {
    let token = Token::new();
    let clock = granted(&*rig.store, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    assert_eq!(fill(&*rig.store, token, &clock).await, FillReply::Stored);
    assert_eq!(soon(watch.changed()).await, Change::Value);
}

async fn a_refused_fill_is_told(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    first_step(&*rig.store, &[Name::key("k").unwrap()], Intent::Invalidate).await.unwrap();
    assert!(matches!(fill(&*other, token, &clock).await, FillReply::Refused(_)));
    soon(watch.changed()).await;
}

async fn a_lease_that_is_given_back_is_told(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    granted(&*other, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    other.release_lease("k", token, far()).await.unwrap();
    assert_eq!(soon(watch.changed()).await, Change::Lease);
}

async fn what_changed_before_the_watch_is_told_at_once(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, token).await;
    other.release_lease("k", token, far()).await.unwrap();
    assert_eq!(soon(watch(&rig, IfPresent::Return).await.changed()).await, Change::Lease);
    assert_eq!(fill(&*other, token, &clock).await, FillReply::Stored);
    assert_eq!(soon(watch(&rig, IfPresent::Return).await.changed()).await, Change::Value);
}

async fn a_value_that_is_to_be_ignored_is_no_change(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, Token::new()).await;
    assert_eq!(fill(&*other, Token::new(), &clock).await, FillReply::Stored);
    let clock = match other
        .take_lease(
            "k",
            LeaseRequest::waiting(token, Duration::from_secs(30), IfPresent::Ignore, Recall::Nothing),
            far(),
        )
        .await
        .unwrap()
    {
        LeaseReply::Granted(clock) | LeaseReply::Held { clock, .. } => clock,
        LeaseReply::Hit(_) => unreachable!("present values are ignored"),
    };
    let watch = watch(&rig, IfPresent::Ignore).await;
    assert!(!is_told(&rig, &watch).await);
    assert_eq!(fill(&*other, token, &clock).await, FillReply::Stored);
    assert_eq!(soon(watch.changed()).await, Change::Value);
}

async fn a_write_is_told(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    let value = Bytes::from_static(b"v");
    let ttl = Duration::from_secs(60);
    other
        .write(Fill { key: "k", value, names: &[], ttl, clock: &clock, token, learned: None }, None, far())
        .await
        .unwrap();
    assert_eq!(soon(watch.changed()).await, Change::Value);
}

/// It fences the key nevertheless, so that whoever loads it loads in vain.
async fn a_refused_write_is_told(rig: Rig) {
    let (other, tag) = (rig.another(), [Name::tag("T").unwrap()]);
    let clock = other.read_clock("k", Recall::Nothing, far()).await.unwrap();
    first_step(&*other, &tag, Intent::Invalidate).await.unwrap();
    granted(&*other, Token::new()).await;
    let watch = watch(&rig, IfPresent::Return).await;
    let (value, ttl, token) = (Bytes::from_static(b"v"), Duration::from_secs(60), Token::new());
    let fill = Fill { key: "k", value, names: &tag, ttl, clock: &clock, token, learned: None };
    assert_eq!(other.write(fill, None, far()).await.unwrap().fill, FillReply::Refused(Refusal::Fenced));
    soon(watch.changed()).await;
    granted(&*rig.store, Token::new()).await;
}

/// Nothing is stored under it, so it is the lease alone that can tell.
async fn an_invalidation_of_the_key_is_told_and_frees_the_lease(rig: Rig) {
    let (other, token) = (rig.another(), Token::new());
    let clock = granted(&*other, token).await;
    let watch = watch(&rig, IfPresent::Return).await;
    assert!(!is_told(&rig, &watch).await);
    first_step(&*rig.another(), &[Name::key("k").unwrap()], Intent::Invalidate).await.unwrap();
    assert_eq!(soon(watch.changed()).await, Change::Lease);
    granted(&*rig.store, Token::new()).await;
    assert!(!other.renew_lease("k", token, Duration::from_secs(30), far()).await.unwrap(), "its owner is late");
    assert_eq!(fill(&*other, token, &clock).await, FillReply::Refused(Refusal::Fenced));
}

async fn an_invalidation_of_another_key_is_not_told(rig: Rig) {
    let other = rig.another();
    granted(&*other, Token::new()).await;
    let watch = watch(&rig, IfPresent::Return).await;
    first_step(&*other, &[Name::key("another").unwrap(), Name::tag("k").unwrap()], Intent::Invalidate).await.unwrap();
    assert!(!is_told(&rig, &watch).await);
}

async fn other_keys_are_not_told_of(rig: Rig) {
    let other = rig.another();
    granted(&*other, Token::new()).await;
    let watch = watch(&rig, IfPresent::Return).await;
    rig.fill("another", &[]).await;
    assert!(!is_told(&rig, &watch).await);
}
