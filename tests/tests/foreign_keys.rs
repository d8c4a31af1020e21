//! Another program's values under the keys of the cache: nothing fails for ever, and nothing that
//! was invalidated is served.

use cache_core::{Cache, IntoKey, Key};
use cache_tests::{Log, Raw, TestStore, each_server, ready};

const KINDS: [&str; 5] = ["string", "list", "hash", "set", "sorted set"];

/// The bookkeeping of a tag `T`, and the type that each key has.
const BOOKKEEPING: [(&str, &str); 5] = [
    ("~clock", "sorted set"),
    ("~index:tT", "sorted set"),
    ("~index:ka:1", "sorted set"),
    ("~index:", ""),
    ("~due", "sorted set"),
];

/// Puts a value of another program under a key.
async fn plant(raw: &mut Raw, key: &str, kind: &str) {
    raw.command::<()>("DEL", &[key]).await;
    let (command, words): (_, &[&str]) = match kind {
        "string" => ("SET", &[key, "theirs"]),
        "list" => ("RPUSH", &[key, "theirs"]),
        "hash" => ("HSET", &[key, "theirs", "1"]),
        "set" => ("SADD", &[key, "theirs"]),
        _ => ("ZADD", &[key, "1", "theirs"]),
    };
    raw.command::<()>(command, words).await;
}

async fn get(cache: &Cache, key: &str, tags: &[&str], value: u32) -> u32 {
    let key: Key<u32> = key.into_key().unwrap();
    cache.get_or_load::<u32, (), _>(key.with_tags(tags), || async move { Ok(value) }).await.unwrap()
}

/// `a:1` has the tag `T`, `b:1` was made from it, `c:1` has the tag `S`.
async fn fill(cache: &Cache, value: u32) {
    let made = async || Ok::<_, ()>(get(cache, "a:1", &["T"], value).await);
    cache.get_or_load::<u32, (), _>("b:1", made).await.unwrap();
    get(cache, "c:1", &["S"], value).await;
    assert_eq!(stored(cache).await, [Some(value); 3]);
}

async fn stored(cache: &Cache) -> [Option<u32>; 3] {
    let mut found = [None; 3];
    for (at, key) in ["a:1", "b:1", "c:1"].into_iter().enumerate() {
        found[at] = cache.peek::<u32>(key).await.unwrap();
    }
    found
}

/// What a test is about: a key, and a type that it does not have.
async fn each_overwritten(store: TestStore, check: impl AsyncFn(&Cache)) {
    let mut raw = store.raw().await;
    for (key, own) in BOOKKEEPING {
        for kind in KINDS.into_iter().filter(|kind| *kind != own) {
            let cache = ready(store.builder()).await;
            fill(&cache, 1).await;
            plant(&mut raw, &format!("{}:{key}", store.namespace()), kind).await;
            println!("a {kind} under {key}");
            check(&cache).await;
            cache.clear().await.unwrap();
            let left = raw.keys(store.namespace()).await;
            assert!(left.iter().all(|key| key.ends_with(":~clock")), "{left:?}");
        }
    }
}

each_server! {
    async fn an_invalidation_of_what_was_overwritten_works_and_misses_nothing(store: TestStore) {
        each_overwritten(store, async |cache| {
            cache.invalidate_tag("T").await.unwrap();
            assert_eq!(stored(cache).await[..2], [None; 2]);
            cache.invalidate_tag("S").await.unwrap();
            fill(cache, 2).await;
            assert_eq!(cache.invalidate_tag("T").await.unwrap().entries, 2, "all is well again");
            assert_eq!(stored(cache).await, [None, None, Some(2)]);
        })
        .await;
    }

    async fn an_invalidation_of_another_name_works(store: TestStore) {
        each_overwritten(store, async |cache| {
            cache.invalidate_tag("S").await.unwrap();
            assert_eq!(stored(cache).await[2], None);
            cache.invalidate_key("a:1").await.unwrap();
            assert_eq!(stored(cache).await[..2], [None; 2]);
        })
        .await;
    }

    async fn a_pattern_works_and_misses_nothing(store: TestStore) {
        each_overwritten(store, async |cache| {
            cache.invalidate_pattern("a:*").await.unwrap();
            assert_eq!(stored(cache).await[..2], [None; 2]);
        })
        .await;
    }

    /// ★ The fill makes a new index, which does not have what the old one had.
    async fn a_fill_works_and_what_it_finds_lost_is_still_invalidated(store: TestStore) {
        each_overwritten(store, async |cache| {
            get(cache, "d:1", &["T"], 1).await;
            get(cache, "e:1", &["S"], 1).await;
            assert_eq!(cache.peek::<u32>("d:1").await.unwrap(), Some(1));
            cache.invalidate_tag("T").await.unwrap();
            assert_eq!(stored(cache).await[..2], [None; 2]);
            assert_eq!(cache.peek::<u32>("d:1").await.unwrap(), None);
        })
        .await;
    }

    async fn a_put_works_and_takes_along_what_was_made_from_the_old_value(store: TestStore) {
        each_overwritten(store, async |cache| {
            let key: Key<u32> = "a:1".into_key().unwrap();
            let put = cache.put(key, &2).await.unwrap();
            assert_eq!(stored(cache).await[..2], [put.stored.then_some(2), None]);
        })
        .await;
    }

    async fn whatever_lies_under_an_entry_and_its_lease_is_replaced(store: TestStore) {
        let (cache, mut raw) = (store.cache().await, store.raw().await);
        for key in ["a:1", "~lease:a:1", "~learned:a:1"] {
            for kind in KINDS {
                plant(&mut raw, &format!("{}:{key}", store.namespace()), kind).await;
                assert_eq!(get(&cache, "a:1", &["T"], 1).await, 1, "a {kind} under {key}");
                assert_eq!(cache.peek::<u32>("a:1").await.unwrap(), Some(1), "a {kind} under {key}");
                assert_eq!(cache.invalidate_tag("T").await.unwrap().entries, 1, "a {kind} under {key}");
                plant(&mut raw, &format!("{}:{key}", store.namespace()), kind).await;
                cache.invalidate_key("a:1").await.unwrap();
                assert_eq!(cache.peek::<u32>("a:1").await.unwrap(), None, "a {kind} under {key}");
            }
        }
        assert!(!cache.health().overwritten_bookkeeping);
        assert_eq!(cache.stats().total().failed_invalidations, 0);
    }

    /// Its members are not the cache's, and it is of the right type.
    async fn members_of_another_program_do_no_harm(store: TestStore) {
        let (cache, mut raw) = (store.cache().await, store.raw().await);
        for (key, kind) in BOOKKEEPING.into_iter().filter(|(_, kind)| !kind.is_empty()) {
            fill(&cache, 1).await;
            let key = format!("{}:{key}", store.namespace());
            let (command, words): (_, &[&str]) = match kind {
                "set" => ("SADD", &[&key, "theirs", "", "\n"]),
                _ => ("ZADD", &[&key, "1", "theirs", "2", "", "3", "\n"]),
            };
            raw.command::<()>(command, words).await;
            cache.invalidate_tag("T").await.unwrap();
            assert_eq!(stored(&cache).await[..2], [None; 2], "{key}");
            cache.invalidate_tag("S").await.unwrap();
            fill(&cache, 2).await;
            cache.clear().await.unwrap();
            assert_eq!(stored(&cache).await, [None; 3], "{key}");
        }
    }

    async fn it_is_said_once_for_each_kind_of_key_and_without_names(store: TestStore) {
        let (cache, mut raw) = (store.cache().await, store.raw().await);
        let (log, _listening) = Log::listen();
        for tag in ["SECRET1", "SECRET2"] {
            plant(&mut raw, &format!("{}:~index:t{tag}", store.namespace()), "list").await;
            plant(&mut raw, &format!("{}:~clock", store.namespace()), "list").await;
            cache.invalidate_tag(tag).await.unwrap();
        }
        let said = log.text();
        let of = |kind: &str| said.lines().filter(|line| line.contains("ERROR") && line.contains(kind)).count();
        assert_eq!((of("kind=\"index\""), of("kind=\"clock\""), of("SECRET")), (1, 1, 0), "{said}");
    }

    async fn it_is_reported(store: TestStore) {
        let mut raw = store.raw().await;
        for (key, own) in BOOKKEEPING.into_iter().filter(|(_, own)| !own.is_empty()) {
            let cache = ready(store.builder()).await;
            fill(&cache, 1).await;
            assert!(cache.health().is_good());
            plant(&mut raw, &format!("{}:{key}", store.namespace()), if own == "set" { "list" } else { "string" }).await;
            cache.clear().await.unwrap();
            assert!(cache.health().overwritten_bookkeeping, "{key}");
            let told = format!("cache_overwritten_bookkeeping{{cache=\"{}\"}} 1\n", store.namespace());
            assert!(cache.stats().to_prometheus().contains(&told), "{key}");
        }
    }
}
