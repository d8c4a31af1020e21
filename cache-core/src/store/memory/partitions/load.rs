//! A call of a cached function, and a write of its value.

use super::names::{Name, Names};
use super::operation::{Operation, Purpose};
use super::partition::{ByPartition, Entry, Fill, Reading};
use super::rules::Rule;
use super::world::{Process, Step, World};

/// A function on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub(super) key: Name,
    /// Loads although a value is there.
    refreshes: bool,
    /// Of the key's own partition with the lease, and of all others: from before the body.
    pub(super) readings: Option<ByPartition<Reading>>,
    began: u8,
    /// Of the data, once the body has ended.
    version: Option<u8>,
    names: Names,
    registered_names: Names,
    registered: ByPartition<Option<u8>>,
    is_refused: bool,
    is_stored: bool,
}

impl Frame {
    pub(super) fn new(key: Name, refreshes: bool) -> Self {
        Self {
            key,
            refreshes,
            readings: None,
            began: 0,
            version: None,
            names: Names::default(),
            registered_names: Names::default(),
            registered: Default::default(),
            is_refused: false,
            is_stored: false,
        }
    }

    fn fill(&self, now: u8) -> Fill {
        Fill {
            key: self.key,
            entry: Entry { version: self.version.expect("the body has ended"), names: self.names },
            reading: Reading::default(),
            is_old: self.began != now,
            registered: self.registered,
        }
    }
}

impl World {
    pub(super) fn steps_of_load(&self, process: usize, frames: &[Frame], steps: &mut Vec<Step>) {
        let Some(frame) = frames.last() else { return };
        if frame.readings.is_none() {
            if !self.rules.keep(Rule::LoadsRegisterAfterTheLease) && self.scenario.registers_early {
                let early = Frame { names: frame.key.tags(), ..frame.clone() };
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
        if frame.readings.is_none() && (reads_first || frame.version.is_some()) {
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
        let homes = (0..self.scenario.layout.partitions).filter(|home| !self.at_home(names, *home).is_empty());
        steps.extend(homes.map(|home| Step::Registers { process, home }));
    }

    /// The names with a foreign home at which they are not registered yet.
    fn unregistered(&self, frame: &Frame) -> Names {
        if !self.rules.keep(Rule::LoadsRegister) {
            return Names::default();
        }
        frame.names.without(frame.registered_names).without(self.at_home(frame.names, self.home(frame.key)))
    }

    pub(super) fn readings(&self) -> ByPartition<Reading> {
        let mut readings = ByPartition::default();
        for (reading, partition) in readings.iter_mut().zip(&self.partitions) {
            *reading = partition.reading();
        }
        readings
    }

    /// The lease, and a copy of what is known of the clocks. What is known may be older than this,
    /// which refuses more.
    pub(super) fn begin(&mut self, process: usize) {
        let (readings, now, early) = (self.readings(), self.now, self.scenario.registers_early);
        let is_write = matches!(self.processes[process], Process::Writing(_));
        let frames = self.frames(process);
        let frame = frames.last_mut().expect("a load has a frame until it is done");
        let (key, refreshes) = (frame.key, frame.refreshes);
        (frame.readings, frame.began) = (Some(readings), now);
        if early {
            frame.names = key.tags();
        }
        if is_write {
            return;
        }
        let stored = self.partitions[self.home(key)].entries[key.at()];
        if let Some(entry) = stored.filter(|_| !refreshes) {
            let inherited = if self.inherits() { entry.names } else { Names::default() };
            return self.deliver(process, entry.version, inherited);
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
        (frame.version, frame.names) = (Some(version), frame.names.with(frame.key.tags()));
        self.end_body(process);
    }

    fn end_body(&mut self, process: usize) {
        if !self.rules.keep(Rule::ReadingsComeFirst) {
            let (mut readings, layout) = (self.readings(), self.scenario.layout);
            let frame = self.frames(process).last_mut().expect("a frame");
            let own = layout.home(frame.key);
            readings[own] = frame.readings.expect("begun")[own];
            frame.readings = Some(readings);
        }
    }

    pub(super) fn register(&mut self, process: usize, home: usize) {
        let (rules, layout) = (self.rules, self.scenario.layout);
        let mut frame = self.frames(process).last().expect("a frame").clone();
        if frame.readings.is_none() {
            frame.names = frame.key.tags();
        }
        let names = layout.at_home(self.unregistered(&frame), home);
        let reading = frame.readings.map_or_else(|| self.partitions[home].reading(), |readings| readings[home]);
        match self.partitions[home].register(names, layout.home(frame.key), reading, rules) {
            Some(incarnation) => {
                frame.registered[home] = Some(incarnation);
                frame.registered_names = frame.registered_names.with(names);
            }
            None => frame.is_refused = true,
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
        let (now, rules, layout) = (self.now, self.rules, self.scenario.layout);
        let frame = self.frames(process).last().expect("a frame").clone();
        let own = layout.home(frame.key);
        let reading = frame.readings.expect("begun")[own];
        let fill = Fill { reading, ..frame.fill(now) };
        let is_stored = !frame.is_refused && self.partitions[own].fill(&fill, &layout, now, rules);
        if is_stored && !self.unregistered(&frame).is_empty() {
            self.frames(process).last_mut().expect("a frame").is_stored = true;
            return;
        }
        self.end_load(process, is_stored);
    }

    fn write(&mut self, process: usize, frame: &Frame) {
        let (layout, now) = (self.scenario.layout, self.now);
        let own = layout.home(frame.key);
        let reading = frame.readings.expect("begun")[own];
        let fill = Fill { reading, ..frame.fill(now) };
        let site = self.site();
        let visit = self.partitions[own].write((!frame.is_refused).then_some(&fill), frame.key, &site);
        let names = Names::of(&[frame.key]);
        let began = frame.readings.expect("begun").map(|reading| reading.incarnation);
        let version = frame.version.expect("changed");
        let mut operation = Operation::new(names, Purpose::Write, version, began);
        operation.take_in(own, names, &visit, self);
        self.processes[process] = Process::Operating(Box::new(operation));
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
