//! The partition's clock and its fences, which only make sense together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::moment::{Now, Settings};
use super::size::{ordered, slot, text};
use crate::config::{MEMORY_FENCES_SHARE, TRAIL_NAMES_MAX};
use crate::name::Name;
use crate::store::rules::{Rule, Rules};
use crate::store::{ClockReading, HomeReading, Refusal, TrailPage};

/// Accounted for one fence beside its text: places in two tables.
const FENCE_BYTES: usize = slot::<(Name, Fence)>() + ordered::<(u64, Name)>();

/// `seq` orders loads against invalidations. A fence keeps the `seq` of the last invalidation of
/// one name. The floor stands for all fences that were dropped.
#[derive(Clone)]
pub(super) struct Fences {
    incarnation: Arc<str>,
    seq: u64,
    floor: u64,
    by_name: HashMap<Name, Fence>,
    /// The fences, oldest first.
    by_age: BTreeSet<(u64, Name)>,
    bytes: usize,
    /// The last time that memberships were reaped, by the sequence and by the clock.
    reaped: Option<(u64, Instant)>,
    rules: Rules,
}

#[derive(Clone, Copy)]
struct Fence {
    seq: u64,
    at: Instant,
}

impl Fences {
    /// A new clock refuses every reading of an earlier clock: nobody knows what was invalidated
    /// before the new one.
    pub(super) fn new(incarnation: u128, now: Now, rules: Rules) -> Self {
        Self {
            incarnation: format!("{incarnation:032x}").into(),
            seq: now.wall_us,
            floor: now.wall_us,
            by_name: HashMap::new(),
            by_age: BTreeSet::new(),
            bytes: 0,
            reaped: None,
            rules,
        }
    }

    pub(super) fn reading(&self, now: Now) -> ClockReading {
        ClockReading {
            incarnation: self.incarnation.clone(),
            seq: self.seq,
            read_at_ms: now.wall_us / 1_000,
            read_at: now.at,
            learned: None,
            homes: None,
        }
    }

    /// The next `seq`. It follows wall time only so that a clock that was lost and made anew is
    /// ahead of the lost one. Order never rests on wall time.
    pub(super) fn advance(&mut self, now: Now) -> u64 {
        self.seq = now.wall_us.max(self.seq + 1);
        self.seq
    }

    /// Notes that dead members have been reaped. From now on, only its age refuses a load that may
    /// have read one of them alive.
    pub(super) fn reaped(&mut self, now: Now) {
        if self.rules.keep(Rule::ReapingIsRemembered) {
            self.reaped = Some((self.advance(now), now.at));
        }
    }

    pub(super) fn fence(&mut self, name: &Name, seq: u64, now: Now) {
        if seq <= self.floor {
            return; // the floor refuses more
        }
        self.drop_fence(name);
        self.bytes += FENCE_BYTES + text(name);
        self.by_name.insert(name.clone(), Fence { seq, at: now.at });
        self.by_age.insert((seq, name.clone()));
    }

    /// From now on every load that has begun is refused.
    pub(super) fn raise_floor(&mut self, seq: u64) {
        self.floor = self.floor.max(seq);
        while self.by_age.first().is_some_and(|(seq, _)| *seq <= self.floor) {
            let (_, name) = self.by_age.pop_first().expect("looked at above");
            self.forget(&name);
        }
    }

    /// Whether `name` was invalidated after `seq`, as far as is still known: a dropped fence counts
    /// for every name.
    pub(super) fn overtook(&self, name: &Name, seq: u64) -> bool {
        seq < self.floor || self.is_fenced_after(name, seq)
    }

    fn is_fenced_after(&self, name: &Name, seq: u64) -> bool {
        self.by_name.get(name).is_some_and(|fence| fence.seq > seq)
    }

    /// Why a value that was loaded since `reading` and depends on `names` must not be stored.
    pub(super) fn refusal<'a>(
        &self,
        reading: &ClockReading,
        mut names: impl Iterator<Item = &'a Name>,
        settings: &Settings,
        now: Now,
    ) -> Option<Refusal> {
        let foreign = reading.incarnation != self.incarnation && self.rules.keep(Rule::IncarnationIsChecked);
        if foreign {
            return Some(Refusal::ForeignIncarnation);
        }
        if reading.seq < self.floor && self.rules.keep(Rule::TheFloorIsChecked) {
            return Some(Refusal::BelowFloor);
        }
        // Only for this long are members that died during a load sure to be in their indexes.
        let too_old = now.at.saturating_duration_since(reading.read_at) > settings.fence_retention;
        if too_old && self.rules.keep(Rule::OldLoadsAreRefused) {
            return Some(Refusal::TooOld);
        }
        // The clock was ahead when dead members were reaped, and was set back: ages tell nothing.
        if self.reaped.is_some_and(|(seq, at)| now.at < at && reading.seq < seq) {
            return Some(Refusal::TooOld);
        }
        names.any(|name| self.is_fenced_after(name, reading.seq)).then_some(Refusal::Fenced)
    }

    /// Why a load since `reading` must not register at the home of `names`.
    pub(super) fn refusal_of_registration(&self, reading: &HomeReading, names: &[Name]) -> Option<Refusal> {
        if reading.incarnation != self.incarnation && self.rules.keep(Rule::HomesCheckTheIncarnation) {
            return Some(Refusal::ForeignIncarnation);
        }
        if reading.seq < self.floor && self.rules.keep(Rule::TheFloorIsChecked) {
            return Some(Refusal::BelowFloor);
        }
        let is_fenced = names.iter().any(|name| self.is_fenced_after(name, reading.seq));
        (is_fenced && self.rules.keep(Rule::HomesCheckFences)).then_some(Refusal::Fenced)
    }

    /// Drops fences that are old or too many, oldest first.
    pub(super) fn drop_old(&mut self, settings: &Settings, now: Now) {
        while let Some((seq, name)) = self.by_age.first() {
            let old = now.at.saturating_duration_since(self.by_name[name].at) >= settings.fence_retention;
            let many = self.by_age.len() > settings.fences_max || self.bytes > settings.bytes_max / MEMORY_FENCES_SHARE;
            if !old && !many {
                return;
            }
            let (seq, name) = (*seq, name.clone());
            if self.rules.keep(Rule::DroppedFencesRaiseTheFloor) {
                self.raise_floor(seq);
            } else {
                self.drop_fence(&name);
            }
        }
    }

    /// The names that were fenced after `seq`.
    pub(super) fn since(&self, seq: u64) -> TrailPage {
        let mut after = self.by_age.iter().rev().take_while(|(fence, _)| *fence > seq).map(|(_, name)| name.clone());
        let names: Vec<Name> = after.by_ref().take(TRAIL_NAMES_MAX).collect();
        let (incarnation, has_more) = (self.incarnation.clone(), after.next().is_some());
        TrailPage { incarnation, seq: self.seq, floor: self.floor, names, has_more }
    }

    /// The clock was written by another server: what is stored may all be there.
    #[cfg(test)]
    pub(super) fn renew(&mut self, incarnation: u128, now: Now) {
        self.incarnation = format!("{incarnation:032x}").into();
        let seq = self.advance(now);
        self.raise_floor(seq);
    }

    pub(super) fn incarnation(&self) -> Arc<str> {
        self.incarnation.clone()
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn of(&self, name: &Name) -> Option<u64> {
        self.by_name.get(name).map(|fence| fence.seq)
    }

    /// When a name was fenced last: the floor fences every name.
    pub(super) fn last_fence(&self, name: &Name) -> u64 {
        self.of(name).unwrap_or(self.floor)
    }

    fn drop_fence(&mut self, name: &Name) {
        if let Some(fence) = self.forget(name) {
            self.by_age.remove(&(fence.seq, name.clone()));
        }
    }

    fn forget(&mut self, name: &Name) -> Option<Fence> {
        let fence = self.by_name.remove(name)?;
        self.bytes -= FENCE_BYTES + text(name);
        Some(fence)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
impl Fences {
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_name.len(), self.by_age.len());
        self.by_name.len()
    }

    pub(super) fn last_reaping(&self) -> Option<(u64, Instant)> {
        self.reaped
    }

    pub(super) fn snapshot(&self) -> (u64, u64, Vec<(u64, Name)>) {
        (self.seq, self.floor, self.by_age.iter().cloned().collect())
    }
}
