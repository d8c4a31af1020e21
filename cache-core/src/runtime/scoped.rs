//! The cache that functions without a `cache` option use in this task, where a scope says so.

use std::future::Future;
use std::sync::Arc;

use super::runtime::Runtime;

tokio::task_local! {
    /// `None`: the task was carried along from outside of every scope.
    static SCOPED: Option<Arc<Runtime>>;
}

/// The cache of the innermost scope that this task is in.
pub(crate) fn current() -> Option<Arc<Runtime>> {
    SCOPED.try_with(Option::clone).ok().flatten()
}

/// Uses the cache of the innermost scope that this task is in, without a count of its users.
pub(crate) fn with_current<R>(use_it: impl FnOnce(&Arc<Runtime>) -> R) -> Option<R> {
    SCOPED.try_with(|scoped| scoped.as_ref().map(use_it)).ok().flatten()
}

/// Makes `runtime` the cache of `future`, wherever that runs. With [`current`] a task that is
/// spawned stays in the scope that it is spawned in.
pub(crate) fn within<F: Future>(runtime: Option<Arc<Runtime>>, future: F) -> impl Future<Output = F::Output> + use<F> {
    SCOPED.scope(runtime, future)
}
