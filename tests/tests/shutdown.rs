//! The end of a process that still owes invalidations.

use std::time::Duration;

use cache_core::{Cache, Invalidation};
use cache_tests::{Fault, FaultProxy, PATIENCE, Server, TestStore, each_server, ready};

async fn get(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_load::<u32, (), _>(key, || async move { Ok(value) }).await.unwrap()
}

/// A cache behind a proxy that refuses it, and that has failed to invalidate `a:1`; and another
/// process, which is served `a:1`.
async fn owing(store: &TestStore, server: &Server) -> (Cache, FaultProxy, Cache) {
    let proxy = FaultProxy::start(server.address()).await;
    let ending = ready(Cache::builder().url(proxy.url()).namespace(store.namespace())).await;
    let other = ready(store.builder().url(server.url())).await;
    get(&other, "a:1", 1).await;
    proxy.set(Fault::Refuse).await;
    for _ in 0..10 {
        assert!(ending.invalidate_key("a:1").await.is_err());
    }
    (ending, proxy, other)
}

each_server! {
    #![multi_thread]

    async fn what_could_not_be_sent_goes_through_a_file_to_the_next_process(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (ending, _proxy, other) = owing(&store, &server).await;
        let owed = ending.shutdown(Duration::from_millis(300)).await;
        let file = server.directory().join("owed.json");
        std::fs::write(&file, owed.to_json().unwrap()).unwrap();
        assert_eq!(get(&other, "a:1", 2).await, 1, "nobody has told it");

        let next = ready(store.builder().url(server.url())).await;
        let owed = std::fs::read_to_string(&file).unwrap();
        assert_eq!(next.invalidate(Invalidation::from_json(&owed).unwrap()).await.unwrap().entries, 1);
        assert_eq!(get(&other, "a:1", 2).await, 2);
    }

    /// The breaker is open by then, and lets nothing through.
    async fn it_waits_for_a_server_that_comes_back(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let (ending, proxy, other) = owing(&store, &server).await;
        let shutdown = tokio::spawn(async move { ending.shutdown(PATIENCE).await.is_empty() });
        proxy.set(Fault::None).await;
        assert!(shutdown.await.unwrap());
        assert_eq!(get(&other, "a:1", 2).await, 2);
    }

    async fn calls_go_on_after_it(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        let cache = ready(store.builder().url(server.url())).await;
        get(&cache, "a:1", 1).await;
        for _ in 0..2 {
            assert!(cache.shutdown(PATIENCE).await.is_empty());
        }
        assert_eq!(get(&cache, "a:1", 2).await, 1);
        assert_eq!(cache.invalidate_key("a:1").await.unwrap().entries, 1);
        assert_eq!(get(&cache, "a:1", 2).await, 2);
    }
}
