//! A load in a disabled cache: it is counted, and that is all.

use std::sync::Arc;

use super::LoadRun;
use crate::observe::{Counters, Event};

/// A load that has no entry, no lease and no followers. Nothing depends on it.
pub(crate) struct UncachedLoad {
    counters: Arc<Counters>,
}

impl UncachedLoad {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }

    /// The body is about to run.
    pub(crate) fn begin(&self) -> LoadRun {
        self.counters.note(Event::LoadBegan);
        LoadRun::unrenewed()
    }

    /// The body has run.
    pub(crate) fn end(&self, running: LoadRun) {
        self.counters.note(Event::LoadEnded(running.took()));
    }
}
