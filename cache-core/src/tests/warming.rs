use std::sync::Mutex;

use tokio::time::Instant;

use super::*;
use crate::warm::{WarmProgress, Warmed, Warmer};

const WAIT: Duration = Duration::from_secs(3);

/// A warmer of so many keys, one at a time.
fn items(cache: &Cache) -> Warmer {
    let warmer = Warmer::new(cache).concurrency(1).store_wait(WAIT);
    let cache = cache.clone();
    warmer.loader("item", move |id| {
        let cache = cache.clone();
        async move { Ok::<_, Infallible>(get(&cache, &format!("item:{id}"), 1).await) }
    })
}

async fn timed(warmer: &Warmer) -> (Warmed, Duration) {
    let begun = Instant::now();
    let warmed = warmer.warm_keys((0..10).map(|id| format!("item:{id}"))).await;
    (warmed, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_holds_a_run_up_for_the_wait_and_nothing_is_loaded() {
    let (cache, store) = rig();
    store.hang(Op::Ready);
    let (warmed, took) = timed(&items(&cache)).await;
    assert_eq!((warmed.done, warmed.failed, took), (0, 10, WAIT));
    assert_eq!(cache.stats().total().loads, 0);
    let (_, took) = timed(&items(&cache).store_wait(Duration::ZERO)).await;
    assert_eq!(took, DEADLINE);
    let begun = Instant::now();
    Warmer::new(&cache).register("w", || async { Ok::<_, Infallible>(()) }).run().await;
    assert_eq!(begun.elapsed(), crate::config::WARM_STORE_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_ends_a_run_at_once() {
    let (cache, store) = rig();
    store.fail(Op::Ready);
    let (warmed, took) = timed(&items(&cache)).await;
    assert_eq!((warmed.done, warmed.failed, took), (0, 10, Duration::ZERO));
}

/// A store that comes and goes would hold it up before each key.
#[tokio::test(start_paused = true)]
async fn all_waits_of_one_run_together_are_no_longer() {
    let (cache, store) = rig();
    store.break_open();
    store.slow(WAIT * 2 / 5);
    let (warmed, took) = timed(&items(&cache)).await;
    assert!(warmed.done > 0 && warmed.failed > 0, "{warmed:?}");
    let waited = store.calls(Op::Ready);
    assert!((2..=3).contains(&waited) && took < WAIT * 3, "{waited} waits, {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_holds_nothing_up() {
    let (cache, store) = rig();
    let (warmed, took) = timed(&items(&cache)).await;
    assert_eq!((warmed.done, warmed.failed, took), (10, 0, Duration::ZERO));
    assert_eq!(store.calls(Op::Ready), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_watched_through_its_handle_alone_and_the_observer_of_all_runs_sees_both() {
    let (cache, _) = rig();
    let (all, watched) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let note = |list: &Arc<Mutex<Vec<_>>>| {
        let list = list.clone();
        move |at: WarmProgress| list.lock().unwrap().push((at.total, at.done))
    };
    let warmer = items(&cache).on_progress(note(&all));
    warmer.watched(note(&watched)).warm_keys(["item:1", "item:2"]).await;
    assert_eq!(*watched.lock().unwrap(), [(2, 0), (2, 1), (2, 2)]);
    warmer.warm_keys(["item:3"]).await;
    assert_eq!(watched.lock().unwrap().len(), 3);
    assert_eq!(all.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn what_is_registered_is_told() {
    let (cache, _) = rig();
    let warmer = items(&cache).loader("board", |_| async { Ok::<_, Infallible>(()) });
    let warmer = warmer.register("w", || async { Ok::<_, Infallible>(()) });
    assert_eq!(
        (warmer.names(), warmer.prefixes()),
        (vec!["w".to_owned()], vec!["board".to_owned(), "item".to_owned()])
    );
}
