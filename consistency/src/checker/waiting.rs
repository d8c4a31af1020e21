//! Reads that wait until all that ended before they began is known.

use crate::record::Read;

/// The reads by batch, each with its earliest start. In whichever order reads are judged, the same
/// comes of them, so none is sorted: a batch is looked through when one of its reads may go, and
/// when a process has stopped and none may, batches are passed over.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(u64, Vec<Read>)>);

impl Waiting {
    pub(super) fn add(&mut self, reads: Vec<Read>) {
        if !reads.is_empty() {
            self.0.push((earliest(&reads), reads));
        }
    }

    /// Takes out those that began before this.
    pub(super) fn take_before(&mut self, start: u64) -> Vec<Read> {
        let mut taken = Vec::new();
        for (oldest, reads) in self.0.iter_mut().filter(|(oldest, _)| *oldest < start) {
            taken.extend(reads.extract_if(.., |read| read.start < start));
            *oldest = earliest(reads);
        }
        self.0.retain(|(_, reads)| !reads.is_empty());
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them began.
    pub(super) fn oldest(&self) -> u64 {
        self.0.iter().map(|(oldest, _)| *oldest).min().unwrap_or(u64::MAX)
    }
}

fn earliest(reads: &[Read]) -> u64 {
    reads.iter().map(|read| read.start).min().unwrap_or(u64::MAX)
}
