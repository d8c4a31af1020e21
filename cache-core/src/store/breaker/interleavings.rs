//! Calls that end while the breaker opens, closes and lets one through.

use std::sync::Arc;

use super::*;
use crate::sync::{explore, spawn};

/// An open breaker and the time from which on it lets one call through.
fn open(breaker: &Breaker, now: Instant) -> Instant {
    let permit = breaker.admit(now).unwrap();
    permit.failed(now);
    assert!(breaker.is_open());
    now + BREAKER_PROBE_DELAY_MAX
}

#[test]
fn failures_of_several_calls_open_it() {
    explore(|| {
        let (breaker, now) = (Arc::new(Breaker::new(2)), Instant::now());
        let fails = {
            let breaker = breaker.clone();
            spawn(move || breaker.admit(now).unwrap().failed(now))
        };
        breaker.admit(now).unwrap().failed(now);
        fails.join().unwrap();
        assert!(breaker.is_open() && breaker.refuses(now));
    });
}

#[test]
fn one_call_at_a_time_tries_an_open_breaker() {
    explore(|| {
        let (breaker, began) = (Arc::new(Breaker::new(1)), Instant::now());
        let due = open(&breaker, began);
        let tries = {
            let breaker = breaker.clone();
            move || breaker.admit(due).is_ok_and(|permit| std::mem::ManuallyDrop::new(permit).breaker.is_open())
        };
        let other = spawn(tries.clone());
        let (mine, other) = (tries(), other.join().unwrap());
        assert_eq!(u32::from(mine) + u32::from(other), 1);
    });
}

/// The outcome of a call from before the breaker opened is too old to count.
#[test]
fn a_late_failure_does_not_end_a_probe() {
    explore(|| {
        let (breaker, began) = (Arc::new(Breaker::new(1)), Instant::now());
        let late = {
            let breaker = breaker.clone();
            spawn(move || {
                if let Ok(permit) = breaker.admit(began) {
                    permit.failed(began);
                }
            })
        };
        if let Ok(permit) = breaker.admit(began) {
            permit.failed(began);
        }
        let due = began + BREAKER_PROBE_DELAY_MAX;
        let probe = breaker.admit(due).unwrap();
        late.join().unwrap();
        assert_eq!(breaker.admit(due).err(), Some(OpenBreaker), "a probe is under way");
        probe.succeeded();
        assert!(!breaker.is_open());
    });
}

/// A failure from before the breaker closed again opens it no more.
#[test]
fn a_late_failure_does_not_open_it_again() {
    explore(|| {
        let (breaker, began) = (Arc::new(Breaker::new(1)), Instant::now());
        let slow = breaker.admit(began).unwrap();
        let due = open(&breaker, began);
        let answers = {
            let breaker = breaker.clone();
            spawn(move || match breaker.admit(due) {
                Ok(probe) => probe.succeeded(),
                Err(OpenBreaker) => panic!("nobody else tries"),
            })
        };
        slow.failed(due);
        answers.join().unwrap();
        assert!(!breaker.is_open() && !breaker.refuses(due));
    });
}

/// What closed it is seen with all that it did: a call of the new period counts from zero.
#[test]
fn a_closed_breaker_counts_from_zero() {
    explore(|| {
        let (breaker, began) = (Arc::new(Breaker::new(2)), Instant::now());
        (0..2).for_each(|_| breaker.admit(began).unwrap().failed(began));
        let closes = {
            let breaker = breaker.clone();
            spawn(move || breaker.answered())
        };
        if let Ok(permit) = breaker.admit(began) {
            permit.failed(began);
            assert!(!breaker.is_open(), "one failure of two");
        }
        closes.join().unwrap();
        assert!(!breaker.is_open());
    });
}
