//! The partition as a pure state machine. It holds no lock, no clock and no randomness, so that
//! every interleaving can be tried.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::closings::Closings;
use super::entries::{Entries, StoredEntry};
use super::fences::Fences;
use super::indexes::Indexes;
use super::learned::LearnedTable;
use super::leases::{LeaseRecord, Leases};
use super::moment::{Now, Settings};
use super::site::Site;
use crate::config::{LEARNED_TTL_MAX, MEMORY_LEARNED_SHARE};
use crate::entry::Version;
use crate::name::Name;
use crate::observe::MemoryUse;
use crate::store::rules::{Rule, Rules};
use crate::store::{
    ClockReading, ClosingId, Fill, FillReply, IfPresent, LeaseReply, LeaseRequest, Recall, Refusal, Token, VisitReply,
};

#[derive(Clone)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) rules: Rules,
    pub(super) site: Site,
    pub(super) fences: Fences,
    pub(super) closings: Closings,
    pub(super) leases: Leases,
    pub(super) entries: Entries,
    pub(super) indexes: Indexes,
    pub(super) learned: LearnedTable,
    pub(super) evictions: u64,
}

impl State {
    #[cfg(test)]
    pub(super) fn new(settings: Settings, rules: Rules, incarnation: u128, now: Now) -> Self {
        Self::at(Site::alone(), settings, rules, incarnation, now)
    }

    /// An empty partition. `incarnation` must be new each time, or readings from before a loss of
    /// the clock would count after it.
    pub(super) fn at(site: Site, settings: Settings, rules: Rules, incarnation: u128, now: Now) -> Self {
        Self {
            settings,
            rules,
            site,
            fences: Fences::new(incarnation, now, rules),
            closings: Closings::new(rules),
            leases: Leases::default(),
            entries: Entries::default(),
            indexes: Indexes::default(),
            learned: LearnedTable::default(),
            evictions: 0,
        }
    }

    pub(super) fn get(&self, key: &str, now: Now) -> Option<Bytes> {
        self.entries.read(key, now.at)
    }

    pub(super) fn read_clock(&self, key: &Name, recall: Recall, now: Now) -> ClockReading {
        let learned = match recall {
            Recall::Nothing => None,
            Recall::Learned => self.learned.get(key, now.at),
        };
        ClockReading { learned, ..self.fences.reading(now) }
    }

    pub(super) fn take_lease(&mut self, key: &Name, request: &LeaseRequest, now: Now) -> LeaseReply {
        let LeaseRequest { token, lasts, if_present, if_held, recall } = *request;
        if if_present != IfPresent::Ignore
            && let Some(value) = key.as_key().and_then(|key| self.get(key, now))
            && if_present.returns(&value)
        {
            return LeaseReply::Hit(value);
        }
        let clock = self.read_clock(key, recall, now);
        let held = self.lease(key, now).filter(|held| held.token != token);
        let spared = held.map(|held| {
            let ends = held.ends.saturating_duration_since(now.at);
            let held_for = now.at.saturating_duration_since(held.since);
            if_held.spares_for(held.takeovers).map_or(ends, |spared| ends.min(spared.saturating_sub(held_for)))
        });
        let reply = match spared {
            Some(remaining) if !remaining.is_zero() => LeaseReply::Held { clock, remaining },
            _ => {
                let takeovers = held.map_or(0, |held| held.takeovers.saturating_add(1));
                let lease = LeaseRecord { token, seq: clock.seq, ends: now.at + lasts, since: now.at, takeovers };
                self.leases.grant(key, lease);
                LeaseReply::Granted(clock)
            }
        };
        self.tidy(0, now);
        reply
    }

    pub(super) fn renew_lease(&mut self, key: &Name, token: Token, lease: Duration, now: Now) -> bool {
        let ours = self.lease(key, now).filter(|held| held.token == token);
        if let Some(held) = ours {
            self.leases.grant(key, LeaseRecord { ends: now.at + lease, ..held });
        }
        ours.is_some()
    }

    pub(super) fn release_lease(&mut self, key: &Name, token: Token) {
        self.leases.release(key, token);
    }

    /// Removes the value as the end of its TTL would. Entries made from it are reached through its
    /// memberships, so these stay if there are any such entries.
    pub(super) fn discard(&mut self, key: &Name, token: Token, version: Option<Version>) {
        self.leases.release(key, token);
        let is_meant = |entry: &StoredEntry| version.is_none() || Version::of(&entry.value) == version;
        if !self.entries.get(key).is_some_and(is_meant) {
            return;
        }
        if let Some(entry) = self.entries.remove(key)
            && !self.is_depended_on(key)
        {
            entry.names.iter().for_each(|index| self.indexes.leave(index, key));
        }
    }

    pub(super) fn is_leased(&self, key: &Name, now: Now) -> bool {
        self.lease(key, now).is_some()
    }

    /// The lease that still keeps others from loading `key`. A lease that has ended does not count.
    /// Neither does one that an invalidation has overtaken, or one of a closed key, because its
    /// fill would be refused.
    fn lease(&self, key: &Name, now: Now) -> Option<LeaseRecord> {
        let held = self.leases.get(key).filter(|held| held.ends > now.at && !self.fences.overtook(key, held.seq));
        held.filter(|_| !self.closings.close_any(std::iter::once(key), None))
    }

    /// `registered`: the foreign homes at which the load has registered, each with its incarnation.
    pub(super) fn fill(&mut self, key: &Name, fill: &Fill<'_>, registered: &[(u16, Arc<str>)], now: Now) -> FillReply {
        self.leases.release(key, fill.token);
        self.end_marks(now);
        let dependencies = if self.rules.keep(Rule::FillChecksEveryName) { fill.names } else { &[] };
        let reply = match self.refusal(key, dependencies, fill.clock, None, now) {
            Some(refusal) => FillReply::Refused(refusal),
            None if !self.has_adopted(registered) => FillReply::Refused(Refusal::ForeignIncarnation),
            None => {
                self.store(key, fill, now);
                FillReply::Stored
            }
        };
        self.tidy(fill.names.len(), now);
        reply
    }

    /// `homes`: as for a fill, or why one of them has refused the registration.
    pub(super) fn write(
        &mut self,
        key: &Name,
        fill: &Fill<'_>,
        homes: Result<&[(u16, Arc<str>)], Refusal>,
        opens: Option<ClosingId>,
        now: Now,
    ) -> (FillReply, VisitReply) {
        self.leases.release(key, fill.token);
        self.end_marks(now);
        // Check against the fences as they were: the fence set below is this write's own.
        let dependencies = if self.rules.keep(Rule::WriteChecksEveryName) { fill.names } else { &[] };
        let refusal = self.refusal(key, dependencies, fill.clock, opens, now).or_else(|| match homes {
            Ok(registered) => (!self.has_adopted(registered)).then_some(Refusal::ForeignIncarnation),
            Err(refusal) => Some(refusal),
        });
        if let Some(by) = opens {
            self.open_names(std::slice::from_ref(key), by, now);
        }
        let mut cascade = self.cascade(0, now);
        if self.rules.keep(Rule::WriteFencesItsKey) {
            self.fence_by(key, &cascade);
        }
        self.empty_for_write(key, &mut cascade);
        self.fall(key, &mut cascade);
        let reply = match refusal {
            Some(refusal) => FillReply::Refused(refusal),
            None => {
                self.store(key, fill, now);
                FillReply::Stored
            }
        };
        let visited = self.end_cascade(cascade, std::slice::from_ref(key));
        self.tidy(fill.names.len(), now);
        (reply, visited)
    }

    fn refusal(
        &self,
        key: &Name,
        names: &[Name],
        clock: &ClockReading,
        opens: Option<ClosingId>,
        now: Now,
    ) -> Option<Refusal> {
        let every_name = || std::iter::once(key).chain(names);
        let refusal = self.fences.refusal(clock, every_name(), &self.settings, now);
        refusal.or_else(|| {
            let checks = opens.is_none() || self.rules.keep(Rule::WriteChecksClosedNames);
            let is_closed =
                || self.closings.close_any(every_name(), opens) || self.closings.close_dependents(names, opens);
            (checks && is_closed()).then_some(Refusal::Closed)
        })
    }

    /// Value and memberships together.
    fn store(&mut self, key: &Name, fill: &Fill<'_>, now: Now) {
        let key = &self.entries.spelled(key);
        let expires = now.at + fill.ttl;
        let due = expires + self.dead_members_stay();
        let names: Box<[Name]> = fill.names.iter().map(|index| self.indexes.join(index, key, expires, due)).collect();
        // The old memberships stay while something depends on the key: it may have been made from
        // the replaced entry, and be reached through these memberships alone. They are dead then,
        // and are reaped.
        if let Some(replaced) = self.entries.get(key)
            && !self.is_depended_on(key)
        {
            for index in replaced.names.iter().filter(|index| names.binary_search(index).is_err()) {
                self.indexes.leave(index, key);
            }
        }
        self.entries.insert(key, fill.value.clone(), names, expires);
        // Evicted at once, before it pushes everything else out and goes itself in the end.
        if self.entries.get(key).is_some_and(|entry| entry.bytes(key) > self.settings.bytes_max) {
            self.evict_entry(key, now);
        }
        if let Some((learned, ttl)) = &fill.learned {
            let ends = now.at + (*ttl).min(LEARNED_TTL_MAX);
            self.learned.set(key, learned.clone(), ends, self.settings.bytes_max / MEMORY_LEARNED_SHARE);
        }
    }

    pub(super) fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            entries: self.entries.len() as u64,
            bytes: self.bytes() as u64,
            bytes_max: self.settings.bytes_max as u64,
            evictions: self.evictions,
        }
    }

    /// Accounted, not measured: see [`size`](super::size).
    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes()
            + self.indexes.bytes()
            + self.fences.bytes()
            + self.closings.bytes()
            + self.leases.bytes()
            + self.site.marks.bytes()
            + self.learned.bytes()
    }
}

#[cfg(test)]
impl State {
    /// The tables agree with each other, and no entry is without its memberships.
    pub(super) fn check(&self) {
        self.entries.check();
        self.indexes.check();
        assert_eq!(self.missing_membership(), None, "an entry is not in the index of a name of its own");
        assert!(self.bytes() <= self.settings.bytes_max);
        assert!(self.fences.len() <= self.settings.fences_max);
        self.closings.check(&self.settings);
    }

    /// An entry, and a name of it that does not lead to it here.
    pub(super) fn missing_membership(&self) -> Option<(&Name, &Name)> {
        let memberships = self.entries.iter().flat_map(|(key, entry)| entry.names.iter().map(move |name| (name, key)));
        memberships.into_iter().find(|(index, key)| !self.indexes.is_member(index, key))
    }

    /// As if the TTL of the entry had been chosen to end now.
    pub(super) fn expire(&mut self, key: &Name, now: Now) {
        let Some(entry) = self.entries.remove(key) else { return };
        for index in &entry.names {
            self.indexes.bury(index, key, now.at, now.at + self.dead_members_stay());
        }
    }
}
