//! What cached functions read in tests: rows that change, and loads that can be held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Gate, Probe, Source};

/// A little database: rows of text, a count of reads, and a gate in front of any one read's return.
#[derive(Clone, Debug, Default)]
pub struct Data {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
}

#[derive(Debug, Default)]
struct Row {
    value: String,
    reads: Probe,
    held: Vec<Gate>,
}

impl Data {
    /// Without rows; every row starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes a row.
    pub fn set(&self, row: &str, value: &str) {
        self.rows().entry(row.to_owned()).or_default().value = value.to_owned();
    }

    /// Reads a row: what it holds now, even if the read is [held](Self::hold) afterwards.
    pub async fn read(&self, row: &str) -> String {
        let (value, held) = {
            let mut rows = self.rows();
            let row = rows.entry(row.to_owned()).or_default();
            row.reads.mark();
            let held = (!row.held.is_empty()).then(|| row.held.remove(0));
            (row.value.clone(), held)
        };
        if let Some(gate) = held {
            gate.pass().await;
        }
        value
    }

    /// Stops one read of a row after it has read and before it returns: the next
    /// one that no earlier gate stops.
    pub fn hold(&self, row: &str) -> Gate {
        let gate = Gate::new();
        self.rows().entry(row.to_owned()).or_default().held.push(gate.clone());
        gate
    }

    /// How often a row was read.
    pub fn reads(&self, row: &str) -> u64 {
        self.rows().get(row).map_or(0, |row| row.reads.count())
    }

    // A test that panics while it reads leaves the rows as they are.
    /// For loads of a [`World`](crate::World): rows named by number, each with a number in it, or
    /// 0. Pauses are rows, too.
    pub fn source(&self) -> Source {
        let data = self.clone();
        Arc::new(move |datum| {
            let data = data.clone();
            Box::pin(async move { data.read(&datum.to_string()).await.parse().unwrap_or(0) })
        })
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
