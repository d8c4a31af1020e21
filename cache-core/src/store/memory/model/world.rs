//! The store, its callers, and what may happen to them.

use tokio::time::Instant;

use super::Program;
use super::process::{Progress, Sent, Value, WorldTime, key, value_of};
use crate::config::Config;
use crate::store::Partitions;
use crate::store::memory::moment::{Now, Settings};
use crate::store::memory::state::State;
use crate::store::rules::Rules;

pub(super) const SOURCES: usize = 2;
/// Longer than anything lives.
const STEP: std::time::Duration = std::time::Duration::from_secs(10_000_000);
const KEYS: [&str; 8] = ["a", "b", "c", "u", "v", "w", "y", "z"];

#[derive(Clone)]
pub(super) struct World {
    /// With what is left of its budgets.
    pub(super) program: Program,
    pub(super) state: State,
    pub(super) began: Instant,
    pub(super) now: Now,
    /// The clock was set ahead and will be set back.
    pub(super) is_ahead: bool,
    pub(super) progress: Vec<Progress>,
    /// Of the data, now.
    pub(super) versions: [u8; SOURCES],
    /// The version of the data that every read must be made from at least: the one when the last
    /// returned invalidation began.
    pub(super) required: [u8; SOURCES],
    pub(super) may_be_resent: Option<Sent>,
    pub(super) resent: Option<Sent>,
}

impl World {
    pub(super) fn new(program: &Program, rules: Rules) -> Self {
        let began = Instant::now();
        // Wall time stands still: `seq` counts.
        let now = Now { at: began, wall_us: 0 };
        let mut settings = Settings::new(&Config::default(), Partitions::ONE);
        settings.keys_per_page = 1;
        settings.reaped_per_operation = program.reaped_per_operation;
        settings.reached_max = program.reached_max;
        settings.memberships_per_visit = program.memberships_per_visit;
        settings.members_per_chunk = program.members_per_chunk;
        let mut world = Self {
            program: program.clone(),
            state: State::new(settings, rules, 0, now),
            began,
            now,
            is_ahead: false,
            progress: Vec::new(),
            versions: [0; SOURCES],
            required: [0; SOURCES],
            may_be_resent: None,
            resent: None,
        };
        for stored in program.stored {
            world.progress = vec![super::Process::Call(stored).start(100)];
            while world.step(0).is_some() {}
        }
        (world.may_be_resent, world.resent) = (None, None);
        world.progress = program.processes.iter().enumerate().map(|(number, process)| process.start(number)).collect();
        world
    }

    /// What an invalidation would miss.
    pub(super) fn unreachable_entry(&self) -> Option<String> {
        let (index, key) = self.state.missing_membership()?;
        Some(format!("{key:?} is not in the index of {index:?}"))
    }

    /// What a read that starts now would return, if it must not.
    pub(super) fn stale_read(&self) -> Option<String> {
        KEYS.iter().find_map(|logical| {
            let value: Value = value_of(&self.state.get(logical, self.now)?);
            let stale = value.iter().zip(self.required).any(|(got, required)| got.is_some_and(|got| got < required));
            stale.then(|| format!("a read of {logical} returns {value:?}, required is {:?}", self.required))
        })
    }

    /// Everything that may happen next.
    pub(super) fn successors(&self) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        for (process, progress) in self.progress.iter().enumerate() {
            if matches!(progress, Progress::Done) {
                continue;
            }
            let mut world = self.clone();
            if let Some(what) = world.step(process) {
                if let Some(sent) = world.may_be_resent.take() {
                    let mut twice = world.clone();
                    twice.program.resends -= 1;
                    twice.resent = Some(sent);
                    next.push((format!("{what}, to be resent"), twice));
                }
                next.push((what, world));
            }
            let may_crash = match progress {
                Progress::Invalidating(invalidating) => invalidating.began.is_some(),
                Progress::Closing(closing) => closing.has_begun(),
                Progress::Writing(frame) => frame.is_marked,
                _ => false,
            };
            if may_crash && self.program.crashes > 0 {
                let mut world = self.clone();
                world.program.crashes -= 1;
                world.progress[process] = Progress::Done;
                next.push((format!("process {process} crashes"), world));
            }
        }
        self.misfortunes(&mut next);
        next
    }

    fn misfortunes(&self, next: &mut Vec<(String, Self)>) {
        let mut add = |what: String, happen: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            happen(&mut world);
            next.push((what, world));
        };
        for logical in KEYS.iter().filter(|logical| self.state.get(logical, self.now).is_some()) {
            if self.program.expiries > 0 {
                add(format!("{logical} expires"), &|world| {
                    world.program.expiries -= 1;
                    world.state.expire(&key(logical), world.now);
                });
            }
            if self.program.evictions > 0 {
                add(format!("{logical} is evicted"), &|world| {
                    world.program.evictions -= 1;
                    world.state.evict_entry(&key(logical), world.now);
                });
            }
        }
        if self.program.retentions > 0 {
            add("the retention passes".to_owned(), &|world| {
                world.program.retentions -= 1;
                world.now.at += world.state.settings.fence_retention + std::time::Duration::from_millis(1);
            });
        }
        if self.program.steps_ahead > 0 && !self.is_ahead {
            add("the clock is set ahead".to_owned(), &|world| {
                world.program.steps_ahead -= 1;
                world.is_ahead = true;
                world.now.at += STEP;
            });
        }
        if self.is_ahead {
            add("the clock is set back".to_owned(), &|world| {
                world.is_ahead = false;
                world.now.at -= STEP;
            });
        }
        if self.program.fence_drops > 0 && self.state.fences.len() > 0 {
            add("all fences are dropped".to_owned(), &|world| {
                world.program.fence_drops -= 1;
                let kept = std::mem::replace(&mut world.state.settings.fences_max, 0);
                world.state.tidy(0, world.now);
                world.state.settings.fences_max = kept;
            });
        }
        if self.program.mark_ends > 0 && self.state.closings.len() > 0 {
            add("the marks end".to_owned(), &|world| {
                world.program.mark_ends -= 1;
                world.end_marks_of_all();
            });
        }
        if self.program.clock_losses > 0 {
            add("everything is lost".to_owned(), &|world| {
                world.program.clock_losses -= 1;
                world.forget_marks();
                world.state = State::new(world.state.settings.clone(), world.state.rules, 1, world.now);
            });
        }
        if let Some(sent) = &self.resent {
            add(format!("{} arrives again", sent.frame.key), &|world| {
                world.resent = None;
                let time = world.time();
                sent.frame.send(&mut world.state, sent.is_write, &time);
            });
        }
    }

    pub(super) fn time(&self) -> WorldTime {
        let ahead = if self.is_ahead { STEP } else { std::time::Duration::ZERO };
        WorldTime { now: self.now, passed: self.now.at - ahead }
    }

    pub(super) fn may_resend(&mut self, frame: &super::process::Frame, is_write: bool) {
        if self.program.resends > 0 {
            self.may_be_resent = Some(Sent { frame: frame.clone(), is_write });
        }
    }
}
