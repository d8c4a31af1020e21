//! A sale that the tour holds before its commit.

use super::shop::{Failure, Shop, take};

/// Sells one table, and runs `meanwhile` while the transaction is open.
pub(crate) async fn sale<T>(shop: &Shop, meanwhile: impl Future<Output = T>) -> Result<T, Failure> {
    let mut tx = shop.outbox.begin(&shop.cache).await?;
    take(&mut tx, 2, 1).await?;
    let seen = meanwhile.await;
    tx.commit().await?;
    Ok(seen)
}
