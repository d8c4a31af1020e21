//! Caches made with `peer`: several processes of one program, as its tests see them.

use cache_core::{Cache, cached};
use cache_tests::{Data, TestStore, each_store};

#[cached(prefix = "row", ttl = "60s", cache = cache, skip(cache, data))]
async fn row(cache: Cache, data: Data, name: String) -> String {
    data.read(&name).await
}

each_store! {
    async fn peers_load_a_cold_key_once(store: TestStore) {
        let (here, data) = (store.cache().await, Data::new());
        data.set("r", "1");
        let held = data.hold("r");
        let first = tokio::spawn(row(here.clone(), data.clone(), "r".to_owned()));
        held.reached().await;
        let others: Vec<_> = (0..3).map(|_| tokio::spawn(row(here.peer(), data.clone(), "r".to_owned()))).collect();
        held.open();
        for call in others.into_iter().chain([first]) {
            assert_eq!(call.await.unwrap(), "1");
        }
        assert_eq!(data.reads("r"), 1);
    }

    async fn what_one_peer_invalidates_no_other_fills_or_serves(store: TestStore) {
        let (here, data) = (store.cache().await, Data::new());
        let there = here.peer();
        data.set("r", "old");
        let held = data.hold("r");
        let late = tokio::spawn(row(here.clone(), data.clone(), "r".to_owned()));
        held.reached().await;
        data.set("r", "new");
        there.invalidate_key("row:r").await.unwrap();
        held.open();
        assert_eq!(late.await.unwrap(), "old", "it was called before the change");
        for cache in [&here, &there, &here] {
            assert_eq!(row(cache.clone(), data.clone(), "r".to_owned()).await, "new");
        }
        assert_eq!((here.stats().total().refused_fills, data.reads("r")), (1, 2));
    }
}
