//! Invalidations as they happen.

use serde_json::Value;

use crate::admin::{AdminClient, Request};
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Terminal, say, warn};

/// Names that a line has room for.
const NAMED_MAX: usize = 5;

/// Until the stream ends.
pub(crate) async fn run(target: &Target, terminal: &Terminal, cache: Option<&str>) -> Result<Ending, Failure> {
    let admin = AdminClient::new(target)?;
    let mut lines = admin.lines(Request { path: "api/events", cache, action: None });
    let mut event = String::new();
    while let Some(line) = lines.recv().await {
        let line = line?;
        if let Some(name) = line.strip_prefix("event:") {
            event = name.trim().to_owned();
        } else if let Some(data) = line.strip_prefix("data:")
            && let Ok(data) = serde_json::from_str::<Value>(data)
        {
            tell(terminal, &event, data)?;
        }
    }
    warn("the process has ended the stream");
    Ok(Ending::Done)
}

fn tell(terminal: &Terminal, event: &str, mut data: Value) -> Result<(), Failure> {
    if terminal.is_json() {
        data["event"] = Value::from(event);
        return terminal.answer(&data, String::new);
    }
    match event {
        "hello" => say(&format!("watching {}", list(&data["caches"], NAMED_MAX))),
        "invalidation" => say(&words(&data)),
        "lost" => say(&format!("{} were not told: this reader was too slow", data["count"])),
        _ => Ok(()),
    }
}

fn words(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let named = data["named"].as_array().map_or(0, Vec::len).min(NAMED_MAX);
    let others = data["named_total"].as_u64().unwrap_or_default().saturating_sub(named as u64);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    let took_ms = data["took_us"].as_f64().unwrap_or_default() / 1_000.0;
    let (time, cache, kind) = (time_of_day(data["at_ms"].as_u64().unwrap_or_default()), text("cache"), text("kind"));
    let told = format!("{time} {cache} {kind} {}{others}: ", list(&data["named"], NAMED_MAX));
    match text("outcome") {
        "ok" => told + &format!("{} removed in {took_ms:.1} ms", data["removed"]),
        outcome => told + &format!("{outcome}, {}", text("error")),
    }
}

/// Names, each as it is, or as the kind and the text that it has.
fn list(names: &Value, most: usize) -> String {
    let word = |name: &Value| match (name.as_str(), name.as_object().and_then(|name| name.iter().next())) {
        (Some(text), _) => text.to_owned(),
        (None, Some((kind, text))) => format!("{kind} {}", text.as_str().unwrap_or_default()),
        (None, None) => String::new(),
    };
    names.as_array().into_iter().flatten().take(most).map(word).collect::<Vec<_>>().join(", ")
}

/// In UTC.
fn time_of_day(at_ms: u64) -> String {
    let seconds = at_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_invalidation_is_a_line() {
        let ended = json!({
            "cache": "flights", "at_ms": 1_764_201_600_123_u64, "kind": "names", "named_total": 7,
            "named": [{ "tag": "airport:DFW" }, { "key": "flight:42" }], "removed": 17, "took_us": 812, "outcome": "ok",
        });
        let told = "00:00:00 flights names tag airport:DFW, key flight:42 and 5 more: 17 removed in 0.8 ms";
        assert_eq!(words(&ended), told);
        let failed = json!({
            "cache": "flights", "at_ms": 1_764_205_261_000_u64, "kind": "clear", "named": ["everything"],
            "named_total": 1, "outcome": "failed", "error": "no connection",
        });
        assert_eq!(words(&failed), "01:01:01 flights clear everything: failed, no connection");
    }
}
