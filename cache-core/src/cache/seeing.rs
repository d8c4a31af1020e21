//! What a cache tells of its entries, and changes nothing.

use super::Cache;
use crate::error::Error;
use crate::invalidation::Invalidation;
use crate::paths::preview::{self, Preview};

impl Cache {
    /// The entries that [`invalidate`](Self::invalidate) would remove, exactly, without touching
    /// them: those that are named, and what depends on them, however indirectly. Among them is what
    /// an invalidation of a process that died has left, for the next one, whatever it names, goes
    /// on with that.
    ///
    /// Nothing is held while it looks: what other processes store and remove meanwhile may or may
    /// not be in it.
    ///
    /// # Limits
    /// 10,000 entries are told, 100,000 names are followed, and 10,000 looks are taken. At a limit
    /// it [stops](Preview::stop), and says where.
    ///
    /// # Cost
    /// The round trips of the invalidation, and one more. Each takes the server about as long as
    /// one chunk of the invalidation would, 2 ms at most. It writes nothing.
    ///
    /// # Errors
    /// If the store could not be reached or did not answer, or a name can never name anything.
    ///
    /// # Example
    /// ```
    /// # use cache_core::{Cache, Invalidation};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_core::Error> {
    /// # let cache = Cache::in_memory();
    /// cache.put("flight:42", &"DFW to BOS").await?;
    /// let preview = cache.preview(Invalidation::new().pattern("flight:*")).await?;
    /// assert_eq!(preview.entries[0].key, "flight:42");
    /// println!("{preview}");
    /// assert_eq!(cache.peek::<String>("flight:42").await?.as_deref(), Some("DFW to BOS"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn preview(&self, invalidation: Invalidation) -> Result<Preview, Error> {
        match invalidation.into_parts() {
            (_, Some(error)) => Err(error),
            (targets, None) => preview::preview(&self.runtime, &targets).await,
        }
    }
}
