//! Two real processes on one server: what one of them invalidates, the other neither serves nor
//! fills. For processes that load one key at once see `stampede.rs`.

use std::sync::Arc;

use cache_tests::{Data, PAUSE, SentinelSet, TestStore, Worker, each_deployment, each_server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-worker");

struct Processes {
    data: Data,
    reader: Arc<Worker>,
    writer: Worker,
}

impl Processes {
    async fn start(store: &TestStore) -> Self {
        let data = Data::new();
        let start = || Worker::start(PROGRAM, store.url(), store.namespace(), data.source());
        let (reader, writer) = (Arc::new(start().await), start().await);
        Self { data, reader, writer }
    }

    async fn read(&self, entry: &str) -> String {
        self.reader.run(&format!("read {entry}")).await.expect("it lives").expect("reads do not fail")
    }

    async fn write(&self, command: &str) -> String {
        self.writer.run(command).await.expect("it lives").expect("the store answers")
    }
}

/// One process loads `entry` and is held at `row`; datum 1 changes;
/// the other process runs `command`.
async fn litmus(store: &TestStore, entry: &str, row: u64, command: &str) {
    let all = Processes::start(store).await;
    all.write("clear").await;
    let held = all.data.hold(&row.to_string());
    let late = tokio::spawn({
        let (reader, command) = (all.reader.clone(), format!("read {entry}"));
        async move { reader.run(&command).await }
    });
    held.reached().await;
    all.data.set("1", "7");
    all.write(command).await;
    held.open();
    let late = late.await.unwrap().unwrap().unwrap();
    assert!(late.contains("1=0"), "its own caller gets what it loaded: {late}");
    assert_ne!(all.reader.run("refused").await.unwrap().unwrap(), "0", "{command}");
    let after = all.read(entry).await;
    assert!(after.contains("1=7"), "{command}: {after}");
    let by_the_other = all.write(&format!("read {entry}")).await;
    assert!(by_the_other.contains("1=7"), "{command}: {by_the_other}");
}

each_server! {
    #![multi_thread]
    async fn behind_sentinels_a_load_is_refused_after_another_process_invalidated(store: TestStore) {
        let set = SentinelSet::start(store.kind().unwrap()).await;
        for command in ["key leaf:1", "tag group:1", "pattern le?f:1", "clear", "put 1 7"] {
            litmus(&TestStore::at(set.kind, set.url()), "leaf 1", 1, command).await;
        }
    }
}

each_deployment! {
    #![multi_thread]
    async fn a_load_is_refused_after_another_process_invalidated_its_key(store: TestStore) {
        litmus(&store, "leaf 1", 1, "key leaf:1").await;
    }

    async fn a_load_is_refused_after_another_process_invalidated_a_tag_of_its_result(store: TestStore) {
        litmus(&store, "leaf 1", 1, "tag group:1").await;
    }

    async fn a_load_is_refused_after_another_process_invalidated_a_pattern(store: TestStore) {
        litmus(&store, "leaf 1", 1, "pattern le?f:1").await;
    }

    async fn a_load_is_refused_after_another_process_cleared(store: TestStore) {
        litmus(&store, "leaf 1", 1, "clear").await;
    }

    async fn a_load_is_refused_after_another_process_put(store: TestStore) {
        litmus(&store, "leaf 1", 1, "put 1 7").await;
    }

    /// The leaf is stored when it falls; what is being made from it, one and two levels up, is not.
    async fn a_load_is_refused_after_another_process_invalidated_what_it_was_made_from(store: TestStore) {
        litmus(&store, "board 0", 2, "key leaf:1").await;
        litmus(&store, "board 0", 2 * PAUSE, "tag group:1").await;
    }
}
