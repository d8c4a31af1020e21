//! Removal: of names, and of what depends on them.

use std::collections::{BTreeMap, BTreeSet};

use super::moment::Now;
use super::state::State;
use crate::error::Error;
use crate::name::Name;
use crate::store::rules::Rule;
use crate::store::{Chunk, ClosingId, Intent, StoppingPlace, UnvisitedName, VisitReply, too_many_closed};

/// One script that removes: what it may still do, and what it has done.
pub(super) struct Cascade {
    seq: u64,
    now: Now,
    /// Members that it may still visit.
    budget: usize,
    /// Those that it may visit beside, once, to end circles.
    budget_of_circles: usize,
    /// The names whose indexes it is emptying, each through the one before.
    path: Vec<Name>,
    /// Keys on the path whose entries fall.
    doomed: BTreeSet<Name>,
    /// A member was met that is on the path.
    is_circular: bool,
    /// Everything on the path is emptied, and members that are on it are given up.
    ends_circles: bool,
    /// Entries that have fallen and keep their memberships, with the names of these.
    buried: Vec<(Name, Box<[Name]>)>,
    /// Where it has run out of budget, and came to from the name that it was given.
    deepest: Option<UnvisitedName>,
    /// It has run out of budget within the index of a given key, whose entry it has removed.
    has_fallen_first: bool,
    /// Names that are at home here, with several partitions.
    drained: Vec<Name>,
    /// When these were fenced before.
    fences: BTreeMap<Name, u64>,
    reply: VisitReply,
}

/// The budget ran out after this member.
struct CutShort {
    after: Option<Name>,
}

impl Cascade {
    fn left_at(&mut self, name: &Name, after: Option<Name>, spares_entry: bool) {
        let after = after.map(|member| StoppingPlace(member.text().into()));
        self.reply.left.push(UnvisitedName { name: name.clone(), after, spares_entry, is_reached: false });
        self.reply.left.extend(self.deepest.take());
    }
}

impl State {
    /// One script of an operation.
    pub(super) fn take(&mut self, chunk: &Chunk<'_>, now: Now) -> Result<VisitReply, Error> {
        match chunk.intent {
            Intent::Invalidate => {}
            Intent::Close { by, lasts } => {
                self.end_marks(now);
                if !self.closings.has_room_for(&chunk.names, by, &self.settings) {
                    return Err(too_many_closed());
                }
                self.closings.close(&chunk.names, by, now.at + lasts, &self.settings);
            }
            Intent::Open { by } => {
                self.open_names(&chunk.names, by, now);
                if !self.rules.keep(Rule::OpeningFences) {
                    return Ok(VisitReply::default());
                }
            }
        }
        Ok(self.visit(chunk, now))
    }

    /// The operation's own marks of these names end, and those of what it has reached through them.
    pub(super) fn open_names(&mut self, names: &[Name], by: ClosingId, now: Now) {
        let reached = self.closings.open(names, by);
        if self.rules.keep(Rule::ReachedNamesAreFenced) {
            self.overtake(&reached, now);
        }
    }

    /// Opens what operations have left closed for too long.
    pub(super) fn end_marks(&mut self, now: Now) {
        let ended = self.closings.take_ended(now.at);
        if self.rules.keep(Rule::EndedMarksFence) {
            self.overtake(&ended, now);
        }
    }

    /// Loads that began while these names were closed may have read what was there before the
    /// change. Nothing with these names was stored meanwhile, so there is nothing to remove.
    fn overtake(&mut self, names: &[Name], now: Now) {
        if names.is_empty() {
            return;
        }
        let seq = self.fences.advance(now);
        for name in names {
            if *name != Name::any_key() {
                self.fences.fence(name, seq, now);
            } else if self.rules.keep(Rule::ReachBeyondTheLimitRaisesTheFloor) {
                self.fences.raise_floor(seq);
            }
        }
    }

    /// Fences names, and empties their indexes as far as they are in this partition.
    pub(super) fn visit(&mut self, chunk: &Chunk<'_>, now: Now) -> VisitReply {
        let mut cascade = self.cascade(chunk.effort, now);
        // All at once: no load that begins later has anything of the names that are left.
        chunk.names.iter().for_each(|name| self.fence_given(name, &mut cascade));
        let after = chunk.after.as_ref().and_then(|place| Name::key(&place.0).ok());
        self.visit_all(&chunk.names, after, chunk.spares_entries, &mut cascade);
        self.end_cascade(cascade, &chunk.names)
    }

    pub(super) fn cascade(&mut self, effort: u32, now: Now) -> Cascade {
        let advances = self.rules.keep(Rule::VisitsAdvanceTheClock);
        Cascade {
            seq: if advances { self.fences.advance(now) } else { self.fences.seq() },
            now,
            budget: self.settings.members_per_chunk << effort,
            budget_of_circles: self.settings.members_per_chunk << effort,
            path: Vec::new(),
            doomed: BTreeSet::new(),
            is_circular: false,
            ends_circles: false,
            buried: Vec::new(),
            deepest: None,
            has_fallen_first: false,
            drained: Vec::new(),
            fences: BTreeMap::new(),
            reply: VisitReply::default(),
        }
    }

    pub(super) fn end_cascade(&mut self, cascade: Cascade, names: &[Name]) -> VisitReply {
        let Cascade { now, drained, fences, mut reply, .. } = cascade;
        if !self.site.partitions.is_one() {
            let kept = names.iter().filter(|name| self.has_to_do_with(name)).cloned().collect();
            reply.encounter = Some(Box::new(self.encounter(drained, fences, kept)));
        }
        self.tidy(0, now);
        reply
    }

    pub(super) fn raise_floor_to(&mut self, cascade: &Cascade) {
        self.fences.raise_floor(cascade.seq);
    }

    fn fence_given(&mut self, name: &Name, cascade: &mut Cascade) {
        let is_home = self.site.is_home(name);
        self.note_fence(name, cascade);
        let rule = if is_home { Rule::GivenNamesAreFenced } else { Rule::VisitedPartitionsAreFenced };
        if self.rules.keep(rule) {
            self.fence_by(name, cascade);
        }
    }

    /// Notes when a name of which marks may be met was fenced before.
    fn note_fence(&self, name: &Name, cascade: &mut Cascade) {
        if self.site.marks.any(name) {
            cascade.fences.entry(name.clone()).or_insert_with(|| self.fences.last_fence(name));
        }
    }

    pub(super) fn fence_by(&mut self, name: &Name, cascade: &Cascade) {
        self.fences.fence(name, cascade.seq, cascade.now);
    }

    /// Empties the indexes of names that are fenced already. After the budget has run out, the
    /// others are left. If it does so within the index of a key, the entry falls at once: nothing
    /// is made from it then that would have its place before the one where the next script goes on.
    pub(super) fn visit_all(
        &mut self,
        names: &[Name],
        mut after: Option<Name>,
        spares_entries: bool,
        cascade: &mut Cascade,
    ) {
        for (at, name) in names.iter().enumerate() {
            if let Err(CutShort { after }) = self.visit_given(name, after.take(), spares_entries, cascade) {
                let has_fallen = cascade.has_fallen_first;
                for name in names[at + 1..].iter().rev() {
                    cascade.reply.left.push(UnvisitedName {
                        name: name.clone(),
                        after: None,
                        spares_entry: spares_entries,
                        is_reached: false,
                    });
                }
                return cascade.left_at(name, after, spares_entries || has_fallen);
            }
        }
    }

    /// Empties the index of a name, and removes its entry after that if it is a key.
    fn visit_given(
        &mut self,
        name: &Name,
        after: Option<Name>,
        spares_entry: bool,
        cascade: &mut Cascade,
    ) -> Result<(), CutShort> {
        let falls = !spares_entry && self.entries.get(name).is_some();
        if falls && cascade.budget == 0 {
            return Err(CutShort { after });
        }
        let whole = self.empty(name, after, cascade);
        if whole.is_err() {
            cascade.has_fallen_first = falls && self.rules.keep(Rule::GivenEntriesFallFirst);
            if cascade.has_fallen_first {
                self.fall(name, cascade);
            }
            return whole;
        }
        if falls || cascade.doomed.remove(name) {
            self.fall(name, cascade);
        }
        Ok(())
    }

    /// Empties an index. What leads back to where the script came from is given up by a second run,
    /// when nothing else is left of it. That has a budget of its own: else a circle that takes more
    /// than half of one would never end. A script that goes on within an index has one too: what a
    /// circle has left of it may lie before the place where this one goes on.
    fn empty(&mut self, name: &Name, after: Option<Name>, cascade: &mut Cascade) -> Result<(), CutShort> {
        if self.site.partitions.is_one() && !self.indexes.has_members(name) {
            return Ok(());
        }
        cascade.path.push(name.clone());
        let (begun, goes_on) = (cascade.budget, after.is_some());
        let mut whole = self.drain(name, after, cascade);
        let leads_elsewhere = cascade.drained.iter().any(|drained| self.site.marks.any(drained));
        let is_circular = std::mem::take(&mut cascade.is_circular);
        if whole.is_ok() && (is_circular || goes_on) && !leads_elsewhere {
            cascade.ends_circles = true;
            cascade.budget = begun - cascade.budget + std::mem::take(&mut cascade.budget_of_circles);
            whole = self.drain(name, None, cascade);
            cascade.ends_circles = false;
            for (key, names) in std::mem::take(&mut cascade.buried) {
                if !self.is_kept(&key) {
                    names.iter().for_each(|index| self.indexes.leave(index, &key));
                }
            }
        }
        cascade.path.pop();
        whole
    }

    /// Visits the members of an index, each after what depends on it: a membership is the record of
    /// what is still to be removed through it, whoever goes on with that.
    fn drain(&mut self, name: &Name, mut after: Option<Name>, cascade: &mut Cascade) -> Result<(), CutShort> {
        if !self.site.partitions.is_one() && self.site.is_home(name) {
            self.note_fence(name, cascade);
            cascade.drained.push(name.clone());
        }
        while let Some(member) = self.indexes.next_member(name, after.as_ref()) {
            let is_met = self.entries.get(&member).is_some_and(|entry| entry.depends_on(name))
                || self.rules.keep(Rule::MembersWithoutEntryCount);
            if is_met {
                if cascade.budget == 0 {
                    return Err(CutShort { after });
                }
                cascade.budget -= 1;
                self.closings.reach(name, &member, &self.settings);
                if !self.take_member(name, &member, cascade) {
                    return Err(CutShort { after });
                }
            }
            // What is gone is no place to go on from: others may be filled in front of it.
            if self.indexes.has_member(name, &member) {
                after = Some(member);
            }
        }
        Ok(())
    }

    /// Takes a member out of an index. What depends on it is removed before, because it may have
    /// been made from what `name` invalidates. That holds whether the member's entry has expired,
    /// was replaced by one that no longer depends on `name`, or is removed now. The member is
    /// fenced even if nothing depends on it: a load may have read it a moment ago. `false`: the
    /// budget has run out.
    fn take_member(&mut self, name: &Name, member: &Name, cascade: &mut Cascade) -> bool {
        let falls = self.entries.get(member).is_some_and(|entry| entry.depends_on(name));
        if self.is_depended_on(member) {
            if cascade.path.contains(member) {
                self.meet_again(name, member, falls, cascade);
                return true;
            }
            cascade.path.push(member.clone());
            let whole = self.drain(member, None, cascade);
            cascade.path.pop();
            if let Err(CutShort { after }) = whole {
                let after = after.map(|member| StoppingPlace(member.text().into()));
                let deepest = || UnvisitedName { name: member.clone(), after, spares_entry: true, is_reached: true };
                cascade.deepest.get_or_insert_with(deepest);
                return false;
            }
        }
        if self.rules.keep(Rule::RemovedNamesAreFenced) {
            self.fences.fence(member, cascade.seq, cascade.now);
        }
        if falls || cascade.doomed.remove(member) {
            self.fall(member, cascade);
        }
        self.part(name, member, self.is_kept(member), cascade.now);
        true
    }

    /// A member is on the path to itself. It falls when the script has come back to it.
    fn meet_again(&mut self, name: &Name, member: &Name, falls: bool, cascade: &mut Cascade) {
        cascade.is_circular = true;
        if falls {
            cascade.doomed.insert(member.clone());
        }
        if cascade.ends_circles {
            self.indexes.leave(name, member);
        }
    }

    /// Removes the entry of a key, if there is one. It leaves its indexes if nothing is reached
    /// through them any more: its key is fenced, and the index of its dependents empty.
    pub(super) fn fall(&mut self, key: &Name, cascade: &mut Cascade) {
        let Some(entry) = self.entries.remove(key) else { return };
        if entry.is_live(cascade.now.at) {
            cascade.reply.removal.count(key.text());
        }
        let is_kept = self.is_kept(key);
        entry.names.iter().for_each(|index| self.part(index, key, is_kept, cascade.now));
        cascade.budget = cascade.budget.saturating_sub(entry.names.len() / self.settings.memberships_per_visit);
        if is_kept {
            cascade.buried.push((key.clone(), entry.names));
        }
    }

    fn part(&mut self, index: &Name, member: &Name, is_kept: bool, now: Now) {
        if is_kept {
            self.indexes.bury(index, member, now.at, now.at + self.dead_members_stay());
        } else {
            self.indexes.leave(index, member);
        }
    }

    fn is_kept(&self, member: &Name) -> bool {
        self.rules.keep(Rule::MembershipsOutliveTheirWork) && self.is_depended_on(member)
    }

    /// Whether anything may depend on a key, here or elsewhere.
    pub(super) fn is_depended_on(&self, key: &Name) -> bool {
        self.indexes.has_members(key) || self.site.marks.any(key)
    }

    /// What was left when a write has emptied the index of its key.
    pub(super) fn empty_for_write(&mut self, key: &Name, cascade: &mut Cascade) {
        if let Err(CutShort { after }) = self.empty(key, None, cascade) {
            cascade.left_at(key, after, true);
        }
    }
}
