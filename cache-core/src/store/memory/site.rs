//! Which of several partitions a state is.

use std::sync::Arc;

use super::marks::Marks;
use crate::name::Name;
use crate::store::{HomeReading, Partitions};

/// Which partition a state is, and what it knows of the others.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) number: u16,
    pub(super) partitions: Partitions,
    /// Of the names that are at home here.
    pub(super) marks: Marks,
    /// The incarnation of each home in which the names of this partition are listed there.
    pub(super) known: Vec<Option<Arc<str>>>,
    /// Whether the marks are all that there should be.
    pub(super) is_complete: bool,
}

impl Site {
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self::new(0, Partitions::ONE)
    }

    /// Of a partition that knows nothing of the others.
    pub(super) fn new(number: u16, partitions: Partitions) -> Self {
        let known = if partitions.is_one() { Vec::new() } else { vec![None; usize::from(partitions.count())] };
        Self { number, partitions, marks: Marks::default(), known, is_complete: partitions.is_one() }
    }

    /// Nothing is stored anywhere yet.
    pub(super) fn know_all(&mut self, readings: &[HomeReading]) {
        if !self.partitions.is_one() {
            self.known = readings.iter().map(|reading| Some(reading.incarnation.clone())).collect();
        }
        self.is_complete = true;
    }

    pub(super) fn is_home(&self, name: &Name) -> bool {
        self.partitions.is_home(name, self.number)
    }
}
