//! Whether a call is to load, whatever is stored.

use std::cell::Cell;
use std::future::Future;

tokio::task_local! {
    /// Set while the next lookup of this task is to ignore what is stored.
    static REFRESHING: Cell<bool>;
}

/// Runs a call of a cached function that loads and fills, whatever is stored.
pub async fn refresh<F: Future>(call: F) -> F::Output {
    REFRESHING.scope(Cell::new(true), call).await
}

/// Whether the next lookup of this task is the one that has to ignore what is stored.
pub(super) fn is_to_refresh() -> bool {
    REFRESHING.try_with(Cell::get).unwrap_or(false)
}

/// The same, of the lookup that asks: later ones need not.
pub(super) fn takes_refresh() -> bool {
    REFRESHING.try_with(|refreshing| refreshing.replace(false)).unwrap_or(false)
}
