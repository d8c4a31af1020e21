//! Closing names around a change.

use super::Cache;
use crate::error::Error;
use crate::invalidation::Invalidation;
use crate::paths::closing::{self, Closing};

impl Cache {
    #[doc = include_str!("../../docs/transactions.md")]
    pub async fn close(&self, invalidation: Invalidation) -> Result<Closing, Error> {
        let (targets, invalid) = invalidation.into_parts();
        match invalid {
            Some(error) => Err(error),
            None => closing::close(&self.runtime, targets, "Cache::close").await,
        }
    }
}
