//! What an invalidation would remove, found without touching it.
//!
//! The walk visits what the invalidation would visit, and follows the same rules: see
//! `cascade.lua`. What is reached does not depend on the order in which it is visited.

mod report;

use std::collections::{BTreeMap, HashSet};

pub use report::{Preview, PreviewEntry, PreviewLimit, PreviewStop};

use crate::config::{INVALIDATE_NAMES_PER_CHUNK, PREVIEW_KEYS_MAX, PREVIEW_LOOKS_MAX, PREVIEW_NAMES_MAX};
use crate::error::Error;
use crate::invalidation::{Cause, Targets};
use crate::name::Name;
use crate::observe::StoreOperation;
use crate::runtime::Runtime;
use crate::runtime::budget::ask_aside;
use crate::store::{Look, Sight, SweepScope};

/// How far a preview goes.
#[derive(Clone, Copy)]
struct PreviewBounds {
    keys: usize,
    names: usize,
    looks: usize,
}

const BOUNDS: PreviewBounds =
    PreviewBounds { keys: PREVIEW_KEYS_MAX, names: PREVIEW_NAMES_MAX, looks: PREVIEW_LOOKS_MAX };

pub(crate) async fn preview(runtime: &Runtime, targets: &Targets) -> Result<Preview, Error> {
    if targets.is_empty() || runtime.store.is_none() {
        return Ok(Preview::default());
    }
    PreviewWalk::new(runtime, BOUNDS).all(targets).await
}

struct PreviewWalk<'a> {
    runtime: &'a Runtime,
    bounds: PreviewBounds,
    /// Why each key falls: the first cause that was found.
    causes: BTreeMap<String, Cause>,
    seen: HashSet<Name>,
    /// Names whose members are still to be visited.
    ahead: Vec<Name>,
    looks: usize,
    has_lost: bool,
    stop: Option<PreviewStop>,
}

impl<'a> PreviewWalk<'a> {
    fn new(runtime: &'a Runtime, bounds: PreviewBounds) -> Self {
        Self {
            runtime,
            bounds,
            causes: BTreeMap::new(),
            seen: HashSet::new(),
            ahead: Vec::new(),
            looks: 0,
            has_lost: false,
            stop: None,
        }
    }

    async fn all(mut self, targets: &Targets) -> Result<Preview, Error> {
        if !targets.clear {
            self.reached(targets).await?;
        }
        // Every entry falls, so nothing has to be followed.
        if targets.clear || self.has_lost {
            self.stop = None;
            self.pages("*", SweepScope::Values, |_| Cause::Everything).await?;
        }
        let entries = self.causes.into_iter().map(|(key, cause)| PreviewEntry { key, cause }).collect();
        Ok(Preview { entries, stop: self.stop })
    }

    async fn reached(&mut self, targets: &Targets) -> Result<(), Error> {
        let losses = self.look(Look::Losses).await?;
        self.take(losses, |_| Cause::Everything);
        for chunk in targets.names.chunks(INVALIDATE_NAMES_PER_CHUNK) {
            let given = self.look(Look::Given(chunk)).await?;
            self.take(given, |place| Cause::at(chunk, place));
        }
        for pattern in &targets.patterns {
            for scope in [SweepScope::Values, SweepScope::Dependents] {
                self.pages(pattern, scope, |_| Cause::Pattern(pattern.clone())).await?;
            }
        }
        while self.goes_on(|ahead| ahead.last().map(Cause::of)) && !self.ahead.is_empty() {
            let first = self.ahead.len().saturating_sub(INVALIDATE_NAMES_PER_CHUNK);
            let names = self.ahead.split_off(first);
            self.members(&names).await?;
        }
        Ok(())
    }

    async fn members(&mut self, names: &[Name]) -> Result<(), Error> {
        let mut next = Some((0, 0));
        while let Some((place, from)) = next
            && let Some(names) = names.get(place..).filter(|names| !names.is_empty())
            && self.goes_on(|_| names.first().map(Cause::of))
        {
            let sight = self.look(Look::Members { names, from }).await?;
            next = sight.next.map(|(later, from)| (place + later, from));
            self.take(sight, |at| Cause::at(names, at));
        }
        Ok(())
    }

    async fn pages(&mut self, pattern: &str, scope: SweepScope, cause: impl Fn(usize) -> Cause) -> Result<(), Error> {
        let mut next = Some((0, 0));
        while let Some((_, cursor)) = next
            && self.goes_on(|_| Some(cause(0)))
        {
            let sight = self.look(Look::Page { pattern, scope, cursor }).await?;
            next = sight.next;
            self.take(sight, &cause);
        }
        Ok(())
    }

    async fn look(&mut self, look: Look<'_>) -> Result<Sight, Error> {
        self.looks += 1;
        let (runtime, store) = (self.runtime, self.runtime.store()?);
        let sight = ask_aside(runtime, StoreOperation::Preview, |until| store.look(look, until)).await?;
        // The embedded store never yields: let other tasks run between two looks.
        tokio::task::yield_now().await;
        Ok(sight)
    }

    fn take(&mut self, sight: Sight, cause: impl Fn(usize) -> Cause) {
        self.has_lost |= sight.has_lost;
        for (key, place) in sight.falling {
            let at = cause(place);
            if self.causes.len() < self.bounds.keys || self.causes.contains_key(&*key) {
                self.causes.entry(key.into()).or_insert(at);
            } else {
                self.stop_at(PreviewLimit::Entries, at);
            }
        }
        for name in sight.leads {
            if self.seen.len() >= self.bounds.names && !self.seen.contains(&name) {
                self.stop_at(PreviewLimit::Names, Cause::of(&name));
            } else if self.seen.insert(name.clone()) {
                self.ahead.push(name);
            }
        }
    }

    /// Whether another look may be taken; `at` is what it would be at.
    fn goes_on(&mut self, at: impl FnOnce(&[Name]) -> Option<Cause>) -> bool {
        if self.looks >= self.bounds.looks
            && let Some(at) = at(&self.ahead)
        {
            self.stop_at(PreviewLimit::Looks, at);
        }
        self.stop.is_none()
    }

    fn stop_at(&mut self, limit: PreviewLimit, at: Cause) {
        self.stop.get_or_insert(PreviewStop { limit, at });
    }
}

#[cfg(test)]
mod tests;
