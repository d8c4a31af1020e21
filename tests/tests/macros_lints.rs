//! Generated code is quiet, whatever lints a crate asks for. `cargo clippy` checks this file; the
//! tests show that what it checks works.

#![warn(clippy::all, clippy::pedantic, clippy::nursery)]
#![warn(
    clippy::allow_attributes,
    clippy::clone_on_ref_ptr,
    clippy::else_if_without_else,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::mem_forget,
    clippy::multiple_inherent_impl,
    clippy::panic,
    clippy::partial_pub_fields,
    clippy::pattern_type_mismatch,
    clippy::question_mark_used,
    clippy::redundant_type_annotations,
    clippy::ref_patterns,
    clippy::same_name_method,
    clippy::semicolon_outside_block,
    clippy::shadow_reuse,
    clippy::shadow_same,
    clippy::shadow_unrelated,
    clippy::str_to_string,
    clippy::todo,
    clippy::try_err,
    clippy::undocumented_unsafe_blocks,
    clippy::unreachable,
    clippy::unseparated_literal_suffix,
    clippy::wildcard_enum_match_arm
)]
#![warn(future_incompatible, let_underscore, nonstandard_style, rust_2018_idioms, unused)]
#![warn(
    absolute_paths_not_starting_with_crate,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    missing_copy_implementations,
    missing_debug_implementations,
    redundant_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_pub,
    unused_import_braces,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]

use std::collections::{BTreeMap, HashMap};

use cache_core::{Cache, CacheContext, Cacheable, cached, invalidates, key, tag, write_through};
use serde::{Deserialize, Serialize};

/// What is cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h", tags = ["flight:{self.id}", ..self.legs.first().map(|leg| tag!("leg:{leg}"))], version = 2)]
struct Flight {
    id: u64,
    legs: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
enum State {
    Planned,
    Late { minutes: u32 },
    Gone(u64),
}

#[cached(prefix = "plain", tags = ["plain", "id:{id}"])]
async fn plain(id: u64) -> Flight {
    std::future::ready(()).await;
    Flight { id, legs: vec![id] }
}

#[cached(prefix = "unit", ttl = "60s")]
async fn unit() {
    std::future::ready(()).await;
}

#[cached(prefix = "state", tags = ["{result.clone()}"])]
async fn state(id: u64) -> State {
    std::future::ready(()).await;
    match id {
        0 => State::Planned,
        1 => State::Late { minutes: 5 },
        _ => State::Gone(id),
    }
}

#[cached(
    prefix = "optional",
    ttl = std::time::Duration::from_millis(60_001),
    negative_ttl = "10s",
    when = |flight| flight.as_ref().is_none_or(|found| found.id > 0),
    tags = [
        "of:{result.id}",
        "both:{name}:{result.id}",
        ..result.as_ref().map(|flight| tag!("x:{flight.id}")),
        ..name.get(..1)
    ],
    depends_on = [plain(result.id), ..option, ..option.iter()],
    jitter = 0.5,
)]
async fn optional(
    name: String,
    option: Option<&'static str>,
    (first, second): (u8, u8),
) -> Result<Option<Flight>, String> {
    std::future::ready(()).await;
    let moved = name;
    if moved.is_empty() {
        return Err(moved);
    }
    Ok(Some(Flight {
        id: u64::from(first) + u64::from(second),
        legs: option.iter().map(|text| text.len() as u64).collect(),
    }))
}

#[cached(
    prefix = "many",
    ttl = "60s",
    each = ids,
    tags = ["many:{ids}", ..result.legs.first().map(|leg| tag!("{leg}"))]
)]
async fn many(ids: &[u64], mut names: Vec<String>) -> Result<HashMap<u64, Flight>, String> {
    std::future::ready(()).await;
    names.push(String::new());
    Ok(ids.iter().map(|id| (*id, Flight { id: *id, legs: vec![names.len() as u64] })).collect())
}

#[cached(prefix = "owned", ttl = "60s", each = ids, when = |flight| flight.id > 0)]
async fn owned(ids: Vec<u64>) -> Result<BTreeMap<u64, Flight>, String> {
    std::future::ready(()).await;
    Ok(ids.into_iter().map(|id| (id, Flight { id, legs: Vec::new() })).collect())
}

#[cached(prefix = "refreshed", ttl = "60s", stale_while_revalidate = "60s", early_refresh, stale_if_error = "1h")]
async fn refreshed(id: u64, name: &str, mut list: Vec<u8>) -> Result<usize, String> {
    std::future::ready(()).await;
    list.push(0);
    usize::try_from(id).map(|n| n + name.len() + list.len()).map_err(|error| error.to_string())
}

#[cached(prefix = "finished", ttl = "60s", wait = "3s", finish, stale_if_error = "1h", load_timeout = "1s")]
async fn finished(id: u64, name: &str, mut list: Vec<u8>) -> Result<usize, String> {
    std::future::ready(()).await;
    list.push(0);
    usize::try_from(id).map(|n| n + name.len() + list.len()).map_err(|error| error.to_string())
}

#[cached(prefix = "generic", adaptive_ttl = "1s..60s")]
async fn generic<T, const N: usize>(items: &[T]) -> usize
where
    T: Serialize + Sync,
{
    std::future::ready(()).await;
    items.len() + N
}

#[invalidates(keys = [plain(id), ..&option], tags = ["x:{result}", ..option.as_deref()], patterns = ["plain:{id}*"])]
async fn change(id: u64, option: Option<String>) -> Result<u64, String> {
    std::future::ready(()).await;
    Ok(id)
}

#[invalidates(tags = ["x"], when = always, background)]
async fn change_always(id: u64) -> Option<u64> {
    std::future::ready(()).await;
    Some(id)
}

#[write_through(plain(flight.id))]
async fn write(flight: Flight) -> Result<Flight, String> {
    std::future::ready(()).await;
    Ok(flight)
}

#[derive(Clone, CacheContext)]
struct Repo {
    cache: Cache,
    tenant: u64,
}

impl Repo {
    #[cached(prefix = "of_repo", ttl = "60s", skip(self), cache = self.cache)]
    async fn get(&self, id: u64) -> u64 {
        std::future::ready(()).await;
        id
    }

    #[cached(
        prefix = "refreshed_of_repo",
        ttl = "60s",
        key = "{self.tenant}:{id}",
        stale_while_revalidate = "60s",
        context = self,
        finish
    )]
    async fn refreshed(&self, id: u64) -> u64 {
        std::future::ready(()).await;
        id
    }

    #[invalidates(keys = [Self::get(id), self.refreshed(id)], cache = self.cache)]
    async fn change(&self, id: u64) {
        let _ = std::future::ready(id).await;
    }

    #[cached(prefix = "context", ttl = "60s", context = self, early_refresh)]
    async fn with_context(&self, id: u64) -> u64 {
        std::future::ready(()).await;
        id
    }
}

#[cached(prefix = "given", ttl = "60s", context = repo, depends_on = [Repo::with_context(id)])]
async fn given(repo: &Repo, id: u64) -> u64 {
    repo.with_context(id).await
}

#[invalidates(keys = [given(id), given(result)], context = repo)]
async fn change_given(repo: Repo, id: u64) -> u64 {
    drop(std::future::ready(repo).await);
    id
}

#[write_through(given(id), context = repo)]
async fn write_given(repo: &Repo, id: u64) -> u64 {
    let _ = std::future::ready(repo).await;
    id
}

#[tokio::test]
async fn what_is_quiet_works() {
    assert_eq!(plain(1).await.id, 1);
    unit().await;
    assert_eq!(state(1).await, State::Late { minutes: 5 });
    assert_eq!(optional("n".to_owned(), Some("a"), (1, 2)).await.unwrap().unwrap().id, 3);
    assert_eq!(many(&[1, 2], Vec::new()).await.unwrap().len(), 2);
    assert_eq!(owned(vec![1, 2]).await.unwrap().len(), 2);
    assert_eq!(refreshed(1, "n", Vec::new()).await, Ok(3));
    assert_eq!(finished(1, "n", Vec::new()).await, Ok(3));
    assert_eq!(generic::<u8, 1>(&[1, 2]).await, 3);
    assert_eq!(change(1, None).await, Ok(1));
    assert_eq!(change_always(1).await, Some(1));
    let flight = Flight { id: 7, legs: Vec::new() };
    assert_eq!(key!("plain:{flight.id}").as_str(), plain::key(&7).as_str());
    assert_eq!(write(flight.clone()).await, Ok(flight));
    let repo = Repo { cache: Cache::in_memory(), tenant: 1 };
    assert_eq!((repo.get(1).await, repo.refreshed(1).await), (1, 1));
    repo.change(1).await;
    assert_eq!(repo.cache.peek(Repo::get_key(&1)).await.unwrap(), None);
    assert_eq!((write_given(&repo, 1).await, given(&repo, 1).await), (1, 1));
    assert_eq!(change_given(repo.clone(), 1).await, 1);
    assert_eq!(repo.cache.peek(given::key(&1)).await.unwrap(), None);
}
