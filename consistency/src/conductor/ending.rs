//! How processes end.

use std::io;

use super::{Conductor, Peer};

impl Conductor {
    /// A process is gone, and what it has locked is free.
    pub(super) fn leave(&mut self, process: u16) {
        if self.part_with(process).is_some() {
            self.forget(process);
        }
    }

    /// Has the program end the runtime of a process, and begin another one. Until it has, the
    /// process may be about to write: what it has locked stays so.
    pub(super) fn end_runtime(&mut self, process: u16) {
        if let Some(peer) = self.part_with(process) {
            self.ending.insert(peer.program, process);
        }
    }

    /// The runtime that this program was to end is no more.
    pub(super) fn has_ended(&mut self, program: u16) {
        if let Some(process) = self.ending.remove(&program) {
            self.forget(process);
        }
    }

    /// Listens to it no longer.
    fn part_with(&mut self, process: u16) -> Option<Peer> {
        let peer = self.peers.remove(&process)?;
        peer.reader.abort();
        self.checker.end(process);
        Some(peer)
    }

    fn forget(&mut self, process: u16) {
        let answers = self.database.forget(process);
        self.answer(answers);
    }

    /// SIGKILL in the middle of whatever it does, and another one in its place. A process of the
    /// embedded store has a runtime, and no program of its own.
    pub(super) fn kill_one(&mut self) -> io::Result<()> {
        if self.is_embedded() {
            self.kills += 1;
            let of = self.random.usize(..self.peers.len().max(1));
            if let Some(process) = self.peers.keys().nth(of).copied() {
                self.end_runtime(process);
            }
            return Ok(());
        }
        let slot = self.random.usize(..self.children.len());
        self.replace(slot, false)
    }

    pub(super) fn replace(&mut self, slot: usize, has_own_clock: bool) -> io::Result<()> {
        self.kills += 1;
        // Its socket ends with it, and it is waited for when there is time.
        self.children[slot].child.start_kill()?;
        self.has_ended(self.children[slot].number);
        self.children[slot] = self.start_worker(has_own_clock)?;
        Ok(())
    }
}
