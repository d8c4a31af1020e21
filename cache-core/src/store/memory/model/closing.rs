//! A process that closes names around the COMMIT of a change.

use std::hash::Hash;

use super::process::{Frame, Progress, TTL, key, nothing_left};
use super::world::World;
use crate::name::Name;
use crate::store::{Chunk, ClosingId, Intent, Operation};

/// A change whose names are closed around it.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) names: &'static [Name],
    pub(super) by: ClosingId,
    stage: Stage,
    /// The marks are there, as far as the process knows. Then nothing old is read from the COMMIT
    /// on, whatever becomes of the process.
    pub(super) is_marked: bool,
    /// It begins only if another operation has something closed. What a finished one has removed
    /// leads to nothing.
    overlaps: bool,
    /// What is left of closing, or of opening.
    pub(super) operation: Operation<'static>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Close,
    Closing,
    Commit,
    Open { version: u8 },
    Opening { version: u8 },
}

impl Closing {
    pub(super) fn new(names: &'static [Name], by: ClosingId) -> Self {
        Self { names, by, stage: Stage::Close, is_marked: false, overlaps: false, operation: nothing_left() }
    }

    pub(super) fn overlapping(names: &'static [Name], by: ClosingId) -> Self {
        Self { overlaps: true, ..Self::new(names, by) }
    }

    /// All that tells it from another one.
    pub(super) fn parts(&self) -> impl Hash {
        (self.names, self.by, self.stage, self.is_marked, self.operation.clone())
    }

    /// Whether a crash now makes a difference.
    pub(super) fn has_begun(&self) -> bool {
        self.stage != Stage::Close
    }
}

impl World {
    pub(super) fn step_closing(&mut self, mut closing: Closing) -> (String, Progress) {
        let what = match closing.stage {
            Stage::Close if closing.overlaps && self.state.closings.len() == 0 => {
                return ("has nothing to overlap with".to_owned(), Progress::Done);
            }
            Stage::Close => {
                closing.is_marked = true;
                closing.operation = Operation::new(closing.names, Intent::Close { by: closing.by, lasts: TTL });
                "closes"
            }
            Stage::Closing => "goes on to close",
            Stage::Commit => {
                self.versions[0] += 1;
                self.committed(0, closing.is_marked);
                closing.stage = Stage::Open { version: self.versions[0] };
                return ("commits".to_owned(), Progress::Closing(closing));
            }
            Stage::Open { .. } => {
                closing.operation = Operation::new(closing.names, Intent::Open { by: closing.by });
                "opens"
            }
            Stage::Opening { .. } => "goes on to open",
        };
        self.take_step(&mut closing.operation);
        let pending = closing.operation.left();
        let what = format!("{what}, {pending} pending");
        closing.stage = match closing.stage {
            Stage::Open { version } | Stage::Opening { version } if pending == 0 => {
                if closing.is_marked || !self.program.rests_on_marks {
                    self.required[0] = self.required[0].max(version);
                }
                return (what, Progress::Done);
            }
            Stage::Open { version } | Stage::Opening { version } => Stage::Opening { version },
            _ if pending == 0 => Stage::Commit,
            _ => Stage::Closing,
        };
        (what, Progress::Closing(closing))
    }

    /// The version of a source that there is now is what must be read, if what was before it is
    /// closed.
    pub(super) fn committed(&mut self, source: usize, is_marked: bool) {
        if is_marked {
            self.required[source] = self.versions[source];
        }
    }

    /// One chunk of closing the key that a process is about to write.
    pub(super) fn step_closing_of_write(&mut self, mut frame: Frame, by: ClosingId) -> (String, Progress) {
        if !frame.is_marked {
            let given = Chunk::of_given(0, vec![key(frame.key)].into(), Intent::Close { by, lasts: TTL });
            let visited = self.state.take(&given, self.now).expect("room");
            frame.closing = Operation::rest_of(visited).0;
        } else {
            self.take_step(&mut frame.closing);
        }
        let pending = frame.closing.left();
        (frame.is_marked, frame.is_closed) = (true, pending == 0);
        (format!("closes {} to write it, {pending} pending", frame.key), Progress::Writing(frame))
    }

    /// As if no process had renewed its marks.
    pub(super) fn end_marks_of_all(&mut self) {
        self.state.closings.end_all(self.now.at);
        self.forget_marks();
    }

    /// The marks are not there any more.
    pub(super) fn forget_marks(&mut self) {
        for progress in &mut self.progress {
            match progress {
                Progress::Closing(closing) => closing.is_marked = false,
                Progress::Writing(frame) => frame.is_marked = false,
                _ => {}
            }
        }
    }
}
