//! `#[write_through]`: the value that a function wrote is what the next call is served,
//! unless somebody may know better.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cache_core::{Cache, cached, invalidates, write_through};
use cache_tests::{Data, Gate, Log, TestStore, each_layout, run, until};
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct App {
    cache: Cache,
    data: Data,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, data: Data::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
}

fn flight(id: u64, origin: &str) -> Flight {
    Flight { id, origin: origin.to_owned() }
}

fn row(id: u64) -> String {
    format!("flight:{id}")
}

#[cached(
    prefix = "flight",
    ttl = "60s",
    cache = app.cache,
    skip(app),
    tags = ["airport:{result.origin}", "number:{id}"],
    when = |flight| flight.origin != "unknown"
)]
async fn get_flight(app: &App, id: u64) -> Result<Flight, String> {
    Ok(Flight { id, origin: app.data.read(&row(id)).await })
}

/// Made of the flight.
#[cached(prefix = "board", ttl = "60s", cache = app.cache, skip(app))]
async fn board(app: &App, id: u64) -> Result<String, String> {
    let origin = get_flight(app, id).await?.origin;
    app.data.read("board").await;
    Ok(origin)
}

#[cached(prefix = "airport", ttl = "60s", cache = app.cache, skip(app))]
async fn airport(app: &App) -> String {
    app.data.read("airport").await
}

/// Reads the row `write` after the change, so that a test can hold it there.
#[write_through(get_flight(id), cache = app.cache)]
async fn set_origin(app: &App, id: u64, origin: String) -> Result<Flight, String> {
    app.data.set(&row(id), &origin);
    app.data.read("write").await;
    match origin.as_str() {
        "nowhere" => Err("no such airport".to_owned()),
        _ => Ok(Flight { id, origin }),
    }
}

async fn stored(app: &App, id: u64) -> Option<String> {
    app.cache.peek(get_flight::key(&id)).await.unwrap().map(|flight| flight.origin)
}

fn spawn_write(app: &App, origin: &str) -> tokio::task::JoinHandle<Result<Flight, String>> {
    let (app, origin) = (app.clone(), origin.to_owned());
    tokio::spawn(async move { set_origin(&app, 1, origin).await })
}

/// A load of the flight that has read "old" and waits.
async fn held_load(app: &App) -> (Gate, tokio::task::JoinHandle<Result<Flight, String>>) {
    app.data.set(&row(1), "old");
    let held = app.data.hold(&row(1));
    let app = app.clone();
    let late = tokio::spawn(async move { get_flight(&app, 1).await });
    held.reached().await;
    (held, late)
}

each_layout! {
    async fn what_was_written_is_served_without_a_load(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(set_origin(&app, 1, "DFW".to_owned()).await, Ok(flight(1, "DFW")));
        assert_eq!(get_flight(&app, 1).await, Ok(flight(1, "DFW")));
        assert_eq!(app.data.reads(&row(1)), 0);
        let stats = app.cache.stats().prefix("flight");
        assert_eq!((stats.hits, stats.fills), (1, 1));
    }

    /// Nobody knows whose change came last in the database, so neither value stays.
    async fn two_concurrent_writers_end_in_a_miss_in_either_order(store: TestStore) {
        let app = App::new(&store).await;
        for first_ends_first in [true, false] {
            let (first_held, second_held) = (app.data.hold("write"), app.data.hold("write"));
            let first = spawn_write(&app, "first");
            first_held.reached().await;
            let second = spawn_write(&app, "second");
            second_held.reached().await;
            let (first, second) = ((first_held, first), (second_held, second));
            let (earlier, later) = if first_ends_first { (first, second) } else { (second, first) };
            earlier.0.open();
            earlier.1.await.unwrap().unwrap();
            assert!(stored(&app, 1).await.is_some(), "nothing overtook it");
            later.0.open();
            later.1.await.unwrap().unwrap();
            assert_eq!(stored(&app, 1).await, None);
            assert_eq!(get_flight(&app, 1).await, Ok(flight(1, "second")));
        }
    }

    async fn a_load_overtaken_by_a_write_is_refused(store: TestStore) {
        let app = App::new(&store).await;
        let (held, late) = held_load(&app).await;
        set_origin(&app, 1, "new".to_owned()).await.unwrap();
        assert_eq!(get_flight(&app, 1).await, Ok(flight(1, "new")), "while the load is held");
        held.open();
        assert_eq!(late.await.unwrap(), Ok(flight(1, "old")));
        assert_eq!(stored(&app, 1).await.as_deref(), Some("new"));
    }

    /// The load fills after the write has read the clock, and before its value is stored.
    async fn a_load_from_inside_the_body_falls(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set(&row(1), "old");
        let held = app.data.hold("write");
        let write = spawn_write(&app, "new");
        held.reached().await;
        app.data.set(&row(1), "seen meanwhile");
        get_flight(&app, 1).await.unwrap();
        held.open();
        write.await.unwrap().unwrap();
        assert_eq!(stored(&app, 1).await.as_deref(), Some("new"));
    }

    async fn dependents_fall_and_those_under_way_are_refused(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set(&row(1), "old");
        board(&app, 1).await.unwrap();
        set_origin(&app, 1, "new".to_owned()).await.unwrap();
        let held = app.data.hold("board");
        let late = tokio::spawn({
            let app = app.clone();
            async move { board(&app, 1).await }
        });
        held.reached().await;
        set_origin(&app, 1, "newer".to_owned()).await.unwrap();
        held.open();
        assert_eq!(late.await.unwrap().as_deref(), Ok("new"));
        assert_eq!(board(&app, 1).await.as_deref(), Ok("newer"));
        assert_eq!(app.data.reads(&row(1)), 1);
    }

    async fn a_write_moves_the_entry_from_tag_to_tag(store: TestStore) {
        let app = App::new(&store).await;
        set_origin(&app, 1, "DFW".to_owned()).await.unwrap();
        set_origin(&app, 1, "LAX".to_owned()).await.unwrap();
        assert_eq!(app.cache.invalidate_tag("airport:DFW").await.unwrap().entries, 0);
        assert_eq!(app.cache.invalidate_tag("airport:LAX").await.unwrap().entries, 1);
        set_origin(&app, 1, "LAX".to_owned()).await.unwrap();
        assert_eq!(app.cache.invalidate_tag("number:1").await.unwrap().entries, 1, "made of a parameter");
    }

    async fn a_write_overtaken_by_a_tag_is_not_stored(store: TestStore) {
        let app = App::new(&store).await;
        for origin_is_new in [true, false] {
            let held = app.data.hold("write");
            let write = spawn_write(&app, "DFW");
            held.reached().await;
            app.cache.invalidate_tag(if origin_is_new { "airport:DFW" } else { "airport:LAX" }).await.unwrap();
            held.open();
            write.await.unwrap().unwrap();
            assert_eq!(stored(&app, 1).await.is_some(), !origin_is_new);
        }
    }

    async fn an_error_changes_nothing(store: TestStore) {
        let app = App::new(&store).await;
        set_origin(&app, 1, "old".to_owned()).await.unwrap();
        set_origin(&app, 1, "nowhere".to_owned()).await.unwrap_err();
        // Whatever was wrongly begun in the background is done before this.
        app.cache.invalidate_key("other").await.unwrap();
        assert_eq!(stored(&app, 1).await.as_deref(), Some("old"));
        assert_eq!(app.cache.stats().total().invalidated, 0);
    }

    /// Nobody knows whether it wrote.
    async fn dropped_inside_its_body_the_entry_is_removed(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set(&row(1), "old");
        board(&app, 1).await.unwrap();
        let held = app.data.hold("write");
        let write = spawn_write(&app, "new");
        held.reached().await;
        write.abort();
        write.await.unwrap_err();
        until(async || stored(&app, 1).await.is_none()).await;
        assert_eq!(board(&app, 1).await.as_deref(), Ok("new"));
    }

    async fn never_polled_it_does_nothing(store: TestStore) {
        let app = App::new(&store).await;
        set_origin(&app, 1, "old".to_owned()).await.unwrap();
        drop(set_origin(&app, 1, "new".to_owned()));
        board(&app, 1).await.unwrap();
        assert_eq!(stored(&app, 1).await.as_deref(), Some("old"));
    }

    async fn dropped_after_its_body_the_write_completes(store: TestStore) {
        let app = App::new(&store).await;
        set_origin(&app, 1, "old".to_owned()).await.unwrap();
        let held = app.data.hold("write");
        {
            let mut write = pin!(set_origin(&app, 1, "new".to_owned()));
            tokio::select! {
                biased;
                _ = &mut write => panic!("it is held"),
                () = held.reached() => held.open(),
            }
            // The body ends in this poll; the write is in a task of its own, which has not run yet.
            let polled = poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_ready())).await;
            assert!(!polled, "it waits for the write");
        }
        until(async || stored(&app, 1).await.as_deref() == Some("new")).await;
    }

    /// Removed and fenced like any write: the value that it replaces is old.
    async fn what_the_target_would_not_store_is_removed(store: TestStore) {
        let app = App::new(&store).await;
        let (held, late) = held_load(&app).await;
        set_origin(&app, 1, "unknown".to_owned()).await.unwrap();
        held.open();
        late.await.unwrap().unwrap();
        assert_eq!(stored(&app, 1).await, None, "the load is refused");
        set_origin(&app, 1, "old".to_owned()).await.unwrap();
        set_origin(&app, 1, "unknown".to_owned()).await.unwrap();
        assert_eq!(stored(&app, 1).await, None);
    }

    async fn a_put_respects_the_when_of_the_function(store: TestStore) {
        let app = App::new(&store).await;
        app.cache.put(get_flight::key(&1), &flight(1, "old")).await.unwrap();
        let put = app.cache.put(get_flight::key(&1), &flight(1, "unknown")).await.unwrap();
        assert_eq!((put.stored, put.entries, stored(&app, 1).await), (false, 1, None));
        let load = app.cache.get_or_load(get_flight::key(&1), async || Ok::<_, ()>(flight(1, "unknown")));
        load.await.unwrap();
        assert_eq!(stored(&app, 1).await, None);
    }

    async fn cached_calls_inside_the_body_become_dependencies(store: TestStore) {
        #[write_through(get_flight(id), cache = app.cache)]
        async fn move_home(app: &App, id: u64) -> Result<Flight, String> {
            let origin = airport(app).await;
            Ok(Flight { id, origin })
        }
        let app = App::new(&store).await;
        app.data.set("airport", "DFW");
        move_home(&app, 1).await.unwrap();
        assert_eq!(app.cache.invalidate_key(airport::key()).await.unwrap().entries, 2);
    }

    /// What the body was told may be the old value.
    async fn a_value_made_of_the_entry_that_it_replaces_is_not_stored(store: TestStore) {
        #[write_through(get_flight(id), cache = app.cache)]
        async fn trusting(app: &App, id: u64, through_the_board: bool) -> Result<Flight, String> {
            app.data.set(&row(id), "new");
            if through_the_board {
                return Ok(Flight { id, origin: board(app, id).await? });
            }
            get_flight(app, id).await
        }
        let app = App::new(&store).await;
        for through_the_board in [false, true] {
            app.data.set(&row(1), "old");
            board(&app, 1).await.unwrap();
            assert_eq!(trusting(&app, 1, through_the_board).await.unwrap().origin, "old");
            assert_eq!(get_flight(&app, 1).await.unwrap().origin, "new");
            app.cache.clear().await.unwrap();
        }
        assert_eq!(app.cache.stats().prefix("flight").unstored, 2);
    }
}

/// The store is gone from the start: the function's result is untouched, and the entry is owed.
#[test]
fn a_store_that_is_down_costs_the_function_nothing_but_time() {
    run(0, async {
        let cache = Cache::builder().url("redis://127.0.0.1:1").operation_deadline(Duration::from_millis(50)).build();
        let app = App { cache: cache.unwrap(), data: Data::new() };
        let (log, _listening) = Log::listen();
        assert_eq!(set_origin(&app, 1, "new".to_owned()).await, Ok(flight(1, "new")));
        let log = log.text();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(matches!(errors[..], [error] if error.contains("an invalidation failed")), "{errors:?}");
        let stats = app.cache.stats();
        assert!(stats.prefix("flight").errors > 0 && stats.total().failed_invalidations > 0, "{stats}");
        assert!(app.cache.health().owes_invalidations);
    });
}

struct Repo {
    cache: Cache,
    tenant: String,
}

impl Repo {
    #[cached(prefix = "name", ttl = "60s", key = "{self.tenant}:{id}", cache = self.cache, negative_ttl = "60s")]
    async fn name(&self, id: u64) -> Result<Option<String>, String> {
        Err(format!("{id} is loaded"))
    }

    /// The target's cache is that of `self`, which its key has.
    #[write_through(self.name(id))]
    async fn set_name(&self, id: u64, name: Option<String>) -> Result<Option<String>, String> {
        Ok(name)
    }

    #[cached(prefix = "size", ttl = "60s", skip(self), cache = self.cache)]
    async fn size<T: Serialize + Sync>(&self, of: &[T]) -> usize {
        unreachable!("{} is loaded", of.len())
    }

    /// `None`: nothing was written.
    #[write_through(Self::size::<T>(&of), cache = self.cache)]
    async fn set_size<T: Serialize + Send + Sync>(&self, of: Vec<T>, size: Option<usize>) -> Option<usize> {
        drop(of);
        size
    }

    #[invalidates(tags = ["everything"], cache = self.cache)]
    #[write_through(Self::size(of), cache = self.cache)]
    async fn set_size_of_all(&self, of: &[u8], size: usize) -> usize {
        let _ = of;
        size
    }
}

#[tokio::test]
async fn methods_write_through() {
    let cache = Cache::in_memory();
    let repo = Repo { cache: cache.clone(), tenant: "a".to_owned() };
    repo.set_name(1, Some("DFW".to_owned())).await.unwrap();
    assert_eq!(repo.name(1).await, Ok(Some("DFW".to_owned())));
    repo.set_name(1, None).await.unwrap();
    assert_eq!(repo.name(1).await, Ok(None), "a negative entry");

    repo.set_size(vec!["x"], Some(1)).await;
    repo.set_size(vec!["x"], None).await;
    assert_eq!(repo.size(&["x"]).await, 1);
    repo.set_size_of_all(&[1], 2).await;
    assert_eq!(repo.size(&[1_u8]).await, 2);
}

#[cached(prefix = "length", ttl = "60s", cache = shared())]
async fn length(text: &str) -> u64 {
    unreachable!("{text} is loaded")
}

fn shared() -> Cache {
    static SHARED: std::sync::OnceLock<Cache> = std::sync::OnceLock::new();
    SHARED.get_or_init(Cache::in_memory).clone()
}

#[write_through(length(&text))]
async fn measure(text: String) -> Result<Option<u64>, String> {
    Ok((!text.is_empty()).then_some(text.len() as u64))
}

#[tokio::test]
async fn the_cache_is_that_of_the_target_and_no_value_is_no_entry() {
    measure("four".to_owned()).await.unwrap();
    assert_eq!(length("four").await, 4);
    shared().put(length::key(""), &7).await.unwrap();
    measure(String::new()).await.unwrap();
    assert_eq!(shared().peek(length::key("")).await.unwrap(), None);
}

/// A held value must not keep the function's future from moving between threads.
#[test]
fn the_future_is_send_if_the_value_is() {
    #[derive(Serialize, Deserialize)]
    struct NotSync(std::cell::Cell<u32>);
    #[cached(prefix = "not_sync", ttl = "60s")]
    async fn not_sync() -> NotSync {
        NotSync(std::cell::Cell::new(1))
    }
    #[write_through(not_sync())]
    async fn set_not_sync() -> Result<NotSync, std::rc::Rc<u32>> {
        Ok(NotSync(std::cell::Cell::new(1)))
    }
    fn is_send(_: impl Send) {}
    is_send(set_not_sync());
}

#[tokio::test]
async fn an_option_that_is_the_key_s_argument_is_written_whole() {
    #[cached(prefix = "seat", ttl = "60s")]
    async fn seat(row: Option<u64>) -> u64 {
        unreachable!("{row:?} is loaded")
    }
    #[write_through(seat(row))]
    async fn set_seat(row: Option<u64>) -> u64 {
        row.unwrap_or(0)
    }
    let cache = Cache::in_memory();
    for row in [None, Some(7)] {
        cache.scope(set_seat(row)).await;
        assert_eq!(cache.scope(seat(row)).await, row.unwrap_or(0));
    }
}
