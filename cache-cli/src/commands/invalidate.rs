//! Removes entries, after a question.

use cache_core::{Cache, Error, Preview};
use serde_json::json;

use super::preview;
use crate::args::InvalidateArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Terminal, ask, is_anybody_there, warn};

/// How many entries the question names.
const NAMED_MAX: usize = 10;

pub(crate) async fn run(target: &Target, terminal: &Terminal, what: &InvalidateArguments) -> Result<Ending, Failure> {
    if !what.yes {
        is_anybody_there()?;
    }
    let cache = target.ready().await?;
    if !what.yes && !ask(&question(&preview::of(&cache, &what.names).await?)) {
        return Err(Failure::refused("nothing was done"));
    }
    let removed = match remove(&cache, what).await {
        Ok(removed) => removed,
        Err(error) => {
            // A process that goes on living would try it again until it succeeds.
            warn("the invalidation has failed, and nobody tries it again: run it once more");
            return Err(error.into());
        }
    };
    terminal.answer(&json!({ "removed": removed }), || format!("{} removed", entries(removed)))?;
    Ok(Ending::Done)
}

async fn remove(cache: &Cache, what: &InvalidateArguments) -> Result<u64, Error> {
    let removed = match what.names.everything {
        true => cache.clear().await?,
        false => cache.invalidate(preview::named(&what.names)).await?,
    };
    Ok(removed.entries)
}

fn question(preview: &Preview) -> String {
    let mut question = String::new();
    for entry in preview.entries.iter().take(NAMED_MAX) {
        question += &format!("  {}  ({})\n", entry.key, entry.cause);
    }
    if preview.entries.len() > NAMED_MAX {
        question += &format!("  and {} more\n", preview.entries.len() - NAMED_MAX);
    }
    let at_least = if preview.stop.is_some() { "at least " } else { "" };
    question + &format!("Remove {at_least}{}?", entries(preview.entries.len() as u64))
}

fn entries(count: u64) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}
