//! A call of a cached function, and a write of its value.

use std::sync::Arc;

use bytes::Bytes;

use super::names::{Name, Names};
use super::operation::{Purpose, Undertaking};
use super::world::{Process, Step, TTL, World};
use crate::store::rules::Rule;
use crate::store::{Chunk, ClockReading, Fill, FillReply, HomeReading, Intent, Operation, Recall, Refusal, Token};

/// A function on its way.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) key: Name,
    /// Loads although a value is there.
    pub(super) refreshes: bool,
    /// With the lease, and of all other partitions from before the body.
    pub(super) clock: Option<ClockReading>,
    /// Of the data, once the body has ended.
    pub(super) version: Option<u8>,
    pub(super) names: Names,
    pub(super) registered_names: Names,
    /// The homes in which it has registered, each with its incarnation.
    pub(super) registered: Vec<(u16, Arc<str>)>,
    pub(super) is_refused: bool,
    pub(super) is_stored: bool,
}

impl Frame {
    pub(super) fn new(key: Name, refreshes: bool) -> Self {
        Self {
            key,
            refreshes,
            clock: None,
            version: None,
            names: Names::default(),
            registered_names: Names::default(),
            registered: Vec::new(),
            is_refused: false,
            is_stored: false,
        }
    }
}

impl World {
    pub(super) fn steps_of_load(&self, process: usize, frames: &[Frame], steps: &mut Vec<Step>) {
        let Some(frame) = frames.last() else { return };
        if frame.clock.is_none() {
            if !self.rules.keep(Rule::LoadsRegisterAfterTheLease) && self.scenario.registers_early {
                let early = Frame { names: frame.key.declares(), ..frame.clone() };
                self.registrations_of(process, &early, steps);
            }
            return steps.push(Step::Begins(process));
        }
        let is_loaded = frame.version.is_some();
        if !is_loaded && frame.key.calls().is_none() {
            steps.push(Step::Reads(process));
        }
        if is_loaded || self.scenario.registers_early {
            self.registrations_of(process, frame, steps);
        }
        let stores_first = !self.rules.keep(Rule::LoadsRegisterFirst) && !frame.is_stored;
        if is_loaded && (self.unregistered(frame).is_empty() || stores_first) {
            steps.push(Step::Fills(process));
        }
    }

    pub(super) fn steps_of_write(&self, process: usize, frame: &Frame, steps: &mut Vec<Step>) {
        let reads_first = self.rules.keep(Rule::WritesReadFirst);
        if frame.clock.is_none() && (reads_first || frame.version.is_some()) {
            steps.push(Step::Begins(process));
        } else if frame.version.is_none() {
            steps.push(Step::Reads(process));
        } else if frame.is_refused || self.unregistered(frame).is_empty() {
            steps.push(Step::Fills(process));
        } else {
            self.registrations_of(process, frame, steps);
        }
    }

    fn registrations_of(&self, process: usize, frame: &Frame, steps: &mut Vec<Step>) {
        let names = self.unregistered(frame);
        let homes = self.numbers().filter(|home| !self.spelling.at_home(names, *home).is_empty());
        steps.extend(homes.map(|home| Step::Registers { process, home }));
    }

    /// The names with a foreign home at which they are not registered yet.
    fn unregistered(&self, frame: &Frame) -> Names {
        if !self.rules.keep(Rule::LoadsRegister) {
            return Names::default();
        }
        let own = self.spelling.at_home(frame.names, self.home(frame.key));
        frame.names.without(frame.registered_names).without(own)
    }

    pub(super) fn readings(&self) -> Arc<[HomeReading]> {
        self.partitions.iter().map(|state| state.home_reading()).collect()
    }

    /// The lease, and a copy of what is known of the clocks. What is known may be older than this,
    /// which refuses more.
    pub(super) fn begin(&mut self, process: usize) {
        let is_write = matches!(self.processes[process], Process::Writing(_));
        let early = self.scenario.registers_early;
        let frame = self.frames(process).last().expect("a load has a frame until it is done");
        let (key, refreshes) = (frame.key, frame.refreshes);
        let (home, name, now) = (self.home(key), self.spelling.name(key).clone(), self.now);
        let clock = self.partitions[usize::from(home)].read_clock(&name, Recall::Nothing, now);
        let clock = ClockReading { homes: Some(self.readings()), ..clock };
        let frame = self.frames(process).last_mut().expect("looked at above");
        frame.clock = Some(clock);
        if early {
            frame.names = key.declares();
        }
        if is_write {
            return;
        }
        if let Some((version, names)) = self.stored(key).filter(|_| !refreshes) {
            let inherited = if self.inherits() { names } else { Names::default() };
            return self.deliver(process, version, inherited);
        }
        if let Some(callee) = key.calls() {
            self.frames(process).push(Frame::new(callee, false));
        }
    }

    /// The body of a leaf: it reads the data. A write changes them.
    pub(super) fn read(&mut self, process: usize) {
        if matches!(self.processes[process], Process::Writing(_)) {
            self.data += 1;
        }
        let version = self.data;
        let frame = self.frames(process).last_mut().expect("a frame");
        (frame.version, frame.names) = (Some(version), frame.names.with(frame.key.declares()));
        self.end_body(process);
    }

    /// Without the rule, readings are taken now; but for that of the lease.
    fn end_body(&mut self, process: usize) {
        if !self.rules.keep(Rule::ReadingsComeFirst) {
            let readings = self.readings();
            let frame = self.frames(process).last_mut().expect("a frame");
            frame.clock.iter_mut().for_each(|clock| clock.homes = Some(readings.clone()));
        }
    }

    pub(super) fn register(&mut self, process: usize, home: u16) {
        let mut frame = self.frames(process).last().expect("a frame").clone();
        if frame.clock.is_none() {
            frame.names = frame.key.declares();
        }
        let names = self.spelling.at_home(self.unregistered(&frame), home);
        let homes = frame.clock.as_ref().and_then(|clock| clock.homes.clone()).unwrap_or_else(|| self.readings());
        let (given, own, reading) = (self.spelling.all(names), self.home(frame.key), &homes[usize::from(home)]);
        let ends_ms = TTL.as_millis() as u64;
        match self.script(home, |state, now| state.register(&given, own, reading, ends_ms, None, now)) {
            Ok(incarnation) => {
                frame.registered.push((home, incarnation));
                frame.registered_names = frame.registered_names.with(names);
            }
            Err(_) => frame.is_refused = true,
        }
        let (is_refused, is_loaded) = (frame.is_refused, frame.version.is_some());
        let is_done = frame.is_stored && self.unregistered(&frame).is_empty();
        let is_write = matches!(self.processes[process], Process::Writing(_));
        *self.frames(process).last_mut().expect("a frame") = frame;
        if !is_write && (is_done || is_refused && is_loaded) {
            self.end_load(process, is_done);
        }
    }

    pub(super) fn fill(&mut self, process: usize) {
        if let Process::Writing(frames) = &self.processes[process] {
            let frame = frames[0].clone();
            return self.write(process, &frame);
        }
        let frame = self.frames(process).last().expect("a frame").clone();
        let is_stored = !frame.is_refused && {
            let (names, key) = (self.spelling.all(frame.names), self.spelling.name(frame.key).clone());
            let fill = fill_of(&frame, key.text(), &names);
            let own = self.home(frame.key);
            self.script(own, |state, now| state.fill(&key, &fill, &frame.registered, now)) == FillReply::Stored
        };
        if is_stored && !self.unregistered(&frame).is_empty() {
            self.frames(process).last_mut().expect("a frame").is_stored = true;
            return;
        }
        self.end_load(process, is_stored);
    }

    fn write(&mut self, process: usize, frame: &Frame) {
        let own = self.home(frame.key);
        let (names, key) = (self.spelling.all(frame.names), self.spelling.name(frame.key).clone());
        let fill = fill_of(frame, key.text(), &names);
        let homes = if frame.is_refused { Err(Refusal::Fenced) } else { Ok(&*frame.registered) };
        let (_, visited) = self.script(own, |state, now| state.write(&key, &fill, homes, None, now));
        let began = frame.clock.as_ref().and_then(|clock| clock.homes.as_deref()).expect("begun");
        let mut operation = Operation::over(self.spelling.partitions, began, &[], Intent::Invalidate, self.rules);
        operation.take_in(&Chunk::of_given(own, vec![key].into(), Intent::Invalidate), visited);
        let version = frame.version.expect("changed");
        let task = Undertaking {
            operation: Some(operation),
            version,
            ..Undertaking::new(Names::of(&[frame.key]), Purpose::Write)
        };
        self.processes[process] = Process::Operating(Box::new(task));
        self.end_if_done(process);
    }

    /// A stored entry is reached through its key. A value that is not stored passes all its names
    /// on.
    fn end_load(&mut self, process: usize, is_stored: bool) {
        let frame = self.frames(process).last().expect("a frame").clone();
        let names = if is_stored && !self.inherits() { Names::default() } else { frame.names };
        self.deliver(process, frame.version.expect("loaded"), names);
    }

    /// Hands a value to the caller, with what it depends on.
    fn deliver(&mut self, process: usize, version: u8, names: Names) {
        let frames = self.frames(process);
        let callee = frames.pop().expect("a frame").key;
        let Some(caller) = frames.last_mut() else {
            self.processes[process] = Process::Done;
            return;
        };
        caller.version = Some(version);
        caller.names = caller.names.with(names).with(Names::of(&[callee]));
        self.end_body(process);
    }

    fn inherits(&self) -> bool {
        self.scenario.inherits && self.rules.keep(Rule::NamesAreInherited)
    }

    fn frames(&mut self, process: usize) -> &mut Vec<Frame> {
        match &mut self.processes[process] {
            Process::Loading(frames) | Process::Writing(frames) => frames,
            _ => unreachable!("only loads and writes have frames"),
        }
    }
}

fn fill_of<'a>(frame: &'a Frame, key: &'a str, names: &'a [crate::name::Name]) -> Fill<'a> {
    let (value, clock) = (frame.version.expect("the body has ended"), frame.clock.as_ref().expect("begun"));
    Fill { key, value: Bytes::from(vec![value]), names, ttl: TTL, clock, token: Token(0), learned: None }
}
