//! What generated code may name, and nothing else does. No stability is promised for any of it.

mod bounds;
mod many;
#[cfg(feature = "macros")]
mod name_macros;
mod returns;
mod writing;

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use std::borrow::Cow;
pub use std::string::String;
pub use std::sync::OnceLock;
pub use std::time::Duration;
pub use std::vec::Vec;

#[cfg(feature = "macros")]
pub use cache_macros::{__key, __tag};

pub use crate::cache::Cache;
pub use crate::cacheable::Cacheable;
pub use crate::entry::{OpaqueField, Shape, ShapeOf};
pub use crate::freshness::Ttl;
pub use crate::invalidation::Invalidation;
pub use crate::key::{Captured, Key, KeyText, Policy};
pub use crate::name::Tag;
pub use crate::name::{KeyPart, Names, Part, Template, TextKey, part};

pub use self::bounds::*;
pub use self::many::*;
pub use self::returns::*;
pub use self::writing::*;

use crate::entry::codec;
use crate::entry::fingerprint;
use crate::paths::invalidate;
use crate::paths::load::Loading;
use crate::paths::read::{Missed, Read};
use crate::paths::refresh::Due;
use crate::runtime::Runtime;

tokio::task_local! {
    /// Set while the next lookup of this task is to ignore what is stored.
    static REFRESHING: std::cell::Cell<bool>;
}

/// One call of a cached function.
#[must_use]
pub struct Call<T> {
    runtime: Arc<Runtime>,
    key: Key<T>,
    policy: Policy,
    background: bool,
}

/// How a call goes on.
pub enum Step<T> {
    /// The value is here.
    Return(T),
    /// The value is here, and is to be refreshed in the background. Only for calls [`in_background`](Call::in_background).
    ReturnAndRefresh(T, Refresh<T>),
    /// The body has to run.
    Load(Load<T>),
}

/// A value is to be refreshed. Dropped, it is left to another call.
#[must_use]
pub struct Refresh<T> {
    due: Box<Due>,
    value: PhantomData<fn() -> T>,
}

/// The body of a cached function, about to run. To be ended by [`fill`](Self::fill), [`unstored_value`](Self::unstored_value),
/// [`unstored`](Self::unstored) or [`failed`](Self::failed); dropped before, its call was cancelled or panicked, and a follower takes over.
#[must_use]
pub struct Load<T> {
    // Boxed: the future of every cached function would be as large otherwise.
    loading: Box<Loading>,
    // A load holds no `T`, so it is `Send` whatever `T` is.
    value: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    /// `None`: the installed cache.
    pub fn new(cache: Option<&Cache>, key: Key<T>, policy: Policy) -> Self {
        let runtime = cache.map_or_else(|| Cache::global().runtime, |cache| cache.runtime.clone());
        Self { runtime, key, policy, background: false }
    }

    /// The caller spawns what is to be refreshed: a stale value is served at once, if its policy says so.
    pub fn in_background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Takes what is stored, waits for whoever loads it, or is told to load.
    pub async fn lookup(self) -> Step<T>
    where
        T: DeserializeOwned,
    {
        let refresh = REFRESHING.try_with(|refreshing| refreshing.replace(false)).unwrap_or(false);
        let fingerprint = fingerprint::<T>(self.policy.version, self.policy.shape);
        let mut read = Read::begin(&self.runtime, self.key.entry(), self.policy, fingerprint, refresh);
        if self.background {
            read.in_background();
        }
        let mut found = read.stored().await;
        loop {
            if let Some(usable) = found {
                match codec::decode(&usable.entry) {
                    Ok(value) => {
                        return match read.served(usable) {
                            None => Step::Return(value),
                            Some(due) => Step::ReturnAndRefresh(value, Refresh { due, value: PhantomData }),
                        };
                    }
                    Err(_) => read.undecodable(),
                }
            }
            // Boxed: misses are rare, and every cached function's future would be as large as this one.
            match Box::pin(read.miss()).await {
                Missed::Found(usable) => found = Some(usable),
                Missed::Load(loading) => return Step::Load(Load { loading, value: PhantomData }),
            }
        }
    }
}

impl<T> Refresh<T> {
    /// Runs `reload` in a task of its own, unless another process refreshes. It says whether the body succeeded.
    pub fn spawn<R, F>(self, reload: R)
    where
        R: FnOnce(Load<T>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
        T: 'static,
    {
        self.due.spawn(|loading| reload(Load { loading, value: PhantomData }));
    }
}

impl<T> Load<T> {
    /// Names of the entry that are known before the body runs. Handed to the enclosing load at once, so that it falls with
    /// them even if this load ends with an error.
    pub fn known(&mut self, names: Names) {
        self.loading.declare(names);
    }

    /// Runs the body: cached calls inside hand their names to this load, the time it takes is measured, the lease renewed.
    pub fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> + use<'_, T, F> {
        self.loading.run(body)
    }

    /// Stores the value, or counts why not. The future holds no `T`: it is `Send` also if `T` is not `Sync`.
    pub fn fill(mut self, value: &T, declared: Names) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Serialize,
    {
        self.loading.declare(declared);
        let filling = self.loading.prepare().and_then(|prepared| prepared.encoded(codec::encode(value)));
        async move {
            if let Some(filling) = filling {
                filling.send().await;
            }
        }
    }

    /// `when` said no: the value is not stored, but the enclosing load was made from it.
    pub fn unstored_value(mut self, declared: Names) {
        self.loading.declare(declared);
        self.loading.end_unstored();
    }

    /// The body failed, and its error goes to the caller.
    pub fn unstored(self) {
        self.loading.end_failed();
    }

    /// The body failed. What the caller gets instead, under `stale_if_error`.
    pub fn failed(self, error: &str) -> Option<T>
    where
        T: DeserializeOwned,
    {
        codec::decode(&self.loading.end_failed_or_stand_in(error)?).ok()
    }
}

/// Runs a call of a cached function that loads and fills, whatever is stored.
pub async fn refresh<F: Future>(call: F) -> F::Output {
    REFRESHING.scope(std::cell::Cell::new(true), call).await
}

/// Whether the caller of an invalidating function waits for the invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is done.
    Wait,
    /// Not at all.
    Background,
}

/// Watches over the body of an invalidating function. Made when the function's future is first polled: one that is never
/// polled invalidates nothing.
///
/// Dropped before [`complete`](Self::complete) or [`disarm`](Self::disarm), the body was cancelled or panicked, and the outcome of
/// its write is unknown: what is known already is invalidated.
#[must_use]
pub struct Invalidating {
    cache: Cache,
    mode: Mode,
    /// `None`: nothing is left to do.
    known: Option<Invalidation>,
}

impl Invalidating {
    /// `None`: the installed cache.
    pub fn new(cache: Option<&Cache>, mode: Mode) -> Self {
        Self { cache: cache.cloned().unwrap_or_else(Cache::global), mode, known: Some(Invalidation::new()) }
    }

    /// What needs the parameters alone; before the body runs, which may move them.
    pub fn known(&mut self, invalidation: Invalidation) {
        self.known = Some(self.known.take().unwrap_or_default().and(invalidation));
    }

    /// The body returned: invalidates what was known and what the result adds. Begun on the first poll, it goes on if the
    /// caller is dropped. Failures are counted, said at ERROR, and retried in the background.
    pub async fn complete(mut self, from_result: Invalidation) {
        let invalidation = self.known.take().unwrap_or_default().and(from_result);
        let done = invalidate::begin_and_report(&self.cache.runtime, invalidation);
        if self.mode == Mode::Wait {
            done.await;
        }
    }

    /// The function failed, and `when = ok`: nothing was written.
    pub fn disarm(mut self) {
        self.known = None;
    }
}

impl Drop for Invalidating {
    fn drop(&mut self) {
        if let Some(known) = self.known.take() {
            drop(invalidate::begin_and_report(&self.cache.runtime, known));
        }
    }
}
