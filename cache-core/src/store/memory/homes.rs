//! The partition's part in the protocol of several: it is the home of some names, whose members may
//! be elsewhere, and has members of names that are at home elsewhere.
//!
//! Each function that changes anything is one script. With one partition none is called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::moment::Now;
use super::state::State;
use crate::clock::millis;
use crate::name::Name;
use crate::store::rules::Rule;
use crate::store::{ClosingId, Encounter, FollowedMark, HomeReading, MetMark, Refusal};

impl State {
    pub(super) fn home_reading(&self) -> HomeReading {
        HomeReading { incarnation: self.fences.incarnation(), seq: self.fences.seq() }
    }

    /// Notes that `of` may have members of these names, which are at home here, until `ends_ms`.
    /// Returns the incarnation, or why a load since this reading must not register.
    pub(super) fn register(
        &mut self,
        names: &[Name],
        of: u16,
        reading: &HomeReading,
        ends_ms: u64,
        opens: Option<ClosingId>,
        now: Now,
    ) -> Result<Arc<str>, Refusal> {
        self.end_marks(now);
        let is_closed = || self.closings.close_any(names.iter(), opens) || self.closings.close_dependents(names, opens);
        let refusal = self.fences.refusal_of_registration(reading, names);
        if let Some(refusal) = refusal.or_else(|| is_closed().then_some(Refusal::Closed)) {
            return Err(refusal);
        }
        self.mark(names, of, ends_ms);
        self.tidy(0, now);
        Ok(self.fences.incarnation())
    }

    fn mark(&mut self, names: &[Name], of: u16, ends_ms: u64) {
        let changes = self.rules.keep(Rule::RegistrationsChangeStamps);
        names.iter().for_each(|name| self.site.marks.set(name, of, ends_ms, changes));
    }

    /// Whether every home in which a load has registered is the one that lists this partition.
    pub(super) fn has_adopted(&self, registered: &[(u16, Arc<str>)]) -> bool {
        let is_known = |(home, incarnation): &(u16, Arc<str>)| {
            self.site.known.get(usize::from(*home)).is_some_and(|known| known.as_ref() == Some(incarnation))
        };
        registered.iter().all(is_known) || !self.rules.keep(Rule::FillsCheckTheAdoption)
    }

    /// What a script has met by its end.
    pub(super) fn encounter(&self, drained: Vec<Name>, fences: BTreeMap<Name, u64>, kept: Vec<Name>) -> Encounter {
        let met = drained.iter().flat_map(|name| self.site.marks.of(name)).collect();
        let fenced = fences.into_iter().filter(|(name, _)| self.site.marks.any(name)).collect();
        let (reading, is_complete) = (self.home_reading(), self.site.is_complete);
        Encounter { reading, is_complete, drained, met, fenced, kept }
    }

    /// Takes marks away that nothing hangs on any more. Whoever fenced a name last takes its marks
    /// away, and nobody else: so a stamp that a mark has had before, and that one made anew has by
    /// chance, is not taken for the one that was met.
    pub(super) fn settle(&mut self, done: &[FollowedMark]) {
        for FollowedMark { mark, visited } in done {
            let is_changed = self.site.marks.stamp(&mark.name, mark.of) != Some(mark.stamp)
                && self.rules.keep(Rule::SettlingComparesStamps);
            let is_fenced =
                self.fences.last_fence(&mark.name) != visited.seq && self.rules.keep(Rule::SettlingComparesFences);
            if visited.incarnation == self.fences.incarnation() && !is_changed && !is_fenced {
                self.site.marks.remove(&mark.name, mark.of);
            }
        }
    }

    /// A mark whose members should all have ended, and the clock after its name was fenced.
    pub(super) fn look_at_dead_mark(&mut self, now: Now) -> Option<(MetMark, HomeReading)> {
        let mark = self.site.marks.first_dead(now.wall_us / 1_000)?;
        let looked = self.look_at(&mark.name, now);
        Some((mark, looked))
    }

    /// A partition still has members of a name: they are dead, and stay for a while.
    pub(super) fn keep_mark(&mut self, mark: &MetMark, now: Now) {
        let ends_ms = now.wall_us / 1_000 + millis(self.dead_members_stay()) + 1;
        self.site.marks.set(&mark.name, mark.of, ends_ms, true);
    }

    /// Fences a name of which a mark is to be reaped.
    pub(super) fn look_at(&mut self, name: &Name, now: Now) -> HomeReading {
        if self.rules.keep(Rule::ReapingFences) {
            let seq = self.fences.advance(now);
            self.fences.fence(name, seq, now);
        }
        HomeReading { seq: self.fences.last_fence(name), ..self.home_reading() }
    }

    /// Whether this partition has members of a name, or has it closed.
    pub(super) fn has_to_do_with(&self, name: &Name) -> bool {
        let is_closed = || self.closings.is_closed(name) && self.rules.keep(Rule::MarksOfClosedNamesStay);
        self.indexes.has_members(name) || is_closed()
    }

    /// Whether this partition has to do with a foreign name. From here on no load that began before
    /// may add one.
    pub(super) fn is_asked_for(&mut self, name: &Name, now: Now) -> bool {
        if self.rules.keep(Rule::QuestionsFence) {
            let seq = self.fences.advance(now);
            self.fences.fence(name, seq, now);
        }
        self.has_to_do_with(name)
    }

    /// From here on this partition's fills may rest on what `home` lists in that incarnation.
    pub(super) fn adopt(&mut self, home: u16, incarnation: &Arc<str>) {
        self.site.known[usize::from(home)] = Some(incarnation.clone());
    }

    /// The partition's own incarnation, and what it has adopted of a home.
    pub(super) fn knows_of(&self, home: u16) -> (Arc<str>, Option<Arc<str>>) {
        (self.fences.incarnation(), self.site.known[usize::from(home)].clone())
    }

    /// The names at home in `home` of which this partition has members, dead or alive, and until
    /// when in ms of wall time.
    pub(super) fn list_for(&self, home: u16, now: Now) -> Vec<(Name, u64)> {
        let is_listed = |name: &&Name| !self.site.is_home(name) && self.site.partitions.is_home(name, home);
        let ends_ms = |name: &Name| {
            let left = self.indexes.last_end(name).map_or(Duration::ZERO, |end| end.saturating_duration_since(now.at));
            now.wall_us / 1_000 + millis(left)
        };
        self.indexes.names().filter(is_listed).map(|name| (name.clone(), ends_ms(name))).collect()
    }

    /// In this order: a fill that comes between the two is not listed, and was refused.
    pub(super) fn adopt_and_list(&mut self, home: u16, incarnation: &Arc<str>, now: Now) -> Vec<(Name, u64)> {
        self.adopt(home, incarnation);
        self.list_for(home, now)
    }

    /// Notes what `of` has listed for this incarnation. `false`: the clock was lost meanwhile.
    pub(super) fn note_listed(&mut self, names: &[(Name, u64)], of: u16, incarnation: &Arc<str>) -> bool {
        let is_same = self.fences.incarnation() == *incarnation;
        if is_same {
            names.iter().for_each(|(name, ends_ms)| self.mark(std::slice::from_ref(name), of, *ends_ms));
        }
        is_same
    }

    /// All partitions have listed what they have.
    pub(super) fn complete(&mut self, incarnation: &Arc<str>) {
        self.site.is_complete |= self.fences.incarnation() == *incarnation;
    }
}

#[cfg(test)]
impl State {
    /// The clock was written by another server: a failover, a move, a restart. What is stored may
    /// all be there.
    pub(super) fn renew(&mut self, incarnation: u128, now: Now) {
        self.fences.renew(incarnation, now);
        self.site.known.fill(None);
        self.site.is_complete = false;
    }
}
