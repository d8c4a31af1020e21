//! Values that would not come back from what is stored of them: never served changed, never
//! loaded again and again in silence.

use std::collections::{BTreeMap, HashMap};

use cache_core::{Cache, cached, write_through};
use cache_tests::{Log, TestStore, each_store};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u64,
    /// `Some(None)`: known to be unknown. JSON has one `null` for both.
    seen: Option<Option<u64>>,
}

const LOST: Row = Row { id: 1, seen: Some(None) };

#[cached(prefix = "row", ttl = "60s", skip(cache, row), cache = cache.clone())]
async fn get_row(cache: &Cache, id: u64, row: Row) -> Row {
    Row { id, ..row }
}

#[cached(prefix = "bytes", ttl = "60s", skip(cache, bytes), cache = cache.clone())]
async fn get_bytes(cache: &Cache, id: u64, bytes: Vec<u8>) -> Vec<u8> {
    _ = (cache, id);
    bytes
}

#[cached(prefix = "tally", ttl = "60s", skip(cache, tally), cache = cache.clone())]
async fn get_tally(cache: &Cache, id: u64, tally: Tally) -> Tally {
    _ = (cache, id);
    tally
}

/// The tag makes serde keep the map, and JSON has texts alone for its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tally {
    Votes { by_seat: BTreeMap<u32, u32> },
}

#[cached(prefix = "row", ttl = "60s", each = ids, skip(cache, row), cache = cache.clone())]
async fn get_rows(cache: &Cache, ids: &[u64], row: Row) -> Result<HashMap<u64, Row>, String> {
    _ = cache;
    Ok(ids.iter().map(|id| (*id, Row { id: *id, ..row.clone() })).collect())
}

#[write_through(get_row(id), cache = cache)]
async fn set_row(cache: &Cache, id: u64, row: Row) -> Row {
    Row { id, ..row }
}

/// Of the lines at WARN or above.
fn warnings(log: &Log) -> Vec<String> {
    log.text().lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).map(str::to_owned).collect()
}

each_store! {
    async fn a_value_that_json_changes_is_never_served_changed_and_said_once_by_name(store: TestStore) {
        let cache = store.cache().await;
        let (log, _listening) = Log::listen();
        for _ in 0..3 {
            assert_eq!(get_row(&cache, 1, LOST).await, LOST);
        }
        let stats = cache.stats().prefix("row");
        assert_eq!((stats.loads, stats.fills, stats.unstored, stats.bad_entries), (3, 0, 3, 0));
        let [said] = &warnings(&log)[..] else { panic!("{:?}", log.text()) };
        assert!(said.contains("row") && said.contains("what-json-loses.md"), "{said}");
        let kept = Row { id: 2, seen: Some(Some(7)) };
        assert_eq!(get_row(&cache, 2, kept.clone()).await, kept);
        assert_eq!(get_row(&cache, 2, LOST).await, kept, "what survives is stored");
    }

    async fn a_value_that_would_never_be_a_hit_is_not_stored_and_said_once_by_name(store: TestStore) {
        let cache = store.cache().await;
        let (log, _listening) = Log::listen();
        let tally = Tally::Votes { by_seat: BTreeMap::from([(3, 4)]) };
        for _ in 0..3 {
            assert_eq!(get_tally(&cache, 1, tally.clone()).await, tally);
        }
        let stats = cache.stats().prefix("tally");
        assert_eq!((stats.loads, stats.fills, stats.unstored, stats.bad_entries), (3, 0, 3, 0));
        let [said] = &warnings(&log)[..] else { panic!("{:?}", log.text()) };
        assert!(said.contains("tally") && said.contains("what-json-loses.md"), "{said}");
    }

    /// Four bytes each in JSON: two of eight MiB are one too many.
    async fn a_list_of_bytes_over_the_limit_is_not_stored_and_said_once_by_name(store: TestStore) {
        let cache = store.cache().await;
        let (log, _listening) = Log::listen();
        for _ in 0..2 {
            assert_eq!(get_bytes(&cache, 1, vec![200; 2 << 20]).await.len(), 2 << 20);
        }
        let stats = cache.stats().prefix("bytes");
        assert_eq!((stats.loads, stats.fills, stats.unstored), (2, 0, 2));
        let [said] = &warnings(&log)[..] else { panic!("{:?}", log.text()) };
        assert!(said.contains("bytes") && said.contains("value_bytes_max"), "{said}");
        get_bytes(&cache, 2, vec![200; 2_000_000]).await;
        assert_eq!(get_bytes(&cache, 2, Vec::new()).await.len(), 2_000_000);
    }

    async fn a_batch_and_a_write_through_store_no_such_value_either(store: TestStore) {
        let cache = store.cache().await;
        for loads in 1..=3 {
            assert_eq!(get_rows(&cache, &[1, 2], LOST).await.unwrap()[&2], Row { id: 2, ..LOST });
            let stats = cache.stats().prefix("row");
            assert_eq!((stats.loads, stats.fills, stats.unstored), (loads, 0, 2 * loads));
        }
        let kept = Row { id: 3, seen: None };
        get_row(&cache, 3, kept.clone()).await;
        set_row(&cache, 3, LOST).await;
        assert_eq!(get_row(&cache, 3, kept.clone()).await, kept, "the old value is gone, and so is the lost one");
        assert_eq!(cache.stats().prefix("row").loads, 5);
    }

    async fn floats_come_back_to_the_last_bit(store: TestStore) {
        let cache = store.cache().await;
        let floats = vec![0.09144338512092887_f64, 117.63331139400017, 32.895951, -0.0, 5e-324];
        for _ in 0..2 {
            let Ok(same) = cache.get_or_load("floats", || async { Ok::<_, std::convert::Infallible>(floats.clone()) }).await;
            assert!(same.iter().zip(&floats).all(|(same, float)| same.to_bits() == float.to_bits()), "{same:?}");
        }
        assert_eq!(cache.stats().prefix("floats").hits, 1);
    }
}
