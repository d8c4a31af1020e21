//! Which keys and tags there are.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::Listing;
use serde_json::json;

use crate::args::ListArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Terminal, say, to_json};

/// Prefixes that are counted by name: more than anybody reads. The others are one row.
const PREFIXES_MAX: usize = 1_000;
const OTHERS: &str = "(others)";

pub(crate) async fn keys(target: &Target, terminal: &Terminal, list: &ListArguments) -> Result<Ending, Failure> {
    run("keys", target.ready().await?.keys(&list.pattern), terminal, list).await
}

pub(crate) async fn tags(target: &Target, terminal: &Terminal, list: &ListArguments) -> Result<Ending, Failure> {
    run("tags", target.ready().await?.tags(&list.pattern), terminal, list).await
}

async fn run(what: &'static str, names: Listing, terminal: &Terminal, list: &ListArguments) -> Result<Ending, Failure> {
    if list.count {
        count(what, names, terminal).await?;
    } else if list.all {
        all(names, terminal).await?;
    } else {
        first(what, names, terminal, list.limit).await?;
    }
    Ok(Ending::Done)
}

/// In order, each once.
async fn first(what: &'static str, mut names: Listing, terminal: &Terminal, limit: usize) -> Result<(), Failure> {
    let (mut found, mut progress) = (BTreeSet::new(), terminal.progress(what));
    while found.len() <= limit
        && let Some(page) = names.next_page().await?
    {
        found.extend(page);
        progress.at(found.len() as u64, None);
    }
    drop(progress);
    let complete = found.len() <= limit;
    let found: Vec<_> = found.into_iter().take(limit).collect();
    if terminal.is_json() {
        return terminal.answer(&json!({ what: found, "complete": complete }), String::new);
    }
    found.iter().try_for_each(|name| say(name))?;
    if !complete {
        eprintln!("there are more: `--limit`, `--all`, `--count`");
    }
    Ok(())
}

/// A line each, as they come: nothing is kept, however many there are.
async fn all(mut names: Listing, terminal: &Terminal) -> Result<(), Failure> {
    while let Some(page) = names.next_page().await? {
        for name in page {
            if terminal.is_json() { say(&to_json(&name)?)? } else { say(&name)? }
        }
    }
    Ok(())
}

async fn count(what: &'static str, mut names: Listing, terminal: &Terminal) -> Result<(), Failure> {
    let (mut counts, mut total) = (BTreeMap::<String, u64>::new(), 0);
    let mut progress = terminal.progress(what);
    while let Some(page) = names.next_page().await? {
        for name in page {
            total += 1;
            *counts.entry(row_of(&counts, &name).to_owned()).or_default() += 1;
        }
        progress.at(total, None);
    }
    drop(progress);
    terminal.answer(&json!({ "total": total, "prefixes": counts }), || {
        let rows = counts.iter().map(|(prefix, count)| format!("{count:>10}  {prefix}\n"));
        rows.collect::<String>() + &format!("{total:>10}  {what}")
    })
}

fn row_of<'a>(counts: &BTreeMap<String, u64>, name: &'a str) -> &'a str {
    let prefix = name.split(':').next().unwrap_or_default();
    if counts.len() < PREFIXES_MAX || counts.contains_key(prefix) { prefix } else { OTHERS }
}
