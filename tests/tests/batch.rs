//! `each = ids`: one look, one load for exactly what is missing, entries and flights
//! shared with the single-key function.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Cache, Cacheable, cached};
use cache_tests::{Data, Gate, Server, TestStore, each_layout, each_server, ready};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h", tags = ["state:{self.state}"])]
struct Flight {
    id: u64,
    state: String,
    delay: String,
}

/// Each row has the name of an id and says the delay; `none` is no flight. Batch loads
/// are remembered, and may be held.
#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
    batches: Arc<Mutex<Vec<Vec<u64>>>>,
    held: Arc<Mutex<Vec<Gate>>>,
}

type Flights = HashMap<u64, Flight>;

#[cached(prefix = "flight", cache = app.cache, skip(app), tags = ["flight-{id}"], negative_ttl = "60s")]
async fn get_flight(app: &App, id: u64) -> Result<Option<Flight>, String> {
    app.flight(id).await
}

#[cached(
    prefix = "flight", each = ids, cache = app.cache, skip(app), negative_ttl = "60s",
    tags = ["flight-{ids}", "delay:{result.delay}"], when = |flight| flight.delay != "unstored"
)]
async fn get_flights(app: &App, ids: &[u64]) -> Result<HashMap<u64, Flight>, String> {
    app.flights(ids).await
}

/// No negative lifetime, owned ids, an owned parameter that the body moves, and another map.
#[cached(prefix = "owned", each = ids, ttl = "60s", cache = app.cache, skip(app))]
async fn owned_flights(app: &App, airline: String, mut ids: Vec<u64>) -> Result<BTreeMap<u64, String>, String> {
    ids.sort_unstable();
    let found = app.flights(&ids).await?;
    let airline = move |flight: Flight| format!("{airline} {}", flight.delay);
    Ok(found.into_iter().map(|(id, flight)| (id, airline(flight))).collect())
}

#[cached(prefix = "board", ttl = "60s", cache = app.cache, skip(app))]
async fn board(app: &App, ids: Vec<u64>) -> Result<Vec<String>, String> {
    let flights = get_flights(app, &ids).await?;
    Ok(ids.iter().filter_map(|id| Some(flights.get(id)?.delay.clone())).collect())
}

/// Made also from loads that fail, and from values that are not stored.
#[cached(prefix = "status", ttl = "60s", cache = app.cache, skip(app))]
async fn status(app: &App, id: u64) -> String {
    get_flights(app, &[id]).await.map_or_else(|error| error, |flights| flights[&id].delay.clone())
}

/// Calls the function of one id inside, for keys that the batch itself is loading.
#[cached(prefix = "flight", each = ids, cache = app.cache, skip(app))]
async fn one_by_one(app: &App, ids: &[u64]) -> Result<HashMap<u64, Flight>, String> {
    let mut found = HashMap::new();
    for id in ids {
        found.extend(get_flight(app, *id).await?.map(|flight| (*id, flight)));
    }
    Ok(found)
}

/// Calls the single-key function inside.
#[cached(prefix = "label", each = codes, ttl = "60s", cache = app.cache, skip(app))]
async fn labels<'a>(app: &App, codes: &[&'a str]) -> Result<HashMap<&'a str, String>, String> {
    let first = get_flight(app, 1).await?.map_or_else(String::new, |flight| flight.delay);
    Ok(codes.iter().map(|code| (*code, format!("{code} {first}"))).collect())
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self::on(store.cache().await)
    }

    fn on(cache: Cache) -> Self {
        Self { cache, data: Data::new(), batches: Arc::default(), held: Arc::default() }
    }

    /// As another process has it.
    async fn other(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, ..self.clone() }
    }

    async fn flight(&self, id: u64) -> Result<Option<Flight>, String> {
        let delay = self.data.read(&id.to_string()).await;
        match delay.as_str() {
            "error" => Err(delay),
            "none" => Ok(None),
            _ => Ok(Some(Flight { id, state: "TX".to_owned(), delay })),
        }
    }

    async fn flights(&self, ids: &[u64]) -> Result<Flights, String> {
        self.batches.lock().unwrap().push(ids.to_vec());
        let mut found = HashMap::new();
        for id in ids {
            found.extend(self.flight(*id).await?.map(|flight| (*id, flight)));
        }
        let held = self.held.lock().unwrap().pop();
        if let Some(gate) = held {
            gate.pass().await;
        }
        Ok(found)
    }

    /// Stops the next batch load after it has read.
    fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.held.lock().unwrap().push(gate.clone());
        gate
    }

    fn begin(&self, ids: &[u64]) -> JoinHandle<Result<Flights, String>> {
        let (app, ids) = (self.clone(), ids.to_vec());
        tokio::spawn(async move { get_flights(&app, &ids).await })
    }

    /// The ids that came back, sorted.
    async fn ids(&self, ids: &[u64]) -> Vec<u64> {
        let mut found: Vec<u64> = get_flights(self, ids).await.unwrap().into_keys().collect();
        found.sort_unstable();
        found
    }

    fn batches(&self) -> Vec<Vec<u64>> {
        self.batches.lock().unwrap().clone()
    }

    async fn stored(&self, id: u64) -> bool {
        self.cache.peek(&get_flights::key(&id)).await.unwrap().is_some()
    }
}

each_layout! {
    async fn one_load_has_exactly_what_is_missing_once_and_in_order(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(app.ids(&[2]).await, [2]);
        assert_eq!(app.ids(&[3, 1, 3, 2, 1]).await, [1, 2, 3]);
        assert_eq!(app.ids(&[1, 2, 3]).await, [1, 2, 3]);
        assert_eq!(app.batches(), [vec![2], vec![3, 1]]);
        let stats = app.cache.stats().total().clone();
        assert_eq!((stats.hits, stats.misses, stats.loads, stats.fills, stats.bad_entries), (4, 3, 2, 3, 0));
    }

    async fn without_ids_nobody_is_asked(store: TestStore) {
        let app = App::new(&store).await;
        assert!(app.ids(&[]).await.is_empty());
        assert_eq!(app.batches(), Vec::<Vec<u64>>::new());
        assert_eq!(app.cache.stats().total().store_time, Duration::ZERO);
    }

    async fn the_single_function_reads_what_a_batch_stored_and_the_other_way_round(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("2", "none");
        assert_eq!(get_flights::key(&42).as_str(), get_flight::key(&42).as_str());
        assert_eq!(app.ids(&[1, 2]).await, [1]);
        assert_eq!(get_flight(&app, 1).await.unwrap().map(|flight| flight.id), Some(1));
        assert_eq!(get_flight(&app, 2).await.unwrap(), None);
        get_flight(&app, 3).await.unwrap();
        assert_eq!(app.ids(&[1, 2, 3]).await, [1, 3]);
        assert_eq!(app.batches(), [[1, 2]]);
        let stats = app.cache.stats().total().clone();
        assert_eq!((stats.loads, stats.bad_entries), (2, 0));
    }

    async fn an_id_that_was_not_loaded_is_remembered_only_with_a_negative_lifetime(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("2", "none");
        for _ in 0..2 {
            assert_eq!(app.ids(&[1, 2]).await, [1]);
            let owned = owned_flights(&app, "XX".to_owned(), vec![2, 1]).await.unwrap();
            assert_eq!(owned, BTreeMap::from([(1, "XX ".to_owned())]));
        }
        assert_eq!(app.batches(), [vec![1, 2], vec![1, 2], vec![2]]);
    }

    async fn an_error_stores_nothing_and_is_returned(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("2", "error");
        assert_eq!(get_flights(&app, &[1, 2]).await, Err("error".to_owned()));
        assert!(!app.stored(1).await);
        app.data.set("2", "");
        assert_eq!(app.ids(&[1, 2]).await, [1, 2]);
    }

    async fn one_refused_fill_leaves_the_others_stored(store: TestStore) {
        let app = App::new(&store).await;
        let held = app.hold();
        let call = app.begin(&[1, 2, 3]);
        held.reached().await;
        app.cache.invalidate_key(get_flight::key(&2)).await.unwrap();
        held.open();
        assert_eq!(call.await.unwrap().unwrap().len(), 3);
        assert_eq!((app.stored(1).await, app.stored(2).await, app.stored(3).await), (true, false, true));
        assert_eq!(app.cache.stats().total().refused_fills, 1);
    }

    async fn a_batch_load_that_an_invalidation_overtook_is_not_served_afterwards(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("1", "old");
        let held = app.hold();
        let call = app.begin(&[1]);
        held.reached().await;
        app.data.set("1", "new");
        app.cache.invalidate_key(get_flight::key(&1)).await.unwrap();
        assert_eq!(get_flights(&app, &[1]).await.unwrap()[&1].delay, "new");
        held.open();
        call.await.unwrap().unwrap();
        assert_eq!(get_flights(&app, &[1]).await.unwrap()[&1].delay, "new");
    }

    async fn each_entry_has_its_own_tags(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("1", "late");
        assert_eq!(app.ids(&[1, 2, 3]).await, [1, 2, 3]);
        assert_eq!(app.cache.invalidate_tag("delay:late").await.unwrap().entries, 1);
        assert_eq!(app.cache.invalidate_tag("flight-2").await.unwrap().entries, 1);
        assert_eq!(app.cache.invalidate_tag("state:TX").await.unwrap().entries, 1);
    }

    async fn a_negative_entry_falls_with_the_tag_of_its_id(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("2", "none");
        assert!(app.ids(&[2]).await.is_empty());
        app.data.set("2", "there");
        app.cache.invalidate_tag("flight-2").await.unwrap();
        assert_eq!(app.ids(&[2]).await, [2]);
    }

    async fn when_decides_for_each_value(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("2", "unstored");
        assert_eq!(app.ids(&[1, 2]).await, [1, 2]);
        assert_eq!((app.stored(1).await, app.stored(2).await), (true, false));
    }

    async fn what_is_made_from_a_batch_falls_with_each_of_its_entries(store: TestStore) {
        let app = App::new(&store).await;
        for (id, delay) in [(2, "hit"), (3, "load")] {
            get_flights(&app, &[2]).await.unwrap();
            board(&app, vec![2, 3]).await.unwrap();
            app.data.set(&id.to_string(), delay);
            app.cache.invalidate_key(get_flight::key(&id)).await.unwrap();
            assert!(board(&app, vec![2, 3]).await.unwrap().contains(&delay.to_owned()));
        }
    }

    async fn what_is_made_from_a_batch_that_stores_nothing_falls_with_its_tags(store: TestStore) {
        let app = App::new(&store).await;
        for (delay, tag) in [("error", "flight-1"), ("unstored", "delay:unstored")] {
            app.data.set("1", delay);
            assert_eq!(status(&app, 1).await, delay);
            assert!(!app.stored(1).await);
            assert_eq!(app.cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
        }
    }

    async fn what_a_batch_load_reads_makes_every_entry_fall(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("1", "a");
        assert_eq!(labels(&app, &["x", "y"]).await.unwrap()["y"], "y a");
        app.data.set("1", "b");
        assert_eq!(app.cache.invalidate_key(get_flight::key(&1)).await.unwrap().entries, 3);
        assert_eq!(labels(&app, &["y", "x"]).await.unwrap()["x"], "x b");
    }

    async fn a_batch_load_may_call_the_function_of_one_id(store: TestStore) {
        let app = App::new(&store).await;
        let loaded = one_by_one(&app, &[1, 2]).await.unwrap();
        assert_eq!((loaded.len(), app.data.reads("1"), app.data.reads("2")), (2, 1, 1));
        // Nobody can tell which id made which entry.
        assert_eq!(app.cache.invalidate_key(get_flight::key(&1)).await.unwrap().entries, 2);
    }

    async fn a_batch_takes_what_single_calls_load_and_the_other_way_round(store: TestStore) {
        let app = App::new(&store).await;
        let single_held = app.data.hold("1");
        let single = tokio::spawn({ let app = app.clone(); async move { get_flight(&app, 1).await } });
        single_held.reached().await;
        let held = app.hold();
        let batch = app.begin(&[1, 2, 3]);
        held.reached().await;
        assert_eq!(app.batches(), [[2, 3]]);
        let follower = tokio::spawn({ let app = app.clone(); async move { get_flight(&app, 2).await } });
        tokio::task::yield_now().await;
        held.open();
        single_held.open();
        assert_eq!(batch.await.unwrap().unwrap().len(), 3);
        assert!(single.await.unwrap().is_ok() && follower.await.unwrap().is_ok());
        assert_eq!(["1", "2", "3"].map(|row| app.data.reads(row)), [1, 1, 1]);
    }

    async fn batches_that_overlap_do_not_wait_for_each_other(store: TestStore) {
        let app = App::new(&store).await;
        let (second, first) = (app.hold(), app.hold());
        let a = app.begin(&[1, 2]);
        first.reached().await;
        let b = app.begin(&[2, 3]);
        second.reached().await;
        let c = app.begin(&[3, 1]);
        first.open();
        second.open();
        for call in [a, b, c] {
            assert_eq!(call.await.unwrap().unwrap().len(), 2);
        }
        assert_eq!(app.batches(), [vec![1, 2], vec![3]]);
    }

    async fn what_another_call_loads_in_vain_is_loaded_by_a_second_run(store: TestStore) {
        let app = App::new(&store).await;
        let first = app.hold();
        let a = app.begin(&[1, 2]);
        first.reached().await;
        let b = app.begin(&[2, 3]);
        while app.batches().len() < 2 {
            tokio::task::yield_now().await;
        }
        a.abort();
        assert_eq!(b.await.unwrap().unwrap().len(), 2);
        assert_eq!(app.batches(), [vec![1, 2], vec![3], vec![2]]);
    }

    async fn refresh_loads_whatever_is_stored(store: TestStore) {
        let app = App::new(&store).await;
        app.ids(&[1, 2]).await;
        app.data.set("1", "new");
        get_flights::refresh(&app, &[1, 2]).await.unwrap();
        assert_eq!(get_flight(&app, 1).await.unwrap().unwrap().delay, "new");
        assert_eq!(app.batches(), [[1, 2], [1, 2]]);
    }

    /// Although the store is asked for them 512 at a time.
    async fn two_thousand_ids_are_one_load(store: TestStore) {
        let app = App::new(&store).await;
        let ids: Vec<u64> = (0..2_000).collect();
        assert_eq!(app.ids(&ids).await, ids);
        assert_eq!(app.ids(&ids).await, ids);
        assert_eq!(app.batches(), [ids]);
    }
}

each_server! {
    async fn a_batch_waits_for_what_another_process_loads(store: TestStore) {
        let app = App::new(&store).await;
        let other = app.other(&store).await;
        let held = app.hold();
        let first = app.begin(&[1, 2]);
        held.reached().await;
        let second = other.begin(&[2, 3]);
        while app.batches().len() < 2 {
            tokio::task::yield_now().await;
        }
        held.open();
        assert_eq!((first.await.unwrap().unwrap().len(), second.await.unwrap().unwrap().len()), (2, 2));
        assert_eq!(app.batches(), [vec![1, 2], vec![3]]);
    }

    async fn a_hit_costs_one_command_for_all_and_a_miss_two_more_for_each_key(store: TestStore) {
        let server = Server::start(store.kind().expect("a server"));
        let app = App::on(ready(store.builder().url(server.url())).await);
        let ids: Vec<u64> = (0..513).collect();
        // From here on the server knows the scripts, and the process knows the size of a value.
        app.ids(&ids[..1]).await;
        let mut raw = server.raw().await;
        for (upto, mgets, evals) in [(101, 1, 200), (101, 1, 0), (512, 1, 822), (512, 1, 0), (513, 2, 2), (513, 2, 0)] {
            () = raw.command("CONFIG", &["RESETSTAT"]).await;
            assert_eq!(app.ids(&ids[..upto]).await.len(), upto);
            let calls = [raw.calls_of("mget").await, raw.calls_of("evalsha").await, raw.calls_of("eval").await];
            assert_eq!(calls, [mgets, evals, 0], "up to {upto}");
        }
        let loads: Vec<usize> = app.batches().iter().map(Vec::len).collect();
        assert_eq!(loads, [1, 100, 411, 1]);
    }
}
