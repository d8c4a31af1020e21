//! What one caller does, step by step; a step is one command to the store or one look at the data.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::closing::Closing;
use super::world::{SOURCES, World};
use crate::name::Name;
use crate::store::memory::state::State;
use crate::store::rules::Rule;
use crate::store::{
    Chunk, ClockReading, ClosingId, Fill, FillReply, IfPresent, Intent, LeaseReply, LeaseRequest, Operation, Recall,
    Refusal, SweepScope, Token,
};

/// Nothing expires by itself: the explorer says when.
pub(super) const TTL: Duration = Duration::from_secs(1_000_000);

/// Functions that call each other: `c` → `b` → `a`, `y` → `z`, and `w` → `a`. The leaves `a` and
/// `z` read the first source and have a tag; `w` reads the second; `b`, `c` and `y` only pass on
/// what they got. `v` reads the first source too, and declares that it depends on `b`; `u` does so
/// and declares that it depends on `v`.
#[derive(Clone, Debug)]
pub(super) enum Process {
    /// Calls a cached function.
    Call(&'static str),
    /// Calls it although a value is there.
    Refresh(&'static str),
    /// Changes the first source, then invalidates the tag (`t`) of the leaves, the key `a` (`k`),
    /// or the keys of both leaves (`kk`).
    Invalidate(&'static str),
    /// As `Invalidate`, by pattern, which should match `a`.
    Sweep(&'static str),
    /// As `Invalidate`, by removing everything.
    Clear,
    /// Changes the source of `a` or `w` and writes the new value through.
    Put(&'static str),
    /// Changes the first source while what `Invalidate` would name is closed.
    Around(&'static str),
    /// As `Around`, if it begins while another operation has something closed.
    Overlap(&'static str),
    /// As `Put`, while the key is closed.
    PutAround(&'static str),
}

/// The version of each source that a value was made from.
pub(super) type Value = [Option<u8>; SOURCES];

/// A function on its way.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) key: &'static str,
    pub(super) if_present: IfPresent,
    pub(super) clock: Option<ClockReading>,
    /// When the clock was read, by the process's own.
    pub(super) read_at: Option<Instant>,
    pub(super) token: Token,
    pub(super) has_read: bool,
    pub(super) has_called: bool,
    pub(super) value: Value,
    pub(super) names: BTreeSet<Name>,
    /// A write that closes its key.
    pub(super) closes: Option<ClosingId>,
    /// The key is closed, and nothing is left to remove.
    pub(super) is_closed: bool,
    /// The mark is there, as far as the process knows.
    pub(super) is_marked: bool,
    /// What is left of closing it.
    pub(super) closing: Operation<'static>,
}

/// A pattern walk, first of one scope, then of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) glob: &'static str,
    pub(super) scope: SweepScope,
    pub(super) then: SweepScope,
    pub(super) cursor: u64,
}

/// An invalidation by names, or by a walk.
#[derive(Clone, Debug)]
pub(super) struct Invalidating {
    /// The version that it has changed the data to.
    pub(super) began: Option<u8>,
    pub(super) operation: Operation<'static>,
    pub(super) walk: Option<Walk>,
}

/// Where a process is.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    Loading(Vec<Frame>),
    Invalidating(Invalidating),
    Writing(Frame),
    Closing(Closing),
    /// The write is done, but for what is left to remove.
    WriteReply {
        source: usize,
        version: u8,
        rest: Operation<'static>,
    },
    Done,
}

/// A command that may reach the store again at any later time.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) is_write: bool,
}

pub(super) fn key(logical: &str) -> Name {
    Name::key(logical).expect("a good key")
}

pub(super) fn nothing_left() -> Operation<'static> {
    Operation::new(&[], Intent::Invalidate)
}

fn callee(logical: &str) -> Option<&'static str> {
    match logical {
        "c" => Some("b"),
        "b" | "w" => Some("a"),
        "y" => Some("z"),
        _ => None,
    }
}

fn source(logical: &str) -> Option<usize> {
    match logical {
        "a" | "z" | "v" | "u" => Some(0),
        "w" => Some(1),
        _ => None,
    }
}

/// What a function depends on without calling it.
fn declared(logical: &str) -> Option<&'static str> {
    match logical {
        "v" => Some("b"),
        "u" => Some("v"),
        _ => None,
    }
}

impl Frame {
    fn new(key: &'static str, if_present: IfPresent, token: Token) -> Self {
        let (has_read, has_called) = (source(key).is_none(), callee(key).is_none());
        let (clock, read_at, value, names) = (None, None, [None; SOURCES], BTreeSet::new());
        let (closes, is_closed, is_marked, closing) = (None, false, false, nothing_left());
        Self {
            key,
            if_present,
            clock,
            read_at,
            token,
            has_read,
            has_called,
            value,
            names,
            closes,
            is_closed,
            is_marked,
            closing,
        }
    }

    /// A process itself refuses a load that it knows to be too old, and then only removes.
    pub(super) fn send(&self, state: &mut State, is_write: bool, world: &WorldTime) -> (FillReply, Operation<'static>) {
        let age = self.read_at.map_or(Duration::ZERO, |read_at| world.passed.saturating_duration_since(read_at));
        if age > state.settings.fence_retention && state.rules.keep(Rule::ProcessesTellTheAge) {
            let refused = FillReply::Refused(Refusal::TooOld);
            if is_write {
                let given = Chunk::of_given(0, vec![key(self.key)].into(), Intent::Invalidate);
                return (refused, Operation::rest_of(state.visit(&given, world.now)).0);
            }
            state.release_lease(&key(self.key), self.token);
            return (refused, nothing_left());
        }
        let clock = self.clock.as_ref().expect("read before");
        let names: Vec<Name> = self.names.iter().cloned().collect();
        let value = Bytes::from_iter(self.value.iter().map(|version| version.unwrap_or(u8::MAX)));
        let fill = Fill { key: self.key, value, names: &names, ttl: TTL, clock, token: self.token, learned: None };
        if is_write {
            let (reply, visited) = state.write(&key(self.key), &fill, Ok(&[]), self.closes, world.now);
            (reply, Operation::rest_of(visited).0)
        } else {
            (state.fill(&key(self.key), &fill, &[], world.now), nothing_left())
        }
    }
}

pub(super) struct WorldTime {
    pub(super) now: crate::store::memory::moment::Now,
    /// Judged by the processes' clocks, which are never set.
    pub(super) passed: Instant,
}

pub(super) fn value_of(bytes: &Bytes) -> Value {
    std::array::from_fn(|source| Some(bytes[source]).filter(|version| *version != u8::MAX))
}

impl Process {
    pub(super) fn start(&self, number: usize) -> Progress {
        let token = Token((number as u128 + 1) << 8);
        match *self {
            Self::Call(key) => Progress::Loading(vec![Frame::new(key, IfPresent::Return, token)]),
            Self::Refresh(key) => Progress::Loading(vec![Frame::new(key, IfPresent::Ignore, token)]),
            Self::Invalidate(names) => Progress::Invalidating(Invalidating {
                began: None,
                operation: Operation::new(named(names), Intent::Invalidate),
                walk: None,
            }),
            Self::Around(names) => Progress::Closing(Closing::new(named(names), ClosingId(token.0))),
            Self::Overlap(names) => Progress::Closing(Closing::overlapping(named(names), ClosingId(token.0))),
            Self::PutAround(key) => {
                let closes = Some(ClosingId(token.0));
                Progress::Writing(Frame { closes, ..Frame::new(key, IfPresent::Ignore, token) })
            }
            Self::Sweep(glob) => {
                walk(Walk { glob, scope: SweepScope::Values, then: SweepScope::Dependents, cursor: 0 })
            }
            Self::Clear => walk(Walk { glob: "*", scope: SweepScope::Values, then: SweepScope::AllIndexes, cursor: 0 }),
            Self::Put(key) => Progress::Writing(Frame::new(key, IfPresent::Ignore, token)),
        }
    }
}

/// There are few programs, so this leaks little.
fn named(names: &str) -> &'static [Name] {
    let named = match names {
        "k" => vec![key("a")],
        "kk" => vec![key("a"), key("z")],
        _ => vec![leaf_tag(0)],
    };
    named.leak()
}

fn walk(walk: Walk) -> Progress {
    Progress::Invalidating(Invalidating { began: None, operation: nothing_left(), walk: Some(walk) })
}

fn leaf_tag(version: u8) -> Name {
    Name::tag(&format!("{version}")).expect("a good tag")
}

impl World {
    /// Takes one step of one process, if it is not done. Returns what it did.
    pub(super) fn step(&mut self, process: usize) -> Option<String> {
        let progress = std::mem::replace(&mut self.progress[process], Progress::Done);
        let (what, progress) = match progress {
            Progress::Done => return None,
            Progress::Loading(frames) => self.step_load(frames),
            Progress::Invalidating(invalidating) => self.step_invalidation(invalidating),
            Progress::Writing(frame) => self.step_write(frame),
            Progress::Closing(closing) => self.step_closing(closing),
            Progress::WriteReply { source, version, mut rest } => {
                self.take_step(&mut rest);
                ("goes on with its write".to_owned(), self.after_write(source, version, rest))
            }
        };
        self.progress[process] = progress;
        Some(format!("process {process} {what}"))
    }

    fn step_load(&mut self, mut frames: Vec<Frame>) -> (String, Progress) {
        let mut frame = frames.pop().expect("a load has a frame until it is done");
        let name = frame.key;
        let Some(_) = &frame.clock else {
            let reply = self.state.take_lease(
                &key(name),
                &LeaseRequest::waiting(frame.token, TTL, frame.if_present, Recall::Nothing),
                self.now,
            );
            return match reply {
                LeaseReply::Hit(bytes) => {
                    let stored = self.state.entries.get(&key(name)).expect("hit").names.to_vec();
                    let names = if self.program.inherits { stored } else { Vec::new() };
                    (format!("hits {name}"), deliver(frames, name, value_of(&bytes), names))
                }
                // A call that gives up waiting loads all the same.
                LeaseReply::Granted(clock) | LeaseReply::Held { clock, .. } => {
                    (frame.clock, frame.read_at) = (Some(clock), Some(self.time().passed));
                    frames.push(frame);
                    (format!("begins to load {name}"), Progress::Loading(self.call(frames)))
                }
            };
        };
        if !frame.has_read {
            self.read_data(&mut frame);
            frames.push(frame);
            return (format!("reads the data of {name}"), Progress::Loading(self.call(frames)));
        }
        let time = self.time();
        let (reply, _) = frame.send(&mut self.state, false, &time);
        self.may_resend(&frame, false);
        // A stored entry is reached through its key. A value that is not stored passes all its
        // names on.
        let passed_on = self.program.inherits || reply != FillReply::Stored;
        let names = if passed_on { frame.names.iter().cloned().collect() } else { Vec::new() };
        (format!("fills {name}: {reply:?}"), deliver(frames, name, frame.value, names))
    }

    /// Calls the function that the innermost one calls, once its own data is read.
    fn call(&self, mut frames: Vec<Frame>) -> Vec<Frame> {
        if let Some(frame) = frames.last_mut()
            && frame.has_read
            && !frame.has_called
            && let Some(callee) = callee(frame.key)
        {
            frame.has_called = true;
            let token = Token(frame.token.0 + 1);
            frames.push(Frame::new(callee, IfPresent::Return, token));
        }
        frames
    }

    fn read_data(&self, frame: &mut Frame) {
        let Some(source) = source(frame.key) else { return };
        frame.value[source] = Some(self.versions[source]);
        frame.has_read = true;
        if let Some(declared) = declared(frame.key) {
            frame.names.insert(key(declared));
        } else if callee(frame.key).is_none() {
            frame.names.insert(self.tag_of(self.versions[source]));
        }
    }

    fn tag_of(&self, version: u8) -> Name {
        leaf_tag(if self.program.tag_follows_data { version } else { 0 })
    }

    /// One script of an operation.
    pub(super) fn take_step(&mut self, operation: &mut Operation<'static>) {
        let Some(chunk) = operation.next_chunk(0) else { return };
        let reply = self.state.take(&chunk, self.now).expect("room for what is closed");
        operation.take_in(&chunk, reply);
    }

    fn step_invalidation(&mut self, mut invalidating: Invalidating) -> (String, Progress) {
        let version = invalidating.began.unwrap_or_else(|| {
            self.versions[0] += 1;
            self.versions[0]
        });
        invalidating.began = Some(version);
        if !invalidating.operation.is_done() {
            self.take_step(&mut invalidating.operation);
        } else if let Some(walk) = invalidating.walk {
            let (_, next, visited) = self.state.sweep(walk.glob, walk.scope, walk.cursor, self.now);
            let then = (walk.scope != walk.then).then_some(Walk { scope: walk.then, cursor: 0, ..walk });
            invalidating.operation = Operation::rest_of(visited).0;
            invalidating.walk = next.map(|cursor| Walk { cursor, ..walk }).or(then);
        }
        let chunk = format!("invalidates, {} left", invalidating.operation.left());
        if !invalidating.operation.is_done() || invalidating.walk.is_some() {
            return (chunk, Progress::Invalidating(invalidating));
        }
        self.required[0] = self.required[0].max(version);
        (chunk, Progress::Done)
    }

    fn step_write(&mut self, mut frame: Frame) -> (String, Progress) {
        let name = frame.key;
        if let Some(by) = frame.closes.filter(|_| !frame.is_closed) {
            return self.step_closing_of_write(frame, by);
        }
        if frame.clock.is_none() {
            frame.clock = Some(self.state.read_clock(&key(frame.key), Recall::Nothing, self.now));
            frame.read_at = Some(self.time().passed);
            return (format!("is about to write {name}"), Progress::Writing(frame));
        }
        let source = source(name).expect("only functions with data are written");
        if !frame.has_read {
            self.versions[source] += 1;
            self.committed(source, frame.is_marked);
            self.read_data(&mut frame);
            if let Some(callee) = callee(name) {
                frame.value[0] = Some(self.versions[0]);
                frame.names.extend([key(callee), self.tag_of(self.versions[0])]);
            }
            return (format!("changes the data of {name}"), Progress::Writing(frame));
        }
        let time = self.time();
        let (reply, rest) = frame.send(&mut self.state, true, &time);
        self.may_resend(&frame, true);
        let version = frame.value[source].expect("read");
        (format!("writes {name}: {reply:?}"), self.after_write(source, version, rest))
    }

    fn after_write(&mut self, source: usize, version: u8, rest: Operation<'static>) -> Progress {
        if !rest.is_done() {
            return Progress::WriteReply { source, version, rest };
        }
        self.required[source] = self.required[source].max(version);
        Progress::Done
    }
}

/// Hands a result to the caller, with what it depends on.
fn deliver(mut frames: Vec<Frame>, callee: &str, value: Value, names: Vec<Name>) -> Progress {
    let Some(caller) = frames.last_mut() else { return Progress::Done };
    for (own, called) in caller.value.iter_mut().zip(value) {
        *own = own.or(called);
    }
    caller.names.insert(key(callee));
    caller.names.extend(names);
    Progress::Loading(frames)
}
