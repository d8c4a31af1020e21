//! Entries stored under keys that were given as text, and functions that cache under the same keys.

use cache_core::{Cache, cached};
use cache_tests::{Data, TestStore, each_store};

#[cached(prefix = "row", ttl = "60s", cache = cache, skip(cache, data), tags = ["row:{name}"])]
async fn row(cache: Cache, data: Data, name: String) -> String {
    data.read(&name).await
}

each_store! {
    async fn a_function_does_not_serve_what_lacks_its_tags(store: TestStore) {
        let (cache, data) = (store.cache().await, Data::new());
        data.set("r", "old");
        let call = || row(cache.clone(), data.clone(), "r".to_owned());
        assert!(cache.put("row:r", &data.read("r").await).await.unwrap().stored);
        assert_eq!(call().await, "old");
        data.set("r", "new");
        assert_eq!(cache.invalidate_tag("row:r").await.unwrap().entries, 1);
        assert_eq!(call().await, "new");
    }

    async fn a_function_does_not_follow_a_load_by_text(store: TestStore) {
        let (cache, data) = (store.cache().await, Data::new());
        data.set("r", "old");
        let held = data.hold("r");
        let by_text = tokio::spawn({
            let (cache, data) = (cache.clone(), data.clone());
            async move { cache.get_or_load("row:r", || async { Ok::<_, ()>(data.read("r").await) }).await }
        });
        held.reached().await;
        let call = tokio::spawn(row(cache.clone(), data.clone(), "r".to_owned()));
        held.open();
        assert_eq!(by_text.await.unwrap().unwrap(), "old");
        assert_eq!(call.await.unwrap(), "old");
        data.set("r", "new");
        assert_eq!(cache.invalidate_tag("row:r").await.unwrap().entries, 1);
        assert_eq!(row(cache, data, "r".to_owned()).await, "new");
    }

    async fn what_a_function_stored_is_found_by_its_text(store: TestStore) {
        let (cache, data) = (store.cache().await, Data::new());
        data.set("r", "1");
        assert_eq!(row(cache.clone(), data, "r".to_owned()).await, "1");
        let found = cache.get_or_load("row:r", || async { Err::<String, _>("stored already") }).await;
        assert_eq!(found.as_deref(), Ok("1"));
        assert_eq!(cache.peek::<String>("row:r").await.unwrap().as_deref(), Some("1"));
    }
}
