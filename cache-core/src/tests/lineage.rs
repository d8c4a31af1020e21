use super::*;
use crate::key::Policy;
use crate::name::Names;
use crate::private::{Call, Step, coding};

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
async fn a_load_depends_on_names_that_were_known_of_what_failed_in_it() {
    let (cache, _) = rig();
    let body = async {
        let Step::Load(mut load) =
            Call::<u32>::new(Some(&cache), tagged("inner", &[]), Policy::new("inner"), coding()).lookup().await
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
            Call::<u32>::new(Some(&cache), tagged("inner", &[]), Policy::new("inner"), coding()).lookup().await
        else {
            panic!("stored")
        };
        let value = load.run(async { 1 }).await;
        let mut declared = Names::new();
        declared.tag("t");
        load.fill(None, declared).await;
        value
    };
    assert!(falls(&cache, body, "t", true).await);
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
async fn a_load_that_used_a_disabled_cache_is_not_stored() {
    let (cache, _) = rig();
    load(&cache, "outer", async { get(&Cache::disabled(), "inner", 1).await }).await;
    assert_eq!(stored(&cache, "outer").await, None);
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
