//! Many callers of one cold key in four processes. Measures the time from the end of the one load
//! until each caller in the other three processes has the value, once woken by a push and once
//! polling, beside a round trip of the same run. The time includes the fill, a round trip of one
//! caller.

use std::time::{Duration, Instant};

use cache_tests::{Crowd, Message, Raw, Server, ServerKind, ServerOptions, Tally};

const PROCESSES: usize = 4;
const CALLERS: usize = 250;
/// Long enough for the pollers to reach their longest pause.
const LOAD: Duration = Duration::from_millis(400);
const PINGS: usize = 2_000;

pub async fn run(rounds: usize) {
    // A user who may not track keys: the processes with this user poll.
    let rules = "user poller on nopass ~* &* +@all -client|tracking";
    let server = Server::with(ServerKind::Redis, ServerOptions::new().line(rules));
    let mut raw = server.raw().await;
    let poller = server.url().replace("redis://", "redis://poller:x@");
    let (mut pushed, mut polled, mut warm, mut alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        for (mode, url, times) in [("push", server.url(), &mut pushed), ("poll", poller.clone(), &mut polled)] {
            let mut crowd = start(&url).await;
            let order = format!("call {CALLERS} {mode}:{round}");
            times.extend(cold(&mut crowd, &order).await);
            // The same callers while the value is stored: one GET each.
            crowd.order_all(&order).await;
            let (_, all) = crowd.until_done(PROCESSES).await;
            warm.extend(all.iter().flat_map(|done| since(done, done.begun_us)));
        }
        alone.extend(ping(&mut raw).await);
    }
    println!(
        "\n## {PROCESSES} processes x {CALLERS} callers of one cold key: from the end of the load to the value, ms\n"
    );
    let (one, crowd) = (percentiles(&mut alone), percentiles(&mut warm));
    println!(
        "| | p50 | p99 | p99 in round trips of one caller | p99 in round trips of such a crowd |\n|---|---|---|---|---|"
    );
    let rows = [("pushed", &mut pushed), ("polled", &mut polled)];
    for (name, times) in rows {
        let (p50, p99) = percentiles(times);
        println!("| {name} | {p50:.2} | {p99:.2} | {:.1} | {:.2} |", p99 / one.1, p99 / crowd.1);
    }
    println!("| GET, one caller | {:.2} | {:.2} | 1 | |", one.0, one.1);
    println!("| hit, the same callers at once | {:.2} | {:.2} | | 1 |", crowd.0, crowd.1);
}

async fn start(url: &str) -> Crowd {
    let program = std::env::current_exe().expect("this program");
    let minute = Duration::from_secs(60);
    let program = program.to_str().expect("a path in UTF-8");
    Crowd::start(program, &["crowd"], PROCESSES, url, Duration::from_secs(2), minute).await
}

/// The ms from the end of the only load, before its fill is sent, until each caller of the other
/// processes has the value. The callers of the leader's process are not counted: they are handed
/// the value.
async fn cold(crowd: &mut Crowd, order: &str) -> Vec<f64> {
    crowd.order_all(order).await;
    let (leader, said) = crowd.next().await;
    assert_eq!(said, Message::Loading);
    tokio::time::sleep(LOAD).await;
    crowd.order(leader, "ok").await;
    let (mut loaded_us, mut others, mut done) = (0, Vec::new(), 0);
    while done < PROCESSES {
        match crowd.next().await {
            (_, Message::Loaded(at)) => loaded_us = at,
            (process, Message::Done(answers)) => {
                done += 1;
                others.extend((process != leader).then_some(answers));
            }
            (_, said) => panic!("one load, and no other: {said:?}"),
        }
    }
    others.iter().flat_map(|done| since(done, loaded_us)).collect()
}

fn since(done: &Tally, begun_us: u64) -> Vec<f64> {
    done.answered_us.iter().map(|at| at.saturating_sub(begun_us) as f64 / 1_000.0).collect()
}

async fn ping(raw: &mut Raw) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let begun = Instant::now();
        raw.get("nothing").await;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    times
}

/// p50 and p99.
fn percentiles(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
