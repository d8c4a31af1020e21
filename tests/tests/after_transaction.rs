//! `#[invalidates(…, after = tx)]` adds to the transaction, and invalidates nothing by itself.

use cache_core::{Cache, CollectInvalidations, Invalidation, cached, invalidates};
use cache_tests::run;

/// A transaction as an application may have one.
#[derive(Default)]
struct Transaction {
    collected: Invalidation,
    statements: Vec<String>,
}

impl CollectInvalidations for Transaction {
    fn invalidates(&mut self, invalidation: Invalidation) {
        self.collected.invalidates(invalidation);
    }
}

impl Transaction {
    async fn execute(&mut self, statement: &str) -> Result<String, String> {
        if statement == "fail" {
            return Err("failed".to_owned());
        }
        self.statements.push(statement.to_owned());
        Ok(statement.to_owned())
    }

    /// What it has collected, as text.
    fn json(&self) -> String {
        self.collected.to_json().unwrap()
    }
}

fn json(invalidation: Invalidation) -> String {
    invalidation.to_json().unwrap()
}

#[cached(prefix = "after_transaction_gate", ttl = "60s")]
async fn gate(id: u64) -> u64 {
    id
}

#[invalidates(keys = [gate(id)], after = tx)]
async fn set_gate(tx: &mut Transaction, id: u64) {
    tx.execute("gate").await.unwrap();
}

#[test]
fn nothing_is_invalidated_before_the_transaction_ends() {
    run(0, async {
        let cache = Cache::in_memory();
        let (mut tx, within) = (Transaction::default(), cache.clone());
        let tx = within
            .scope(async {
                gate(7).await;
                set_gate(&mut tx, 7).await;
                assert!(cache.peek(gate::key(&7)).await.unwrap().is_some());
                tx
            })
            .await;
        assert_eq!(tx.statements, ["gate"]);
        assert_eq!(tx.json(), json(Invalidation::new().key(gate::key(&7))));
        cache.invalidate(tx.collected).await.unwrap();
        assert!(cache.peek(gate::key(&7)).await.unwrap().is_none());
    });
}

#[invalidates(keys = ["order:{id}"], tags = ["status:{result}", "customer:{customer}:{result}"], after = tx)]
async fn place(tx: &mut Transaction, id: u64, customer: String, statement: &str) -> Result<String, String> {
    let done = tx.execute(statement).await?;
    drop(customer);
    tx.execute("and more").await?;
    Ok(done)
}

#[test]
fn what_the_result_tells_is_added_on_success() {
    run(0, async {
        let mut tx = Transaction::default();
        place(&mut tx, 1, "Smith".to_owned(), "fail").await.unwrap_err();
        let known = Invalidation::new().key("order:1");
        assert_eq!(tx.json(), json(known));
        place(&mut tx, 1, "Smith".to_owned(), "new").await.unwrap();
        let all = Invalidation::new().key("order:1").tag("status:new").tag("customer:Smith:new");
        assert_eq!(tx.json(), json(all));
        assert_eq!(tx.statements, ["new", "and more"]);
    });
}

#[test]
fn what_the_parameters_tell_is_collected_though_the_future_is_dropped() {
    run(0, async {
        let mut tx = Transaction::default();
        {
            let pending = set_slowly(&mut tx, 1);
            tokio::pin!(pending);
            assert!(futures_poll_once(pending).await.is_none());
        }
        assert_eq!(tx.json(), json(Invalidation::new().key("slow:1")));
    });
}

/// Polls once.
async fn futures_poll_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

#[invalidates(keys = ["slow:{id}"], after = tx)]
async fn set_slowly(tx: &mut Transaction, id: u64) {
    tx.execute("slow").await.unwrap();
    std::future::pending::<()>().await;
    let _ = id;
}

#[invalidates(tags = ["generic:{result}"], after = tx)]
async fn generic(mut tx: &mut (impl CollectInvalidations + Send + Default), other: &mut (impl Default + Send)) -> u8 {
    let _ = other;
    let _ = &mut tx;
    5
}

struct Repository;

impl Repository {
    #[invalidates(tags = ["method:{result}"], after = tx)]
    async fn change(&self, tx: &mut Transaction) -> Option<u8> {
        tx.execute("method").await.ok().map(|_| 1)
    }
}

#[test]
fn generic_functions_and_methods_collect_too() {
    run(0, async {
        let (mut all, mut other) = (Invalidation::new(), 0_u8);
        assert_eq!(generic(&mut all, &mut other).await, 5);
        assert_eq!(json(all), json(Invalidation::new().tag("generic:5")));
        let mut tx = Transaction::default();
        assert_eq!(Repository.change(&mut tx).await, Some(1));
        assert_eq!(tx.json(), json(Invalidation::new().tag("method:1")));
    });
}

fn is_send<T: Send>(_: &T) {}

#[test]
fn its_future_is_send() {
    let mut tx = Transaction::default();
    is_send(&place(&mut tx, 1, String::new(), ""));
}
