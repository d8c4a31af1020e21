//! Whether the server pushes changes of what was read.

use std::time::Duration;

use redis::{PushInfo, PushKind};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::finding::{Finding, Severity};
use super::server::{Answer, Info, Refusal, Server};

/// The share of the table of tracked keys from which it is as good as full.
const TABLE_FULL_PERCENT: u64 = 90;
const KEY_LIVES_MS: &str = "1000";

/// Reads a key, changes it over another connection, and waits for the push. `false`: it could not
/// be changed, so nothing is known.
pub(crate) async fn look(server: &Server, key: &str, timeout: Duration) -> Answer<bool> {
    let (pushes, pushed) = unbounded_channel();
    let tracked = server.with_pushes(pushes).await?;
    tracked.ask::<redis::Value>(&["CLIENT", "TRACKING", "ON"]).await?;
    tracked.ask::<redis::Value>(&["GET", key]).await?;
    match server.ask::<redis::Value>(&["SET", key, "1", "PX", KEY_LIVES_MS]).await {
        Ok(_) => {}
        // Another finding is about that.
        Err(Refusal::Other(_) | Refusal::NotPermitted(_)) => return Ok(false),
        Err(refusal) => return Err(refusal),
    }
    let told = tokio::time::timeout(timeout, invalidation(pushed)).await;
    // It ends by itself.
    let _ = server.ask::<redis::Value>(&["DEL", key]).await;
    match told {
        Ok(true) => Ok(true),
        Ok(false) => Err(Refusal::Other("the connection was lost".to_owned())),
        Err(_) => Err(Refusal::Other(format!("no push came within {timeout:?}"))),
    }
}

async fn invalidation(mut pushed: UnboundedReceiver<PushInfo>) -> bool {
    while let Some(push) = pushed.recv().await {
        if push.kind == PushKind::Invalidate {
            return true;
        }
    }
    false
}

pub(crate) fn findings(outcome: &Answer<bool>, stats: Option<&Info>, keys_max: Option<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(refusal) = outcome {
        let why = match refusal {
            Refusal::NotPermitted(why) | Refusal::Other(why) => why.as_str(),
            Refusal::Unknown => "the server has no such command",
        };
        findings.push(Finding::new(
            "pushes",
            Severity::Warning,
            format!("the server pushes no changes: {why}"),
            "calls that wait for another process's load ask up to ten times a second, and `near` copies are not kept",
            "allow +client|tracking +client|caching, and take away a proxy that does not speak RESP3",
        ));
    }
    let tracked = stats.and_then(|stats| stats.number("tracking_total_keys"));
    if let (Some(tracked), Some(max)) = (tracked, keys_max)
        && max > 0
        && tracked * 100 >= max * TABLE_FULL_PERCENT
    {
        findings.push(Finding::new(
            "tracking_table",
            Severity::Warning,
            format!("the server tracks {tracked} keys, of {max} at most"),
            "beyond that it tells of changes that were none, and `near` copies are dropped too early",
            "raise tracking-table-max-keys",
        ));
    }
    findings
}
