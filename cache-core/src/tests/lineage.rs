use super::*;
use crate::key::Policy;
use crate::name::Names;
use crate::private::{Call, Step};
use crate::runtime::provenance::in_current_load;

/// `outer` was made by `body`; whatever became of the calls in it, it must fall with `fall`.
async fn falls(cache: &Cache, body: impl Future<Output = u32>, fall: &str, tag: bool) -> bool {
    load(cache, "outer", body).await;
    assert!(stored(cache, "outer").await.is_some(), "the outer entry was not stored at all");
    if tag {
        cache.invalidate_tag(fall).await.unwrap()
    } else {
        cache.invalidate_key(fall).await.unwrap()
    };
    stored(cache, "outer").await.is_none()
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_the_keys_it_hit() {
    let (cache, _) = rig();
    get(&cache, "inner", 1).await;
    assert!(falls(&cache, load(&cache, "inner", forbidden()), "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_the_tags_of_what_it_hit() {
    let (cache, _) = rig();
    load_key(&cache, tagged("inner", &["t"]), async { 1 }).await;
    let body = async {
        let value = load(&cache, "inner", forbidden()).await;
        // The middle is gone when the tag falls: only the names in the outer entry lead to it.
        on_store_alone(&cache, "inner").await;
        value
    };
    assert!(falls(&cache, body, "t", true).await);
}

/// Removes an entry as its TTL would: without a fence, and without its dependents.
async fn on_store_alone(cache: &Cache, key: &str) {
    let store = cache.runtime.store().unwrap();
    let clock = store.read_clock("a", crate::store::Recall::Nothing).await.unwrap();
    let ttl = Duration::from_millis(1);
    let (value, token) = (bytes::Bytes::from_static(b"x"), crate::store::Token::new());
    store.fill(crate::store::Fill { key, value, names: &[], ttl, clock: &clock, token, learned: None }).await.unwrap();
    tokio::time::advance(ttl).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_the_tags_of_what_was_loaded_in_it() {
    let (cache, _) = rig();
    assert!(falls(&cache, load_key(&cache, tagged("inner", &["t"]), async { 1 }), "t", true).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_it_found_absent() {
    let (cache, _) = rig();
    let body = async {
        let none = cache.get_or_load::<Option<u32>, Infallible, _>("inner", || async { Ok(None) }).await;
        none.unwrap().unwrap_or(0)
    };
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_failed_in_it() {
    let (cache, _) = rig();
    let body = async { cache.get_or_load("inner", || async { Err::<u32, _>("no") }).await.unwrap_or(0) };
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_names_that_were_known_of_what_failed_in_it() {
    let (cache, _) = rig();
    let body = async {
        let Step::Load(mut load) =
            Call::<u32>::new(Some(&cache), tagged("inner", &[]), Policy::new("inner")).lookup().await
        else {
            panic!("stored")
        };
        let mut known = Names::new();
        known.tag("t");
        load.known(known);
        load.unstored();
        0
    };
    assert!(falls(&cache, body, "t", true).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_was_not_stored_in_it() {
    let (cache, _) = rig();
    let body = async {
        let Step::Load(mut load) =
            Call::<u32>::new(Some(&cache), tagged("inner", &[]), Policy::new("inner")).lookup().await
        else {
            panic!("stored")
        };
        let value = load.run(async { 1 }).await;
        let mut declared = Names::new();
        declared.tag("t");
        load.unstored_value(declared);
        value
    };
    assert!(falls(&cache, body, "t", true).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_a_call_that_was_dropped_in_it() {
    let (cache, _) = rig();
    let body = async {
        let never = load(&cache, "inner", std::future::pending());
        tokio::time::timeout(Duration::from_millis(1), never).await.unwrap_or(0)
    };
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_it_peeked_at() {
    let (cache, _) = rig();
    let body = async { stored(&cache, "inner").await.unwrap_or(0) };
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_depends_on_what_it_followed() {
    let (cache, _) = rig();
    let gate = Gate::default();
    let leader = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move { load_key(&cache, tagged("inner", &["t"]), gate.body(1)).await })
    };
    gate.reached().await;
    let outer = {
        let cache = cache.clone();
        tokio::spawn(async move { falls(&cache, load(&cache, "inner", forbidden()), "t", true).await })
    };
    idle().await;
    gate.open();
    assert!(outer.await.unwrap());
    leader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dependencies_reach_through_every_level() {
    let (cache, _) = rig();
    let inner =
        async { load(&cache, "middle", async { load_key(&cache, tagged("inner", &["t"]), async { 1 }).await }).await };
    assert!(falls(&cache, inner, "t", true).await);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_part_of_a_load_belongs_to_it_if_carried_along() {
    let (cache, _) = rig();
    let body = async {
        let cache = cache.clone();
        tokio::spawn(in_current_load(async move { get(&cache, "inner", 1).await })).await.unwrap()
    };
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_used_another_cache_is_not_stored() {
    let (cache, _) = rig();
    let other = Cache::in_memory();
    load(&cache, "outer", async { get(&other, "inner", 1).await }).await;
    assert_eq!(stored(&cache, "outer").await, None);
    assert_eq!(stored(&other, "inner").await, Some(1));
    assert_eq!(cache.stats().prefix("outer").unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_used_a_disabled_cache_is_not_stored() {
    let (cache, _) = rig();
    load(&cache, "outer", async { get(&Cache::disabled(), "inner", 1).await }).await;
    assert_eq!(stored(&cache, "outer").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_with_too_many_names_is_not_stored() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.names_max = 3);
    let outer = |calls: u32| {
        let cache = cache.clone();
        async move {
            for call in 0..calls {
                get(&cache, &format!("inner:{call}"), call).await;
            }
            calls
        }
    };
    load(&cache, "three", outer(3)).await;
    load(&cache, "four", outer(4)).await;
    assert_eq!(stored(&cache, "three").await, Some(3));
    assert_eq!(stored(&cache, "four").await, None);
    assert_eq!(cache.stats().prefix("four").unstored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bypassed_call_still_hands_on_what_it_used() {
    let (cache, _) = rig();
    let unencodable = crate::key::Key::<u32>::unencodable();
    let body = load_key(&cache, unencodable, async { get(&cache, "inner", 1).await });
    assert!(falls(&cache, body, "inner", false).await);
}

#[tokio::test(start_paused = true)]
async fn an_inner_name_that_cannot_be_written_keeps_the_outer_entry_out() {
    let (cache, _) = rig();
    load(&cache, "outer", load_key(&cache, tagged("inner", &[""]), async { 1 })).await;
    assert_eq!((stored(&cache, "inner").await, stored(&cache, "outer").await), (None, None));
}
