//! What a cluster does to its slots and its nodes, with a namespace in sixteen partitions: nothing
//! stale is served, and whoever needs nothing of what has failed does not notice.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Cache, ErrorKind, cached};
use cache_tests::{ClusterSet, FOREVER, Gate, TestStore, each_server, home_of, ready, slot_of, until};
use tokio::task::JoinHandle;

const PARTITIONS: u16 = 16;

/// One process of an application.
#[derive(Clone)]
struct App {
    cache: Cache,
    source: Arc<AtomicU32>,
    loads: Arc<AtomicU32>,
    /// Where loads wait after they have read.
    gate: Option<Gate>,
}

#[cached(prefix = "item", ttl = "600s", cache = app.cache, skip(app), tags = ["of:{tag}"])]
async fn item(app: &App, at: u32, tag: u32) -> u32 {
    let read = app.source.load(Ordering::SeqCst);
    app.loads.fetch_add(1, Ordering::SeqCst);
    if let Some(gate) = &app.gate {
        gate.pass().await;
    }
    read
}

#[cached(prefix = "row", each = ats, ttl = "600s", cache = app.cache, skip(app), tags = ["of:{tag}"])]
async fn rows(app: &App, ats: &[u32], tag: u32) -> Result<HashMap<u32, u32>, Infallible> {
    // What it belongs to does not change what it is.
    _ = tag;
    app.loads.fetch_add(ats.len() as u32, Ordering::SeqCst);
    Ok(ats.iter().map(|at| (*at, app.source.load(Ordering::SeqCst))).collect())
}

impl App {
    async fn start(set: &ClusterSet, store: &TestStore) -> Self {
        let url = format!("{}/?partitions={PARTITIONS}", set.url());
        let cache = ready(store.builder().url(url)).await;
        Self { cache, source: Arc::new(AtomicU32::new(1)), loads: Arc::default(), gate: None }
    }

    /// Another process on the same source.
    async fn another(&self, set: &ClusterSet, store: &TestStore) -> Self {
        Self { cache: Self::start(set, store).await.cache, ..self.clone() }
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    async fn is_hit(&self, (at, tag): (u32, u32)) -> bool {
        let before = self.loads();
        item(self, at, tag).await;
        self.loads() == before
    }

    /// Stores and invalidates an item of this partition, as is acknowledged by a node whose replica
    /// does not hear of it.
    async fn invalidates_unheard(&self, set: &ClusterSet, partition: u16, (at, tag): (u32, u32)) -> (usize, usize) {
        item(self, at, tag).await;
        assert!(self.is_hit((at, tag)).await);
        let cut = set.cut_off(slot_of(partition)).await;
        self.source.store(2, Ordering::SeqCst);
        assert_eq!(self.cache.invalidate_key(item::key(&at, &tag)).await.unwrap().entries, 1);
        cut
    }

    /// A load of what another process has just invalidated. It has read, and waits at the gate.
    async fn loads_behind_a_gate(&self, other: &Self, (at, tag): (u32, u32)) -> (Gate, JoinHandle<u32>) {
        let gate = Gate::new();
        other.cache.invalidate_key(item::key(&at, &tag)).await.unwrap();
        let app = Self { gate: Some(gate.clone()), ..self.clone() };
        let loading = tokio::spawn(async move { item(&app, at, tag).await });
        gate.reached().await;
        (gate, loading)
    }
}

/// An item that is at home in one partition, with a tag that is at home in another one.
fn item_of(partition: u16, of_tag: u16) -> (u32, u32) {
    let tag = (0..).find(|tag| home_of(&format!("of:{tag}"), PARTITIONS) == of_tag).unwrap();
    let at = (0..).find(|at| home_of(item::key(at, &tag).as_str(), PARTITIONS) == partition).unwrap();
    (at, tag)
}

/// Rows of one partition, with a tag.
fn rows_in(partition: u16, tag: u32) -> impl Iterator<Item = u32> {
    (0..).filter(move |at| home_of(rows::key(at, &tag).as_str(), PARTITIONS) == partition)
}

/// The partitions that a node serves, and the others.
async fn served_by(set: &ClusterSet, node: usize) -> (Vec<u16>, Vec<u16>) {
    let (mut served, mut others) = (Vec::new(), Vec::new());
    for partition in 0..PARTITIONS {
        let is_there = set.owner(slot_of(partition)).await == node;
        if is_there { &mut served } else { &mut others }.push(partition);
    }
    (served, others)
}

/// Partitions of two nodes.
async fn two_homes(set: &ClusterSet) -> (u16, u16) {
    (0, partition_elsewhere(set, set.owner(slot_of(0)).await, 1).await)
}

/// The first partition from this one on that this node does not serve.
async fn partition_elsewhere(set: &ClusterSet, node: usize, from: u16) -> u16 {
    for partition in from..PARTITIONS {
        if set.owner(slot_of(partition)).await != node {
            return partition;
        }
    }
    unreachable!("three primaries serve equal parts of the slots");
}

each_server! {
    #![multi_thread]

    async fn a_partition_that_has_moved_is_followed_by_hits_and_by_scripts(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let items: Vec<_> = (0..PARTITIONS).map(|partition| item_of(partition, (partition + 5) % PARTITIONS)).collect();
        for (at, tag) in &items {
            item(&app, *at, *tag).await;
        }
        let loads = app.loads();
        for moved in [0, 1, 7] {
            let from = set.owner(slot_of(moved)).await;
            set.move_slot(slot_of(moved), (from + 1) % 3).await;
        }
        for (at, tag) in &items {
            assert_eq!(item(&app, *at, *tag).await, 1);
        }
        assert_eq!(app.loads(), loads, "no value was lost, and no call missed");
        let other = app.another(&set, &store).await;
        app.source.store(2, Ordering::SeqCst);
        for (_, tag) in &items {
            assert_eq!(other.cache.invalidate_tag(format!("of:{tag}")).await.unwrap().entries, 1);
        }
        for (at, tag) in &items {
            assert_eq!(item(&app, *at, *tag).await, 2);
        }
    }

    /// ★ On the other node a script would find half of what it needs, and report success.
    async fn while_a_slot_is_moved_key_by_key_invalidations_are_owed_and_kept_after_it(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let other = app.another(&set, &store).await;
        let (partition, of_tag) = two_homes(&set).await;
        let (at, tag) = item_of(partition, of_tag);
        let mut version = 1;
        // The slot of the entry and the slot of its tag; what of it has been moved already.
        for (moved, clock_goes_first) in [(partition, true), (partition, false), (of_tag, true), (of_tag, false)] {
            until(async || app.is_hit((at, tag)).await).await;
            let slot = slot_of(moved);
            let to = (set.owner(slot).await + 1) % 3;
            let step = set.begin_move(slot, to).await;
            let keys = set.keys_left(&step, 1_000).await;
            let (clocks, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.ends_with("~clock"));
            let (first, last) = if clock_goes_first { (clocks, others) } else { (others, clocks) };
            assert!(!first.is_empty() && !last.is_empty());
            set.move_these(&step, &first).await;
            version += 1;
            app.source.store(version, Ordering::SeqCst);
            let error = app.cache.invalidate_tag(format!("of:{tag}")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(app.cache.health().owes_invalidations);
            assert_eq!(item(&app, at, tag).await, version, "who owes it goes past the cache");
            set.move_these(&step, &last).await;
            set.end_move(step).await;
            until(async || !app.cache.health().owes_invalidations).await;
            assert_eq!(item(&other, at, tag).await, version);
        }
    }

    async fn a_node_that_stands_still_holds_up_nobody_who_needs_nothing_of_it(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        set.be_patient().await;
        let mut app = App::start(&set, &store).await;
        // Who waits for the node waits for longer than the test may take.
        let url = format!("{}/?partitions={PARTITIONS}", set.url());
        app.cache = ready(store.builder().operation_deadline(FOREVER).url(url)).await;
        let (struck, first) = two_homes(&set).await;
        let node = set.owner(slot_of(struck)).await;
        let mut elsewhere = Vec::new();
        for partition in first..PARTITIONS {
            if set.owner(slot_of(partition)).await != node {
                elsewhere.push(partition);
            }
        }
        let items: Vec<_> = elsewhere.iter().map(|partition| item_of(*partition, first)).collect();
        for (at, tag) in &items {
            item(&app, *at, *tag).await;
        }
        let (held, tag) = item_of(struck, first);
        set.nodes[node].pause();
        let waits = tokio::spawn({
            let app = app.clone();
            async move { item(&app, held, tag).await }
        });
        for (at, tag) in &items {
            assert!(app.is_hit((*at, *tag)).await);
        }
        app.source.store(2, Ordering::SeqCst);
        for (at, tag) in &items {
            assert_eq!(app.cache.invalidate_key(item::key(at, tag)).await.unwrap().entries, 1);
            assert_eq!(item(&app, *at, *tag).await, 2);
            assert!(app.is_hit((*at, *tag)).await, "it was stored");
        }
        assert!(!waits.is_finished());
        set.nodes[node].resume();
        assert_eq!(waits.await.unwrap(), 2);
    }

    /// A call for many keys needs all nodes, and does without the one that stands still.
    async fn a_node_that_stands_still_takes_its_own_keys_of_a_large_call_along_and_no_others(store: TestStore) {
        const DEADLINE: Duration = Duration::from_secs(4);
        let set = ClusterSet::start(store.kind().unwrap()).await;
        set.be_patient().await;
        let mut app = App::start(&set, &store).await;
        let url = format!("{}/?partitions={PARTITIONS}", set.url());
        app.cache = ready(store.builder().operation_deadline(DEADLINE).url(url)).await;
        let (struck, first) = two_homes(&set).await;
        let node = set.owner(slot_of(struck)).await;
        let (held, elsewhere) = served_by(&set, node).await;
        let (_, tag) = item_of(struck, first);
        let of = |partitions: &[u16], skipped: usize| -> Vec<u32> {
            partitions.iter().flat_map(|of| rows_in(*of, tag).skip(skipped).take(2)).collect()
        };
        let (warm, cold) = ([of(&held, 0), of(&elsewhere, 0)].concat(), [of(&held, 2), of(&elsewhere, 2)].concat());
        rows(&app, &warm, tag).await.unwrap();
        let loads = app.loads();
        assert_eq!(rows(&app, &warm, tag).await.unwrap().len(), warm.len());
        assert_eq!(app.loads(), loads, "all of them were stored");
        app.source.store(2, Ordering::SeqCst);
        set.nodes[node].pause();
        let begun = Instant::now();
        let found = rows(&app, &[&warm[..], &cold].concat(), tag).await.unwrap();
        let took = begun.elapsed();
        assert!(took < DEADLINE, "{took:?}");
        let is_hit = |at: &u32| of(&elsewhere, 0).contains(at);
        for (at, value) in &found {
            assert_eq!(*value, if is_hit(at) { 1 } else { 2 }, "{at}");
        }
        assert_eq!(app.loads() - loads, (cold.len() + of(&held, 0).len()) as u32, "what others have is not loaded");
        let loads = app.loads();
        let stored = [of(&elsewhere, 0), of(&elsewhere, 2)].concat();
        assert_eq!(rows(&app, &stored, tag).await.unwrap().len(), stored.len());
        assert_eq!(app.loads(), loads, "what is at home elsewhere was stored");
        set.nodes[node].resume();
    }

    async fn what_one_node_does_not_say_keeps_nobody_from_the_rest_of_an_explanation_and_of_a_trail(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        set.be_patient().await;
        let mut app = App::start(&set, &store).await;
        let url = format!("{}/?partitions={PARTITIONS}", set.url());
        app.cache = ready(store.builder().operation_deadline(Duration::from_secs(2)).url(url)).await;
        let (struck, first) = two_homes(&set).await;
        let node = set.owner(slot_of(struck)).await;
        let (held, elsewhere) = served_by(&set, node).await;
        let (at, tag) = item_of(*elsewhere.last().unwrap(), first);
        item(&app, at, tag).await;
        let mut trail = app.cache.follow_invalidations();
        assert!(trail.look().await.unwrap().is_everything());
        set.nodes[node].pause();
        let told = app.cache.explain(item::key(&at, &tag)).await.unwrap();
        assert!(told.entry.is_some());
        assert_eq!(usize::from(told.unanswered_partitions), held.len());
        app.cache.invalidate_key(item::key(&at, &tag)).await.unwrap();
        let step = trail.look().await.unwrap();
        assert_eq!((step.is_everything(), usize::from(step.unanswered_partitions())), (false, held.len()));
        assert!(!step.is_empty());
        set.nodes[node].resume();
        until(async || {
            let step = trail.look().await.unwrap();
            assert!(!step.is_everything(), "it goes on from where it was");
            step.unanswered_partitions() == 0
        })
        .await;
    }

    /// ★ Its node alone has the number of partitions that decides: the others have copies.
    async fn a_process_that_starts_while_the_first_partition_is_away_uses_all_others(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        set.be_patient().await;
        let app = App::start(&set, &store).await;
        let (struck, first) = two_homes(&set).await;
        assert_eq!(struck, 0);
        let node = set.owner(slot_of(struck)).await;
        let second = partition_elsewhere(&set, node, first + 1).await;
        let (stored, new) = (item_of(first, second), item_of(second, first));
        item(&app, stored.0, stored.1).await;
        set.nodes[node].pause();
        let starts = |partitions: u16| {
            let url = format!("{}/?partitions={partitions}", set.url());
            // Whoever needs the node waits as long.
            store.builder().operation_deadline(Duration::from_secs(1)).url(url).build().unwrap()
        };
        let late = App { cache: starts(PARTITIONS), ..app.clone() };
        until(async || late.is_hit(stored).await).await;
        until(async || late.is_hit(new).await).await;
        late.source.store(2, Ordering::SeqCst);
        for (at, tag) in [stored, new] {
            assert_eq!(late.cache.invalidate_tag(format!("of:{tag}")).await.unwrap().entries, 1);
            assert_eq!(item(&late, at, tag).await, 2);
            assert!(late.is_hit((at, tag)).await, "it was stored");
        }
        let wrong = starts(PARTITIONS / 2);
        until(async || wrong.invalidate_key("item:0").await.unwrap_err().kind() == ErrorKind::Config).await;
        set.nodes[node].resume();
    }

    /// ★ The home of the tag has lost the list of what carries it; or the partition of the entry
    /// has lost its fences.
    async fn what_one_node_has_lost_is_still_invalidated_everywhere(store: TestStore) {
        let set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let other = app.another(&set, &store).await;
        let (one, two) = two_homes(&set).await;
        let mut version = 1;
        for (of_entry, of_tag) in [(one, two), (two, one)] {
            let (at, tag) = item_of(of_entry, of_tag);
            // Lists that the turn before has lost are made anew in the background. Until then,
            // fills are refused.
            until(async || app.is_hit((at, tag)).await).await;
            // The node of the tag.
            version += 1;
            app.source.store(version, Ordering::SeqCst);
            set.raw(slot_of(of_tag)).await.command::<()>("FLUSHALL", &[]).await;
            assert_eq!(other.cache.invalidate_tag(format!("of:{tag}")).await.unwrap().entries, 1);
            assert_eq!(item(&app, at, tag).await, version);
            // Either one, while the load is under way.
            for flushed in [of_tag, of_entry] {
                let (gate, loading) = app.loads_behind_a_gate(&other, (at, tag)).await;
                version += 1;
                app.source.store(version, Ordering::SeqCst);
                set.raw(slot_of(flushed)).await.command::<()>("FLUSHALL", &[]).await;
                other.cache.invalidate_tag(format!("of:{tag}")).await.unwrap();
                gate.open_for_good();
                assert_eq!(loading.await.unwrap(), version - 1, "it began before");
                assert_eq!(item(&other, at, tag).await, version);
            }
            until(async || app.is_hit((at, tag)).await).await;
        }
    }

    /// One primary is gone and has no replica: under `cluster-require-full-coverage`, which is the
    /// default, the others serve nothing either.
    async fn a_cluster_that_is_down_is_bypassed_and_gets_what_is_owed_when_it_is_back(store: TestStore) {
        let mut set = ClusterSet::without_replicas(store.kind().unwrap(), 3).await;
        let app = App::start(&set, &store).await;
        let other = app.another(&set, &store).await;
        let (struck, elsewhere) = two_homes(&set).await;
        let node = set.owner(slot_of(struck)).await;
        // All of the first one is where nobody has died.
        let items = [item_of(elsewhere, elsewhere), item_of(struck, elsewhere), item_of(elsewhere, struck)];
        for (at, tag) in items {
            item(&app, at, tag).await;
            assert!(app.is_hit((at, tag)).await);
        }
        set.nodes[node].stop();
        until(async || set.is_down().await).await;
        app.source.store(2, Ordering::SeqCst);
        for (at, tag) in items {
            for process in [&app, &other, &app, &other] {
                assert!(!process.is_hit((at, tag)).await, "calls load");
            }
            let error = app.cache.invalidate_tag(format!("of:{tag}")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        let error = app.cache.invalidate_key(item::key(&items[0].0, &items[0].1)).await.unwrap_err();
        assert!(error.to_string().contains("CLUSTERDOWN"), "{error}");
        assert!(app.cache.health().owes_invalidations);
        set.nodes[node].start_again();
        set.settled().await;
        until(async || !app.cache.health().owes_invalidations).await;
        for (at, tag) in items {
            for process in [&app, &other] {
                assert_eq!(item(process, at, tag).await, 2);
                until(async || process.is_hit((at, tag)).await).await;
            }
            assert!(app.cache.invalidate_tag(format!("of:{tag}")).await.is_ok());
        }
    }

    async fn what_is_invalidated_after_a_failover_is_served_by_nobody(store: TestStore) {
        let mut set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let other = app.another(&set, &store).await;
        let (of_entry, of_tag) = two_homes(&set).await;
        let (at, tag) = item_of(of_entry, of_tag);
        item(&app, at, tag).await;
        let mut version = 1;
        for (struck, is_killed) in [(of_entry, false), (of_tag, false), (of_entry, true)] {
            let (gate, loading) = app.loads_behind_a_gate(&other, (at, tag)).await;
            version += 1;
            app.source.store(version, Ordering::SeqCst);
            if is_killed {
                let node = set.owner(slot_of(struck)).await;
                set.nodes[node].stop();
                until(async || set.owner(slot_of(struck)).await != node).await;
            } else {
                set.fail_over(slot_of(struck)).await;
            }
            until(async || other.cache.invalidate_tag(format!("of:{tag}")).await.is_ok()).await;
            gate.open_for_good();
            assert_eq!(loading.await.unwrap(), version - 1, "it began before");
            for process in [&app, &other] {
                assert_eq!(item(process, at, tag).await, version);
            }
            set.settled().await;
            until(async || app.is_hit((at, tag)).await).await;
        }
    }

    /// Replication is asynchronous on a cluster, too. Whoever has seen what is lost does without
    /// everything that lies there, for nothing tells what is old.
    async fn who_has_seen_what_a_failover_loses_is_not_served_what_it_brings_back(store: TestStore) {
        let mut set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let (struck, of_tag) = two_homes(&set).await;
        let (lost, beside) = (item_of(struck, of_tag), item_of(struck, struck));
        item(&app, beside.0, beside.1).await;
        let cut = app.invalidates_unheard(&set, struck, lost).await;
        set.lose(cut, slot_of(struck)).await;
        until(async || {
            let before = app.loads();
            assert_eq!(item(&app, lost.0, lost.1).await, 2);
            app.loads() == before
        })
        .await;
        until(async || !app.cache.health().owes_invalidations).await;
        assert!(!app.is_hit(beside).await);
    }

    /// What is not promised: nobody is left who has seen it.
    async fn who_starts_after_a_failover_is_served_what_it_has_brought_back(store: TestStore) {
        let mut set = ClusterSet::start(store.kind().unwrap()).await;
        let app = App::start(&set, &store).await;
        let (struck, of_tag) = two_homes(&set).await;
        let lost = item_of(struck, of_tag);
        let cut = app.invalidates_unheard(&set, struck, lost).await;
        drop(app);
        set.lose(cut, slot_of(struck)).await;
        let late = App::start(&set, &store).await;
        late.source.store(2, Ordering::SeqCst);
        assert_eq!(item(&late, lost.0, lost.1).await, 1);
        late.cache.invalidate_key(item::key(&lost.0, &lost.1)).await.unwrap();
        assert_eq!(item(&late, lost.0, lost.1).await, 2);
    }
}
