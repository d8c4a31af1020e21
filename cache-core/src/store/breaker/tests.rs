use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

use super::*;

const FAILURES: u32 = 3;

fn start() -> (Breaker, Instant) {
    (Breaker::new(FAILURES), Instant::now())
}

fn fail(breaker: &Breaker, now: Instant) {
    breaker.admit(now).unwrap().failed(now);
}

fn open(breaker: &Breaker, now: Instant) {
    for _ in 0..FAILURES {
        fail(breaker, now);
    }
    assert!(breaker.is_open());
}

/// Late enough for a probe, however long the delay has grown.
fn later(now: Instant) -> Instant {
    now + BREAKER_PROBE_DELAY_MAX
}

#[test]
fn opens_after_so_many_consecutive_failures_and_not_before() {
    let (breaker, now) = start();
    for _ in 1..FAILURES {
        fail(&breaker, now);
        assert!(!breaker.is_open());
    }
    fail(&breaker, now);
    assert_eq!(breaker.admit(now).unwrap_err(), OpenBreaker);
}

#[test]
fn a_success_between_failures_starts_the_count_anew() {
    let (breaker, now) = start();
    for _ in 0..10 * FAILURES {
        fail(&breaker, now);
        fail(&breaker, now);
        breaker.admit(now).unwrap().succeeded();
    }
    assert!(!breaker.is_open());
}

#[test]
fn a_dropped_call_counts_as_nothing() {
    let (breaker, now) = start();
    for _ in 0..10 * FAILURES {
        drop(breaker.admit(now).unwrap());
    }
    assert!(!breaker.is_open());
    fail(&breaker, now);
    fail(&breaker, now);
    drop(breaker.admit(now).unwrap());
    fail(&breaker, now);
    assert!(breaker.is_open(), "a dropped call is no success either");
}

#[test]
fn one_probe_at_a_time_after_a_delay() {
    let (breaker, now) = start();
    open(&breaker, now);
    breaker.admit(now + BREAKER_PROBE_DELAY_MIN - Duration::from_nanos(1)).unwrap_err();
    let probe = breaker.admit(now + 2 * BREAKER_PROBE_DELAY_MIN).unwrap();
    breaker.admit(now + 2 * BREAKER_PROBE_DELAY_MIN).unwrap_err();
    probe.succeeded();
    assert!(!breaker.is_open());
    fail(&breaker, now);
    assert!(!breaker.is_open(), "failures from before do not count again");
}

#[test]
fn failed_probes_come_ever_more_rarely() {
    let (breaker, mut now) = start();
    open(&breaker, now);
    let end = now + Duration::from_secs(600);
    let mut probes = 0;
    while now < end {
        if let Ok(probe) = breaker.admit(now) {
            probe.failed(now);
            probes += 1;
        }
        now += Duration::from_millis(10);
    }
    // Uniform delays below 5 s: about 240 in ten minutes; without growth there would be thousands.
    assert!((120..=600).contains(&probes), "{probes} probes");
}

#[test]
fn a_dropped_probe_frees_the_slot() {
    let (breaker, now) = start();
    open(&breaker, now);
    drop(breaker.admit(later(now)).unwrap());
    breaker.admit(later(now)).unwrap().succeeded();
    assert!(!breaker.is_open());
}

#[test]
fn a_probe_that_is_never_polled_again_loses_the_slot_and_its_word() {
    let (breaker, now) = start();
    open(&breaker, now);
    let stuck = breaker.admit(later(now)).unwrap();
    breaker.admit(later(now)).unwrap_err();
    let next = breaker.admit(later(now) + BREAKER_PROBE_LEASE).unwrap();
    stuck.succeeded();
    assert!(breaker.is_open(), "the outcome of a probe that was given up does not count");
    next.succeeded();
    assert!(!breaker.is_open());
}

#[test]
fn outcomes_from_before_the_last_change_do_not_count() {
    let (breaker, now) = start();
    let old: Vec<_> = (0..2 * FAILURES).map(|_| breaker.admit(now).unwrap()).collect();
    let old_success = breaker.admit(now).unwrap();
    open(&breaker, now);
    old_success.succeeded();
    assert!(breaker.is_open());
    breaker.admit(later(now)).unwrap().succeeded();
    for permit in old {
        permit.failed(later(now));
    }
    assert!(!breaker.is_open(), "calls of the earlier outage do not open it again");
}

#[test]
fn a_sign_of_life_brings_the_probe_forward() {
    let (breaker, now) = start();
    open(&breaker, now);
    breaker.admit(now).unwrap_err();
    breaker.probe_soon(now);
    breaker.admit(now).unwrap().succeeded();
    assert!(!breaker.is_open());
    breaker.probe_soon(now);
    assert!(!breaker.is_open());
}

#[test]
fn an_answer_closes_it_before_a_probe_is_due_and_overrules_one_under_way() {
    let (breaker, now) = start();
    open(&breaker, now);
    breaker.answered();
    assert!(!breaker.is_open());

    open(&breaker, now);
    let probe = breaker.admit(later(now)).unwrap();
    breaker.answered();
    probe.failed(later(now));
    assert!(!breaker.is_open());

    // While the breaker is closed, the answer to one call does not make up for a call without an
    // answer.
    for _ in 0..FAILURES {
        breaker.answered();
        fail(&breaker, now);
    }
    assert!(breaker.is_open());
}

/// Counts events by level.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Level>>>);

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// `tracing` caches for each event whether anybody listens. As long as there has been only one
/// subscriber, a thread without a subscriber that reaches an event first decides for all threads
/// that nobody listens. A second subscriber prevents that.
fn listen_beside_other_tests() -> Dispatch {
    Dispatch::new(Events::default())
}

#[test]
fn each_change_of_state_is_one_event() {
    let _second = listen_beside_other_tests();
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        let (breaker, now) = start();
        open(&breaker, now);
        for _ in 0..100 {
            breaker.admit(now).unwrap_err();
        }
        breaker.admit(later(now)).unwrap().failed(later(now));
        breaker.admit(later(later(now))).unwrap().succeeded();
    });
    let debug = Level::DEBUG;
    assert_eq!(*events.0.lock().unwrap(), [Level::WARN, debug, debug, debug, Level::INFO]);
}

#[test]
fn an_outage_seen_by_many_threads_opens_it_once() {
    let _second = listen_beside_other_tests();
    let events = Events::default();
    let breaker = Breaker::new(FAILURES);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let _events = tracing::subscriber::set_default(events.clone());
                for _ in 0..1_000 {
                    if let Ok(permit) = breaker.admit(now) {
                        permit.failed(now);
                    }
                }
            });
        }
    });
    assert_eq!(*events.0.lock().unwrap(), [Level::WARN]);
}

#[test]
fn says_that_it_would_refuse_a_call_and_not_one_that_may_probe() {
    let (breaker, now) = start();
    assert!(!breaker.refuses(now));
    open(&breaker, now);
    assert!(breaker.refuses(now));
    let probing = later(now);
    assert!(!breaker.refuses(probing), "asked twice, it lets nobody through by that");
    assert!(!breaker.refuses(probing));
    let probe = breaker.admit(probing).unwrap();
    assert!(breaker.refuses(probing));
    assert!(!breaker.refuses(probing + BREAKER_PROBE_LEASE));
    probe.succeeded();
    assert!(!breaker.refuses(probing));
}
