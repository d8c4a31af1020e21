//! Callers that join a flight while it ends, and while another process invalidates.

use loom::sync::Mutex as LoomMutex;

use super::*;
use crate::sync::{Crossing, block_on, explore, spawn};

fn key() -> Arc<str> {
    "k".into()
}

fn join(flights: &Arc<Flights>) -> Role {
    flights.join(&key(), &Streak::default(), None)
}

fn lead(flights: &Arc<Flights>) -> Leader {
    if let Role::Lead(leader) = join(flights) { leader } else { panic!("nobody else leads") }
}

fn bytes(row: u8) -> Bytes {
    Bytes::copy_from_slice(&[row])
}

/// A row of a database, and a store with its clock, the last fence of the key and the entry.
#[derive(Default)]
struct World {
    row: u8,
    seq: u32,
    fence: u32,
    stored: Option<Bytes>,
}

type Shared = Arc<LoomMutex<World>>;

/// What a leader does, or a call that loads alone.
fn load(world: &Shared, leader: Option<Leader>) -> Bytes {
    let reading = world.lock().unwrap().seq;
    leader.iter().for_each(Leader::load_begins);
    let loaded = bytes(world.lock().unwrap().row);
    leader.iter().for_each(Leader::close);
    let end = {
        let mut world = world.lock().unwrap();
        if world.fence > reading {
            End::Refused(loaded.clone())
        } else {
            world.stored = Some(loaded.clone());
            End::Stored(loaded.clone())
        }
    };
    leader.into_iter().for_each(|leader| leader.end(end.clone()));
    loaded
}

fn call(flights: &Arc<Flights>, world: &Shared) -> Bytes {
    if let Some(stored) = world.lock().unwrap().stored.clone() {
        return stored;
    }
    match join(flights) {
        Role::Lead(leader) => load(world, Some(leader)),
        Role::Follow(mut follower) => match block_on(follower.advice()) {
            Advice::Take(bytes) => bytes,
            _ => load(world, None),
        },
        Role::Crowded => panic!("there is one flight"),
    }
}

/// In another process, whose invalidations close no flights here.
fn invalidate(world: &Shared) {
    let mut world = world.lock().unwrap();
    world.seq += 1;
    (world.fence, world.stored) = (world.seq, None);
}

/// ★ The promise, among calls of one process.
#[test]
fn no_follower_is_served_what_was_loaded_before_an_invalidation() {
    explore(|| {
        let (flights, world) = (Arc::new(Flights::default()), Shared::default());
        let early = {
            let (flights, world) = (flights.clone(), world.clone());
            spawn(move || call(&flights, &world))
        };
        world.lock().unwrap().row = 1;
        invalidate(&world);
        assert_eq!(call(&flights, &world), bytes(1));
        early.join().unwrap();
        assert!(flights.is_empty());
    });
}

/// A caller that comes while a flight ends in whatever way is told so, or leads the next one.
#[test]
fn nobody_waits_for_a_flight_that_has_ended() {
    let ends: [fn(Leader); 5] = [
        drop,
        Leader::fail,
        |leader| leader.end(End::Nothing),
        |leader| leader.end(End::Elsewhere),
        |leader| {
            leader.close();
            leader.end(End::Stored(bytes(1)));
        },
    ];
    for end in ends {
        explore(move || {
            let flights = Arc::new(Flights::default());
            let leader = lead(&flights);
            let ends = spawn(move || end(leader));
            if let Role::Follow(mut follower) = join(&flights) {
                block_on(follower.advice());
            }
            ends.join().unwrap();
            assert!(flights.is_empty());
        });
    }
}

/// Nor does one whose patience has ended as well.
#[test]
fn nobody_stands_by_a_flight_that_has_ended() {
    explore(|| {
        let flights = Arc::new(Flights::default());
        let leader = lead(&flights);
        let Role::Follow(mut follower) = join(&flights) else { panic!("there is a flight") };
        let ends = spawn(move || {
            leader.load_begins();
            drop(leader);
        });
        let advice = block_on(follower.advice_without_patience());
        assert!(matches!(advice, Advice::TakeOver | Advice::StandBy(_)));
        ends.join().unwrap();
    });
}

#[test]
fn two_callers_never_lead_at_once() {
    explore(|| {
        let (flights, leading) = (Arc::new(Flights::default()), Arc::new(LoomMutex::new(0)));
        let call = |flights: Arc<Flights>, leading: Arc<LoomMutex<u32>>| {
            move || match join(&flights) {
                Role::Lead(leader) => {
                    *leading.lock().unwrap() += 1;
                    assert_eq!(*leading.lock().unwrap(), 1);
                    *leading.lock().unwrap() -= 1;
                    leader.end(End::Stored(bytes(1)));
                }
                Role::Follow(mut follower) => {
                    let advice = block_on(follower.advice());
                    assert!(matches!(advice, Advice::Take(_) | Advice::TakeOver));
                }
                Role::Crowded => panic!("there is one flight"),
            }
        };
        let other = spawn(call(flights.clone(), leading.clone()));
        call(flights.clone(), leading)();
        other.join().unwrap();
        assert!(flights.is_empty());
    });
}

/// Whoever learns late that a load is in vain closes its flight, and not the one after it.
#[test]
fn a_late_closing_spares_the_next_flight() {
    explore(|| {
        let flights = Arc::new(Flights::default());
        let first = lead(&flights);
        let (closing, crossing) = (first.closing(), Crossing::default());
        let closes = {
            let crossing = crossing.clone();
            spawn(move || {
                let flight = closing.flight.upgrade();
                crossing.pass();
                closing.close();
                drop(flight);
            })
        };
        crossing.pass();
        first.end(End::Nothing);
        let second = lead(&flights);
        closes.join().unwrap();
        assert!(matches!(join(&flights), Role::Follow(_)));
        drop(second);
        assert!(flights.is_empty());
    });
}

/// What a flight stores that is led beside one which takes too long is for that one's followers.
#[test]
fn a_value_that_is_stored_beside_reaches_who_waits_for_the_other_flight() {
    explore(|| {
        let flights = Arc::new(Flights::default());
        let slow = lead(&flights);
        slow.load_begins();
        let Role::Follow(mut waits) = join(&flights) else { panic!("there is a flight") };
        let Role::Follow(impatient) = join(&flights) else { panic!("there is a flight") };
        let crossing = Crossing::default();
        let waits = {
            let crossing = crossing.clone();
            spawn(move || {
                crossing.pass();
                matches!(block_on(waits.advice()), Advice::Take(_))
            })
        };
        let overdue = impatient.overdue();
        let Role::Lead(beside) = flights.join(&key(), &Streak::default(), overdue.as_ref()) else {
            panic!("nobody has joined it since")
        };
        crossing.pass();
        beside.end(End::Stored(bytes(1)));
        assert!(waits.join().unwrap());
        drop(slow);
        assert!(flights.is_empty());
    });
}

/// After two failures one call loads beside the leader.
#[test]
fn no_more_calls_load_beside_a_leader_than_may() {
    explore(|| {
        let (streak, loading) = (Streak { failures: 2, ..Streak::default() }, Arc::new(LoomMutex::new(0)));
        let loads = |streak: Streak, loading: Arc<LoomMutex<u32>>| {
            move || {
                if let Some(beside) = streak.beside() {
                    *loading.lock().unwrap() += 1;
                    assert_eq!(*loading.lock().unwrap(), 1);
                    *loading.lock().unwrap() -= 1;
                    drop(beside);
                }
            }
        };
        let one = spawn(loads(streak.clone(), loading.clone()));
        let other = spawn(loads(streak.clone(), loading));
        one.join().unwrap();
        other.join().unwrap();
        assert!(streak.beside().is_some(), "the rights were given back");
    });
}
