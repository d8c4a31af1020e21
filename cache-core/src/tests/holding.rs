//! Names that stay closed for a while after a change.

use super::closing::{call, stores_again};
use super::*;
use crate::config::{CLOSED_NAMES_MAX, CLOSING_NAMES_MAX, HOLD_MAX};
use crate::error::ErrorKind;
use crate::invalidation::Invalidation;

/// A database whose replica lags.
#[derive(Clone, Default)]
struct Replicated(Arc<std::sync::Mutex<Vec<(tokio::time::Instant, u32)>>>);

const LAG: Duration = Duration::from_secs(1);

impl Replicated {
    fn commit(&self, row: u32) {
        self.0.lock().unwrap().push((tokio::time::Instant::now(), row));
    }

    fn read_replica(&self) -> u32 {
        let rows = self.0.lock().unwrap();
        rows.iter().rev().find(|(at, _)| at.elapsed() >= LAG).map_or(0, |(_, row)| *row)
    }
}

/// How many reads in the next minutes are answered with the row before the change, once the replica
/// has caught up.
async fn stale_reads(hold: Option<&str>, closed: bool) -> usize {
    let (cache, _) = rig();
    let database = Replicated::default();
    let read = async || call(&cache, database.read_replica()).await;
    let invalidation = || hold.iter().fold(Invalidation::new().tag("t"), |names, time| names.hold(*time));
    match closed {
        true => {
            let closing = cache.close(invalidation()).await.unwrap();
            database.commit(1);
            read().await;
            closing.open().await.unwrap();
        }
        false => {
            database.commit(1);
            cache.invalidate(invalidation()).await.unwrap();
        }
    }
    let mut stale = 0;
    for millisecond in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stale += usize::from(read().await == 0 && millisecond >= 20);
    }
    stale
}

#[tokio::test(start_paused = true)]
async fn names_that_are_held_store_nothing_that_a_lagging_replica_says() {
    for closed in [false, true] {
        assert!(stale_reads(None, closed).await > 100, "the replica does not lag");
        assert!(stale_reads(Some("500ms"), closed).await > 100, "held for less than the replica lags");
        assert_eq!(stale_reads(Some("1s"), closed).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_held_open_by_themselves() {
    let (cache, store) = rig();
    let names = Invalidation::new().tag("t").hold(Duration::from_secs(2)).and(Invalidation::new().hold("1s"));
    cache.invalidate(names).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_999)).await;
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, None);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(stores_again(&cache).await);
    assert_eq!(store.calls(Op::Close), 1, "it is not renewed, and costs no more than the invalidation");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_held_as_well() {
    let (cache, store) = rig();
    store.fail(Op::Close);
    cache.invalidate(Invalidation::new().tag("t").hold("60s")).await.unwrap_err();
    store.heal(Op::Close);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.health().owes_invalidations);
    call(&cache, 1).await;
    assert_eq!(stored(&cache, "k").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_is_invalidated_and_said() {
    let (cache, _) = rig();
    for (invalidation, kind) in [
        (Invalidation::new().tag("t").hold("soon"), ErrorKind::Config),
        (Invalidation::new().tag("t").hold(HOLD_MAX + Duration::from_nanos(1)), ErrorKind::Limit),
        (Invalidation::new().tag("t").pattern("none:*").hold("1s"), ErrorKind::Config),
    ] {
        call(&cache, 1).await;
        assert_eq!(cache.invalidate(invalidation).await.unwrap_err().kind(), kind);
        assert_eq!(stored(&cache, "k").await, None);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Holds as many names as a namespace has room for.
async fn take_all_room(cache: &Cache, time: &str) {
    for first in (0..CLOSED_NAMES_MAX).step_by(CLOSING_NAMES_MAX) {
        let last = CLOSED_NAMES_MAX.min(first + CLOSING_NAMES_MAX);
        let names = (first..last).map(|number| number.to_string());
        cache.invalidate(Invalidation::new().tags(names).hold(time)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn names_for_which_there_is_no_room_are_invalidated_and_held_when_there_is() {
    let (cache, _) = rig();
    take_all_room(&cache, "60s").await;
    call(&cache, 1).await;
    let full = cache.invalidate(Invalidation::new().tag("t").hold("600s")).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Limit);
    assert!(cache.health().owes_invalidations);
    assert_eq!(stored(&cache.peer(), "k").await, None);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(!cache.health().owes_invalidations);
    call(&cache, 2).await;
    assert_eq!(stored(&cache, "k").await, None, "held by now");
}

/// ★ Its own names stay owed.
#[tokio::test(start_paused = true)]
async fn what_waits_for_room_to_be_held_keeps_nothing_else_owed() {
    let (cache, store) = rig();
    take_all_room(&cache, "600s").await;
    cache.invalidate(Invalidation::new().tag("t").hold("600s")).await.unwrap_err();
    store.fail(Op::Invalidate);
    cache.invalidate_key("other").await.unwrap_err();
    store.heal(Op::Invalidate);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(cache.health().owes_invalidations, "there is no room yet");
    assert_eq!((get(&cache, "other", 1).await, get(&cache, "other", 2).await), (1, 1));
    assert_eq!((call(&cache, 1).await, call(&cache, 2).await), (1, 2), "it is neither served nor stored");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!cache.health().owes_invalidations);
    call(&cache, 3).await;
    assert_eq!(stored(&cache, "k").await, None, "held by now");
}

/// ★ A debt that is not to be held is reached as well, and stores again at once.
#[tokio::test(start_paused = true)]
async fn of_what_is_owed_nothing_else_is_held() {
    let (cache, store) = rig();
    let both = [Op::Invalidate, Op::Close];
    both.into_iter().for_each(|op| store.fail(op));
    cache.invalidate(Invalidation::new().tag("held").hold("60s")).await.unwrap_err();
    cache.invalidate_tag("t").await.unwrap_err();
    both.into_iter().for_each(|op| store.heal(op));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.health().owes_invalidations);
    assert!(stores_again(&cache).await);
}

fn names_to_hold(count: usize) -> Invalidation {
    Invalidation::new().tags((0..count).map(|number| format!("held:{number}"))).hold("60s")
}

/// ★ Whoever closes next needs the room.
#[tokio::test(start_paused = true)]
async fn names_that_do_not_all_fit_are_not_held_in_part() {
    let (cache, _) = rig();
    let others = (0..100).map(|number| number.to_string());
    let closing = cache.close(Invalidation::new().tags(others)).await.unwrap();
    let full = cache.invalidate(names_to_hold(CLOSED_NAMES_MAX)).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Limit);
    cache.close(Invalidation::new().tag("t")).await.unwrap().open().await.expect("there is room");
    closing.open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.health().owes_invalidations, "held by now");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_again_after_a_failure_needs_no_more_room() {
    let (cache, store) = rig();
    store.fail_after(20, Op::Close);
    cache.invalidate(names_to_hold(CLOSED_NAMES_MAX)).await.unwrap_err();
    store.heal(Op::Close);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!cache.health().owes_invalidations);
}
