//! What every process has invalidated, in the order of the store's clock.

use std::fmt;
use std::sync::Arc;

use crate::clock;
use crate::error::Error;
use crate::invalidation::Cause;
use crate::runtime::Runtime;
use crate::store::TrailPosition;

/// What any process invalidates, look by look: for whoever has made something from cached values
/// and keeps it outside, as a CDN keeps responses. Made by
/// [`Cache::follow_invalidations`](crate::Cache::follow_invalidations).
///
/// It is read from the fences of the store, so nothing is lost with the process that invalidated,
/// and what a cascade reached is among the names: every entry that an invalidation meets is told
/// by its key.
pub struct InvalidationTrail {
    runtime: Arc<Runtime>,
    /// `None`: nothing was looked at so far.
    position: Option<TrailPosition>,
}

/// What was invalidated between two looks of an [`InvalidationTrail`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailStep {
    names: Vec<Cause>,
    is_everything: bool,
    unanswered_partitions: u16,
}

impl TrailStep {
    /// The keys and tags that were invalidated, and the keys that this led to, each once.
    pub fn names(&self) -> &[Cause] {
        &self.names
    }

    /// Whether anything may have been invalidated beside these names: a pattern was, or everything,
    /// or too much to be told apart, or the last look is too long ago.
    pub fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// How many partitions of a cluster did not answer: what was invalidated there is told by the
    /// first look that they answer, or by one that says everything. 0 without a cluster.
    pub fn unanswered_partitions(&self) -> u16 {
        self.unanswered_partitions
    }

    /// Whether nothing was invalidated, in the partitions that have answered.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.is_everything
    }
}

impl InvalidationTrail {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime, position: None }
    }

    /// What was invalidated since the last look. The first look knows of nothing before it, so it
    /// says everything.
    ///
    /// Whatever returned before this is called is among it: an invalidation, or a write, of any
    /// process on the same server. On a cluster a partition that does not answer is left out, and
    /// [counted](TrailStep::unanswered_partitions); the others are not held back for it.
    ///
    /// # Limits
    /// Of more than 2,000 names since the last look, or if that is further back than
    /// `fence_retention`, it says everything.
    ///
    /// # Cancel safety
    /// A call that is dropped has seen nothing: the next one returns the same and more.
    ///
    /// # Cost
    /// One round trip, to each partition at once: O(log n) of the server's time, and what the names
    /// take. Three where nobody has used the namespace before.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer; of a cluster, if no partition did. The
    /// next look tells all that this one would have told.
    pub async fn look(&mut self) -> Result<TrailStep, Error> {
        let Some(store) = &self.runtime.store else { return Ok(TrailStep::default()) };
        let until = clock::now() + self.runtime.config.operation_deadline;
        let trail = store.fenced_since(self.position.as_ref(), until).await?;
        self.position = Some(trail.position);
        let names = if trail.is_whole { trail.names.iter().map(Cause::of).collect() } else { Vec::new() };
        let unanswered_partitions = trail.unanswered_partitions;
        Ok(TrailStep { names, is_everything: !trail.is_whole, unanswered_partitions })
    }
}

impl fmt::Debug for InvalidationTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidationTrail").field("position", &self.position).finish_non_exhaustive()
    }
}
