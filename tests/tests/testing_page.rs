//! The tests that the page `testing.md` shows.

use std::sync::Mutex;
use std::time::Duration;

use cache_core::{Cache, StoreRequest, cached, in_current_load, invalidates, observe};

type Db = Mutex<u32>; // imagine a pool of connections

#[cached(prefix = "seats", ttl = "60s", skip(db))]
async fn free_seats(db: &Db, flight: u64) -> u32 {
    let _ = flight;
    *db.lock().unwrap() // SELECT
}

#[invalidates(keys = [free_seats(flight)])]
async fn book(db: &Db, flight: u64) {
    let _ = flight;
    *db.lock().unwrap() -= 1; // UPDATE
}

#[tokio::test]
async fn a_booked_seat_is_not_free() {
    let (cache, db) = (Cache::in_memory(), Db::new(3));
    let test = async {
        assert_eq!(free_seats(&db, 42).await, 3);
        book(&db, 42).await;
        assert_eq!(free_seats(&db, 42).await, 2);
    };
    cache.scope(test).await;
    assert_eq!(cache.stats().prefix("seats").loads, 2);
}

#[tokio::test]
async fn another_test_at_the_same_time_has_other_entries() {
    let (cache, db) = (Cache::in_memory(), Db::new(100));
    assert_eq!(cache.scope(free_seats(&db, 42)).await, 100);
}

async fn with_redis(test: impl Future<Output = ()>) {
    let url = std::env::var("CACHE_TEST_REDIS_URL").expect("the URL of a Redis for tests");
    // Ids of processes come again, nanoseconds do not.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let namespace = format!("test-{}-{now}", std::process::id());
    let cache = Cache::builder().url(url).namespace(namespace).build().unwrap();
    cache.ready(Duration::from_secs(5)).await.unwrap();
    cache.scope(test).await;
    cache.clear().await.unwrap();
}

#[tokio::test]
async fn a_booked_seat_is_not_free_on_redis() {
    with_redis(async {
        let db = Db::new(3);
        assert_eq!(free_seats(&db, 42).await, 3);
        book(&db, 42).await;
        assert_eq!(free_seats(&db, 42).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_task_is_given_the_scope() {
    let cache = Cache::in_memory();
    let spawned = async {
        let task = async { free_seats(&Db::new(3), 42).await };
        tokio::spawn(in_current_load(task)).await.unwrap()
    };
    assert_eq!(cache.scope(spawned).await, 3);
    assert_eq!(cache.peek(free_seats::key(&42)).await.unwrap(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_the_database_is_asked_again() {
    let (cache, db) = (Cache::in_memory(), Db::new(3));
    let test = async {
        assert_eq!(free_seats(&db, 42).await, 3);
        *db.lock().unwrap() = 2; // past the cache
        assert_eq!(free_seats(&db, 42).await, 3);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(free_seats(&db, 42).await, 2);
    };
    cache.scope(test).await;
}

#[tokio::test]
async fn the_second_call_is_a_hit() {
    let (cache, db) = (Cache::in_memory(), Db::new(3));
    let (_, calls) = observe(cache.scope(free_seats(&db, 42))).await;
    calls.assert_miss(free_seats::key(&42));
    let (_, calls) = observe(cache.scope(free_seats(&db, 42))).await;
    calls.assert_hit(free_seats::key(&42));
    assert_eq!(calls.calls().len(), 1);
}

#[tokio::test]
async fn without_a_cache_it_is_the_same_but_slower() {
    let db = Db::new(3);
    let test = async {
        assert_eq!(free_seats(&db, 42).await, 3);
        *db.lock().unwrap() = 2;
        assert_eq!(free_seats(&db, 42).await, 2);
    };
    Cache::disabled().scope(test).await;
}

#[tokio::test]
async fn what_one_process_books_the_other_one_sees() {
    let (here, db) = (Cache::in_memory(), Db::new(3));
    let there = here.peer();
    assert_eq!(here.scope(free_seats(&db, 42)).await, 3);
    assert_eq!(there.scope(free_seats(&db, 42)).await, 3);
    assert_eq!(there.stats().prefix("seats").loads, 0); // the other one had loaded it
    there.scope(book(&db, 42)).await;
    assert_eq!(here.scope(free_seats(&db, 42)).await, 2);
}

#[tokio::test]
async fn a_store_that_is_gone_is_a_cache_that_holds_nothing() {
    let ((cache, script), db) = (Cache::scripted(), Db::new(3));
    let test = async {
        script.fail(StoreRequest::Any);
        assert_eq!(free_seats(&db, 42).await, 3);
        book(&db, 42).await; // its invalidation fails, and is owed
        assert_eq!(free_seats(&db, 42).await, 2);
        assert!(!cache.health().is_good());
        script.heal();
        assert!(cache.shutdown(Duration::from_secs(60)).await.is_empty()); // it was made good
        assert_eq!(free_seats(&db, 42).await, 2);
    };
    cache.scope(test).await;
}

#[tokio::test]
async fn what_a_store_does_wrong_costs_loads_and_never_an_answer() {
    let ((cache, script), db) = (Cache::scripted(), Db::new(3));
    let test = async {
        script.fail_next(2, StoreRequest::Fill);
        for _ in 0..4 {
            assert_eq!(free_seats(&db, 42).await, 3); // loads three times
        }
        script.lose_answers(1, StoreRequest::Invalidate);
        book(&db, 42).await; // what was removed nobody knows, so it is sent again
        assert_eq!(free_seats(&db, 42).await, 2);
        script.refuse_fills();
        assert_eq!(free_seats(&db, 43).await, 2);
        assert_eq!(free_seats(&db, 43).await, 2); // loads again
    };
    cache.scope(test).await;
    assert_eq!(cache.stats().prefix("seats").loads, 6);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_call_a_quarter_of_a_second() {
    let ((cache, script), db) = (Cache::scripted(), Db::new(3));
    script.delay(Duration::MAX, StoreRequest::Any);
    let begun = tokio::time::Instant::now();
    assert_eq!(cache.scope(free_seats(&db, 42)).await, 3);
    assert_eq!(begun.elapsed(), Duration::from_millis(250)); // `operation_deadline`
}

#[tokio::test]
async fn a_value_that_was_overtaken_is_not_stored() {
    let ((cache, script), db) = (Cache::scripted(), Db::new(3));
    let test = async {
        let mut gate = script.hold(StoreRequest::Fill);
        let meanwhile = async {
            gate.reached().await;
            book(&db, 42).await;
            gate.open();
        };
        let (seats, ()) = tokio::join!(free_seats(&db, 42), meanwhile);
        assert_eq!(seats, 3); // that was true when it was read
        assert_eq!(free_seats(&db, 42).await, 2);
    };
    cache.scope(test).await;
}

#[tokio::test]
async fn a_hit_is_one_round_trip() {
    let ((cache, script), db) = (Cache::scripted(), Db::new(3));
    cache.scope(free_seats(&db, 42)).await;
    assert_eq!(script.requests(StoreRequest::Any), 3); // a miss: read, lease and fill
    cache.scope(free_seats(&db, 42)).await;
    assert_eq!(script.requests(StoreRequest::Any), 4);
}
