//! The guard around each invalidation and each write, while others join flights and vouch for
//! copies.

use std::time::Duration;

use super::*;
use crate::runtime::single_flight::{Role, Streak};
use crate::store::Voucher;
use crate::sync::atomic::AtomicBool;
use crate::sync::{JoinHandle, explore, spawn};

fn runtime() -> Arc<Runtime> {
    Arc::new(Runtime::new(fastrand::u128(..), None, Config::default(), Arc::default(), Tenancy::Disabled))
}

fn join(runtime: &Runtime) -> Role {
    runtime.flights.join(&"k".into(), &Streak::default(), None)
}

/// Joins in a thread of its own, and says whether it leads a flight from before `from` was set.
fn leads_before(runtime: &Arc<Runtime>, from: &Arc<AtomicBool>) -> JoinHandle<(Role, bool)> {
    let (runtime, from) = (runtime.clone(), from.clone());
    spawn(move || {
        let role = join(&runtime);
        let is_early = !from.load(Ordering::SeqCst) && matches!(role, Role::Lead(_));
        (role, is_early)
    })
}

#[test]
fn nobody_joins_a_flight_from_before_the_end_of_a_change() {
    explore(|| {
        let (runtime, ends) = (runtime(), Arc::default());
        let other = leads_before(&runtime, &ends);
        let change = runtime.change();
        ends.store(true, Ordering::SeqCst);
        drop(change);
        let mine = join(&runtime);
        let (_leader, is_early) = other.join().unwrap();
        assert!(!is_early || matches!(mine, Role::Lead(_)));
    });
}

#[test]
fn nobody_joins_a_flight_from_before_a_change_that_is_under_way() {
    explore(|| {
        let (runtime, begins) = (runtime(), Arc::default());
        let other = leads_before(&runtime, &begins);
        begins.store(true, Ordering::SeqCst);
        let change = runtime.change();
        let mine = join(&runtime);
        drop(change);
        let (_leader, is_early) = other.join().unwrap();
        assert!(!is_early || matches!(mine, Role::Lead(_)));
    });
}

/// An answer to a question from before the end of a change vouches for no copy.
#[test]
fn no_copy_is_served_after_a_change_by_the_word_from_before_it() {
    explore(|| {
        let (runtime, voucher) = (runtime(), Voucher::of_connection());
        let asked = clock::now();
        let answers = {
            let voucher = voucher.clone();
            spawn(move || voucher.answered(asked))
        };
        drop(runtime.change());
        assert!(!voucher.vouches(asked, runtime.near.doubted()));
        answers.join().unwrap();
        assert!(!voucher.vouches(asked, runtime.near.doubted()));
        voucher.answered(clock::now() + Duration::from_secs(1));
        assert!(voucher.vouches(clock::now(), runtime.near.doubted()));
    });
}
