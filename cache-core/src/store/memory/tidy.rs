//! Keeps the store small: drops old fences, collects expired entries, reaps dead members, evicts.
//!
//! A membership outlives its entry, because the entry's dependents are found through it. It may end
//! only when nothing is reached through it any more. Each way to end a membership ensures that:
//! - **removed by an invalidation**: the key is fenced and the index of its dependents emptied;
//! - **reaped** after its entry expired: everything that depended on it is gone or dead, and loads
//!   that may have read it are older than `fence_retention`, so that their fills are refused;
//! - **evicted**: nothing depends on it, and it is fenced, so that fills of loads that have read it
//!   are refused. If something depends on it, only the value goes, and its memberships are dead
//!   members like any other.

use std::time::Duration;

use tokio::time::Instant;

use super::moment::Now;
use super::state::State;
use crate::config::MEMORY_DEPENDENTS_LOOKED_AT;
use crate::name::Name;
use crate::store::rules::Rule;

impl State {
    /// Runs after every operation that changes anything. `added` is the number of new memberships.
    pub(super) fn tidy(&mut self, added: usize, now: Now) {
        self.fences.drop_old(&self.settings, now);
        let budget = self.settings.reaped_per_operation + 2 * added;
        self.leases.drop_ended(now.at, budget);
        self.learned.drop_ended(now.at, budget);
        self.collect_expired(budget, now);
        self.reap(budget, now);
        self.evict(now);
    }

    /// How long dead members stay: as long as a load that read the member alive may take.
    pub(super) fn dead_members_stay(&self) -> Duration {
        if self.rules.keep(Rule::DeadMembersStayAWhile) { self.settings.fence_retention } else { Duration::ZERO }
    }

    /// Removes only the value: memberships stay until they are reaped.
    fn collect_expired(&mut self, at_most: usize, now: Now) {
        for _ in 0..at_most {
            let Some(key) = self.entries.first_expired(now.at) else { return };
            self.entries.remove(&key);
        }
    }

    pub(super) fn reap(&mut self, at_most: usize, now: Now) {
        let retention = self.dead_members_stay();
        // No instant lies before the clock's first, so nothing can have been dead for so long yet.
        let Some(dead_since) = now.at.checked_sub(retention) else { return };
        let mut any = false;
        for _ in 0..at_most {
            let Some((index, member)) = self.indexes.first_due(now.at) else { break };
            if self.has_to_stay(&member, dead_since, now) {
                self.indexes.postpone(&index, &member, now.at + retention);
            } else {
                self.indexes.leave(&index, &member);
                any = true;
            }
        }
        if any {
            self.fences.reaped(now);
        }
    }

    /// Whether something depends on a member that has died. After this call its entry is removed:
    /// an entry that had only expired would be back once the clock is set back.
    fn has_to_stay(&mut self, member: &Name, dead_since: Instant, now: Now) -> bool {
        let is_over = self.entries.get(member).is_some_and(|entry| !entry.is_live(now.at));
        if is_over && self.rules.keep(Rule::EntriesKeepTheirMemberships) {
            self.entries.remove(member);
        }
        let counts = self.rules.keep(Rule::EntriesCountAsDependents);
        let marks_count = self.rules.keep(Rule::MarksKeepMembers);
        // What depends on a member elsewhere may be alive, however dead the member is.
        let leads_elsewhere = |member: &Name| marks_count && self.site.marks.any(member);
        if leads_elsewhere(member) {
            return true;
        }
        let is_there = |member: &Name| counts && self.entries.get(member).is_some() || leads_elsewhere(member);
        self.rules.keep(Rule::DependedOnMembersStay)
            && self.indexes.is_depended_on(member, dead_since, is_there, MEMORY_DEPENDENTS_LOOKED_AT)
    }

    fn evict(&mut self, now: Now) {
        while self.bytes() > self.settings.bytes_max {
            let Some(victim) = self.entries.next_victim() else {
                self.forget_bookkeeping(now);
                return;
            };
            self.evict_entry(&victim, now);
        }
    }

    pub(super) fn evict_entry(&mut self, key: &Name, now: Now) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.evictions += 1;
        if entry.names.is_empty() {
            return; // nothing was reached through it
        }
        if self.is_depended_on(key) {
            let due = now.at + self.dead_members_stay();
            for index in &entry.names {
                self.indexes.bury(index, key, now.at, due);
            }
        } else {
            for index in &entry.names {
                self.indexes.leave(index, key);
            }
            if self.rules.keep(Rule::EvictedNamesAreFenced) {
                let seq = self.fences.advance(now);
                self.fences.fence(key, seq, now);
            }
        }
    }

    /// Without entries there is nothing left to reach, and the floor stands for everything that
    /// indexes and fences say. Leases are worth only the loads they save.
    fn forget_bookkeeping(&mut self, now: Now) {
        let seq = self.fences.advance(now);
        self.fences.raise_floor(seq);
        self.indexes = Default::default();
        self.leases = Default::default();
        self.learned = Default::default();
    }
}
