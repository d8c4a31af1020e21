//! Decides for each read of a history whether it was served what an invalidation had removed.
//!
//! Guarantee 1 is a condition on intervals. A read that begins at `s` must not be served a part
//! that was loaded at `l` if some invalidation of one of that part's names began after `l` and had
//! returned before `s`; nor a version of a row older than one that was committed before such an
//! invalidation began. So of each name the checker needs one number: the latest start of all
//! invalidations that had returned before `s`. [`Staircase`] has that number for every `s` that is
//! still to come. Each read is judged once, when all processes have told what ended before it
//! began, and is forgotten then.
//!
//! What this rests on: starts are noted before calls, ends after them, and the beginning of a load
//! inside it, all on one clock. So what is noted of a call is never shorter than the call, and a
//! load never begins later than is noted. Whatever the checker finds therefore happened.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use crate::clock::SECOND;
use crate::names::{DATA, Kind, Name, Reach};
use crate::record::{Batch, Call, Change, NO_LOAD, Part, Read, Scope};

#[cfg(test)]
mod naive;
mod staircase;
#[cfg(test)]
mod tests;

use staircase::Staircase;

/// For so long a copy may be served after another process's change has returned.
const COPY_LAG: u64 = SECOND;
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
}

/// The bound that a part is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Least {
    Loaded(u64),
    Version(u64),
}

/// Of the changes that had returned before a moment: the latest start for each name, and the newest
/// version of each row, by the kind of entry that was invalidated after it was committed.
#[derive(Debug)]
struct Bounds {
    loaded: Vec<Staircase>,
    version: Vec<Staircase>,
}

impl Bounds {
    fn new() -> Self {
        let staircases = |count| std::iter::repeat_with(Staircase::default).take(count).collect();
        Self { loaded: staircases(Name::COUNT), version: staircases(Kind::ALL.len() * usize::from(DATA)) }
    }

    fn add(&mut self, change: &Change, reach: &Reach) {
        for name in &change.names {
            self.loaded[name.index()].add(change.end, change.since);
        }
        let Some((row, version)) = change.committed else { return };
        for kind in Kind::ALL.into_iter().filter(|kind| kind.reads_row()) {
            if change.names.iter().any(|name| reach.of(kind, row).contains(name)) {
                self.version[Name::Key(kind, row).index()].add(change.end, version);
            }
        }
    }

    fn judge(&self, part: &Part, before: u64, reach: &Reach) -> Option<Least> {
        let loaded = reach.of(part.kind, part.at).iter().map(|name| self.loaded[name.index()].at(before)).max();
        let (loaded, own) = (loaded.unwrap_or(0), Name::Key(part.kind, part.at).index());
        if part.loaded != NO_LOAD && part.loaded < loaded {
            return Some(Least::Loaded(loaded));
        }
        let version = self.version[own].at(before);
        (part.kind.reads_row() && part.version < version).then_some(Least::Version(version))
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
}

/// A read that waits until all that ended before it began is known, the earliest start first.
#[derive(Debug, PartialEq, Eq)]
struct Waiting(Reverse<u64>, Box<Read>);

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Checker {
    reach: Reach,
    everybody: Bounds,
    processes: BTreeMap<u16, Progress>,
    waiting: BinaryHeap<Waiting>,
    /// The last changes, for witnesses.
    changes: VecDeque<Change>,
    stale: Vec<Stale>,
    judged: u64,
    stale_count: u64,
    parts_by_kind: HashMap<Kind, u64>,
    copies: u64,
}

/// Stale reads that are kept whole; others are counted.
const STALE_KEPT: usize = 16;

impl Checker {
    pub(crate) fn new() -> Self {
        Self {
            reach: Reach::new(),
            everybody: Bounds::new(),
            processes: BTreeMap::new(),
            waiting: BinaryHeap::new(),
            changes: VecDeque::new(),
            stale: Vec::new(),
            judged: 0,
            stale_count: 0,
            parts_by_kind: HashMap::new(),
            copies: 0,
        }
    }

    /// A process begins. Until it ends, nothing is judged that it may still have to say something
    /// about.
    pub(crate) fn begin(&mut self, process: u16, now: u64) {
        self.processes
            .insert(process, Progress { complete_until: now, oldest_open: now, ended: None, own: Bounds::new() });
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
        for call in batch.calls {
            match call {
                Call::Read(read) => self.waiting.push(Waiting(Reverse(read.start), Box::new(read))),
                Call::Change(change) => self.note(change),
            }
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
        }
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
    }

    fn judge_all(&mut self) {
        let complete = self.processes.values().map(|progress| progress.complete_until).min().unwrap_or(u64::MAX);
        while let Some(Waiting(Reverse(start), read)) = self.waiting.pop() {
            if start >= complete {
                self.waiting.push(Waiting(Reverse(start), read));
                break;
            }
            self.judge(*read);
        }
        let open = self.processes.values().map(|progress| progress.oldest_open).min().unwrap_or(u64::MAX);
        let waiting = self.waiting.peek().map_or(u64::MAX, |waiting| waiting.0.0);
        let needed = open.min(waiting).min(complete).saturating_sub(COPY_LAG);
        self.everybody.forget(needed);
        self.processes.values_mut().for_each(|progress| progress.own.forget(needed));
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
        let least = |part: &Part| {
            let by_all = self.everybody.judge(part, before, &self.reach);
            by_all.or_else(|| own?.judge(part, read.start, &self.reach))
        };
        let Some((part, least)) = read.parts.iter().find_map(|part| Some((*part, least(part)?))) else { return };
        self.stale_count += 1;
        if self.stale.len() < STALE_KEPT {
            self.stale.push(Stale { read, part, least });
        }
    }

    /// Reads that were judged.
    pub(crate) fn judged(&self) -> u64 {
        self.judged
    }

    /// Those of them that were copies.
    pub(crate) fn copies(&self) -> u64 {
        self.copies
    }

    /// Those of them that were stale.
    pub(crate) fn stale_count(&self) -> u64 {
        self.stale_count
    }

    /// The first of these.
    pub(crate) fn stale(&self) -> &[Stale] {
        &self.stale
    }

    pub(crate) fn judged_of(&self, kind: Kind) -> u64 {
        self.parts_by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// The change that a stale read missed: of those that it should have seen, the one that
    /// returned first. `None`: it is too long ago.
    pub(crate) fn missed(&self, stale: &Stale) -> Option<&Change> {
        let reached = self.reach.of(stale.part.kind, stale.part.at);
        let misses = |change: &&Change| {
            let too_late = change.end >= stale.read.start || !change.names.iter().any(|name| reached.contains(name));
            let own = change.process == stale.read.process;
            let lags = stale.read.is_copy && !own && change.end + COPY_LAG >= stale.read.start;
            let is_newer = match stale.least {
                Least::Loaded(_) => change.since > stale.part.loaded,
                Least::Version(_) => {
                    let at = |(row, version)| row == stale.part.at && version > stale.part.version;
                    change.committed.is_some_and(at)
                }
            };
            !too_late && !lags && is_newer && (own || change.scope == Scope::Everybody)
        };
        self.changes.iter().filter(misses).min_by_key(|change| change.end)
    }
}
