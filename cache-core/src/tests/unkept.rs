//! Loads that succeed and whose value is not kept: what they were to replace is served no longer.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::freshness::{MINUTE, age};
use super::*;
use crate::key::Policy;
use crate::name::Names;
use crate::private::{Call, Load, Step, coding};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::new("k").ttl(MINUTE).stale_while_revalidate(MINUTE)
}

/// A function that loads the news.
#[derive(Clone)]
struct Function<T> {
    policy: Policy,
    tags: &'static [&'static str],
    when: fn(&T) -> bool,
    news: T,
}

fn function<T>(policy: Policy, news: T) -> Function<T> {
    Function { policy, tags: &[], when: |_| true, news }
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Function<T> {
    fn lookup(&self, cache: &Cache) -> impl Future<Output = Step<T>> + use<T> {
        Call::new(Some(cache), TextKey::literal("k").unwrap().typed(), self.policy.clone(), coding())
            .in_background()
            .lookup()
    }

    async fn run(self, mut load: Load<T>) -> T {
        let news = self.news;
        let value = load.run(async move { news }).await;
        let mut names = Names::new();
        names.tags(self.tags);
        load.fill((self.when)(&value).then_some(&value), names).await;
        value
    }

    /// What generated code does.
    async fn call(&self, cache: &Cache) -> T {
        match self.lookup(cache).await {
            Step::Return(value) => value,
            Step::ReturnAndRefresh(value, refresh) => {
                let function = self.clone();
                refresh.spawn_once(|load| async move {
                    function.run(load).await;
                    true
                });
                value
            }
            Step::Load(load) => self.clone().run(load).await,
        }
    }
}

async fn aged<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static>(
    cache: &Cache,
    store: &Faulty,
    policy: Policy,
    value: T,
) {
    function(policy, value).call(cache).await;
    age(store, "k", SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_gone_is_served_no_longer_than_one_refresh_takes() {
    let (cache, store) = rig();
    aged(&cache, &store, policy(), Some(1)).await;
    let gone = function(policy(), None);
    assert_eq!(gone.call(&cache).await, Some(1), "stale, and being refreshed");
    idle().await;
    for _ in 0..10 {
        assert_eq!(gone.call(&cache).await, None);
        idle().await;
    }
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.loads, stats.refreshes, stats.stale_hits), (12, 1, 1));
    assert_eq!(store.calls(Op::Discard), 1, "there is nothing to remove after that");
}

/// One way to refuse a value each: the old one goes, whoever loads.
#[tokio::test(start_paused = true)]
async fn whatever_keeps_the_news_out_the_value_before_it_goes() {
    let new = || function(policy(), Some("new".to_owned()));
    let refused = [
        ("none", function(policy(), None)),
        ("when", Function { when: |_| false, ..new() }),
        ("a ttl of zero", function(policy().ttl(Duration::ZERO), Some("new".to_owned()))),
        ("too large", function(policy(), Some("x".repeat(1_000)))),
        ("too many names", Function { tags: &["a", "b", "c"], ..new() }),
        ("a tag that cannot be spelled", Function { tags: &["\n"], ..new() }),
    ];
    for (why, function_of_news) in refused {
        for in_background in [true, false] {
            let store = Faulty::new();
            let cache = with(&store, |config| (config.value_bytes_max, config.names_max) = (500, 2));
            aged(&cache, &store, policy(), Some("old".to_owned())).await;
            if in_background {
                function_of_news.call(&cache).await;
                idle().await;
            } else {
                let Step::Load(load) = crate::private::refresh(function_of_news.lookup(&cache)).await else {
                    panic!("a forced load")
                };
                function_of_news.clone().run(load).await;
            }
            assert_eq!(store.bytes("k").await, None, "{why}, in background: {in_background}");
            assert_eq!(store.calls(Op::Invalidate), 0, "{why}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_for_errors_goes_once_a_load_succeeds() {
    let (cache, store) = rig();
    let policy = Policy::new("k").ttl(MINUTE).stale_if_error(MINUTE);
    aged(&cache, &store, policy.clone(), Some(1_u32)).await;
    assert_eq!(function(policy, None::<u32>).call(&cache).await, None);
    assert_eq!(store.bytes("k").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_a_batch_leaves_out_is_served_no_longer() {
    use std::collections::BTreeMap;

    use crate::private::{ManyCall, ManyStep, fill_many, lookup_many, mapping};
    let (cache, store) = rig();
    aged(&cache, &store, policy(), Some(1_u32)).await;
    let key = |_: &u32| TextKey::literal("k").unwrap().typed();
    let call = ManyCall::new(Some(&cache), &[7], key, policy(), coding(), mapping::<BTreeMap<u32, u32>>());
    let ManyStep::Load(load) = lookup_many(call).await else { panic!("it is stale") };
    let ManyStep::Return(found) = fill_many(load, BTreeMap::new(), |_, _| (Names::new(), true)).await else {
        panic!("all is loaded")
    };
    assert!(found.is_empty());
    assert_eq!(store.bytes("k").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_came_in_between_stays() {
    let (cache, store) = rig();
    aged(&cache, &store, policy(), Some(1)).await;
    let gone = function(policy(), None);
    let discards = store.hold(Op::Discard);
    gone.call(&cache).await;
    discards.reached().await;
    let other = function(policy(), Some(2));
    let Step::Load(load) = crate::private::refresh(other.lookup(&on(&store))).await else { panic!("a forced load") };
    other.clone().run(load).await;
    discards.open();
    idle().await;
    assert_eq!(gone.call(&cache).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_failed_removes_nothing() {
    let (cache, store) = rig();
    aged(&cache, &store, policy(), Some(1)).await;
    let Step::Load(load) = crate::private::refresh(function(policy(), Some(1)).lookup(&cache)).await else {
        panic!("a forced load")
    };
    load.unstored();
    idle().await;
    assert_eq!(store.calls(Op::Discard), 0);
    assert!(store.bytes("k").await.is_some());
}

/// Nothing proves a load newer than what is stored if the store did not say when it began.
#[tokio::test(start_paused = true)]
async fn past_a_store_that_failed_nothing_is_removed() {
    let (cache, store) = rig();
    aged(&cache, &store, Policy::new("k").ttl(MINUTE), Some(1)).await;
    store.fail(Op::TakeLease);
    assert_eq!(function(policy().ttl(Duration::ZERO), None).call(&cache).await, Some(1));
    idle().await;
    age(&store, "k", 3 * MINUTE).await;
    assert_eq!(function::<Option<u32>>(policy(), None).call(&cache).await, None);
    assert_eq!(store.calls(Op::Discard), 0);
}

/// It is not an invalidation: it is not owed, and whoever comes next finds the same out again.
#[tokio::test(start_paused = true)]
async fn a_removal_that_the_store_does_not_answer_costs_one_deadline_and_the_next_load_repeats_it() {
    for hangs in [false, true] {
        let (cache, store) = rig();
        let policy = Policy::new("k").ttl(MINUTE).stale_if_error(MINUTE);
        aged(&cache, &store, policy.clone(), Some(1_u32)).await;
        if hangs {
            store.hang(Op::Discard);
        } else {
            store.fail(Op::Discard);
        }
        let begun = tokio::time::Instant::now();
        let gone = function(policy, None::<u32>);
        assert_eq!(gone.call(&cache).await, None);
        assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
        assert!(store.bytes("k").await.is_some() && !cache.runtime.debts.is_owing());
        assert_eq!(cache.stats().prefix("k").errors, 1);
        assert_eq!(store.calls(Op::ReleaseLease), 1, "nobody waits for a load that has ended");
        store.heal(Op::Discard);
        assert_eq!(gone.call(&cache).await, None);
        assert_eq!(store.bytes("k").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_made_from_it_goes_on_and_falls_with_its_names() {
    let (cache, store) = rig();
    let old = Function { tags: &["t"], ..function(policy(), Some(1)) };
    let page = |value: u32| {
        let (cache, old) = (cache.clone(), old.clone());
        async move { load(&cache.clone(), "page", async move { value + old.call(&cache).await.unwrap_or(0) }).await }
    };
    assert_eq!(page(10).await, 11);
    age(&store, "k", SECOND).await;
    function(policy(), None::<u32>).call(&cache).await;
    idle().await;
    assert_eq!(store.bytes("k").await, None);
    assert_eq!(page(20).await, 11, "within its own TTL, as if the news had been a value");
    assert_eq!(cache.invalidate_tag("t").await.unwrap().entries, 1);
    assert_eq!(stored(&cache, "page").await, None);
}

/// An invalidation of what it was made from would refuse it: it would never be stored while its
/// parts come to nothing.
#[tokio::test(start_paused = true)]
async fn the_load_around_it_is_stored() {
    let (cache, store) = rig();
    aged(&cache, &store, policy(), Some(1_u32)).await;
    let value = load(&cache, "page", async {
        let gone = function(policy(), None::<u32>);
        gone.call(&cache).await.unwrap_or(7)
    });
    assert_eq!(value.await, 7);
    assert_eq!((store.bytes("k").await, stored(&cache, "page").await), (None, Some(7)));
}
