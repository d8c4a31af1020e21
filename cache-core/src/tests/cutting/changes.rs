//! Invalidations, closings and writes that are cut. What a change that was polled has named is
//! removed in any case. One that was never polled changes nothing.

use super::*;
use crate::config::CLOSING_LIFETIME;
use crate::invalidation::Invalidation;
use crate::private::{Around, Invalidating, Known, Mode, Target, coding, write_through};

/// A change of the row, and what it does to the cache.
type Change = fn(Scene) -> BoxedFuture<()>;

/// A helper, called after the row was changed.
macro_rules! changed {
    (|$cache:ident| $invalidate:expr) => {
        |scene: Scene| -> BoxedFuture<()> {
            Box::pin(async move {
                scene.set_row(2);
                let $cache = &scene.here;
                _ = $invalidate.await;
            })
        }
    };
}

/// The body of a function that changes the row somewhere between its beginning and its end.
async fn body(scene: &Scene) -> u32 {
    tokio::task::yield_now().await;
    scene.set_row(2);
    tokio::task::yield_now().await;
    2
}

fn invalidates(scene: Scene, mode: Mode, around: bool) -> BoxedFuture<()> {
    Box::pin(async move {
        let mut guard = Invalidating::new(Some(&scene.here), "change", mode);
        guard.known(Invalidation::new().key("k"));
        if around {
            guard.close().await;
        }
        body(&scene).await;
        guard.complete(Invalidation::new().tag("t")).await;
    })
}

fn writes_through(scene: Scene, around: Around) -> BoxedFuture<()> {
    Box::pin(async move {
        let target = Target::<_, Known, Known>::new(tagged("k", &["t"]), coding(), None);
        let writing = write_through(Some(&scene.here), target, around).await;
        let value = writing.body(body(&scene)).await;
        writing.finish(Some(&value)).await;
    })
}

fn closes(scene: Scene, names: Invalidation) -> BoxedFuture<()> {
    Box::pin(async move {
        let Ok(closing) = scene.here.close(names).await else { return };
        body(&scene).await;
        _ = closing.open().await;
    })
}

/// With the operation that each of them needs.
const CHANGES: [(&str, Op, Change); 11] = [
    ("a key", Op::Invalidate, changed!(|cache| cache.invalidate_key("k"))),
    ("a tag", Op::Invalidate, changed!(|cache| cache.invalidate_tag("t"))),
    ("a pattern", Op::Sweep, changed!(|cache| cache.invalidate_pattern("k*"))),
    ("everything", Op::Sweep, changed!(|cache| cache.clear())),
    ("a dependency", Op::Invalidate, changed!(|cache| cache.invalidate_key("part"))),
    ("a function", Op::Invalidate, |scene| invalidates(scene, Mode::Wait, false)),
    ("a function in the background", Op::Invalidate, |scene| invalidates(scene, Mode::Background, false)),
    ("a function around", Op::Open, |scene| invalidates(scene, Mode::Wait, true)),
    ("a closing", Op::Open, |scene| closes(scene, Invalidation::new().tag("t"))),
    ("a writer", Op::Write, |scene| writes_through(scene, Around::Open)),
    ("a writer around", Op::Write, |scene| writes_through(scene, Around::Closed)),
];

impl Scene {
    /// `k` is stored, and made from `part`.
    async fn with_an_entry() -> Self {
        let scene = Self::new();
        assert_eq!(scene.call_with_part(&scene.there).await, 1);
        scene
    }

    fn call_with_part(&self, cache: &Cache) -> BoxedFuture<u32> {
        let (inner, body) = (cache.clone(), self.body());
        self.call_with(cache, async move { load_key(&inner, tagged("part", &[]), body).await })
    }

    /// As [`load_held`](Self::load_held), of a value that is made from `part` as well.
    async fn load_of_part_held(&self, cache: &Cache) -> (Gate, JoinHandle<u32>) {
        let (gate, inner) = (Gate::default(), cache.clone());
        let (part, held) = (self.body(), gate.clone());
        let body = async move {
            let row = load_key(&inner, tagged("part", &[]), part).await;
            held.pass().await;
            row
        };
        let call = tokio::spawn(crate::private::refresh(self.call_with(cache, body)));
        gate.reached().await;
        (gate, call)
    }
}

/// Cuts a change while loads from before it are under way in both processes. `settle` lets pass
/// what the change still needs then.
async fn cut(change: Change, moment: usize, prepare: impl Fn(&Faulty), settle: impl AsyncFn(&Scene)) -> bool {
    let scene = Scene::with_an_entry().await;
    let (late_there, there) = scene.load_of_part_held(&scene.there).await;
    let (late_here, here) = scene.load_of_part_held(&scene.here).await;
    prepare(&scene.store);
    let ended = until(moment, change(scene.clone())).await.is_some();
    idle().await;
    settle(&scene).await;
    scene.all_are_served_the_row(moment).await;
    late_there.open();
    late_here.open();
    for early in [there, here] {
        early.await.unwrap();
    }
    scene.all_are_served_the_row(moment).await;
    scene.the_row_is_stored(moment).await;
    scene.nothing_is_left(moment).await;
    ended
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_cut_anywhere_is_wholly_done_or_has_not_begun() {
    for (name, _, change) in CHANGES {
        println!("{name}");
        at_every_moment(5, |moment| cut(change, moment, |_| (), async |_| ())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_held_by_what_was_cut_open_in_time() {
    let change: Change = changed!(|cache| cache.invalidate(Invalidation::new().key("k").hold("1s")));
    let held = async |_: &Scene| tokio::time::sleep(Duration::from_secs(1)).await;
    at_every_moment(5, |moment| cut(change, moment, |_| (), held)).await;
}

/// The store fails what was cut: this process bypasses the names until the store answers again.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_cut_and_fails_is_owed() {
    for (name, needed, change) in CHANGES {
        println!("{name}");
        let made_good = async |scene: &Scene| {
            assert_eq!(scene.call(&scene.here).await, scene.row(), "it is owed");
            scene.store.heal(needed);
            tokio::time::sleep(CLOSING_LIFETIME.max(Duration::from_secs(10))).await;
        };
        at_every_moment(4, |moment| cut(change, moment, |store| store.fail(needed), made_good)).await;
    }
}

/// Not the caller alone is gone: all that runs for it is.
#[test]
fn a_change_whose_runtime_ends_anywhere_is_done_or_owed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    for (name, _, change) in CHANGES {
        println!("{name}");
        let (mut moment, mut has_ended) = (0, false);
        while !has_ended {
            let (stays, ends) = (runtime(), runtime());
            let scene = stays.block_on(Scene::with_an_entry());
            let (late, there) = stays.block_on(scene.load_of_part_held(&scene.there));
            has_ended = ends.block_on(until(moment, change(scene.clone()))).is_some();
            drop(ends);
            stays.block_on(async {
                assert_eq!(scene.call(&scene.here).await, scene.row(), "done or owed, at moment {moment}");
                let left = scene.here.shutdown(DEADLINE).await;
                assert!(left.is_empty(), "cut at moment {moment}");
                // The clocks of the two runtimes are not quite the same.
                tokio::time::sleep(CLOSING_LIFETIME + Duration::from_secs(1)).await;
                scene.all_are_served_the_row(moment).await;
                late.open();
                there.await.unwrap();
                scene.all_are_served_the_row(moment).await;
                scene.the_row_is_stored(moment).await;
                scene.nothing_is_left(moment).await;
            });
            moment += 1;
        }
        println!("{} moments", moment - 1);
        assert!(moment > 5, "{moment} moments");
    }
}

/// A cascade of three chunks: it is finished by whoever comes next, if not by the one that was cut.
#[tokio::test(start_paused = true)]
async fn a_cascade_that_is_cut_between_its_chunks_goes_on() {
    const PARTS: u32 = 700;
    let part = |cache: &Cache, n: u32, row: u32| {
        let cache = cache.clone();
        async move { load_key(&cache, tagged(&format!("part:{n}"), &["parts"]), async move { row }).await }
    };
    at_every_moment(12, async |moment| {
        let (here, store) = rig();
        let there = on(&store);
        for n in 0..PARTS {
            part(&here, n, 1).await;
        }
        store.take_turns();
        let cache = here.clone();
        let change: BoxedFuture<()> = Box::pin(async move { _ = cache.invalidate_tag("parts").await });
        let ended = until(moment, change).await.is_some();
        idle().await;
        let row = if moment == 0 { 1 } else { 2 };
        for n in [0, PARTS / 2, PARTS - 1] {
            assert_eq!(part(&there, n, 2).await, row, "cut at moment {moment}");
        }
        assert!(here.runtime.debts.unsent().is_empty() && store.under_way() == 0);
        ended
    })
    .await;
}

/// A flight from before a change that was cut is closed: nobody who comes later joins it.
#[tokio::test(start_paused = true)]
async fn nobody_joins_a_flight_from_before_a_change_that_was_cut() {
    for (name, _, change) in CHANGES.into_iter().filter(|(name, ..)| *name != "a dependency") {
        println!("{name}");
        at_every_moment(5, async |moment| {
            let scene = Scene::new();
            let gate = Gate::default();
            let before = tokio::spawn(scene.call_with(&scene.here, gate.body(scene.row())));
            gate.reached().await;
            let there = scene.begin(&scene.there);
            idle().await;
            let ended = until(moment, change(scene.clone())).await.is_some();
            idle().await;
            let row = scene.row();
            // What has only a tag of what was invalidated waits for the load from before, in vain.
            let after = [&scene.here, &scene.there].map(|cache| scene.begin(cache));
            idle().await;
            gate.open();
            for early in [before, there] {
                early.await.unwrap();
            }
            for after in after {
                assert_eq!(after.await.unwrap(), row, "cut at moment {moment}");
            }
            scene.all_are_served_the_row(moment).await;
            scene.the_row_is_stored(moment).await;
            scene.nothing_is_left(moment).await;
            ended
        })
        .await;
    }
}

/// A value that was put is there, or the one before it: nothing of a `put` is half done.
#[tokio::test(start_paused = true)]
async fn a_put_that_is_cut_has_no_effect_or_all_of_it() {
    for failing in [None, Some(Op::Write)] {
        at_every_moment(8, async |moment| {
            let scene = Scene::with_an_entry().await;
            let board = |cache: &Cache| {
                let (cache, inner) = (cache.clone(), scene.clone());
                async move { load(&cache, "board", async { inner.call(&cache).await }).await }
            };
            assert_eq!(board(&scene.there).await, 1);
            failing.iter().for_each(|op| scene.store.fail(*op));
            let cache = scene.here.clone();
            let put: BoxedFuture<()> = Box::pin(async move { _ = cache.put(tagged("k", &["t"]), &2).await });
            let ended = until(moment, put).await.is_some();
            idle().await;
            failing.iter().for_each(|op| scene.store.heal(*op));
            tokio::time::sleep(Duration::from_secs(10)).await;
            scene.set_row(3);
            let served = scene.call(&scene.there).await;
            // Its write failed: the entry is gone, and what was made from it.
            assert!(served != 3 || failing.is_some(), "cut at moment {moment}");
            for cache in [&scene.here, &scene.there] {
                assert_eq!((scene.call(cache).await, board(cache).await), (served, served), "cut at moment {moment}");
            }
            scene.set_row(served);
            scene.the_row_is_stored(moment).await;
            scene.nothing_is_left(moment).await;
            ended
        })
        .await;
    }
}
