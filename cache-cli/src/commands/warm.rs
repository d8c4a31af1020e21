//! Warms a cache by the process that can load it.

use serde_json::{Value, json};

use crate::admin::{AdminClient, Request};
use crate::args::WarmArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Terminal, warn};

pub(crate) async fn run(target: &Target, terminal: &Terminal, what: &WarmArguments) -> Result<Ending, Failure> {
    let admin = AdminClient::new(target)?;
    let mut body = json!({});
    for (name, list) in [("warmers", &what.warmer), ("keys", &what.key)] {
        if !list.is_empty() {
            body[name] = json!(list);
        }
    }
    let mut lines = admin.lines(Request { path: "api/warm", cache: what.cache.as_deref(), action: Some(body) });
    let mut progress = terminal.progress("warmed");
    while let Some(line) = lines.recv().await {
        let at: Value = serde_json::from_str(&line?).map_err(|_| Failure::unreachable("the admin page: no JSON"))?;
        let number = |name: &str| at[name].as_u64().unwrap_or_default();
        let (total, done, failed) = (number("total"), number("done"), number("failed"));
        if at["ended"] != true {
            progress.at(done + failed, Some(total));
            continue;
        }
        drop(progress);
        for error in at["errors"].as_array().into_iter().flatten().filter(|_| !terminal.is_json()) {
            let text = |name: &str| error[name].as_str().unwrap_or_default();
            warn(&format!("{}: {} failed: {}", text("name"), error["failed"], text("message")));
        }
        terminal.answer(&at, || format!("{done} of {total} loaded, {failed} failed"))?;
        return Ok(if failed > 0 { Ending::Warned } else { Ending::Done });
    }
    Err(Failure::unreachable("the admin page: the run has not come to its end"))
}
