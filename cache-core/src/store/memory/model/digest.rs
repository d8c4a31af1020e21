//! When two worlds are the same.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::time::Instant;

use super::process::{Frame, Invalidating, Progress};
use super::world::World;
use crate::store::{ClockReading, SweepScope};

impl World {
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Digest { hasher: DefaultHasher::new(), seqs: self.seqs(), began: self.began };
        digest.world(self);
        digest.hasher.finish()
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        let resent = self.resent.iter().map(|sent| &sent.frame);
        let running = self.progress.iter().flat_map(|progress| match progress {
            Progress::Loading(frames) => frames.as_slice(),
            Progress::Writing(frame) => std::slice::from_ref(frame),
            _ => &[],
        });
        running.chain(resent)
    }

    /// Every sequence number in use, in order.
    fn seqs(&self) -> Vec<u64> {
        let (seq, floor, fences) = self.state.fences.snapshot();
        let mut seqs = BTreeSet::from([seq, floor]);
        seqs.extend(self.state.fences.last_reaping().map(|(seq, _)| seq));
        seqs.extend(fences.iter().map(|(seq, _)| *seq));
        seqs.extend(self.state.leases.iter().map(|(_, lease)| lease.seq));
        seqs.extend(self.frames().filter_map(|frame| Some(frame.clock.as_ref()?.seq)));
        seqs.into_iter().collect()
    }
}

struct Digest {
    hasher: DefaultHasher,
    seqs: Vec<u64>,
    began: Instant,
}

impl Digest {
    fn add(&mut self, part: impl Hash) {
        part.hash(&mut self.hasher);
    }

    fn seq(&mut self, seq: u64) {
        let rank = self.seqs.binary_search(&seq);
        self.add(rank);
    }

    fn time(&mut self, at: Instant) {
        let since = at.saturating_duration_since(self.began);
        self.add(since);
    }

    fn world(&mut self, world: &World) {
        let program = &world.program;
        self.add((program.expiries, program.evictions, program.retentions, program.fence_drops));
        self.add((program.clock_losses, program.crashes, program.resends, program.steps_ahead, world.is_ahead));
        self.add(program.mark_ends);
        self.add((world.versions, world.required));
        self.time(world.now.at);
        self.store(world);
        for progress in &world.progress {
            self.progress(progress, world);
        }
        self.add(world.resent.is_some());
        if let Some(sent) = &world.resent {
            self.add(sent.is_write);
            self.frame(&sent.frame);
        }
    }

    fn store(&mut self, world: &World) {
        let (seq, floor, fences) = world.state.fences.snapshot();
        self.seq(seq);
        self.seq(floor);
        if let Some((seq, at)) = world.state.fences.last_reaping() {
            self.seq(seq);
            self.time(at);
        }
        self.add(fences.len());
        for (seq, name) in fences {
            self.seq(seq);
            self.add(name);
        }
        for (ends, name, by, is_reached) in world.state.closings.iter() {
            self.time(ends);
            self.add((name, by, is_reached));
        }
        self.add(world.state.closings.len());
        self.add(world.state.leases.len());
        for (key, lease) in world.state.leases.iter() {
            self.seq(lease.seq);
            self.time(lease.ends);
            self.add((key, lease.token));
        }
        // In order of position: where a walk comes by.
        for (key, entry) in world.state.entries.iter() {
            self.add((key, &entry.value, &entry.names));
            self.time(entry.expires);
        }
        for (_, index) in world.state.indexes.page(0, usize::MAX) {
            self.add(index);
        }
        for (index, member, due) in world.state.indexes.memberships() {
            self.add((index, member));
            self.time(due);
        }
    }

    fn progress(&mut self, progress: &Progress, world: &World) {
        match progress {
            Progress::Done => self.add(0),
            Progress::Loading(frames) => {
                self.add((1, frames.len()));
                frames.iter().for_each(|frame| self.frame(frame));
            }
            Progress::Invalidating(Invalidating { began, operation, walk }) => {
                self.add((2, operation, began));
                if let Some(walk) = walk {
                    // How much of the walk is left, whatever the positions are.
                    let state = &world.state;
                    let left = match (walk.cursor, walk.scope) {
                        (0, _) => usize::MAX,
                        (cursor, SweepScope::Values) => state.entries.page(cursor, usize::MAX).len(),
                        (cursor, _) => state.indexes.page(cursor, usize::MAX).len(),
                    };
                    self.add((walk.scope as u8, left));
                }
            }
            Progress::Writing(frame) => {
                self.add(3);
                self.frame(frame);
            }
            Progress::Closing(closing) => self.add((5, closing.parts())),
            Progress::WriteReply { source, version, rest } => self.add((4, source, version, rest)),
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.add((frame.closes, frame.is_closed, frame.is_marked, &frame.closing));
        self.add((frame.key, frame.token, frame.has_read, frame.has_called, frame.value, &frame.names));
        if let Some(ClockReading { incarnation, seq, read_at, .. }) = &frame.clock {
            self.add(incarnation);
            self.seq(*seq);
            self.time(*read_at);
            frame.read_at.iter().for_each(|read_at| self.time(*read_at));
        }
    }
}
