//! What a page of many calls waits for the store. Each answer takes one round trip of paused time,
//! so the time that has passed is the number of round trips that stood one behind the other.

use tokio::time::Instant;

use super::batch::rows;
use super::*;

const ROUND_TRIP: Duration = Duration::from_millis(1);

async fn round_trips(page: impl Future) -> u128 {
    let begun = Instant::now();
    page.await;
    begun.elapsed().as_micros() / ROUND_TRIP.as_micros()
}

/// What the page `round-trips.md` makes its page of.
async fn parts(cache: &Cache) -> u32 {
    let (latest, tags) = (get(cache, "latest", 1), get(cache, "tags", 2));
    let (user, unread) = (get(cache, "user", 3), get(cache, "unread", 4));
    let (latest, tags, user, unread) = tokio::join!(latest, tags, user, unread);
    latest + tags + user + unread
}

async fn parts_one_by_one(cache: &Cache) -> u32 {
    let mut sum = 0;
    for (key, value) in [("latest", 1), ("tags", 2), ("user", 3), ("unread", 4)] {
        sum += get(cache, key, value).await;
    }
    sum
}

/// The authors are those of the latest articles.
async fn parts_and_authors(cache: &Cache) -> u32 {
    let sum = parts(cache).await;
    sum + rows(cache, 1).get(0..20).await.len() as u32
}

#[tokio::test(start_paused = true)]
async fn calls_at_the_same_time_are_one_round_trip() {
    let (cache, store) = rig();
    assert_eq!(parts(&cache).await, 10);
    store.slow(ROUND_TRIP);
    let before = store.all_calls();
    assert_eq!(round_trips(parts(&cache)).await, 1);
    assert_eq!(store.all_calls() - before, 4);
    assert_eq!(round_trips(parts_one_by_one(&cache)).await, 4);
}

#[tokio::test(start_paused = true)]
async fn many_of_a_kind_are_one_more_round_trip() {
    let (cache, store) = rig();
    assert_eq!(parts_and_authors(&cache).await, 30);
    store.slow(ROUND_TRIP);
    let before = store.all_calls();
    assert_eq!(round_trips(parts_and_authors(&cache)).await, 2);
    assert_eq!(store.all_calls() - before, 5, "twenty authors are one command");
}

#[tokio::test(start_paused = true)]
async fn misses_at_the_same_time_are_three_round_trips() {
    let (cache, store) = rig();
    store.slow(ROUND_TRIP);
    assert_eq!(round_trips(parts(&cache)).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_cached_is_one_round_trip_and_falls_with_its_parts() {
    let (cache, store) = rig();
    let page = || async { load(&cache, "page", parts_and_authors(&cache)).await };
    assert_eq!(page().await, 30);
    store.slow(ROUND_TRIP);
    assert_eq!(round_trips(page()).await, 1);
    cache.invalidate_key("k:7").await.unwrap();
    assert_eq!(stored(&cache, "page").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_has_lost_a_part_loads_that_part_alone() {
    let (cache, store) = rig();
    let page = || async { load(&cache, "page", parts_and_authors(&cache)).await };
    page().await;
    cache.invalidate_key("tags").await.unwrap();
    store.slow(ROUND_TRIP);
    // The page: look and lease, then its parts, of which one is missing, then the authors, and the
    // fill.
    assert_eq!(round_trips(page()).await, 2 + 3 + 1 + 1);
}
