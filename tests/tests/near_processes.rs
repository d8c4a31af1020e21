//! Copies in four real processes, each of which changes what all of them read. Every read is
//! checked: a copy is old for a second at most, after a change of its own process not at all, and
//! what is no copy is never old.

use std::time::Duration;

use cache_tests::{
    ClusterSet, Fault, FaultProxy, NearCrowd, NearRun, NearTally, PATIENCE, TestStore, each_deployment, each_server,
    slot_of,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-near");
const PROCESSES: usize = 4;
/// Of a cluster, if its URL does not say.
const PARTITIONS: u16 = 16;
/// For how long a copy may be served after the last answer of its connection.
const TRUST: Duration = Duration::from_secs(1);
/// It lasts so long that a copy which is never dropped grows too old.
const RUN: NearRun = NearRun { reads: 1_000, lasts: Duration::from_millis(1_500), changes: true };

fn check(tallies: &[NearTally]) {
    for tally in tallies {
        assert_eq!(tally.wrong, 0, "of {} reads", tally.reads);
        assert!(tally.staleness_max() <= TRUST, "a copy was old for {:?}", tally.staleness_max());
    }
}

each_deployment! {
    #![multi_thread]
    async fn no_read_of_four_processes_is_older_than_the_bound(store: TestStore) {
        let urls = vec![store.url().to_owned(); PROCESSES];
        let mut crowd = NearCrowd::start(PROGRAM, &[], &urls, store.namespace(), PATIENCE).await;
        let tallies = crowd.run(0..PROCESSES, RUN).await;
        check(&tallies);
        assert!(tallies.iter().all(|tally| tally.near_hits > 0), "there were copies: {tallies:?}");
    }
}

each_server! {
    #![multi_thread]
    async fn no_read_is_older_than_the_bound_while_a_connection_is_silent(store: TestStore) {
        let address = store.url().strip_prefix("redis://").unwrap().parse().unwrap();
        let mut proxies = Vec::new();
        for _ in 0..PROCESSES {
            proxies.push(FaultProxy::start(address).await);
        }
        let urls: Vec<String> = proxies.iter().map(FaultProxy::url).collect();
        // A silent connection must be mistrusted, and not be given up.
        let mut crowd = NearCrowd::start(PROGRAM, &[], &urls, store.namespace(), PATIENCE).await;
        check(&crowd.run(0..PROCESSES, NearRun { lasts: Duration::ZERO, ..RUN }).await);
        proxies[0].set(Fault::Stall).await;
        // It would doubt its copies after a change of its own.
        crowd.begin(0, NearRun { changes: false, ..RUN }).await;
        let mut tallies = crowd.run(1..PROCESSES, RUN).await;
        proxies[0].set(Fault::None).await;
        tallies.push(crowd.end(0).await);
        check(&tallies);
    }

    /// A connection that goes on answering says nothing of what its node serves no more.
    async fn no_read_is_older_than_the_bound_while_partitions_move(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let urls = vec![set.url(); PROCESSES];
        let mut crowd = NearCrowd::start(PROGRAM, &[], &urls, store.namespace(), PATIENCE).await;
        check(&crowd.run(0..PROCESSES, NearRun { lasts: Duration::ZERO, ..RUN }).await);
        for process in 0..PROCESSES {
            crowd.begin(process, NearRun { lasts: 2 * RUN.lasts, ..RUN }).await;
        }
        for partition in 0..PARTITIONS {
            let from = set.owner(slot_of(partition)).await;
            set.move_slot(slot_of(partition), (from + 1) % 3).await;
        }
        set.fail_over(slot_of(0)).await;
        let mut tallies = Vec::new();
        for process in 0..PROCESSES {
            tallies.push(crowd.end(process).await);
        }
        check(&tallies);
        assert!(tallies.iter().all(|tally| tally.near_hits > 0), "there were copies: {tallies:?}");
    }
}
