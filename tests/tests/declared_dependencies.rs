//! `depends_on`: an entry falls with what a dependency of it belongs to, whether or not that
//! dependency was ever stored.

use std::collections::HashMap;

use cache_core::{Cache, Invalidation, cached, key, write_through};
use cache_tests::{TestStore, each_layout};

/// Has all that a companion can tell of a dependency: tags and dependencies of its parameters.
#[cached(
    prefix = "user", ttl = "60s", cache = cache, skip(cache),
    tags = ["team:{team}", "user:{id}:{result}"], depends_on = [team(team), "quota:{id}"],
)]
async fn user(cache: &Cache, id: u32, team: u32) -> u32 {
    let _ = (cache, team);
    id
}

#[cached(prefix = "team", ttl = "60s", cache = cache, skip(cache), tags = ["teams:{team}"])]
async fn team(cache: &Cache, team: u32) -> u32 {
    let _ = cache;
    team
}

#[cached(prefix = "page", ttl = "60s", cache = cache, skip(cache), depends_on = [user(id, 7)])]
async fn page(cache: &Cache, id: u32) -> u32 {
    let _ = cache;
    id
}

/// Depends on what only its value tells.
#[cached(prefix = "latest", ttl = "60s", cache = cache, skip(cache), depends_on = [user(result, 7)])]
async fn latest(cache: &Cache) -> u32 {
    let _ = cache;
    1
}

#[cached(
    prefix = "pages", ttl = "60s", cache = cache, skip(cache), each = ids,
    depends_on = [..[user::key(ids, &7)]],
)]
async fn pages(cache: &Cache, ids: &[u32]) -> Result<HashMap<u32, u32>, String> {
    let _ = cache;
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

/// Its companion cannot store, for it does not know `tenant`. It knows the other names.
#[cached(
    prefix = "hidden", ttl = "60s", cache = cache, skip(cache, tenant),
    tags = ["tenant:{tenant}", "team:{of_team}"], depends_on = [team(of_team), "quota:{id}"],
)]
async fn hidden(cache: &Cache, tenant: &str, id: u32, of_team: u32) -> u32 {
    let _ = (cache, tenant, of_team);
    id
}

#[cached(prefix = "of_hidden", ttl = "60s", cache = cache, skip(cache), depends_on = [hidden(id, 7)])]
async fn of_hidden(cache: &Cache, id: u32) -> u32 {
    let _ = cache;
    id
}

#[write_through(page(&id), cache = cache)]
async fn set_page(cache: &Cache, id: u32) -> u32 {
    let _ = cache;
    id
}

/// What the entries made for 1 fall with: names of `user(1, 7)`, of `team(7)`, and what both have.
fn names() -> [Invalidation; 5] {
    let new = Invalidation::new;
    [
        new().tag("team:7"),
        new().tag("teams:7"),
        new().key(team::key(&7)),
        new().key(user::key(&1, &7)),
        new().key("quota:1"),
    ]
}

/// Loads the entry anew each time, with nothing else stored.
async fn falls_with_each_name(cache: &Cache, prefix: &str, load: impl AsyncFn()) {
    for (at, name) in names().into_iter().enumerate() {
        load().await;
        load().await;
        assert_eq!(cache.stats().prefix(prefix).hits, at as u64 + 1, "{prefix} is stored");
        let said = format!("{name:?}");
        assert_eq!(cache.invalidate(name).await.unwrap().entries, 1, "{prefix}: {said}");
    }
    load().await;
    let others = Invalidation::new().tag("team:8").key(user::key(&2, &7)).key(user::key(&1, &8));
    assert_eq!(cache.invalidate(others).await.unwrap().entries, 0, "{prefix}");
    cache.clear().await.unwrap();
}

each_layout! {
    async fn an_entry_falls_with_the_names_of_a_dependency_that_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        falls_with_each_name(&cache, "page", async || assert_eq!(page(&cache, 1).await, 1)).await;
        falls_with_each_name(&cache, "latest", async || assert_eq!(latest(&cache).await, 1)).await;
        falls_with_each_name(&cache, "pages", async || assert!(pages(&cache, &[1]).await.is_ok())).await;
    }

    async fn a_written_entry_falls_with_the_names_of_a_dependency_that_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        for name in names() {
            set_page(&cache, 1).await;
            assert_eq!(cache.invalidate(name).await.unwrap().entries, 1);
        }
        for name in names() {
            assert!(cache.put(page::key(&1), &1).await.unwrap().stored);
            assert_eq!(cache.invalidate(name).await.unwrap().entries, 1);
        }
        // A key that was given tags.
        let key = || key!("note:1").with_tags(["note"]);
        assert!(cache.put(key(), &1).await.unwrap().stored);
        assert_eq!(cache.invalidate_tag("note").await.unwrap().entries, 1);
    }

    async fn the_names_that_a_companion_knows_are_enough(store: TestStore) {
        let cache = store.cache().await;
        for name in [
            Invalidation::new().tag("team:7"),
            Invalidation::new().tag("teams:7"),
            Invalidation::new().key("quota:1"),
            Invalidation::new().key(hidden::key(&1, &7)),
        ] {
            of_hidden(&cache, 1).await;
            let said = format!("{name:?}");
            assert_eq!(cache.invalidate(name).await.unwrap().entries, 1, "{said}");
        }
        assert!(!cache.put(hidden::key(&1, &7), &1).await.is_ok_and(|put| put.stored), "it does not know all");
    }

    /// What needs the dependency's value is not known before that is loaded: call it inside.
    async fn a_tag_of_a_dependency_by_its_value_reaches_while_that_is_stored(store: TestStore) {
        let cache = store.cache().await;
        page(&cache, 1).await;
        assert_eq!(cache.invalidate_tag("user:1:1").await.unwrap().entries, 0);
        user(&cache, 1, 7).await;
        assert_eq!(cache.invalidate_tag("user:1:1").await.unwrap().entries, 2);
    }
}

/// Depends on its parent, which depends on its own.
#[cached(prefix = "node", ttl = "60s", cache = cache, skip(cache), tags = ["node:{id}"], depends_on = [node(id / 2)])]
async fn node(cache: &Cache, id: u64) -> u64 {
    let _ = cache;
    id
}

#[cached(prefix = "even", ttl = "60s", cache = cache, skip(cache), tags = ["even:{id}"], depends_on = [odd(id)])]
async fn even(cache: &Cache, id: u32) -> u32 {
    let _ = cache;
    id
}

#[cached(prefix = "odd", ttl = "60s", cache = cache, skip(cache), tags = ["odd:{id}"], depends_on = [even(id)])]
async fn odd(cache: &Cache, id: u32) -> u32 {
    let _ = cache;
    id
}

/// Each depends on two before it: there are more ways than there are atoms.
#[cached(
    prefix = "fibonacci", ttl = "60s", cache = cache, skip(cache), tags = ["number:{n}"],
    depends_on = [fibonacci(n.saturating_sub(1)), fibonacci(n.saturating_sub(2))],
)]
async fn fibonacci(cache: &Cache, n: u32) -> u32 {
    let _ = cache;
    n
}

/// Leads to more keys than can be counted, none of them far away.
#[cached(prefix = "wide", ttl = "60s", cache = cache, skip(cache), depends_on = [wide(n * 2), wide(n * 2 + 1)])]
async fn wide(cache: &Cache, n: u128) -> u128 {
    let _ = cache;
    n
}

each_layout! {
    async fn dependencies_in_a_circle_end_and_all_are_known(store: TestStore) {
        let cache = store.cache().await;
        for tag in ["node:40", "node:10", "node:1", "node:0"] {
            node(&cache, 40).await;
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
        }
        node(&cache, u64::MAX).await;
        assert_eq!(cache.invalidate_tag("node:1").await.unwrap().entries, 1);
        for tag in ["even:1", "odd:1"] {
            even(&cache, 1).await;
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
            odd(&cache, 1).await;
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
        }
        for tag in ["number:60", "number:1", "number:0"] {
            fibonacci(&cache, 60).await;
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
            assert!(cache.put(fibonacci::key(&60), &1).await.unwrap().stored);
            assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
        }
    }

    /// An entry that could not be reached through all that it depends on must not be stored.
    async fn what_leads_to_too_many_dependencies_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        fibonacci(&cache, 10_000).await;
        assert_eq!(cache.stats().prefix("fibonacci").unstored, 1);
        assert_eq!(cache.peek(fibonacci::key(&10_000)).await.unwrap(), None);
        fibonacci(&cache, 60).await;
        assert_eq!(cache.stats().prefix("fibonacci").fills, 1, "another is");
        wide(&cache, 1).await;
        assert_eq!(cache.stats().prefix("wide").unstored, 1);
    }
}
