//! What the director of faults has the conductor do.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::oneshot;

use super::{Conductor, Program};
use crate::clock;
use crate::faults::Promise;
use crate::faults::baton::Order;
use crate::wire::Frame;

/// How long processes may take to recover, or to end their calls and make good what they owe.
const AWAITED_MAX: Duration = Duration::from_secs(60);

/// How far the clock of a process is set, in seconds.
const CLOCK_SECONDS_MAX: i64 = 600;

/// What the director waits for.
pub(super) struct Awaited {
    what: What,
    done: oneshot::Sender<()>,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Recovery,
    Rest,
}

impl Conductor {
    pub(super) fn obey(&mut self, order: Order, done: oneshot::Sender<()>) {
        let now = clock::now();
        match order {
            Order::Begin { title, promise, struck } => {
                eprintln!("{title}");
                self.checker.excuse(promise == Promise::Measured);
                self.fault_ledger.begin(title, promise, struck, now);
                self.rests = false;
                self.rested.clear();
                self.say_all(Frame::Start, &[]);
            }
            Order::Calm => self.fault_ledger.calm(now),
            Order::Strike => self.fault_ledger.strike(now),
            Order::Over => self.fault_ledger.over(now),
            Order::Recover => return self.wait_for(What::Recovery, done),
            Order::Rest => {
                self.fault_ledger.rest(now);
                self.rests = true;
                self.say_all(Frame::Rest, &[]);
                return self.wait_for(What::Rest, done);
            }
            Order::Leave(left) => self.fault_ledger.leave(left),
            Order::Kill => {
                let killed = self.kill_one();
                self.note(killed);
            }
            Order::OwnClock => {
                self.slot_of_clock = self.random.usize(..self.children.len());
                let replaced = self.clock.set(0).and_then(|()| self.replace(self.slot_of_clock, true));
                self.note(replaced);
            }
            Order::StepClock => {
                let seconds = self.random.i64(-CLOCK_SECONDS_MAX..=CLOCK_SECONDS_MAX);
                let set = self.clock.set(seconds);
                self.note(set);
            }
            Order::UsualClock => {
                let replaced = self.replace(self.slot_of_clock, false);
                self.note(replaced);
            }
            Order::Still => self.stop_one(now),
            Order::Continue => {
                self.signal_all(Signal::CONT);
                self.fault_ledger.goes_on(clock::now());
            }
            Order::EndRuntime => {
                let of = self.random.usize(..self.peers.len().max(1));
                if let Some(process) = self.peers.keys().nth(of).copied() {
                    self.end_runtime(process);
                }
            }
            Order::DropCalls(drops) => self.say_all(Frame::Drop, &[u8::from(drops)]),
            Order::End => self.is_played = true,
        }
        // An error is a director that is gone.
        _ = done.send(());
    }

    /// What was ordered must work, or the history ends.
    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.failure = Some(format!("what was to be done to a process does not work: {error}"));
        }
    }

    /// A process stands still, and those that it holds up see what becomes of its leases.
    fn stop_one(&mut self, now: u64) {
        let slot = self.random.usize(..self.children.len());
        let Program { number, child } = &self.children[slot];
        signal(pid(child), Signal::STOP);
        let of = self.peers.iter().filter(|(_, peer)| peer.program == *number);
        of.for_each(|(process, _)| self.fault_ledger.stands_still(*process, now));
    }

    /// It stands still for so long, and goes on.
    pub(super) fn stop_for(&self, slot: usize, lasts: Duration) {
        let pid = pid(&self.children[slot].child);
        signal(pid, Signal::STOP);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            signal(pid, Signal::CONT);
        });
    }

    fn signal_all(&self, what: Signal) {
        self.children.iter().for_each(|program| signal(pid(&program.child), what));
    }

    fn wait_for(&mut self, what: What, done: oneshot::Sender<()>) {
        self.awaited = Some(Awaited { what, done, since: Instant::now() });
    }

    /// Whether it has come what the director waits for.
    pub(super) fn check_awaited(&mut self) {
        let Some(awaited) = &self.awaited else { return };
        let what = awaited.what;
        let has_all = self.peers.len() >= usize::from(self.options.processes);
        let has_come = has_all
            && match what {
                What::Recovery => self.fault_ledger.has_recovered(self.peers.keys().copied()),
                What::Rest => {
                    self.checker.has_judged_all() && self.peers.keys().all(|process| self.rested.contains(process))
                }
            };
        if !has_come {
            if awaited.since.elapsed() > AWAITED_MAX {
                self.failure = Some(format!("{what:?} takes more than {AWAITED_MAX:?}"));
            }
            return;
        }
        match what {
            What::Recovery => self.fault_ledger.recovered(clock::now(), &self.peers.keys().copied().collect()),
            What::Rest => self.close_row(),
        }
        // An error is a director that is gone.
        _ = self.awaited.take().map(|awaited| awaited.done.send(()));
    }

    /// All reads of the episode are judged: everybody has told everything.
    fn close_row(&mut self) {
        let counts = ["failed calls", "panics"].map(|count| self.coverage.count(count));
        let stale = self.checker.take_stale_starts();
        self.fault_ledger.close(self.checker.judged(), counts[0], counts[1], stale);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
}

fn signal(pid: Option<Pid>, what: Signal) {
    // An error is a process that is gone.
    _ = pid.map(|pid| kill_process(pid, what));
}
