//! What an operation is given: the moment, and the limits of its store.

use std::time::Duration;

use crate::ablation::limit;
use crate::clock::Instant;
use crate::config::{
    CLOSED_NAMES_MAX, Config, FENCES_MAX, INVALIDATE_MEMBERS_PER_CHUNK, MEMORY_MEMBERSHIPS_PER_VISIT,
    MEMORY_REAPED_PER_OPERATION, REACHED_NAMES_MAX, SWEEP_KEYS_PER_PAGE,
};
use crate::store::Partitions;

/// The moment of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The time that expiry is measured by.
    pub(super) at: Instant,
    /// The time that clock readings show.
    pub(super) wall_us: u64,
}

/// The limits of one store.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) fence_retention: Duration,
    pub(super) bytes_max: usize,
    pub(super) fences_max: usize,
    pub(super) marks_max: usize,
    pub(super) reached_max: usize,
    pub(super) members_per_chunk: usize,
    pub(super) keys_per_page: usize,
    pub(super) reaped_per_operation: usize,
    pub(super) memberships_per_visit: usize,
}

impl Settings {
    /// Of one of so many partitions.
    pub(super) fn new(config: &Config, partitions: Partitions) -> Self {
        Self {
            fence_retention: config.fence_retention,
            bytes_max: config.memory_bytes_max / usize::from(partitions.count()),
            fences_max: limit("fences", FENCES_MAX),
            marks_max: CLOSED_NAMES_MAX,
            reached_max: limit("reached", REACHED_NAMES_MAX),
            members_per_chunk: limit("visits", INVALIDATE_MEMBERS_PER_CHUNK),
            keys_per_page: SWEEP_KEYS_PER_PAGE,
            reaped_per_operation: MEMORY_REAPED_PER_OPERATION,
            memberships_per_visit: MEMORY_MEMBERSHIPS_PER_VISIT,
        }
    }
}
