//! What may stand around a cached function, or below its attribute: constants and modules with
//! names of ours, conditional parameters, other attributes, futures that are boxed by hand.

use std::collections::HashMap;
use std::pin::Pin;

use async_recursion::async_recursion;
use cache_core::{Cache, cached, invalidates, tag};

mod constants {
    #![allow(non_upper_case_globals, dead_code, non_camel_case_types)]

    use super::*;

    const load: u8 = 1;
    const key: u8 = 2;
    static names: u8 = 3;
    struct value;
    const prefix: u8 = 4;
    const policy: u8 = 5;

    #[cached(prefix = "among_constants", ttl = "60s", tags = ["{id}:{result}"])]
    pub(super) async fn get(id: u64) -> Result<u64, String> {
        Ok(id + u64::from(load))
    }

    #[invalidates(keys = [get(id)])]
    pub(super) async fn change(id: u64) {
        let _ = id;
    }
}

#[tokio::test]
async fn constants_may_have_names_that_generated_code_would_use() {
    assert_eq!(constants::get(1).await, Ok(2));
    assert!(Cache::global().peek(constants::get::key(&1)).await.unwrap().is_some());
    constants::change(1).await;
    assert!(Cache::global().peek(constants::get::key(&1)).await.unwrap().is_none());
}

mod get_flight {
    pub(super) const ORIGIN: &str = "DFW";
}

#[cached(prefix = "beside_a_module", ttl = "60s", companion = GetFlight)]
async fn get_flight(id: u64) -> String {
    format!("{}{id}", get_flight::ORIGIN)
}

#[tokio::test]
async fn a_module_may_have_the_name_of_a_function_whose_companion_has_another() {
    assert_eq!(get_flight(1).await, "DFW1");
    assert_eq!(Cache::global().peek(GetFlight::key(&1)).await.unwrap().as_deref(), Some("DFW1"));
}

#[cached(prefix = "conditional", ttl = "60s", skip(hidden))]
async fn conditional(
    id: u64,
    #[cfg(not(test))] missing: Missing,
    #[cfg(test)] hidden: u64,
    #[cfg(test)] shown: u64,
) -> u64 {
    id + hidden + shown
}

#[tokio::test]
async fn a_parameter_may_depend_on_a_feature() {
    assert_eq!(conditional(1, 2, 3).await, 6);
    assert_eq!(conditional(1, 20, 3).await, 6, "`hidden` is skipped");
    assert_eq!(conditional::key(&1, &3).as_str(), "conditional:1:3");
    assert_eq!(conditional::refresh(1, 20, 3).await, 24);
}

#[cached(prefix = "conditional_batch", ttl = "60s", each = ids, tags = [..labels.iter().map(|label| tag!("{label}"))])]
async fn conditional_batch(
    ids: &[u64],
    #[cfg(not(test))] label: Missing,
    #[cfg(test)] mut labels: Vec<String>,
) -> Result<HashMap<u64, u64>, String> {
    labels.clear();
    Ok(ids.iter().map(|id| (*id, id + 1)).collect())
}

#[cached(prefix = "conditional_refresh", ttl = "60s", stale_while_revalidate = "60s")]
async fn conditional_refresh(#[cfg(not(test))] id: Missing, #[cfg(test)] id: &str, #[cfg(test)] n: u64) -> usize {
    id.len() + n as usize
}

#[cached(prefix = "conditional_tags", ttl = "60s", tags = [..of(result, id)])]
async fn conditional_tags(#[cfg(not(test))] id: Missing, #[cfg(test)] id: String) -> usize {
    drop(id);
    1
}

fn of(n: &usize, id: String) -> [String; 1] {
    [format!("{n}{id}")]
}

#[tokio::test]
async fn whatever_is_made_of_a_parameter_depends_on_the_same_feature() {
    let found = conditional_batch(&[1], vec!["conditional".to_owned()]).await.unwrap();
    assert_eq!(found, HashMap::from([(1, 2)]));
    assert_eq!(Cache::global().invalidate_tag("conditional").await.unwrap().entries, 1);
    assert_eq!(conditional_refresh("ab", 1).await, 3);
    assert_eq!(conditional_refresh::key("ab", &1).as_str(), "conditional_refresh:ab:1");
    assert_eq!(conditional_tags("a".to_owned()).await, 1);
    assert_eq!(Cache::global().invalidate_tag("1a").await.unwrap().entries, 1);
}

mod old {
    #![deny(deprecated)]

    use super::cached;

    #[deprecated = "only its callers are told"]
    #[cached(prefix = "deprecated", ttl = "60s")]
    pub(super) async fn get(id: u64) -> u64 {
        id
    }
}

#[tokio::test]
async fn a_deprecated_function_does_not_complain_of_itself() {
    #[expect(deprecated)]
    let value = old::get(1).await;
    assert_eq!((value, old::get::refresh(1).await), (1, 1));
}

#[cached(prefix = "recursive", ttl = "60s")]
#[async_recursion]
async fn recursive(n: u64) -> u64 {
    if n == 0 { 0 } else { n + recursive(n - 1).await }
}

#[tokio::test]
async fn async_recursion_may_stand_below() {
    assert_eq!(recursive(3).await, 6);
}

#[async_recursion]
#[cached(prefix = "recursive_below", ttl = "60s")]
async fn recursive_below(n: u64) -> u64 {
    if n == 0 { 0 } else { n + recursive_below(n - 1).await }
}

#[tokio::test]
async fn async_recursion_may_stand_above() {
    assert_eq!(recursive_below(3).await, 6);
}

#[cached(prefix = "boxed", ttl = "60s")]
fn boxed(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { n + boxed(n - 1).await } })
}

#[tokio::test]
async fn a_future_may_be_boxed_by_hand() {
    assert_eq!(boxed(3).await, 6);
    assert_eq!(boxed::refresh(3).await, 6);
    assert_eq!(Cache::global().peek(boxed::key(&2)).await.unwrap(), Some(3));
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

trait Boxed<'a>: Future + Sized + Send + 'a {
    fn boxed(self) -> BoxFuture<'a, Self::Output> {
        Box::pin(self)
    }
}

impl<'a, F: Future + Send + 'a> Boxed<'a> for F {}

#[cached(prefix = "boxed_by_method", ttl = "60s")]
fn boxed_by_method(text: &str) -> BoxFuture<'_, Result<usize, String>> {
    async move { Some(text.len()).filter(|len| *len > 0).ok_or("empty".to_owned()) }.boxed()
}

#[invalidates(keys = [boxed_by_method(text)])]
fn change_of_boxed(text: &str) -> BoxFuture<'_, usize> {
    Box::pin(async move { text.len() })
}

#[tokio::test]
async fn a_boxed_future_may_have_a_short_name() {
    assert_eq!(boxed_by_method("").await, Err("empty".to_owned()));
    assert_eq!(boxed_by_method("ab").await, Ok(2));
    assert_eq!(Cache::global().peek(boxed_by_method::key("ab")).await.unwrap(), Some(2));
    assert_eq!(change_of_boxed("ab").await, 2);
    assert_eq!(Cache::global().peek(boxed_by_method::key("ab")).await.unwrap(), None);
}

#[cached(prefix = "patterns_of_references", ttl = "60s")]
async fn patterns(&(y, ref z): &(u64, String), (&a, mut b): (&u64, u64)) -> u64 {
    b += a;
    y + b + z.len() as u64
}

#[tokio::test]
async fn patterns_may_take_references_apart() {
    assert_eq!(patterns(&(1, "ab".to_owned()), (&3, 4)).await, 10);
    let key = patterns::key(&(1, "ab".to_owned()), &(&3, 4));
    assert_eq!(key.as_str(), "patterns_of_references:1:ab:3:4");
    assert_eq!(Cache::global().peek(key).await.unwrap(), Some(10));
}
