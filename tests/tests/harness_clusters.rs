//! What the harness does with clusters: otherwise the tests on clusters would prove nothing.

use cache_tests::{ClusterSet, PRIMARIES, TestStore, each_server, until};

/// `CLUSTER KEYSLOT` of `key`.
const SLOT: u16 = 12_539;

each_server! {
    async fn a_cluster_serves_each_slot_and_moves_one_with_its_keys(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        assert_eq!((set.owner(0).await, set.owner(SLOT).await), (0, 2));
        set.raw(SLOT).await.set("key", b"bytes").await;
        let step = set.begin_move(SLOT, 0).await;
        assert!(set.move_keys(&step, 10).await);
        assert!(!set.move_keys(&step, 10).await);
        assert_eq!(set.owner(SLOT).await, 2, "the move has not ended");
        set.end_move(step).await;
        until(async || set.owner(SLOT).await == 0).await;
        assert_eq!(set.raw(SLOT).await.get("key").await.as_deref(), Some(&b"bytes"[..]));
    }

    async fn a_primary_is_replaced_on_demand_and_when_it_is_gone(store: TestStore) {
        let mut set = ClusterSet::start(store.kind().unwrap()).await;
        assert_eq!(set.fail_over(SLOT).await, 2 + PRIMARIES);
        set.settled().await;
        set.nodes[2 + PRIMARIES].stop();
        until(async || set.owner(SLOT).await == 2).await;
    }
}
