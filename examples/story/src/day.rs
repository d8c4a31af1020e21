//! The day: who looks at which flights when, and when which delay changes. Everything is seeded.

use std::collections::HashMap;

/// The real flights of the example `flight-board`.
const FLIGHTS: &str = include_str!("../../flight-board/data/flights.csv");
pub(crate) const MINUTE_S: f64 = 60.0;
pub(crate) const DAY_S: f64 = 24.0 * 60.0 * MINUTE_S;
/// Flights on a page: the one looked for, and those that leave its airport next.
const PAGE: usize = 4;
/// Passengers who look within so many seconds of an announcement, and for
/// how many flights there are any.
const PASSENGERS: usize = 20;
const LOOK_S: f64 = 2.0;
const ANNOUNCED_ALOUD: usize = 200;
/// A delay is announced in steps.
const STEP_MIN: i32 = 15;

/// What happens at one moment, in seconds since midnight.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at_s: f64,
    pub(crate) what: Action,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A visitor's page, answered by one of the processes.
    Visit { process: usize, ids: Vec<u32> },
    /// The flight is that late from now on.
    Delay { id: u32, minutes: i32 },
}

impl Event {
    /// The flights of a visit.
    pub(crate) fn page(&self) -> Option<&[u32]> {
        match &self.what {
            Action::Visit { ids, .. } => Some(ids),
            Action::Delay { .. } => None,
        }
    }
}

struct Departure {
    departs_s: f64,
    delay_min: i32,
    /// The page that it is on top of.
    page: Vec<u32>,
}

/// Three months of flights folded into one day; its events in order.
pub(crate) fn events(visits: usize, processes: usize, seed: u64) -> (usize, Vec<Event>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let flights = flights();
    let mut events = Vec::new();
    for (id, flight) in (0..).zip(&flights) {
        announce(id, flight, &mut events);
    }
    // Late flights are looked at more than others; among them chance decides, and how much
    // more is Zipf's law, exponent 1.
    let mut by_rank: Vec<usize> = (0..flights.len()).collect();
    random.shuffle(&mut by_rank);
    by_rank.sort_by_key(|&id| flights[id].delay_min < STEP_MIN);
    let visit = |id: usize, at_s: f64, random: &mut fastrand::Rng, events: &mut Vec<Event>| {
        let what = Action::Visit { process: random.usize(..processes), ids: flights[id].page.clone() };
        events.push(Event { at_s: at_s.rem_euclid(DAY_S), what });
    };
    // A change is announced at the gates of the best known flights, and passengers look.
    let mut rank_of = vec![0; flights.len()];
    by_rank.iter().enumerate().for_each(|(rank, &id)| rank_of[id] = rank);
    for change in events.clone() {
        if let Action::Delay { id, .. } = change.what
            && rank_of[id as usize] < ANNOUNCED_ALOUD
        {
            for _ in 0..PASSENGERS {
                visit(id as usize, change.at_s + random.f64() * LOOK_S, &mut random, &mut events);
            }
        }
    }
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=flights.len())
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    for _ in 0..visits {
        let rank = cumulated.partition_point(|&share| share < random.f64() * sum).min(flights.len() - 1);
        let flight = &flights[by_rank[rank]];
        // Looked at from an hour and a half before it should leave to half an hour after it did.
        let from = flight.departs_s - 90.0 * MINUTE_S;
        let until = flight.departs_s + f64::from(flight.delay_min.max(0) + 30) * MINUTE_S;
        let at_s = from + random.f64() * (until - from);
        visit(by_rank[rank], at_s, &mut random, &mut events);
    }
    events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    (flights.len(), events)
}

/// A late flight's delay grows step by step, from when it should have left to when it
/// did; an early one is said once.
fn announce(id: u32, flight: &Departure, events: &mut Vec<Event>) {
    let mut minutes = 0;
    while minutes != flight.delay_min {
        let at_s = (flight.departs_s + f64::from(minutes) * MINUTE_S).rem_euclid(DAY_S);
        minutes = if flight.delay_min < 0 { flight.delay_min } else { flight.delay_min.min(minutes + STEP_MIN) };
        events.push(Event { at_s, what: Action::Delay { id, minutes } });
    }
}

fn flights() -> Vec<Departure> {
    let mut by_origin: HashMap<&str, Vec<(f64, usize)>> = HashMap::new();
    let mut flights = Vec::new();
    for line in FLIGHTS.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, departure, delay_min, _, origin, _] = fields[..] else { panic!("not a flight: {line}") };
        let clock = &departure["2001-01-01 ".len()..];
        let (hours, minutes) = clock.split_once(':').expect("a time of day");
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let departs_s = (number(hours) * 60.0 + number(minutes)) * MINUTE_S;
        by_origin.entry(origin).or_default().push((departs_s, flights.len()));
        let delay_min = delay_min.parse().expect("minutes");
        flights.push(Departure { departs_s, delay_min, page: Vec::new() });
    }
    for departures in by_origin.values_mut() {
        departures.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (place, &(_, id)) in departures.iter().enumerate() {
            flights[id].page = departures[place..].iter().take(PAGE).map(|&(_, id)| id as u32).collect();
        }
    }
    flights
}
