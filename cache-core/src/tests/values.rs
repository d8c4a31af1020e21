//! Values that their stored bytes do not bring back.

use std::cell::Cell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;
use crate::config::TRIED_FIRST;
use crate::error::ErrorKind;

async fn keep<T: Serialize + DeserializeOwned>(cache: &Cache, key: &str, value: T) -> T {
    let Ok(value) = cache.get_or_load(key, || async { Ok::<_, Infallible>(value) }).await;
    value
}

/// `Some(NaN)` comes back as `None`.
type Means = Vec<Option<f64>>;

const LOST: [Option<f64>; 1] = [Some(f64::NAN)];

#[tokio::test(start_paused = true)]
async fn a_value_that_json_changes_is_returned_and_not_stored() {
    let (cache, store) = rig();
    for loads in 1..=3 {
        assert!(keep(&cache, "k", Means::from(LOST)).await[0].unwrap().is_nan());
        let stats = cache.stats().prefix("k");
        assert_eq!((stats.loads, stats.unstored, stats.bad_entries), (loads, loads, 0));
    }
    assert_eq!(store.calls(Op::Fill), 0);
    assert_eq!(keep(&cache, "k", Means::from([None])).await, [None]);
    assert_eq!(keep(&cache, "k", Means::from([Some(1.0)])).await, [None], "what survives is stored as before");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_read_back_is_returned_and_not_stored() {
    let (cache, store) = rig();
    for loads in 1..=3 {
        assert!(keep(&cache, "k", f64::NAN).await.is_nan());
        let stats = cache.stats().prefix("k");
        assert_eq!((stats.loads, stats.unstored, stats.bad_entries), (loads, loads, 0));
    }
    assert_eq!(store.calls(Op::Fill), 0);
}

#[tokio::test(start_paused = true)]
async fn once_a_value_was_lost_each_one_of_its_type_is_tried() {
    let (cache, _) = rig();
    keep(&cache, "k:lost", Means::from(LOST)).await;
    for at in 0..500 {
        keep(&cache, &format!("k:{at}"), Means::from([Some(0.5)])).await;
        keep(&cache, &format!("k:lost:{at}"), Means::from(LOST)).await;
    }
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.fills, stats.unstored), (500, 501));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_comes_late_is_found_by_sample() {
    fastrand::seed(7);
    let (cache, _) = rig();
    for at in 0..TRIED_FIRST {
        keep(&cache, &format!("k:{at}"), Means::from([Some(0.5)])).await;
    }
    let mut stored = 0;
    while cache.stats().prefix("k").unstored == 0 {
        assert!(stored < 1_000, "nothing is tried any more");
        keep(&cache, &format!("k:lost:{stored}"), Means::from(LOST)).await;
        stored += 1;
    }
    assert!(stored > 1, "each of them is tried");
    for at in 0..200 {
        keep(&cache, &format!("k:late:{at}"), Means::from(LOST)).await;
    }
    assert_eq!(cache.stats().prefix("k").unstored, 201);
}

/// It is proof enough: the fingerprint and the checksum were right.
#[tokio::test(start_paused = true)]
async fn a_hit_that_cannot_be_read_back_is_the_last_one_that_is_stored() {
    fastrand::seed(7);
    let (cache, _) = rig();
    for at in 0..TRIED_FIRST {
        keep(&cache, &format!("k:{at}"), 0.5).await;
    }
    for _ in 0..50 {
        assert!(keep(&cache, "k:nan", f64::NAN).await.is_nan());
    }
    let stats = cache.stats().prefix("k");
    assert_eq!((stats.fills, stats.unstored), (u64::from(TRIED_FIRST) + 1, 49));
}

#[tokio::test(start_paused = true)]
async fn types_of_one_prefix_are_tried_apart_and_so_are_prefixes() {
    let (cache, _) = rig();
    for at in 0..TRIED_FIRST {
        keep(&cache, &format!("k:{at}"), 1u64).await;
    }
    keep(&cache, "k:lost", Means::from(LOST)).await;
    assert_eq!(cache.stats().prefix("k").unstored, 1);
    for at in 0..TRIED_FIRST {
        keep(&cache, &format!("other:{at}"), Means::from([Some(0.5)])).await;
    }
    keep(&cache, "third:lost", Means::from(LOST)).await;
    assert_eq!(cache.stats().prefix("third").unstored, 1);
}

thread_local! {
    static READ: Cell<u32> = const { Cell::new(0) };
    static WRITTEN: Cell<u32> = const { Cell::new(0) };
}

/// Knows how often it was read and written on this thread.
struct Counting;

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.set(WRITTEN.get() + 1);
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for Counting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(READ.get() + 1);
        u8::deserialize(deserializer).map(|_| Self)
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_pays_nothing_and_a_fill_nearly_nothing_after_the_first() {
    fastrand::seed(7);
    let (cache, _) = rig();
    keep(&cache, "k", Counting).await;
    READ.set(0);
    WRITTEN.set(0);
    for _ in 0..100 {
        keep(&cache, "k", Counting).await;
    }
    assert_eq!((READ.get(), WRITTEN.get()), (100, 0));
    READ.set(0);
    for at in 0..6_400 {
        keep(&cache, &format!("k:{at}"), Counting).await;
    }
    let tried = READ.get() - (TRIED_FIRST - 1);
    assert!((50..150).contains(&tried), "one in 64 is tried: {tried} of 6,400");
}

#[tokio::test(start_paused = true)]
async fn a_written_value_that_would_not_come_back_is_an_error_and_removes_the_old_one() {
    let (cache, _) = rig();
    keep(&cache, "k", Means::from([None])).await;
    let error = cache.put("k", &Means::from(LOST)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert_eq!(keep(&cache, "k", Means::from([Some(2.0)])).await, [Some(2.0)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_anyway_is_not_tried() {
    let (_, store) = rig();
    let cache = with(&store, |config| config.value_bytes_max = 100);
    keep(&cache, "k:none", Vec::<Counting>::new()).await;
    READ.set(0);
    keep(&cache, "k", (0..100).map(|_| Counting).collect::<Vec<_>>()).await;
    assert_eq!((READ.get(), cache.stats().prefix("k").unstored), (0, 1));
    keep(&cache, "nothing", Nothing {}).await;
    assert_eq!(cache.stats().prefix("nothing").unstored, 0, "no limit, and no loss");
}

/// Prints as `None` and cannot be read from it; without `negative_ttl` nobody will.
#[derive(Deserialize)]
struct Nothing {}

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}
