//! What happens to calls, values and invalidations. This is the only list of it, and the only place
//! where it is counted and logged.

use std::time::Duration;

use super::not_stored::NotStored;
use super::pace::Line;
use super::said::said;
use super::stats::Counters;
use super::unreadable::Unreadable;
use super::verified::VerificationEnd;
use super::waits::WaitEnd;
use super::whole::{InvalidationKind, StoreOperation};

/// Something that happened under one prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A call was served a stored value within its TTL.
    Hit,
    /// A call was served a stored value past its TTL, within `stale_while_revalidate`.
    StaleHit,
    /// A call was not served a stored value.
    Miss,
    /// A miss that took the value that another call of this process was loading.
    SharedMiss,
    /// A miss that was served the value it had read before, because another call's load failed
    /// (`stale_if_error`) or takes long (`load_timeout`).
    StandInMiss,
    /// A call left the cache alone.
    Bypass,
    /// Stored bytes could not be used.
    BadEntry(Unreadable),
    /// The store answered a call, or failed to answer it, after `took`.
    StoreAnswer { operation: StoreOperation, took: Duration, failed: bool },
    /// The same, of what no call waits for, such as an invalidation.
    OtherAnswer { operation: StoreOperation, took: Duration, failed: bool },
    /// The store was not asked, for it would have refused the call at once.
    StoreRefusal,
    /// The wrapped function has ended with an error.
    LoadFailed,
    /// The wrapped function was dropped before its end, or panicked.
    LoadCancelled,
    /// A wait for another's load ended.
    WaitEnded(WaitEnd),
    /// A background refresh has the right to load.
    RefreshBegan,
    /// A background refresh failed.
    RefreshFailed { error: &'a str },
    /// A hit is loaded again, to be compared.
    VerificationBegan,
    /// The verification of a hit ended.
    VerificationEnded(VerificationEnd),
    /// An entry of this age is not what its load returns, and nothing has invalidated it. `known`
    /// is what is known of it, its key and names included.
    Inconsistent { age: Duration, known: &'a str },
    /// A load failed whose callers are gone (`finish`).
    AbandonedFailure { error: &'a str },
    /// A load failed, and its caller was served the value it had read before (`stale_if_error`).
    FailureHidden { error: &'a str },
    /// A load takes longer than `load_timeout`, and its caller was served the value it had read
    /// before.
    LateLoad,
    /// A value was stored.
    Stored,
    /// A value was not stored.
    NotStored(NotStored),
    /// A value that belongs to more names than `names_max`, and to so many at least: an overflow of
    /// inherited names is not counted to its end. [`NotStored::TooManyNames`] follows.
    NamesExceeded { at_least: usize },
    /// This number of entries was removed.
    Removed(u64),
    /// An invalidation ended after `took`, and removed so many entries, dependents included.
    /// `removed` is `None`: it failed.
    InvalidationEnded { kind: InvalidationKind, took: Duration, removed: Option<u64> },
    /// An invalidation failed, and is retried in the background.
    InvalidationOwed,
    /// An invalidation failed, and no caller gets an `Err` that tells of it. `by`: the function, or
    /// the prefix of what it writes.
    InvalidationFailed { by: &'a str, error: &'a dyn std::error::Error },
    /// The names of a function could not be closed around its body.
    NotClosed { by: &'a str, error: &'a dyn std::error::Error },
    /// The store has lost writes that this process knows of. If it `clears`, everything is removed.
    WritesLost { clears: bool },
    /// Invalidations that had failed have succeeded, and have removed so many entries.
    InvalidationsMadeGood(u64),
    /// A function invalidates something that can never name an entry.
    InvalidName { by: &'a str, error: &'a dyn std::error::Error },
    /// Two functions would be served each other's entries, so neither is cached. Once for both.
    PrefixContested { first: &'a str, second: &'a str },
    /// A data class is in no table. Once for each.
    ClassUnknown { class: &'a str, default_ttl: Duration },
    /// So many keys, or a warmer, could not be warmed. `of`: the prefix of the keys, or the warmer;
    /// not a key.
    WarmingFailed { of: &'a str, failed: u64, error: &'a str },
}

/// What is said of a load without a caller that panicked, or that was ended.
pub(crate) const PANICKED: &str = "it panicked";
pub(crate) const TOOK_TOO_LONG: &str = "it took longer than fence_retention";

impl Counters {
    /// Counts an event, and logs it if somebody has to know.
    pub(crate) fn note(&self, event: Event<'_>) {
        match event {
            Event::Hit => self.hits(1),
            Event::StaleHit => {
                self.hits(1);
                self.stale_hits(1);
            }
            Event::Miss => self.misses(1),
            Event::SharedMiss => {
                self.misses(1);
                self.shared(1);
            }
            Event::StandInMiss => {
                self.misses(1);
                self.stands_in();
            }
            Event::Bypass => self.bypasses(1),
            Event::BadEntry(reason) => self.count_unreadable(reason),
            Event::StoreAnswer { operation, took, failed } => self.note_answer(operation, took, failed),
            Event::OtherAnswer { operation, took, failed } => {
                self.whole.store_answered(operation, took, failed);
            }
            Event::StoreRefusal => self.errors(1),
            Event::LoadFailed => self.failed_loads(1),
            Event::LoadCancelled => self.cancelled_loads(1),
            Event::WaitEnded(end) => self.wait_ended(end),
            Event::RefreshBegan => self.refreshes(1),
            Event::RefreshFailed { error } => {
                self.note_hidden(Line::Refresh, error, "a refresh in the background failed");
            }
            Event::VerificationBegan => self.verifying_loads(1),
            Event::VerificationEnded(end) => self.verified.ended(end),
            Event::Inconsistent { age, known } => self.note_inconsistent(age, known),
            Event::AbandonedFailure { error } => {
                self.note_hidden(Line::AbandonedFailure, error, "a load failed after its callers had gone");
            }
            Event::FailureHidden { error } => {
                self.stands_in();
                self.note_hidden(Line::HiddenFailure, error, "a load failed: the value before it is served");
            }
            Event::LateLoad => self.stands_in(),
            Event::Stored => self.fills(1),
            Event::NotStored(reason) => self.note_not_stored(reason),
            Event::NamesExceeded { at_least } => self.warn_of_names(at_least),
            Event::Removed(entries) => self.invalidated(entries),
            Event::InvalidationEnded { kind, took, removed } => self.whole.invalidation_ended(kind, took, removed),
            Event::InvalidationOwed => self.failed_invalidations(1),
            Event::InvalidationFailed { by, error } => {
                if let Some(count) = self.pace.due(Line::Invalidation, by, 1) {
                    let (error, then) = (error.to_string(), "it is retried in the background");
                    tracing::error!(by, count, error = &*said(&error), "an invalidation failed; {then}");
                }
            }
            Event::NotClosed { by, error } => self.note_not_closed(by, error),
            Event::WritesLost { clears } => say_writes_lost(clears),
            Event::InvalidationsMadeGood(removed) => tracing::info!(removed, "failed invalidations were made good"),
            Event::InvalidName { by, error } => self.note_invalid_name(by, error),
            Event::PrefixContested { first, second } => self.report_clash(first, second),
            Event::ClassUnknown { class, default_ttl } => {
                tracing::warn!(class, ?default_ttl, "no such TTL class: using the default; said once");
            }
            Event::WarmingFailed { of, failed, error } => {
                if let Some(count) = self.pace.due(Line::Warming, of, failed) {
                    tracing::warn!(of, count, error = &*said(error), "warming failed; the others go on");
                }
            }
        }
    }

    fn note_answer(&self, operation: StoreOperation, took: Duration, failed: bool) {
        self.store_time(took);
        self.whole.store_answered(operation, took, failed);
        if failed {
            self.errors(1);
        }
        if took >= self.whole.slow_store_call {
            self.say_slow(StoreOperation::LABELS[operation as usize], took, failed);
        }
    }

    /// In the terms of OpenTelemetry's conventions for databases. The embedded store is never slow.
    fn say_slow(&self, operation: &'static str, took: Duration, failed: bool) {
        if let Some(count) = self.pace.due(Line::SlowStore, operation, 1) {
            tracing::info!(
                target: "cache_core::spans",
                prefix = self.prefix(),
                db.system.name = "redis",
                db.operation.name = operation,
                took_ms = took.as_millis() as u64,
                failed,
                count,
                "a call waited for the store"
            );
        }
    }

    fn note_invalid_name(&self, by: &str, error: &dyn std::error::Error) {
        self.failed_invalidations(1);
        if let Some(count) = self.pace.due(Line::InvalidName, by, 1) {
            let error = error.to_string();
            let message = "a function invalidates something that can never name an entry";
            tracing::error!(by, count, error = &*said(&error), "{message}");
        }
    }

    fn note_hidden(&self, line: Line, error: &str, what: &str) {
        self.hidden_failures(1);
        if let Some(count) = self.pace.due(line, "", 1) {
            tracing::warn!(prefix = self.prefix(), count, error = &*said(error), "{what}");
        }
    }

    /// The one line that says a key: who sets `verify` asks for it.
    fn note_inconsistent(&self, age: Duration, known: &str) {
        self.inconsistencies(1);
        self.verified.found(age);
        if let Some(count) = self.pace.due(Line::Inconsistency, "", 1) {
            let (age_ms, prefix) = (age.as_millis() as u64, self.prefix());
            let message = "an entry is not what its load returns, and nothing has invalidated it";
            // Written for people, a line for each name.
            let known = known.replace("\n  ", "; ");
            tracing::warn!(prefix, count, age_ms, "{message}: {}", said(&known));
        }
    }

    fn note_not_closed(&self, by: &str, error: &dyn std::error::Error) {
        if let Some(count) = self.pace.due(Line::Closing, by, 1) {
            let then = "a value from before the change may be served until it has invalidated";
            let (error, message) = (error.to_string(), "a function's names could not be closed around its change");
            tracing::error!(by, count, error = &*said(&error), "{message}: {then}");
        }
    }

    fn report_clash(&self, first: &str, second: &str) {
        let message = "two functions cache under one prefix, and would be served each other's entries: neither of \
             them is cached any more; said once";
        tracing::error!(
            prefix = self.prefix(),
            first,
            second,
            way_out = "give one of them another prefix",
            "{message}"
        );
    }

    fn warn_of_names(&self, at_least: usize) {
        if self.says_once(NotStored::TooManyNames as u32) {
            let way_out = "use a coarser tag in the place of many, cache parts, or raise `names_max`";
            let message = "values are not stored: they belong to too many names; said once";
            tracing::warn!(prefix = self.prefix(), at_least, way_out, "{message}");
        }
    }

    /// A call that missed is served an older value.
    fn stands_in(&self) {
        self.stale_hits(1);
        self.stand_ins(1);
    }

    fn note_not_stored(&self, reason: NotStored) {
        self.count_not_stored(reason);
        match reason {
            NotStored::NotWanted | NotStored::NoReading | NotStored::KeyUnspelled | NotStored::Unanswered => {}
            NotStored::Invalidated
            | NotStored::Closed
            | NotStored::InvalidatesItself
            | NotStored::FloorRaised
            | NotStored::ClockLost
            | NotStored::TooOld
            | NotStored::MemoryFull => self.refused_fills(1),
            _ => self.unstored(1),
        }
        if let Some((why, way_out)) = reason.advice()
            && self.says_once(reason as u32)
        {
            tracing::warn!(prefix = self.prefix(), way_out, "values are not stored: {why}; said once");
        }
    }
}

fn say_writes_lost(clears: bool) {
    let then = match clears {
        true => "everything in the namespace is removed, and calls go past Redis until then",
        false => "it is kept, as `on_lost_writes` says, and may be served",
    };
    tracing::warn!(
        then,
        "Redis has come back without writes that it had acknowledged, and may hold what was invalidated"
    );
}
