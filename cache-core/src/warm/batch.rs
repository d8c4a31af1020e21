//! Makes the keys of one prefix into calls of its batch loader.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::registry::{BatchLoader, Batches, BoxError, Job, nothing_further};
use crate::config::WARM_BATCH_MAX;
use crate::name::prefix_of;

/// The ids are parsed one by one before the first call, so a key without an id does not keep the
/// others from being loaded.
pub(super) fn loader<K, P, F, T, E>(
    parse: impl Fn(&str) -> Result<K, P> + Send + Sync + 'static,
    load: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
) -> BatchLoader
where
    K: Send + 'static,
    P: Into<BoxError>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    E: Into<BoxError>,
{
    let load = Arc::new(load);
    Arc::new(move |keys| {
        let (mut ids, mut refused) = (Vec::new(), Vec::new());
        for (key, arguments) in keys {
            match catch_unwind(AssertUnwindSafe(|| parse(&arguments))) {
                Ok(Ok(id)) => ids.push((key, id)),
                Ok(Err(error)) => refused.push((key, error.into().to_string())),
                Err(_) => refused.push((key, "panicked".to_owned())),
            }
        }
        let (mut ids, mut calls) = (ids.into_iter().peekable(), Vec::new());
        while let Some((first, _)) = ids.peek() {
            let name = first.clone();
            let chunk: Vec<K> = ids.by_ref().take(WARM_BATCH_MAX).map(|(_, id)| id).collect();
            let (load, counts) = (load.clone(), chunk.len() as u64);
            let of = prefix_of(&name).to_owned();
            calls.push(Job { name, of, counts, begin: Box::new(move || nothing_further(load(chunk))) });
        }
        Batches { calls, refused }
    })
}
