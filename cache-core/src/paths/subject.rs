//! What a call is about.

use std::sync::Arc;
use std::time::Duration;

use super::recovery;
use crate::ablation::{ProcessRule, keeps};
use crate::codec::{Compression, Format};
use crate::entry::{Entry, Fingerprint, OpeningTerms};
use crate::key::{EntryKey, Policy};
use crate::name::Name;
use crate::observe::{CallMark, CallResult, Event, SharedCounters, Unreadable};
use crate::runtime::debts::Outset;
use crate::runtime::trace::TracedLifetime;
use crate::runtime::{Clash, Runtime, provenance};
use crate::store::{Recall, Store};

/// One entry, how it is stored, and the runtime and counters that it belongs to. The read, the load
/// and the refresh of a call share it.
pub(crate) struct Subject {
    pub(crate) runtime: Arc<Runtime>,
    /// `None`: an argument could not be encoded, and the call is not cached.
    pub(crate) key: Option<EntryKey>,
    pub(crate) policy: Policy,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) counters: SharedCounters,
    /// The key that the caller has named, if this is the entry [beside](Self::beside) that one.
    beside: Option<EntryKey>,
}

/// The counters of the entries that are stored as `policy` says.
pub(crate) fn counters_of(runtime: &Runtime, policy: &Policy) -> SharedCounters {
    match &policy.owner {
        Some(owner) => owner.function.counters.of(&runtime.counted, &policy.prefix),
        None => SharedCounters::Looked(runtime.counted.prefix(&policy.prefix)),
    }
}

impl Subject {
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        key: Option<EntryKey>,
        policy: Policy,
        fingerprint: Fingerprint,
    ) -> Arc<Self> {
        let fingerprint = if runtime.config.storage.seal.is_some() { fingerprint.sealed() } else { fingerprint };
        let counters = counters_of(runtime, &policy);
        if !policy.by_text || key.as_ref().is_some_and(|key| key.text.len() > policy.prefix.len()) {
            counters.may_be_said();
        }
        if let Some(owner) = &policy.owner
            && let Some(Clash { first, second }) = runtime.owners.meet(&policy.prefix, owner, fingerprint)
        {
            counters.note(Event::PrefixContested { first, second });
        }
        Arc::new(Self { runtime: runtime.clone(), key, policy, fingerprint, counters, beside: None })
    }

    /// The entry of this type beside the one under its key, which is of another type: another
    /// version of the program runs as well, and each would load what the other one has stored over.
    /// It depends on the key, so it falls with it. `None`: it is that entry already.
    pub(crate) fn beside(&self) -> Option<Arc<Self>> {
        let Self { runtime, key, policy, fingerprint, counters, beside: None } = self else { return None };
        let beside = key.clone()?;
        let key = Some(beside.of_type(fingerprint));
        let (runtime, policy, counters) = (runtime.clone(), policy.clone(), counters.clone());
        Some(Arc::new(Self { runtime, key, policy, fingerprint: *fingerprint, counters, beside: Some(beside) }))
    }

    /// The key that the caller has named.
    pub(crate) fn called(&self) -> Option<&Arc<str>> {
        self.beside.as_ref().or(self.key.as_ref()).map(|key| &key.text)
    }

    /// After a load that replaces what the call was served before: drops the copies of that, of the
    /// key that the caller has named as well as of the entry beside it.
    pub(crate) fn drop_copies(&self) {
        let near = &self.runtime.near;
        let Some(called) = self.beside.as_ref().or(self.key.as_ref()).filter(|_| near.is_used_by_kin()) else { return };
        near.forget(&called.text);
        near.forget(&called.of_type(&self.fingerprint).text);
    }

    /// The name of the entry that it stands beside.
    pub(crate) fn stands_beside(&self) -> Option<Name> {
        self.beside.as_ref().map(EntryKey::name)
    }

    /// The key, and the store that holds its entry; `None` if the call has no key or the cache no
    /// store.
    pub(crate) fn place(&self) -> Option<(&EntryKey, &dyn Store)> {
        Some((self.key.as_ref()?, self.runtime.store().ok()?))
    }

    pub(crate) fn key_text(&self) -> Option<&Arc<str>> {
        self.key.as_ref().map(|key| &key.text)
    }

    pub(crate) fn name(&self) -> Option<Name> {
        self.key.as_ref().map(EntryKey::name)
    }

    /// Whether another function would be served this entry, and this one that function's.
    pub(crate) fn is_contested(&self) -> bool {
        let Self { runtime, policy, fingerprint, .. } = self;
        policy.owner.as_ref().is_some_and(|owner| runtime.owners.are_contested(&policy.prefix, owner, *fingerprint))
    }

    /// Whether the entry under this key, with these names, must not be served to a call that began
    /// at `outset`: an invalidation that would remove it is owed, or was owed then and may have
    /// been made good after the entry was read.
    pub(crate) fn is_owed(&self, outset: Outset, names: &[Name]) -> bool {
        let Self { runtime, .. } = self;
        let is_affected = recovery::is_owing(runtime) && runtime.debts.affects(names.iter().chain(&self.name()));
        // Read after what is owed, so that a settlement is seen by one of the two.
        (is_affected || runtime.debts.settled_since(outset)) && keeps(ProcessRule::OwedEntriesAreNotServed)
    }

    /// What a clock reading for a load or a write of this entry has to bring with it.
    pub(crate) fn recall(&self) -> Recall {
        if self.policy.adaptive.is_some() { Recall::Learned } else { Recall::Nothing }
    }

    /// Tells whoever observes this task what the call was.
    pub(crate) fn record(&self, result: CallResult) -> Option<CallMark> {
        provenance::record(result, &self.policy.prefix, self.called().map(|key| &**key))
    }

    /// Tells whoever traces this task how long the value lasts that the call is served.
    pub(crate) fn lasts(&self, fresh_for: impl FnOnce() -> Duration) {
        provenance::lasts(|| {
            let stale_while_revalidate = self.policy.freshness.stale_while_revalidate;
            TracedLifetime { fresh_for: fresh_for(), stale_while_revalidate }
        });
    }

    pub(crate) fn note(&self, event: Event<'_>) {
        self.counters.note(event);
    }

    /// How values are encoded.
    pub(crate) fn format(&self) -> Format {
        self.policy.format.unwrap_or(self.runtime.config.storage.format)
    }

    /// How large values are compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.policy.compression.unwrap_or(self.runtime.config.storage.compression)
    }

    /// The entry under its key, ready to be decoded.
    pub(crate) fn opened(&self, entry: Entry) -> Result<Entry, Unreadable> {
        let Self { runtime, policy, .. } = self;
        entry.opened(&OpeningTerms {
            storage: &runtime.config.storage,
            function: policy.format,
            place: &|| self.seal_place(),
            inflated_bytes_max: runtime.config.inflated_bytes_max,
        })
    }

    /// What a sealed value is bound to: no two entries of a store have the same.
    pub(crate) fn seal_place(&self) -> String {
        format!("{}:{}", self.runtime.config.namespace, self.key_text().map_or("", |key| key))
    }

    /// Stored bytes are of no use to a call.
    pub(crate) fn note_unreadable(&self, reason: Unreadable) {
        if let Some(key) = self.key_text() {
            self.runtime.unreadable.note(key, reason);
        }
        self.note(Event::BadEntry(reason));
    }

    /// What became of a value that was loaded or written.
    pub(crate) fn note_fill(&self, event: Event<'_>) {
        if let Some(key) = self.key_text() {
            match event {
                Event::NotStored(reason) => self.runtime.unstored.note(key, reason),
                Event::Stored => {
                    self.runtime.unstored.forget(key);
                    self.runtime.unreadable.forget(key);
                }
                _ => {}
            }
        }
        self.note(event);
    }

    /// Makes the enclosing loads depend on this entry.
    pub(crate) fn hand_over(&self) {
        if provenance::in_load() {
            provenance::hand_over(self.runtime.id, self.name().as_ref());
            provenance::call_begins();
        }
    }
}
