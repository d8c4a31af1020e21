//! Cached functions that call each other in a circle: how often each key is loaded.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use cache_core::{Cache, cached};
use cache_tests::{TestStore, each_store};

#[derive(Clone)]
struct App {
    cache: Cache,
    loads: Arc<Mutex<BTreeMap<(&'static str, u64), u32>>>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, loads: Arc::default() }
    }

    fn loads(&self, function: &'static str, ids: &[u64]) {
        let mut loads = self.loads.lock().unwrap();
        ids.iter().for_each(|id| *loads.entry((function, *id)).or_default() += 1);
    }

    /// What was loaded more than once, and how often.
    fn repeated(&self) -> BTreeMap<(&'static str, u64), u32> {
        let loads = self.loads.lock().unwrap();
        loads.iter().filter(|(_, times)| **times > 1).map(|(key, times)| (*key, *times)).collect()
    }

    fn loaded(&self) -> usize {
        self.loads.lock().unwrap().len()
    }
}

#[cached(prefix = "even", ttl = "1h", skip(app), cache = app.cache)]
async fn even(app: &App, n: u64) -> bool {
    app.loads("even", &[n]);
    n == 0 || Box::pin(odd(app, n - 1)).await
}

#[cached(prefix = "odd", ttl = "1h", skip(app), cache = app.cache)]
async fn odd(app: &App, n: u64) -> bool {
    app.loads("odd", &[n]);
    n != 0 && Box::pin(even(app, n - 1)).await
}

/// Calls the other one in two ways at once, so that calls of one task meet.
#[cached(prefix = "ways", ttl = "1h", skip(app), cache = app.cache)]
async fn ways(app: &App, n: u64) -> u64 {
    app.loads("ways", &[n]);
    if n < 2 {
        return 1;
    }
    let (one, two) = tokio::join!(Box::pin(more_ways(app, n - 1)), Box::pin(more_ways(app, n - 2)));
    one + two
}

#[cached(prefix = "more_ways", ttl = "1h", skip(app), cache = app.cache)]
async fn more_ways(app: &App, n: u64) -> u64 {
    app.loads("more_ways", &[n]);
    if n < 2 {
        return 1;
    }
    let (one, two) = tokio::join!(Box::pin(ways(app, n - 1)), Box::pin(ways(app, n - 2)));
    one + two
}

type Answers = HashMap<u64, bool>;

#[cached(prefix = "even", each = ns, ttl = "1h", skip(app), cache = app.cache)]
async fn evens(app: &App, ns: &[u64]) -> Result<HashMap<u64, bool>, String> {
    app.loads("even", ns);
    let below = Box::pin(odds(app, &predecessors(ns))).await?;
    Ok(ns.iter().map(|n| (*n, *n == 0 || below[&(n - 1)])).collect())
}

#[cached(prefix = "odd", each = ns, ttl = "1h", skip(app), cache = app.cache)]
async fn odds(app: &App, ns: &[u64]) -> Result<HashMap<u64, bool>, String> {
    app.loads("odd", ns);
    let below = Box::pin(evens(app, &predecessors(ns))).await?;
    Ok(ns.iter().map(|n| (*n, *n != 0 && below[&(n - 1)])).collect())
}

fn predecessors(ns: &[u64]) -> Vec<u64> {
    ns.iter().filter_map(|n| n.checked_sub(1)).collect()
}

each_store! {
    async fn functions_that_call_each_other_load_each_key_once(store: TestStore) {
        let app = App::new(&store).await;
        assert!(even(&app, 10).await);
        assert_eq!((app.repeated(), app.loaded()), (BTreeMap::new(), 11));
        assert!(!odd(&app, 10).await, "the other half");
        assert_eq!((app.repeated(), app.loaded()), (BTreeMap::new(), 22));
        assert!(even(&app, 10).await && !even(&app, 9).await);
        assert_eq!(app.cache.stats().total().loads, 22);
    }

    async fn also_those_whose_calls_meet(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(ways(&app, 12).await, 233);
        assert_eq!(app.repeated(), BTreeMap::new());
    }

    async fn batches_that_call_each_other_for_other_ids_load_each_once(store: TestStore) {
        let app = App::new(&store).await;
        let answers: Answers = evens(&app, &[10]).await.unwrap();
        assert_eq!(answers, HashMap::from([(10, true)]));
        assert_eq!((app.repeated(), app.loaded()), (BTreeMap::new(), 11));
    }

    /// A call for an id that a load around it is loading cannot wait for that load, which waits for
    /// this very call. So each list that an id is in costs one load of it, and everything else one
    /// in all.
    async fn batches_that_ask_for_what_they_are_loading_load_it_once_more_each_time(store: TestStore) {
        let app = App::new(&store).await;
        let answers: Answers = evens(&app, &[0, 2, 4, 6]).await.unwrap();
        assert_eq!(answers, [0, 2, 4, 6].map(|n| (n, true)).into());
        // [0, 2, 4, 6] asks for [1, 3, 5], that for [0, 2, 4], and so on.
        let lists = [(("even", 0), 4), (("even", 2), 3), (("even", 4), 2), (("odd", 1), 3), (("odd", 3), 2)];
        assert_eq!((app.repeated(), app.loaded()), (lists.into(), 7));
        let loads = app.cache.stats().total().loads;
        evens(&app, &[0, 2, 4, 6]).await.unwrap();
        assert!(even(&app, 6).await && odd(&app, 5).await);
        assert_eq!(app.cache.stats().total().loads, loads, "all are stored");
    }
}
