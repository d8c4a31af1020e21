//! One call of a cached function.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::coding::Coding;
use super::copying::CopyPlan;
use super::refreshing::takes_refresh;
use crate::entry::{codec, fingerprint};
use crate::error::Error;
use crate::key::{Key, Policy};
use crate::name::Names;
use crate::paths::load::uncached::{Absence, UncachedLoad};
use crate::paths::load::{Encode, LoadRun, Loading};
use crate::paths::read::{Miss, Read, Terms};
use crate::paths::refresh::Due;
use crate::paths::subject::{Subject, counters_of};
use crate::paths::verify::Verification;
use crate::runtime::provenance::Inside;
use crate::runtime::{Runtime, Turn};

/// One call of a cached function.
#[must_use]
pub struct Call<T> {
    runtime: Arc<Runtime>,
    key: Key<T>,
    policy: Policy,
    coding: Coding<T>,
    background: bool,
    after_hit: AfterHit<T>,
}

/// What a hit of a call is followed by.
pub(super) enum AfterHit<T> {
    Nothing,
    Copy(CopyPlan<T>),
    Verification,
}

/// How a call goes on.
pub enum Step<T> {
    /// The value is here.
    Return(T),
    /// The value is here, and a load in the background is due: a refresh, or one that verifies the
    /// value. Only for calls [`in_background`](Call::in_background).
    ReturnAndRefresh(T, Refresh<T>),
    /// The body has to run.
    Load(Load<T>),
}

/// Loads in the background that are due. If it is dropped, they are left to another call.
#[must_use]
pub struct Refresh<T> {
    due: DueLoads,
    coding: Coding<T>,
}

/// What is loaded in the background, and why.
enum DueLoads {
    Refresh(Box<Due>),
    Verify(Box<Verification>),
}

/// The body of a cached function, about to run. [`fill`](Self::fill), [`unstored`](Self::unstored)
/// or [`failed`](Self::failed) ends it. If it is dropped before, its call was cancelled or
/// panicked, and a follower takes over.
#[must_use]
pub struct Load<T> {
    pub(super) way: LoadWay,
    // Without a `T` in it, a load is `Send` whatever `T` is.
    pub(super) coding: Coding<T>,
}

/// What a load has to do with the cache.
pub(super) enum LoadWay {
    /// What it has to do with any load.
    // Boxed, or the future of every cached function would be as large.
    Through(Box<Loading>),
    /// Nothing, but that it is counted.
    Past(UncachedLoad),
}

impl<T> Call<T> {
    /// A call of a function that stores as `policy` says.
    pub(crate) fn of(runtime: Arc<Runtime>, key: Key<T>, policy: Policy, coding: Coding<T>) -> Self {
        Self { runtime, key, policy, coding, background: false, after_hit: AfterHit::Nothing }
    }

    /// The caller can spawn refreshes. So a stale value is served at once, if its policy allows
    /// that.
    pub fn in_background(mut self) -> Self {
        self.background = true;
        self
    }

    /// What a hit is followed by.
    pub(super) fn followed_by(self, after_hit: AfterHit<T>) -> Self {
        Self { after_hit, ..self }
    }

    /// A hit is to be verified.
    #[cfg(test)]
    pub(crate) fn verified(self) -> Self {
        self.followed_by(AfterHit::Verification)
    }

    /// Takes the stored value, or the value that another call is loading, or is told to load.
    pub async fn lookup(self) -> Step<T> {
        let coding = self.coding;
        let refresh = takes_refresh();
        let (copy, is_verified) = match self.after_hit {
            AfterHit::Nothing => (None, false),
            AfterHit::Copy(plan) => (Some(plan), false),
            AfterHit::Verification => (None, self.background),
        };
        let terms = Terms { refresh, background: self.background, any_type: false, copy: copy.is_some() };
        let key = self.key.entry();
        if let (None, Some(absence)) = (&key, Absence::without_a_key()) {
            let counters = counters_of(&self.runtime, &self.policy);
            return Step::Load(Load::uncached(UncachedLoad::new(counters, &self.policy.prefix, absence), coding));
        }
        let fingerprint = (coding.fingerprint)(self.policy.version, self.policy.shape);
        let subject = Subject::new(&self.runtime, key, self.policy, fingerprint);
        let mut read = Read::begin(subject, terms);
        let mut stored = read.stored().await;
        loop {
            if let Some(mut found) = stored {
                match (coding.decode)(&found.entry) {
                    Ok(value) => {
                        if let (Some(copy), Some(right)) = (copy, found.take_copy()) {
                            copy.keep(*right, read.subject(), &found.entry, &value);
                        }
                        let verified = found.entry_if_fresh().filter(|_| is_verified).cloned();
                        let due = match read.served(found) {
                            Some(due) => Some(DueLoads::Refresh(due)),
                            None => verified
                                .and_then(|entry| Verification::new(read.subject(), entry))
                                .map(DueLoads::Verify),
                        };
                        return match due {
                            None => Step::Return(value),
                            Some(due) => Step::ReturnAndRefresh(value, Refresh { due, coding }),
                        };
                    }
                    Err(_) => {
                        read.undecodable(&found);
                        read.counters().trust.suspect::<T>();
                    }
                }
            }
            // Boxed: misses are rare, and without the box every cached function's future would be
            // as large as this one.
            match Box::pin(read.miss()).await {
                Miss::Found(found) => stored = Some(found),
                Miss::Load(loading) => return Step::Load(Load::through(loading, coding)),
            }
        }
    }
}

impl<T> Refresh<T> {
    /// Runs `reload` in a task of its own: once for a refresh, unless another process refreshes,
    /// and a few times to verify. `reload` says whether the body succeeded.
    pub fn spawn<R, F>(self, reload: R)
    where
        R: Fn(Load<T>) -> F + Send + 'static,
        F: Future<Output = bool> + Send + 'static,
        T: 'static,
    {
        let Self { due, coding } = self;
        match due {
            DueLoads::Refresh(due) => due.spawn(move |loading| reload(Load::through(loading, coding))),
            DueLoads::Verify(due) => due.spawn(move |loading| reload(Load::through(loading, coding))),
        }
    }
}

impl<T> Load<T> {
    pub(super) fn through(loading: Box<Loading>, coding: Coding<T>) -> Self {
        Self { way: LoadWay::Through(loading), coding }
    }

    pub(super) fn uncached(load: UncachedLoad, coding: Coding<T>) -> Self {
        Self { way: LoadWay::Past(load), coding }
    }

    /// Whether the cache asks for the names and the value. If not, the body runs as it is, and
    /// [`fill`](Self::fill) need not be called.
    pub fn fills(&self) -> bool {
        matches!(self.way, LoadWay::Through(_))
    }

    /// Adds names of the entry that are known before the body runs. The enclosing load inherits
    /// them at once, so an invalidation of one of them removes its entry too, even if this load
    /// ends with an error.
    pub fn known(&mut self, names: Names) {
        if let LoadWay::Through(loading) = &mut self.way {
            loading.declare(names);
        }
    }

    /// The body is about to run. From here on its time is measured, and the lease is renewed.
    pub fn begin(&mut self) -> LoadRun {
        match &mut self.way {
            LoadWay::Through(loading) => loading.begin(),
            LoadWay::Past(load) => load.begin(),
        }
    }

    /// The body, to be awaited. Cached calls inside hand their names to this load.
    pub fn body<F: Future>(&self, body: F) -> Inside<F> {
        match &self.way {
            LoadWay::Through(loading) => loading.body(body),
            LoadWay::Past(_) => Inside::nothing(body),
        }
    }

    /// The body has run.
    pub fn end(&mut self, running: LoadRun) {
        match &mut self.way {
            LoadWay::Through(loading) => loading.end(running),
            LoadWay::Past(load) => load.end(running),
        }
    }

    /// Runs the body.
    // Not an `async fn`: its future would hold the body, and all it captured, beside the box.
    pub(crate) fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> + use<'_, T, F> {
        let body = self.body(body);
        async move {
            let running = self.begin();
            let output = body.await;
            self.end(running);
            output
        }
    }

    /// Stores the value. If it is not to be stored, counts why, and removes the entry that it was
    /// to replace. `None`: `when` said no.
    ///
    /// The future holds no `T`, so it is `Send` even if `T` is not `Sync`.
    pub fn fill(self, value: Option<&T>, declared: Names) -> impl Future<Output = ()> + Send + use<T> {
        let filling = match (self.way, value) {
            (LoadWay::Past(_), _) => None,
            (LoadWay::Through(loading), value) if loading.is_compared() => {
                loading.compare(|entry| value.map_or(Ok(false), |value| (self.coding.is_held)(entry, value)));
                None
            }
            (LoadWay::Through(loading), value) => {
                let encode = value.map(|value| move |subject: &Subject| (self.coding.encode)(subject, value));
                loading.filled(declared, encode.as_ref().map(|encode| encode as &Encode<'_>))
            }
        };
        async move {
            if let Some(filling) = filling {
                filling.await;
            }
        }
    }

    /// The body failed, and its error goes to the caller.
    pub fn unstored(self) {
        match self.way {
            LoadWay::Through(loading) => loading.end_failed(),
            LoadWay::Past(load) => load.failed(),
        }
    }

    /// The body failed. Returns the value that the caller gets instead, under `stale_if_error`.
    pub fn failed(self, error: &str) -> Option<T> {
        match self.way {
            LoadWay::Through(loading) => (self.coding.decode)(&loading.end_failed_or_stand_in(error)?).ok(),
            LoadWay::Past(load) => {
                load.failed();
                None
            }
        }
    }
}

/// The value under `key`, or the one that `load` returns. If `stale_if_error` hides an error, the
/// error is logged as `unsaid`.
// Not an `async fn`: its future would hold `load`, and all it captured, twice.
pub(crate) fn get_or_load<T, E, F>(
    runtime: &Arc<Runtime>,
    key: Key<T>,
    unsaid: &'static str,
    load: impl FnOnce() -> F,
) -> impl Future<Output = Result<T, E>>
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<T, E>>,
{
    let call = Call::of(runtime.clone(), key.clone(), key.policy(), Coding::of_type());
    async move {
        Turn.await;
        let mut loading = match call.lookup().await {
            Step::Return(value) | Step::ReturnAndRefresh(value, _) => return Ok(value),
            Step::Load(loading) => loading,
        };
        match loading.run(load()).await {
            Ok(value) => {
                let declared = key.recipe().map_or_else(Names::new, |recipe| recipe.names(&value));
                let is_kept = key.recipe().is_none_or(|recipe| (recipe.keep)(&value));
                loading.fill(is_kept.then_some(&value), declared).await;
                Ok(value)
            }
            Err(error) => loading.failed(unsaid).ok_or(error),
        }
    }
}

/// The value stored under a key, without loading. To the enclosing load this is a cached call like
/// any other.
///
/// The function's fingerprint is made with its version and the declared fields. A key given as text
/// knows neither, so for it any value that decodes is taken.
pub(crate) async fn peek<T: DeserializeOwned>(runtime: &Arc<Runtime>, key: Key<T>) -> Result<Option<T>, Error> {
    Turn.await;
    let policy = key.policy();
    let terms = Terms { any_type: key.recipe().is_none(), ..Terms::default() };
    let fingerprint = fingerprint::<T>(policy.version, policy.shape);
    let mut read = Read::begin(Subject::new(runtime, key.entry(), policy, fingerprint), terms);
    let Some(found) = read.look().await? else { return Ok(None) };
    Ok(codec::decode(&found.entry).inspect_err(|_| read.undecodable(&found)).ok())
}
