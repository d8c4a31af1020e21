//! The answer of a preview, as plain data.

use std::fmt;

use serde::Serialize;

use crate::invalidation::Cause;

/// What an invalidation would remove. Made by [`Cache::preview`](crate::Cache::preview).
///
/// `Display` writes it for people, a line for each entry; `Serialize` for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The live entries that would be removed, in the order of their keys, each once.
    pub entries: Vec<PreviewEntry>,
    /// Where the preview stopped; `None`: nothing but `entries` would be removed.
    pub stop: Option<PreviewStop>,
}

/// One entry that would be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviewEntry {
    /// Its logical key.
    pub key: String,
    /// Why it would be removed. Of several causes, the first that was found.
    pub cause: Cause,
}

/// Where a preview stopped, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviewStop {
    /// The limit that was reached.
    pub limit: PreviewLimit,
    /// What was being followed.
    pub at: Cause,
}

/// What bounds a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreviewLimit {
    /// 10,000 entries are told.
    Entries,
    /// 100,000 names are followed.
    Names,
    /// 10,000 looks are taken.
    Looks,
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, at_least) = (self.entries.len(), if self.stop.is_some() { "at least " } else { "" });
        let entries = if count == 1 { "entry" } else { "entries" };
        write!(f, "{at_least}{count} {entries} would be removed")?;
        for PreviewEntry { key, cause } in &self.entries {
            write!(f, "\n  {key}  ({cause})")?;
        }
        if let Some(PreviewStop { limit, at }) = &self.stop {
            let most = match limit {
                PreviewLimit::Entries => "no more entries are told",
                PreviewLimit::Names => "no more names are followed",
                PreviewLimit::Looks => "no more looks are taken",
            };
            write!(f, "\nstopped at {at}: {most}")?;
        }
        Ok(())
    }
}
