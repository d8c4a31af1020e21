//! Removal: of names, of what depends on them, and of what matches a pattern.

use std::time::Duration;

use super::moment::Now;
use super::state::State;
use crate::error::Error;
use crate::name::{Glob, Name};
use crate::store::rules::Rule;
use crate::store::{ClosingId, Intent, Removal, SweepReply, SweepScope, too_many_closed};

impl State {
    pub(super) fn chunk(&mut self, names: &[Name], intent: Intent, now: Now) -> Result<Removal, Error> {
        match intent {
            Intent::Invalidate => Ok(self.invalidate(names, now)),
            Intent::Close { by, lasts } => self.close(names, by, lasts, now).ok_or_else(too_many_closed),
            Intent::Open { by } => Ok(self.open(names, by, now)),
        }
    }

    /// `None`: no room for so many names, and nothing is done.
    pub(super) fn close(&mut self, names: &[Name], by: ClosingId, lasts: Duration, now: Now) -> Option<Removal> {
        self.end_marks(now);
        if !self.closings.has_room_for(names, by, &self.settings) {
            return None;
        }
        self.closings.close(names, by, now.at + lasts, &self.settings);
        Some(self.invalidate(names, now))
    }

    pub(super) fn open(&mut self, names: &[Name], by: ClosingId, now: Now) -> Removal {
        self.open_names(names, by, now);
        self.invalidate(if self.rules.keep(Rule::OpeningFences) { names } else { &[] }, now)
    }

    /// The operation's own marks of these names end, and those of what it has reached through them.
    pub(super) fn open_names(&mut self, names: &[Name], by: ClosingId, now: Now) {
        let reached = self.closings.open(names, by);
        if self.rules.keep(Rule::ReachedNamesAreFenced) {
            self.overtake(reached, now);
        }
    }

    /// Opens what operations have left closed for too long.
    pub(super) fn end_marks(&mut self, now: Now) {
        let ended = self.closings.take_ended(now.at);
        if self.rules.keep(Rule::EndedMarksFence) {
            self.overtake(ended, now);
        }
    }

    /// Loads that began while these names were closed may have read what was there before the
    /// change. Nothing with these names was stored meanwhile, so there is nothing to remove.
    fn overtake(&mut self, names: Vec<Name>, now: Now) {
        if names.is_empty() {
            return;
        }
        let seq = self.fences.advance(now);
        for name in names {
            if name != Name::any_key() {
                self.fences.fence(&name, seq, now);
            } else if self.rules.keep(Rule::ReachBeyondTheLimitRaisesTheFloor) {
                self.fences.raise_floor(seq);
            }
        }
    }

    pub(super) fn invalidate(&mut self, names: &[Name], now: Now) -> Removal {
        let seq = self.fences.advance(now);
        let mut budget = self.settings.members_per_chunk;
        let mut drained = Removal::default();
        for name in names {
            if self.rules.keep(Rule::GivenNamesAreFenced) {
                self.fences.fence(name, seq, now);
            }
            if self.remove_or_record(name, &mut budget, now) {
                drained.count(name.text());
            }
            self.push_pending(name);
        }
        self.drain(seq, &mut budget, &mut drained, now);
        self.tidy(0, now);
        drained
    }

    /// Every page raises the floor, not the first alone: a load that began between two pages may
    /// have read an entry that a later page removes, or that expires before its page comes.
    ///
    /// A page first goes on with what is pending. If anything is still pending then, the page
    /// visits no keys, and `next` is the same cursor. So the number of pending names stays bounded.
    pub(super) fn sweep(&mut self, pattern: &str, scope: SweepScope, cursor: u64, now: Now) -> SweepReply {
        let seq = self.fences.advance(now);
        if self.rules.keep(Rule::SweepRaisesTheFloor) {
            self.fences.raise_floor(seq);
        }
        let mut budget = self.settings.members_per_chunk;
        let mut drained = Removal::default();
        self.drain(seq, &mut budget, &mut drained, now);
        let mut next = Some(cursor);
        if self.pending.len() == 0 {
            let (page, end) = self.page(scope, cursor);
            next = end;
            let glob = Glob::new(pattern);
            for name in page {
                let matches = name.as_key().is_some_and(|key| glob.matches(key));
                match scope {
                    SweepScope::Values if matches => {
                        self.fences.fence(&name, seq, now);
                        if self.remove_or_record(&name, &mut budget, now) {
                            drained.count(name.text());
                        }
                        self.push_pending(&name);
                    }
                    SweepScope::Dependents if matches && self.rules.keep(Rule::SweepFollowsEntriesThatAreGone) => {
                        self.push_pending(&name);
                    }
                    SweepScope::AllIndexes => self.push_pending(&name),
                    SweepScope::Values | SweepScope::Dependents => {}
                }
            }
            self.drain(seq, &mut budget, &mut drained, now);
        }
        self.tidy(0, now);
        SweepReply { next, incarnation: self.fences.incarnation().into(), drained }
    }

    pub(super) fn page(&self, scope: SweepScope, cursor: u64) -> (Vec<Name>, Option<u64>) {
        let count = self.settings.keys_per_page;
        let page = match scope {
            SweepScope::Values => self.entries.page(cursor, count),
            SweepScope::Dependents | SweepScope::AllIndexes => self.indexes.page(cursor, count),
        };
        let next = page.last().filter(|_| page.len() == count).map(|(position, _)| *position);
        (page.into_iter().map(|(_, name)| name).collect(), next)
    }

    /// Empties pending indexes, of this invalidation and of earlier unfinished ones, until `budget`
    /// members were visited. It ends even if there are circles, because every visit takes a
    /// membership away. Adds what was removed to `drained`, and says what is still pending.
    pub(super) fn drain(&mut self, seq: u64, budget: &mut usize, drained: &mut Removal, now: Now) {
        let again = self.rules.keep(Rule::EveryChunkFencesAgain);
        while let Some(name) = self.pending.last().cloned() {
            if again {
                self.fences.fence(&name, seq, now);
            }
            let Some(member) = self.indexes.first_member(&name) else {
                self.pending.pop();
                continue;
            };
            if *budget == 0 {
                break;
            }
            if self.visit(&name, &member, seq, budget, now) {
                drained.count(member.text());
            }
        }
        while *budget > 0
            && self.pending.last().is_none()
            && let Some((key, names)) = self.pending.pop_leaving()
        {
            *budget -= 1;
            self.leave(&key, &names, budget);
        }
        // Between two chunks, loads may begin that read what is still there. Their values may
        // arrive after the last chunk.
        if again {
            for left in self.pending.iter() {
                self.fences.fence(left, seq, now);
            }
        }
        if !self.rules.keep(Rule::PendingWorkIsKept) {
            self.pending.clear();
        }
        drained.pending = self.pending.len();
    }

    /// Takes `member` out of the index of `name`, the last pending one. What depends on the member
    /// is removed as well, because it may have been made from what `name` invalidates. That holds
    /// whether the member's entry has expired, was replaced by one that no longer depends on
    /// `name`, or is removed now. The member is fenced even if nothing depends on it: a load may
    /// have read it a moment ago.
    fn visit(&mut self, name: &Name, member: &Name, seq: u64, budget: &mut usize, now: Now) -> bool {
        let entry = self.entries.get(member);
        // A given key for which there was no budget is a member of its own index.
        let falls = name == member || entry.is_some_and(|entry| entry.depends_on(name));
        let present = entry.is_some();
        *budget -= 1;
        self.closings.reach(name, member, &self.settings);
        let removed = falls && self.remove(member, budget, now);
        self.indexes.leave(name, member);
        // Pop before pushing what depends on the last member: in a chain as deep as the store, only
        // one name waits.
        if !self.indexes.has_members(name) {
            self.pending.pop();
        }
        if self.rules.keep(Rule::RemovedNamesAreFenced) {
            self.fences.fence(member, seq, now);
        }
        if present || self.rules.keep(Rule::MembersWithoutEntryCount) {
            self.push_pending(member);
        }
        removed
    }

    pub(super) fn push_pending(&mut self, name: &Name) {
        if self.indexes.has_members(name) {
            self.pending.push(name);
        }
    }

    /// As [`remove`](Self::remove). Without budget the key becomes a member of its own index, so
    /// that emptying that index removes the entry.
    fn remove_or_record(&mut self, key: &Name, budget: &mut usize, now: Now) -> bool {
        if *budget > 0 {
            return self.remove(key, budget, now);
        }
        if self.entries.get(key).is_some() && self.rules.keep(Rule::KeysLeftAreOnRecord) {
            self.indexes.join(key, key, now.at, now.at + self.dead_members_stay());
        }
        false
    }

    /// Removes the entry of a key, if there is one, with its memberships. Returns whether it was
    /// alive. The entry may leave its indexes only because every caller fences the key and empties
    /// the index of its dependents: then nothing is left that is reached through it.
    pub(super) fn remove(&mut self, key: &Name, budget: &mut usize, now: Now) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.leave(key, &entry.names, budget);
        entry.is_live(now.at)
    }

    /// Leaves the first of these indexes now, and puts the others on record to be left later. If
    /// the key has been stored again meanwhile, that entry keeps the memberships it needs.
    fn leave(&mut self, key: &Name, names: &[Name], budget: &mut usize) {
        let (first, later) = names.split_at(names.len().min(self.settings.names_left_at_once));
        let successor = self.entries.get(key).filter(|_| self.rules.keep(Rule::SuccessorsKeepTheirMemberships));
        for index in first.iter().filter(|index| !successor.is_some_and(|entry| entry.depends_on(index))) {
            self.indexes.leave(index, key);
        }
        *budget = budget.saturating_sub(first.len() / self.settings.memberships_per_visit);
        if !later.is_empty() {
            self.pending.push_leaving(key, later);
        }
    }
}
