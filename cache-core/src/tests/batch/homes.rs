//! Keys of one call that are at home in several places: one that does not answer takes its own keys
//! along, and no others.

use super::*;

const HOMES: u16 = 4;
/// The keys of one window, and so many that each step takes several.
const FEW: Range<u32> = 0..40;

fn spread() -> (Cache, Faulty) {
    let (cache, store) = rig();
    store.spread_over(HOMES);
    (cache, store)
}

/// How many are at home in one place.
fn at_home(ids: &Range<u32>) -> usize {
    ids.len() / usize::from(HOMES)
}

/// How many keys are stored.
async fn kept(cache: &Cache, ids: Range<u32>) -> usize {
    let mut kept = 0;
    for id in ids {
        kept += usize::from(stored(cache, &key(id)).await.is_some());
    }
    kept
}

#[tokio::test(start_paused = true)]
async fn what_other_homes_have_is_served_though_one_is_silent() {
    for ids in [FEW, MANY] {
        let (cache, store) = spread();
        rows(&cache, 1).get(ids.clone()).await;
        let asked = store.calls(Op::GetMany);
        store.hang_at(1, Op::GetMany);
        let (rows, begun) = (rows(&cache, 2), Instant::now());
        let found = rows.get(ids.clone()).await;
        assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
        assert_eq!((found[&0], found[&1], found[&2], found[&5]), (1, 2, 1, 2));
        assert_eq!(rows.loads(), [at_home(&ids)], "nothing else is loaded");
        let looks = ids.len().div_ceil(BATCH_GET_KEYS) * usize::from(HOMES);
        assert!(store.calls(Op::GetMany) - asked <= looks, "the silent home is asked once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_at_home_elsewhere_is_stored_whatever_one_home_does_not_answer() {
    for op in [Op::GetMany, Op::TakeLease, Op::Fill] {
        for ids in [FEW, MANY] {
            let (cache, store) = spread();
            store.hang_at(1, op);
            let (rows, begun) = (rows(&cache, 1), Instant::now());
            assert_eq!(rows.get(ids.clone()).await.len(), ids.len());
            let took = begun.elapsed();
            // Each window of fills takes a tick of the clock.
            assert!(took < DEADLINE + SLACK, "{op:?}: {took:?}");
            assert_eq!(rows.loads(), [ids.len()], "{op:?}");
            assert_eq!(kept(&cache, ids.clone()).await, ids.len() - at_home(&ids), "{op:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn homes_that_fall_silent_one_after_the_other_cost_one_operation_deadline_together() {
    let (cache, store) = spread();
    let steps = [(0, Op::GetMany), (1, Op::TakeLease), (2, Op::Fill)];
    steps.into_iter().for_each(|(home, op)| store.hang_at(home, op));
    let (rows, begun) = (rows(&cache, 1), Instant::now());
    assert_eq!(rows.get(FEW).await.len(), FEW.len());
    assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(kept(&cache, FEW).await, at_home(&FEW), "those of the fourth home");
}

#[tokio::test(start_paused = true)]
async fn if_all_homes_are_silent_nothing_more_is_asked() {
    let (cache, store) = spread();
    (0..HOMES).for_each(|home| store.hang_at(home, Op::GetMany));
    let (rows, begun) = (rows(&cache, 1), Instant::now());
    assert_eq!(rows.get(MANY).await.len(), MANY.len());
    assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
    assert_eq!((store.all_calls(), rows.loads()), (usize::from(HOMES), vec![MANY.len()]));
}

#[tokio::test(start_paused = true)]
async fn what_others_load_is_waited_for_though_a_home_is_silent() {
    let (cache, store) = spread();
    let others = rows(&on(&store), 1);
    let held = others.hold();
    let other = others.begin(FEW);
    held.reached().await;
    store.hang_at(1, Op::TakeLease);
    let rows = rows(&cache, 2);
    let call = rows.begin(FEW);
    tokio::time::sleep(2 * DEADLINE).await;
    assert_eq!(rows.loads(), [at_home(&FEW)], "those of the silent home");
    held.open();
    other.await.unwrap();
    let found = call.await.unwrap();
    assert_eq!((found[&0], found[&1], found[&2]), (1, 2, 1));
    assert_eq!(rows.loads().len(), 1);
}

/// The call around it may lose one deadline, too, and what several homes cost at the same time
/// counts once.
#[tokio::test(start_paused = true)]
async fn a_load_around_it_is_charged_once_for_homes_that_are_silent_at_the_same_time() {
    let (cache, store) = spread();
    [1, 2, 3].into_iter().for_each(|home| store.hang_at(home, Op::GetMany));
    let rows = rows(&cache, 1);
    load(&cache, "outer", async { rows.get(FEW).await.len() as u32 }).await;
    assert_eq!(stored(&cache, "outer").await, Some(FEW.len() as u32));
}
