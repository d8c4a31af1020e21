//! Cached calls that are cut. Whoever waits for such a call goes on at once, and its rights are
//! given back.

use super::*;
use crate::key::{CachedFunction, Policy};
use crate::name::Names;
use crate::private::{Call, Start, Step, coding, copying};
use crate::tests::batch::rows;
use crate::tests::finish;
use crate::tests::freshness::{self, age, swr};

/// A call that is cut, in a scene that was made ready for it.
type Cut = fn(&Scene) -> BoxedFuture<()>;

fn no_value(call: BoxedFuture<u32>) -> BoxedFuture<()> {
    Box::pin(async move { _ = call.await })
}

/// What generated code does with these policies.
fn with_policy(scene: &Scene, policy: Policy) -> BoxedFuture<()> {
    let (cache, body) = (scene.here.clone(), scene.body());
    let key = tagged("k", &["t"]);
    Box::pin(async move { _ = freshness::call(&cache, key, policy, || async { Ok(body.await) }).await })
}

fn nested(scene: &Scene) -> BoxedFuture<()> {
    let (cache, inner) = (scene.here.clone(), scene.clone());
    Box::pin(async move {
        load(&cache, "outer", async {
            let part = load_key(&inner.here, tagged("part", &["t"]), inner.body()).await;
            part + inner.call(&inner.here).await
        })
        .await;
    })
}

fn finishing(scene: &Scene) -> BoxedFuture<()> {
    let (cache, body) = (scene.here.clone(), scene.body());
    let (key, policy) = (tagged("k", &["t"]), Policy::new("k").ttl(MINUTE));
    Box::pin(async move { _ = finish::call(&cache, key, policy, || async { Ok(body.await) }).await })
}

/// A call of a function with `near`, by whose copies it may be served.
fn copied(scene: &Scene) -> BoxedFuture<u32> {
    static FUNCTION: CachedFunction = CachedFunction::of_one("cut", ":{}");
    let (cache, body) = (scene.here.clone(), scene.body());
    Box::pin(async move {
        let copies = copying(Duration::from_secs(5), false);
        let start = Start::<u32>::new(Some(&cache), &FUNCTION, "k", coding(), copies, |place| place.part(&1));
        let mut load = match start {
            Start::Return(value) => return value,
            Start::Load(load) => load,
            Start::Look(home) => {
                let policy = Policy::new("k").ttl(MINUTE);
                match home.call(tagged("k", &["t"]), policy, coding()).lookup().await {
                    Step::Return(value) | Step::ReturnAndRefresh(value, _) => return value,
                    Step::Load(load) => load,
                }
            }
        };
        let value = load.run(body).await;
        load.fill(Some(&value), Names::new()).await;
        value
    })
}

fn verified(scene: &Scene) -> BoxedFuture<()> {
    let (cache, body) = (scene.here.clone(), scene.body());
    Box::pin(async move {
        let policy = Policy::new("k").ttl(MINUTE);
        let call = Call::new(Some(&cache), tagged("k", &["t"]), policy, coding()).in_background().verified();
        if let Step::Load(mut load) = call.lookup().await {
            let value = load.run(body).await;
            load.fill(Some(&value), Names::new()).await;
        }
    })
}

/// With the number of moments that each has at least.
const CALLS: [(&str, usize, Cut); 9] = [
    ("a call", 12, |scene| no_value(scene.call(&scene.here))),
    ("a refresh", 8, |scene| Box::pin(crate::private::refresh(no_value(scene.call(&scene.here))))),
    ("a function", 12, |scene| with_policy(scene, Policy::new("k").ttl(MINUTE))),
    ("a function that refreshes", 12, |scene| with_policy(scene, swr())),
    ("a function with an adaptive TTL", 12, |scene| with_policy(scene, Policy::new("k").adaptive_ttl(10_000, 60_000))),
    ("a function whose loads finish", 6, finishing),
    ("a function with copies", 12, |scene| no_value(copied(scene))),
    ("a function that is verified", 12, verified),
    ("a load of a load", 20, nested),
];

impl Scene {
    /// Cuts a call among others of the same key, in both processes, that come after it. They are
    /// served the row, without a wait, and nothing is left of the call.
    async fn cut_among_others<T>(&self, moment: usize, cut: BoxedFuture<T>) -> bool {
        let begun = Instant::now();
        let callers = [&self.here, &self.here, &self.there, &self.here];
        let others: Vec<_> = callers.into_iter().map(|cache| self.begin(cache)).collect();
        let ended = until(moment, cut).await.is_some();
        for other in others {
            assert_eq!(other.await.unwrap(), self.row(), "cut at moment {moment}");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "they have waited, cut at moment {moment}");
        self.nothing_is_left(moment).await;
        self.all_are_served_the_row(moment).await;
        self.the_row_is_stored(moment).await;
        ended
    }

    /// Each call of `k` is counted once, and the one that was cut once at most.
    fn calls_add_up(&self, calls: u64, has_ended: bool) {
        let counted = |cache: &Cache| {
            let stats = cache.stats().total().clone();
            stats.hits + stats.near_hits + stats.misses + stats.bypasses
        };
        let counted = counted(&self.here) + counted(&self.there);
        let expected = if has_ended { calls + 1..=calls + 1 } else { calls..=calls + 1 };
        assert!(expected.contains(&counted), "{counted} of {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_anywhere_has_one_successor() {
    for (name, at_least, call) in CALLS {
        println!("{name}");
        at_every_moment(at_least, async |moment| {
            let scene = Scene::new();
            let ended = scene.cut_among_others(moment, call(&scene)).await;
            // A load of a load is two, and one by another call comes on top if it is cut.
            let loads = scene.loads.load(Ordering::SeqCst);
            assert!(loads <= 3, "{loads} loads, cut at moment {moment}");
            ended
        })
        .await;
    }
}

/// Its lease cannot be given back, and is renewed by nobody.
#[tokio::test(start_paused = true)]
async fn the_lease_of_a_leader_that_is_cut_ends_in_any_case() {
    at_every_moment(12, async |moment| {
        let scene = Scene::new();
        scene.store.fail(Op::ReleaseLease);
        let ended = until(moment, scene.call(&scene.here)).await.is_some();
        let begun = Instant::now();
        assert_eq!(scene.call(&scene.there).await, 1);
        assert!(begun.elapsed() <= crate::config::LEASE, "{:?}, cut at moment {moment}", begun.elapsed());
        scene.nothing_is_left(moment).await;
        ended
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hit_that_is_cut_leaves_nothing() {
    for (name, _, call) in CALLS {
        println!("{name}");
        at_every_moment(2, async |moment| {
            let scene = Scene::new();
            call(&scene).await;
            scene.cut_among_others(moment, call(&scene)).await
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_once_whatever_is_cut() {
    at_every_moment(12, async |moment| {
        let scene = Scene::new();
        let ended = scene.cut_among_others(moment, scene.call(&scene.here)).await;
        // The others, and the two that looked at the end.
        scene.calls_add_up(4 + 2, ended);
        ended
    })
    .await;
}

/// The load is another call's, of this process or of another one.
#[tokio::test(start_paused = true)]
async fn a_follower_that_is_cut_anywhere_disturbs_nobody() {
    for (name, _, call) in CALLS {
        println!("{name}");
        for led_here in [true, false] {
            at_every_moment(3, async |moment| {
                let scene = Scene::new();
                let gate = Gate::default();
                let leads = if led_here { &scene.here } else { &scene.there };
                let leader = tokio::spawn(scene.call_with(leads, gate.body(1)));
                gate.reached().await;
                let others = [&scene.here, &scene.there].map(|cache| scene.begin(cache));
                idle().await;
                let cut = tokio::spawn(until_gone(moment, call(&scene)));
                idle().await;
                gate.open();
                assert_eq!(leader.await.unwrap(), 1);
                for other in others {
                    assert_eq!(other.await.unwrap(), 1, "cut at moment {moment}");
                }
                let ended = cut.await.unwrap();
                scene.nothing_is_left(moment).await;
                scene.all_are_served_the_row(moment).await;
                scene.the_row_is_stored(moment).await;
                ended
            })
            .await;
        }
    }
}

async fn until_gone(moment: usize, call: BoxedFuture<()>) -> bool {
    until(moment, call).await.is_some()
}

impl Scene {
    /// `k` is stored, and past its TTL.
    async fn with_an_old_entry(policy: fn() -> Policy) -> Self {
        let scene = Self::new();
        let body = scene.body();
        let stored = freshness::call(&scene.here, tagged("k", &["t"]), policy(), || async { Ok(body.await) });
        assert_eq!(stored.await, Ok(1));
        age(&scene.store, "k", Duration::from_secs(1)).await;
        scene
    }
}

/// Its own task is cut as well: by the end of all refreshes, at each of its moments.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_cut_anywhere_leaves_its_place_and_its_lease() {
    for caller_is_cut in [true, false] {
        at_every_moment(3, async |moment| {
            let scene = Scene::with_an_old_entry(swr).await;
            scene.set_row(2);
            let call = with_policy(&scene, swr());
            let ended = match caller_is_cut {
                true => until(moment, call).await.is_some(),
                false => {
                    call.await;
                    let waits: BoxedFuture<()> = {
                        let refreshes = scene.here.runtime.refreshes.clone();
                        Box::pin(async move { refreshes.none_under_way().await })
                    };
                    let ended = until(moment, waits).await.is_some();
                    scene.here.end_refreshes();
                    ended
                }
            };
            scene.nothing_is_left(moment).await;
            assert_eq!(freshness::value(&scene.there, Policy::new("k").ttl(MINUTE), 2).await, 2);
            ended
        })
        .await;
    }
}

/// All loads fail, and the calls that have read the old value are served that.
#[tokio::test(start_paused = true)]
async fn a_failing_load_that_is_cut_anywhere_keeps_nobody_from_the_old_value() {
    fn sie() -> Policy {
        Policy::new("k").ttl(MINUTE).stale_if_error(MINUTE)
    }
    fn failing(scene: &Scene, cache: &Cache) -> BoxedFuture<Result<u32, &'static str>> {
        let (cache, body) = (cache.clone(), scene.body());
        Box::pin(async move {
            freshness::call(&cache, tagged("k", &["t"]), sie(), || async move {
                body.await;
                Err("down")
            })
            .await
        })
    }
    for has_read in [true, false] {
        at_every_moment(8, async |moment| {
            let scene = if has_read { Scene::with_an_old_entry(sie).await } else { Scene::new() };
            let begun = Instant::now();
            let callers = [&scene.here, &scene.here, &scene.there, &scene.here, &scene.here];
            let others = callers.map(|cache| tokio::spawn(failing(&scene, cache)));
            let ended = until(moment, failing(&scene, &scene.here)).await.is_some();
            for other in others {
                let expected = if has_read { Ok(1) } else { Err("down") };
                assert_eq!(other.await.unwrap(), expected, "cut at moment {moment}");
            }
            assert_eq!(begun.elapsed(), Duration::ZERO, "they have waited, cut at moment {moment}");
            scene.nothing_is_left(moment).await;
            ended
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_cut_anywhere_keeps_no_key() {
    at_every_moment(8, async |moment| {
        let (here, store) = rig();
        let there = on(&store);
        store.take_turns();
        let begun = Instant::now();
        let single = spawn(&here, "k:1", async { 1 });
        let batches = [&here, &there].map(|cache| {
            let rows = rows(cache, 1);
            tokio::spawn(async move { rows.get(1..4).await.len() })
        });
        let rows = rows(&here, 1);
        let cut: BoxedFuture<()> = Box::pin(async move { _ = rows.get(0..3).await });
        let ended = until(moment, cut).await.is_some();
        assert_eq!(single.await.unwrap(), 1);
        for batch in batches {
            assert_eq!(batch.await.unwrap(), 3);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "they have waited, cut at moment {moment}");
        idle().await;
        assert!(here.runtime.flights.is_empty() && store.nobody_watches() && store.under_way() == 0);
        for key in 0..4 {
            let facts = store.facts(&format!("k:{key}"), far()).await.unwrap();
            assert_eq!(facts.lease, None, "k:{key}, cut at moment {moment}");
        }
        ended
    })
    .await;
}

/// A call inside a load is cut, and the load goes on: its entry depends on what that call would
/// have read.
#[tokio::test(start_paused = true)]
async fn a_load_depends_on_a_call_inside_it_that_was_cut() {
    at_every_moment(8, async |moment| {
        let scene = Scene::new();
        let (inner, ended) = (scene.clone(), Arc::new(AtomicBool::new(false)));
        let (cuts, has_ended) = (scene.call(&inner.here), ended.clone());
        load(&scene.here, "outer", async move {
            has_ended.store(until(moment, cuts).await.is_some(), Ordering::SeqCst);
            1
        })
        .await;
        idle().await;
        scene.there.invalidate_key("k").await.unwrap();
        let is_stored = stored(&scene.here, "outer").await.is_some();
        assert_eq!(is_stored, moment == 0, "cut at moment {moment}");
        scene.nothing_is_left(moment).await;
        ended.load(Ordering::SeqCst)
    })
    .await;
}

/// A copy that a cut call has made, or was about to make, is not served past an invalidation.
#[tokio::test(start_paused = true)]
async fn a_read_for_a_copy_that_is_cut_leaves_no_old_copy() {
    at_every_moment(2, async |moment| {
        let scene = Scene::new();
        copied(&scene).await;
        let ended = until(moment, copied(&scene)).await.is_some();
        assert!(scene.here.runtime.near.expects_nothing(), "a placeholder, cut at moment {moment}");
        scene.set_row(2);
        scene.there.invalidate_key("k").await.unwrap();
        for _ in 0..3 {
            assert_eq!(copied(&scene).await, 2, "cut at moment {moment}");
        }
        ended
    })
    .await;
}
