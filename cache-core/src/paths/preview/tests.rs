use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::cache::Cache;
use crate::invalidation::Invalidation;
use crate::key::Key;
use crate::name::TextKey;
use crate::store::{Fill, Recall, Token, far};

/// Five entries with one tag, and one that depends on the first.
async fn family() -> Cache {
    let cache = Cache::in_memory();
    for at in 0..5 {
        let key: Key<u32> = TextKey::literal(&format!("m:{at}")).unwrap().typed().with_tags(["T"]);
        cache.put(key, &at).await.unwrap();
    }
    // Past the load, which would inherit the tag.
    let store = cache.runtime.store().unwrap();
    let clock = store.read_clock("D", Recall::Nothing, far()).await.unwrap();
    let (value, names, ttl) = (Bytes::from_static(b"D"), [Name::of_key("m:0")], Duration::from_secs(60));
    let fill = Fill { key: "D", value, names: &names, ttl, clock: &clock, token: Token::new(), learned: None };
    store.fill(fill, far()).await.unwrap();
    cache
}

async fn within(bounds: PreviewBounds, invalidation: Invalidation) -> Preview {
    let cache = family().await;
    PreviewWalk::new(&cache.runtime, bounds).all(&invalidation.into_parts().0).await.unwrap()
}

fn tag() -> Invalidation {
    Invalidation::new().tag("T")
}

#[tokio::test]
async fn each_entry_is_told_with_its_cause() {
    let preview = within(BOUNDS, tag()).await;
    let told: Vec<_> = preview.entries.iter().map(|PreviewEntry { key, cause }| format!("{key} {cause}")).collect();
    assert_eq!(told, ["D key m:0", "m:0 tag T", "m:1 tag T", "m:2 tag T", "m:3 tag T", "m:4 tag T"]);
    assert_eq!(preview.stop, None);
    assert_eq!(
        within(BOUNDS, Invalidation::new().key("m:0")).await.to_string(),
        "2 entries would be removed\n  D  (key m:0)\n  m:0  (key m:0)"
    );
}

#[tokio::test]
async fn at_a_limit_it_stops_and_says_where() {
    let stop_of = async |bounds| {
        let Preview { entries, stop } = within(bounds, tag()).await;
        (entries.len(), stop.map(|PreviewStop { limit, at }| (limit, at)))
    };
    let at_tag = || Cause::Tag("T".into());
    assert_eq!(stop_of(PreviewBounds { keys: 6, ..BOUNDS }).await, (6, None));
    let at_key = Cause::Key("m:0".into());
    assert_eq!(stop_of(PreviewBounds { keys: 5, ..BOUNDS }).await, (5, Some((PreviewLimit::Entries, at_key.clone()))));
    assert_eq!(stop_of(PreviewBounds { keys: 4, ..BOUNDS }).await, (4, Some((PreviewLimit::Entries, at_tag()))));
    assert_eq!(stop_of(PreviewBounds { names: 2, ..BOUNDS }).await, (6, None));
    assert_eq!(stop_of(PreviewBounds { names: 1, ..BOUNDS }).await, (5, Some((PreviewLimit::Names, at_key.clone()))));
    // One look for lost members, one for the tag, one for its members, one for those of `m:0`.
    assert_eq!(stop_of(PreviewBounds { looks: 4, ..BOUNDS }).await, (6, None));
    assert_eq!(stop_of(PreviewBounds { looks: 3, ..BOUNDS }).await, (5, Some((PreviewLimit::Looks, at_key))));
    let everything = within(PreviewBounds { looks: 0, ..BOUNDS }, Invalidation::everything()).await;
    assert_eq!(
        everything.to_string(),
        "at least 0 entries would be removed\nstopped at everything: no more looks are taken"
    );
}

#[tokio::test]
async fn it_is_json_for_programs() {
    let preview = within(PreviewBounds { keys: 1, ..BOUNDS }, Invalidation::new().pattern("m:*")).await;
    assert_eq!(
        serde_json::to_value(preview).unwrap(),
        serde_json::json!({
            "entries": [{ "key": "m:4", "cause": { "pattern": "m:*" } }],
            "stop": { "limit": "entries", "at": { "pattern": "m:*" } },
        })
    );
}
