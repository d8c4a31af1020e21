//! Decides for each read of a history whether it was served what an invalidation had removed.
//!
//! Guarantee 1 is a condition on intervals. A read that begins at `s` must not be served a part
//! that was loaded at `l` if some invalidation of one of that part's names began after `l` and had
//! returned before `s`; nor a version of a row older than one that was committed before such an
//! invalidation began. So of each entry the checker needs one number: the latest start of all
//! invalidations of its names that had returned before `s`. [`Staircase`] has that number for every
//! `s` that is still to come. Invalidations are few and reads are many, so an invalidation is noted
//! with every entry that it reaches, and a read looks in one place for each of its parts. Each read
//! is judged once, when all processes have told what ended before it began, and is forgotten then.
//!
//! What this rests on: starts are noted before calls, ends after them, and the beginning of a load
//! inside it, all on one clock. So what is noted of a call is never shorter than the call, and a
//! load never begins later than is noted. Whatever the checker finds therefore happened.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::clock::SECOND;
use crate::names::{Kind, Name, Reach};
use crate::record::{Batch, Call, Change, NO_LOAD, Part, Read, Scope};

#[cfg(test)]
mod naive;
mod staircase;
#[cfg(test)]
mod tests;
mod waiting;

use staircase::Staircase;
use waiting::Waiting;

/// For so long a copy may be served after another process's change has returned.
const COPY_LAG: u64 = SECOND;
/// A read that begins so soon after a change of its names is counted as such: it is then that it
/// may meet what the change has left behind.
const SOON: u64 = SECOND / 10;
/// How much is forgotten at once.
const FORGOTTEN_AT_ONCE: u64 = SECOND / 10;
/// How far back a stale read finds the change that it missed, for its witness.
const REMEMBERED: usize = 20_000;

/// A read that was served what it must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    pub(crate) read: Read,
    /// Of the read's parts, the one that is too old.
    pub(crate) part: Part,
    /// What the read should have seen.
    pub(crate) least: Least,
    /// The change that it missed, if that is not too long ago.
    pub(crate) missed: Option<Change>,
}

/// The bound that a part is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Least {
    Loaded(u64),
    Version(u64),
}

/// Of the changes that had returned before a moment, for each entry: the latest start of those that
/// reach it, and the newest version of its row that was committed before one of these.
#[derive(Debug)]
struct Bounds {
    loaded: Vec<Staircase>,
    version: Vec<Staircase>,
}

impl Bounds {
    fn new() -> Self {
        let staircases = || std::iter::repeat_with(Staircase::default).take(Name::KEYS).collect();
        Self { loaded: staircases(), version: staircases() }
    }

    fn add(&mut self, change: &Change, reach: &Reach) {
        for (kind, at) in change.names.iter().flat_map(|name| reach.from(*name)) {
            let entry = Name::Key(*kind, *at).index();
            self.loaded[entry].add(change.end, change.since);
            if let Some((row, version)) = change.committed
                && row == *at
                && kind.reads_row()
            {
                self.version[entry].add(change.end, version);
            }
        }
    }

    fn judge(&self, part: &Part, before: u64) -> Option<Least> {
        let entry = Name::Key(part.kind, part.at).index();
        let loaded = self.loaded[entry].at(before);
        if part.loaded != NO_LOAD && part.loaded < loaded {
            return Some(Least::Loaded(loaded));
        }
        let version = self.version[entry].at(before);
        (part.kind.reads_row() && part.version < version).then_some(Least::Version(version))
    }

    /// Whether a change that reaches the entry has returned in the [`SOON`] before this moment.
    fn changed_soon_before(&self, part: &Part, before: u64) -> bool {
        let entry = &self.loaded[Name::Key(part.kind, part.at).index()];
        entry.at(before) > entry.at(before.saturating_sub(SOON))
    }

    fn forget(&mut self, before: u64) {
        self.loaded.iter_mut().chain(&mut self.version).for_each(|staircase| staircase.forget(before));
    }
}

/// What a process has told so far.
#[derive(Debug)]
struct Progress {
    complete_until: u64,
    oldest_open: u64,
    /// What it had told when it ended.
    ended: Option<u64>,
    /// Its own changes, those that failed included.
    own: Bounds,
    /// Those that failed, until the process says that it owes nothing.
    owed: Vec<Change>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Checker {
    reach: Reach,
    everybody: Bounds,
    processes: BTreeMap<u16, Progress>,
    waiting: Waiting,
    /// What nobody asks for any more.
    forgotten: u64,
    /// The last changes, for witnesses.
    changes: VecDeque<Change>,
    stale: Vec<Stale>,
    judged: u64,
    stale_count: u64,
    /// When the stale reads began.
    stale_starts: Vec<u64>,
    /// Stale reads are not promised away at the moment.
    is_excused: bool,
    parts_by_kind: HashMap<Kind, u64>,
    copies: u64,
    soon: u64,
}

/// Stale reads that are kept whole; others are counted.
const STALE_KEPT: usize = 16;
/// Stale reads of which the start is kept: more than a fault under which they are not promised
/// away leaves.
const STALE_STARTS_KEPT: usize = 1_000_000;

impl Checker {
    pub(crate) fn new() -> Self {
        Self {
            reach: Reach::new(),
            everybody: Bounds::new(),
            processes: BTreeMap::new(),
            waiting: Waiting::default(),
            forgotten: 0,
            changes: VecDeque::new(),
            stale: Vec::new(),
            judged: 0,
            stale_count: 0,
            stale_starts: Vec::new(),
            is_excused: false,
            parts_by_kind: HashMap::new(),
            copies: 0,
            soon: 0,
        }
    }

    /// A process begins. Until it ends, nothing is judged that it may still have to say something
    /// about.
    pub(crate) fn begin(&mut self, process: u16, now: u64) {
        let (complete_until, oldest_open, ended, own, owed) = (now, now, None, Bounds::new(), Vec::new());
        self.processes.insert(process, Progress { complete_until, oldest_open, ended, own, owed });
    }

    /// A process has ended, in whatever way: what it has not told, it has promised to nobody.
    pub(crate) fn end(&mut self, process: u16) {
        if let Some(progress) = self.processes.get_mut(&process) {
            progress.ended = Some(progress.complete_until);
            (progress.complete_until, progress.oldest_open) = (u64::MAX, u64::MAX);
        }
        self.judge_all();
    }

    /// Takes what a process tells, and judges what can be judged now.
    pub(crate) fn take(&mut self, process: u16, batch: Batch) {
        let mut reads = Vec::with_capacity(batch.calls.len());
        for call in batch.calls {
            match call {
                Call::Read(read) => reads.push(read),
                Call::Change(change) => self.note(change),
                Call::Probe(_) => {}
            }
        }
        self.waiting.add(reads);
        if batch.settled > 0 {
            self.settle(process, batch.settled);
        }
        if let Some(progress) = self.processes.get_mut(&process) {
            progress.complete_until = batch.complete_until;
            progress.oldest_open = batch.oldest_open;
        }
        self.judge_all();
    }

    fn note(&mut self, change: Change) {
        if change.scope == Scope::Everybody {
            self.everybody.add(&change, &self.reach);
        }
        if let Some(progress) = self.processes.get_mut(&change.process) {
            progress.own.add(&change, &self.reach);
            if change.scope == Scope::OwnProcess {
                progress.owed.push(change.clone());
            }
        }
        self.remember(change);
    }

    fn remember(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
    }

    /// A process owes nothing any more: what it failed to invalidate is promised to everybody.
    fn settle(&mut self, process: u16, now: u64) {
        let Some(progress) = self.processes.get_mut(&process) else { return };
        for owed in std::mem::take(&mut progress.owed) {
            let change = Change { end: now, scope: Scope::Everybody, ..owed };
            self.everybody.add(&change, &self.reach);
            self.remember(change);
        }
    }

    fn judge_all(&mut self) {
        let complete = self.processes.values().map(|progress| progress.complete_until).min().unwrap_or(u64::MAX);
        for read in self.waiting.take_before(complete) {
            self.judge(read);
        }
        let open = self.processes.values().map(|progress| progress.oldest_open).min().unwrap_or(u64::MAX);
        let waiting = self.waiting.oldest();
        let needed = open.min(waiting).min(complete).saturating_sub(COPY_LAG.max(SOON));
        if needed > self.forgotten.saturating_add(FORGOTTEN_AT_ONCE) {
            self.forgotten = needed;
            self.everybody.forget(needed);
            self.processes.values_mut().for_each(|progress| progress.own.forget(needed));
        }
        // A process that has ended is kept for its last reads, which its own changes judge.
        self.processes.retain(|_, progress| progress.ended.is_none_or(|ended| complete <= ended));
    }

    fn judge(&mut self, read: Read) {
        self.judged += 1;
        let served = read.parts.first().map(|part| part.kind);
        if let Some(kind) = served {
            *self.parts_by_kind.entry(kind).or_default() += 1;
        }
        let own = self.processes.get(&read.process).map(|progress| &progress.own);
        // Of another process's changes a copy may lag behind.
        let before = if read.is_copy { read.start.saturating_sub(COPY_LAG) } else { read.start };
        self.copies += u64::from(read.is_copy);
        let is_soon = read.parts.iter().any(|part| self.everybody.changed_soon_before(part, read.start));
        self.soon += u64::from(is_soon);
        let least = |part: &Part| {
            let by_all = self.everybody.judge(part, before);
            by_all.or_else(|| own?.judge(part, read.start))
        };
        let Some((part, least)) = read.parts.iter().find_map(|part| Some((*part, least(part)?))) else { return };
        if self.stale_starts.len() < STALE_STARTS_KEPT {
            self.stale_starts.push(read.start);
        }
        if self.is_excused {
            return;
        }
        self.stale_count += 1;
        if self.stale.len() < STALE_KEPT {
            let missed = self.missed(&read, &part, least).cloned();
            self.stale.push(Stale { read, part, least, missed });
        }
    }

    pub(crate) fn has_judged_all(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reads that were judged.
    pub(crate) fn judged(&self) -> u64 {
        self.judged
    }

    /// Those of them that were copies.
    pub(crate) fn copies(&self) -> u64 {
        self.copies
    }

    /// Those of them that began soon after a change of one of their names had returned.
    pub(crate) fn soon(&self) -> u64 {
        self.soon
    }

    /// Those of them that were stale, and must not have been.
    pub(crate) fn stale_count(&self) -> u64 {
        self.stale_count
    }

    /// Whether stale reads are not promised away from now on. They are told by
    /// [`take_stale_starts`](Self::take_stale_starts) alone.
    pub(crate) fn excuse(&mut self, is_excused: bool) {
        self.is_excused = is_excused;
    }

    /// When the stale reads began, those that are excused included, since this was last asked.
    pub(crate) fn take_stale_starts(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.stale_starts)
    }

    /// The first of those that were promised away.
    pub(crate) fn stale(&self) -> &[Stale] {
        &self.stale
    }

    pub(crate) fn judged_of(&self, kind: Kind) -> u64 {
        self.parts_by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// The change that a stale read missed: of those that it should have seen, the one that
    /// returned first. `None`: it is too long ago.
    fn missed(&self, read: &Read, part: &Part, least: Least) -> Option<&Change> {
        let reached = self.reach.of(part.kind, part.at);
        let misses = |change: &&Change| {
            let too_late = change.end >= read.start || !change.names.iter().any(|name| reached.contains(name));
            let own = change.process == read.process;
            let lags = read.is_copy && !own && change.end + COPY_LAG >= read.start;
            let is_newer = match least {
                Least::Loaded(_) => change.since > part.loaded,
                Least::Version(_) => {
                    let at = |(row, version)| row == part.at && version > part.version;
                    change.committed.is_some_and(at)
                }
            };
            !too_late && !lags && is_newer && (own || change.scope == Scope::Everybody)
        };
        self.changes.iter().filter(misses).min_by_key(|change| change.end)
    }
}
