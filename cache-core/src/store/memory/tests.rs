//! What one partition promises, each rule in a case of its own.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::moment::{Now, Settings};
use super::state::State;
use crate::config::Config;
use crate::name::Name;
use crate::store::Partitions;
use crate::store::rules::Rules;
use crate::store::{
    ClockReading, Fill, FillReply, IfPresent, Intent, LeaseReply, LeaseRequest, Operation, Recall, Removal, SweepScope,
    Token, WriteReply,
};

mod bounds;
mod invalidations;
mod loads;
mod shell;
mod sweeps;

const TTL: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(2);

/// A state whose time moves when a test says so, and whose tables are checked after every
/// operation.
struct Partition {
    state: State,
    now: Now,
    tokens: u128,
}

/// A load on its way: what its caller holds.
#[derive(Clone)]
struct Load {
    key: String,
    clock: ClockReading,
    token: Token,
}

fn key(logical: &str) -> Name {
    Name::key(logical).expect("a good key")
}

fn tag(text: &str) -> Name {
    Name::tag(text).expect("a good tag")
}

impl Partition {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(&Config::default(), Partitions::ONE);
        change(&mut settings);
        let now = Now { at: Instant::now(), wall_us: 1_000_000_000 };
        Self { state: State::new(settings, Rules::default(), 1, now), now, tokens: 0 }
    }

    fn pass(&mut self, time: Duration) {
        self.now.at += time;
        self.now.wall_us += time.as_micros() as u64;
    }

    /// Asks for a lease although a value may be there, and begins to load whether or not it is
    /// granted.
    fn load(&mut self, logical: &str) -> Load {
        self.tokens += 1;
        let token = Token(self.tokens);
        match self.state.take_lease(
            &key(logical),
            &LeaseRequest::waiting(token, LEASE, IfPresent::Ignore, Recall::Nothing),
            self.now,
        ) {
            LeaseReply::Granted(clock) | LeaseReply::Held { clock, .. } => Load { key: logical.into(), clock, token },
            LeaseReply::Hit(_) => unreachable!("asked to ignore what is present"),
        }
    }

    fn reading(&self) -> ClockReading {
        self.state.read_clock(&key("a"), Recall::Nothing, self.now)
    }

    fn is_free(&mut self, logical: &str) -> bool {
        let reply = self.state.clone().take_lease(
            &key(logical),
            &LeaseRequest::waiting(Token(0), LEASE, IfPresent::Ignore, Recall::Nothing),
            self.now,
        );
        matches!(reply, LeaseReply::Granted(_))
    }

    fn fill_for(&mut self, load: &Load, names: &[Name], ttl: Duration) -> FillReply {
        let value = Bytes::from(load.key.clone());
        let fill = Fill {
            key: &load.key,
            value,
            names: &sorted(names),
            ttl,
            clock: &load.clock,
            token: load.token,
            learned: None,
        };
        let reply = self.state.fill(&key(&load.key), &fill, &[], self.now);
        self.check();
        reply
    }

    fn fill(&mut self, load: &Load, names: &[Name]) -> FillReply {
        self.fill_for(load, names, TTL)
    }

    /// Loads and fills at once.
    fn stored(&mut self, logical: &str, names: &[Name]) {
        self.stored_for(logical, names, TTL);
    }

    fn stored_for(&mut self, logical: &str, names: &[Name], ttl: Duration) {
        let load = self.load(logical);
        assert_eq!(self.fill_for(&load, names, ttl), FillReply::Stored);
    }

    fn write(&mut self, logical: &str, names: &[Name], clock: &ClockReading) -> WriteReply {
        self.tokens += 1;
        let (value, token) = (Bytes::from(logical.to_owned()), Token(self.tokens));
        let fill = Fill { key: logical, value, names: &sorted(names), ttl: TTL, clock, token, learned: None };
        let (fill, visited) = self.state.write(&key(logical), &fill, Ok(&[]), None, self.now);
        self.check();
        let (rest, drained) = Operation::rest_of(visited);
        WriteReply { fill, drained, rest }
    }

    fn step(&mut self, operation: &mut Operation<'_>) -> Removal {
        let Some(chunk) = operation.next_chunk(0) else { return Removal::default() };
        let reply = self.state.take(&chunk, self.now).expect("room for what is closed");
        self.check();
        operation.take_in(&chunk, reply)
    }

    /// The first step of an invalidation whose client sends no other.
    fn chunk(&mut self, names: &[Name]) -> Removal {
        self.step(&mut Operation::new(names, Intent::Invalidate))
    }

    /// Goes on until nothing is left. Returns how many live entries were removed.
    fn invalidate(&mut self, names: &[Name]) -> u64 {
        self.finish(Operation::new(names, Intent::Invalidate))
    }

    fn finish(&mut self, mut operation: Operation<'_>) -> u64 {
        let mut removed = 0;
        while !operation.is_done() {
            removed += self.step(&mut operation).removed;
        }
        removed
    }

    /// Where the next page begins, how many entries this one has removed, and what it has left.
    fn page(&mut self, pattern: &str, scope: SweepScope, cursor: u64) -> (Option<u64>, u64, Operation<'static>) {
        let (_, next, visited) = self.state.sweep(pattern, scope, cursor, self.now);
        self.check();
        let (rest, removal) = Operation::rest_of(visited);
        (next, removal.removed, rest)
    }

    /// The whole walk of one scope.
    fn sweep(&mut self, pattern: &str, scope: SweepScope) -> u64 {
        let (mut next, mut removed) = (Some(0), 0);
        while let Some(cursor) = next {
            let (further, more, rest) = self.page(pattern, scope, cursor);
            (next, removed) = (further, removed + more + self.finish(rest));
        }
        removed
    }

    fn has(&self, logical: &str) -> bool {
        self.state.get(logical, self.now).is_some()
    }

    /// Operations that touch nothing of interest, so that everything due is collected.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.state.tidy(0, self.now);
        }
        self.check();
    }

    fn check(&self) {
        self.state.check();
    }
}

fn sorted(names: &[Name]) -> Vec<Name> {
    let mut names = names.to_vec();
    names.sort();
    names
}
