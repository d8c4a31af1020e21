//! What the prefixes of a process do, as it changes.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::admin::{AdminClient, Request};
use crate::args::TopArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Screen, Terminal, say};

/// Prefixes that people are shown: those with most calls.
const ROWS_MAX: usize = 30;
/// Results of calls. Together they are the calls.
const HITS: [&str; 2] = ["hits", "near_hits"];
const OTHER_CALLS: [&str; 4] = ["stale_hits", "stand_ins", "misses", "bypasses"];

/// What a prefix has done between two answers.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    prefix: String,
    calls_per_s: f64,
    /// `None`: there were no calls.
    hit_rate: Option<f64>,
    loads_per_s: f64,
    load_ms: Option<f64>,
    invalidated_per_s: f64,
}

#[derive(Debug, Serialize)]
struct Rows {
    cache: String,
    at_ms: u64,
    prefixes: Vec<Row>,
}

pub(crate) async fn run(target: &Target, terminal: &Terminal, how: &TopArguments) -> Result<Ending, Failure> {
    let admin = AdminClient::new(target)?;
    let ask = async || admin.json(Request { path: "api/stats", cache: how.cache.as_deref(), action: None }).await;
    let (mut before, mut shown) = (ask().await?, 0);
    let screen = Screen::open(terminal);
    while how.times.is_none_or(|times| shown < times) {
        tokio::time::sleep(Duration::from_secs(how.interval)).await;
        let now = ask().await?;
        let rows = rows(&before, &now);
        match &screen {
            Some(screen) => screen.draw(&words(&rows))?,
            None if terminal.is_json() => terminal.answer(&rows, String::new)?,
            None => say(&words(&rows))?,
        }
        (before, shown) = (now, shown + 1);
    }
    Ok(Ending::Done)
}

fn rows(before: &Value, now: &Value) -> Rows {
    let at_ms = |answer: &Value| answer["at_ms"].as_u64().unwrap_or_default();
    let seconds = (at_ms(now).saturating_sub(at_ms(before)).max(1)) as f64 / 1_000.0;
    let of = |answer: &Value, prefix: &str, name: &str| {
        answer["stats"]["prefixes"][prefix][name].as_u64().unwrap_or_default()
    };
    let row = |prefix: &String| {
        // A process that was started anew begins at zero.
        let more = |name: &str| of(now, prefix, name).saturating_sub(of(before, prefix, name)) as f64;
        let hits: f64 = HITS.into_iter().map(more).sum();
        let calls = hits + OTHER_CALLS.into_iter().map(more).sum::<f64>();
        let loads = more("loads");
        Row {
            prefix: prefix.clone(),
            calls_per_s: calls / seconds,
            hit_rate: (calls > 0.0).then(|| hits / calls),
            loads_per_s: loads / seconds,
            load_ms: (loads > 0.0).then(|| more("load_time_us") / loads / 1_000.0),
            invalidated_per_s: more("invalidated") / seconds,
        }
    };
    let prefixes = now["stats"]["prefixes"].as_object();
    let mut prefixes: Vec<Row> = prefixes.into_iter().flat_map(|prefixes| prefixes.keys()).map(row).collect();
    prefixes.sort_by(|one, other| other.calls_per_s.total_cmp(&one.calls_per_s));
    Rows { cache: now["cache"].as_str().unwrap_or_default().to_owned(), at_ms: at_ms(now), prefixes }
}

fn words(rows: &Rows) -> String {
    let mut words = format!(
        "{}\n{:>10} {:>7} {:>10} {:>9} {:>10}  prefix",
        rows.cache, "calls/s", "hits", "loads/s", "ms/load", "removed/s"
    );
    for row in rows.prefixes.iter().take(ROWS_MAX) {
        let hit_rate = row.hit_rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let load_ms = row.load_ms.map_or("-".to_owned(), |load_ms| format!("{load_ms:.1}"));
        words += &format!(
            "\n{:>10.1} {hit_rate:>7} {:>10.1} {load_ms:>9} {:>10.1}  {}",
            row.calls_per_s, row.loads_per_s, row.invalidated_per_s, row.prefix
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_are_the_difference_of_two_answers() {
        let stats = |at_ms: u64, flight: Value| json!({ "cache": "flights", "at_ms": at_ms, "stats": { "prefixes": { "board": {}, "flight": flight } } });
        let before = stats(1_000, json!({ "hits": 10, "misses": 5, "loads": 5, "load_time_us": 9_000 }));
        let now = stats(
            3_000,
            json!({
                "hits": 15, "near_hits": 1, "misses": 7, "loads": 7, "load_time_us": 15_000, "invalidated": 4,
            }),
        );
        let rows = rows(&before, &now);
        let flight = Row {
            prefix: "flight".to_owned(),
            calls_per_s: 4.0,
            hit_rate: Some(0.75),
            loads_per_s: 1.0,
            load_ms: Some(3.0),
            invalidated_per_s: 2.0,
        };
        assert_eq!(rows.prefixes[0], flight);
        assert_eq!((rows.prefixes[1].calls_per_s, rows.prefixes[1].hit_rate), (0.0, None));
        assert!(words(&rows).contains("4.0  75.0 %        1.0       3.0        2.0  flight"), "{}", words(&rows));
    }
}
