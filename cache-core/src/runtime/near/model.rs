//! Every interleaving of one copy, its connection, and those who change the entry.
//!
//! The oracle is asked after every step, for a hit at that moment. It must be as new as every
//! invalidation of this process that has returned, and as every invalidation anywhere that was done
//! more than [`TRUST`] ago.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::store::memory::unwind;

/// How long an answer counts from the moment of its question, in ticks.
const TRUST: u8 = 1;

/// What keeps a copy from being served too long. Each rule, switched off, leads to such a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    /// A push drops the copy.
    PushDropsCopies,
    /// A push takes away the placeholders of reads under way, also of those whose reply has come
    /// and was not taken yet.
    PushDropsPlaceholders,
    /// What a read returns becomes a copy only if its placeholder, made before it was sent, is
    /// there.
    CopyNeedsPlaceholder,
    /// A push without names drops everything.
    NilPushDropsAll,
    /// The copies of a connection end with it.
    LossEndsCopies,
    /// What was read on a connection that has ended becomes no copy.
    LateReplyIsNoCopy,
    /// Without an answer there is no hit after a while.
    SilenceEndsTrust,
    /// An answer counts from the moment of its question, and not of its arrival.
    TrustBeginsWithTheQuestion,
    /// After a change of this process a copy needs the answer to a later question.
    OwnChangesAreDoubted,
    /// While an invalidation is owed, copies are bypassed.
    DebtBypasses,
}

const RULES: [Rule; 10] = [
    Rule::PushDropsCopies,
    Rule::PushDropsPlaceholders,
    Rule::CopyNeedsPlaceholder,
    Rule::NilPushDropsAll,
    Rule::LossEndsCopies,
    Rule::LateReplyIsNoCopy,
    Rule::SilenceEndsTrust,
    Rule::TrustBeginsWithTheQuestion,
    Rule::OwnChangesAreDoubted,
    Rule::DebtBypasses,
];

/// A moment: the tick, and the order within all that happens.
type Moment = (u8, u8);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sent {
    Read,
    Question(Moment),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Received {
    Value(Option<u8>),
    Push,
    NilPush,
    Answer(Moment),
}

/// The one read that this process has under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum NearRead {
    Sent {
        link: u8,
        has_placeholder: bool,
    },
    /// The reply has come, and its caller has not run yet.
    Replied {
        link: u8,
        has_placeholder: bool,
        value: Option<u8>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    /// The data was written, and its invalidation is not sent yet.
    Written,
    /// The invalidation is done, and its reply is on its way.
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: Moment,
    /// The version of the data, and the one that is stored.
    data: u8,
    stored: Option<u8>,
    is_tracked: bool,
    sent: VecDeque<Sent>,
    received: VecDeque<Received>,
    /// The number of the connection, and whether it is open at either end.
    link: u8,
    stands: bool,
    is_known_to_stand: bool,
    read: Option<NearRead>,
    copy: Option<(u8, u8)>,
    answered: Option<Moment>,
    doubted: Option<Moment>,
    owes: bool,
    own: Option<Change>,
    foreign: Option<Change>,
    /// What hits must be made from at least: because of this process's own invalidations, and of
    /// all that were done at each tick.
    required: u8,
    required_since: [u8; 4],
    left: Left,
}

/// Adds a step, if it may happen.
type May<'a> = dyn FnMut(bool, &'static str, &dyn Fn(&mut World)) + 'a;

/// How often each thing may still happen.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Left {
    reads: u8,
    questions: u8,
    fills: u8,
    own: u8,
    foreign: u8,
    failures: u8,
    losses: u8,
    flushes: u8,
    ticks: u8,
}

struct Scene {
    name: &'static str,
    left: Left,
}

const NONE: Left =
    Left { reads: 1, questions: 2, fills: 0, own: 0, foreign: 0, failures: 0, losses: 0, flushes: 0, ticks: 0 };

const SCENES: [Scene; 5] = [
    Scene { name: "another process", left: Left { foreign: 1, ticks: 2, reads: 2, ..NONE } },
    Scene { name: "this process", left: Left { own: 1, reads: 2, ..NONE } },
    Scene { name: "a lost connection", left: Left { foreign: 1, losses: 1, ticks: 2, ..NONE } },
    Scene { name: "a flushed server", left: Left { foreign: 1, flushes: 1, fills: 1, ticks: 2, ..NONE } },
    Scene { name: "a failed invalidation", left: Left { own: 1, failures: 1, ..NONE } },
];

impl World {
    fn new(left: &Left) -> Self {
        Self {
            now: (0, 0),
            data: 0,
            stored: Some(0),
            is_tracked: false,
            sent: VecDeque::new(),
            received: VecDeque::new(),
            link: 0,
            stands: true,
            is_known_to_stand: true,
            read: None,
            copy: None,
            answered: None,
            doubted: None,
            owes: false,
            own: None,
            foreign: None,
            required: 0,
            required_since: [0; 4],
            left: left.clone(),
        }
    }

    /// The hit that must not be, if one can be now.
    fn stale_hit(&self, off: Option<Rule>) -> Option<String> {
        let keeps = |rule| off != Some(rule);
        let (version, link) = self.copy?;
        if keeps(Rule::LossEndsCopies) && !(self.is_known_to_stand && link == self.link) {
            return None;
        }
        let answered = self.answered?;
        if keeps(Rule::SilenceEndsTrust) && self.now.0 - answered.0 > TRUST {
            return None;
        }
        if keeps(Rule::OwnChangesAreDoubted) && self.doubted.is_some_and(|doubted| answered <= doubted) {
            return None;
        }
        if keeps(Rule::DebtBypasses) && self.owes {
            return None;
        }
        let known = self.now.0.checked_sub(TRUST + 1).map_or(0, |tick| self.required_since[usize::from(tick)]);
        let required = known.max(self.required);
        (version < required).then(|| format!("a hit with {version}, required is {required}"))
    }

    fn successors(&self, off: Option<Rule>) -> Vec<(&'static str, Self)> {
        let mut next = Vec::new();
        let mut may = |if_so: bool, what: &'static str, happen: &dyn Fn(&mut Self)| {
            if if_so {
                let mut world = self.clone();
                world.now.1 += 1;
                happen(&mut world);
                world.renumber();
                next.push((what, world));
            }
        };
        let left = &self.left;
        let asks = self.is_known_to_stand;
        may(asks && self.read.is_none() && left.reads > 0, "a read is sent", &|world| {
            world.left.reads -= 1;
            world.read = Some(NearRead::Sent { link: world.link, has_placeholder: true });
            world.sent.push_back(Sent::Read);
        });
        may(asks && left.questions > 0, "a question is sent", &|world| {
            world.left.questions -= 1;
            world.sent.push_back(Sent::Question(world.now));
        });
        may(self.stands && !self.sent.is_empty(), "the server takes a command", &World::take_command);
        may(!self.received.is_empty(), "a message arrives", &|world| world.take_message(off));
        may(matches!(self.read, Some(NearRead::Replied { .. })), "the reader runs", &|world| world.keep(off));
        may(left.fills > 0 && self.stored.is_none(), "somebody fills", &|world| {
            world.left.fills -= 1;
            world.stored = Some(world.data);
            world.push(Received::Push);
        });
        may(left.foreign > 0 && self.foreign.is_none(), "another process writes", &|world| {
            world.left.foreign -= 1;
            world.data += 1;
            world.foreign = Some(Change::Written);
        });
        may(self.foreign.is_some(), "its invalidation is done", &|world| {
            world.foreign = None;
            world.invalidate();
        });
        self.own_changes(&mut may);
        may(left.flushes > 0, "the server is flushed", &|world| {
            world.left.flushes -= 1;
            world.stored = None;
            world.push(Received::NilPush);
        });
        may(self.stands && left.losses > 0, "the connection is cut", &|world| {
            world.left.losses -= 1;
            (world.stands, world.is_tracked) = (false, false);
            // What was on its way may still arrive: only what comes later does not.
            world.sent.clear();
        });
        may(!self.stands && self.is_known_to_stand, "this process notices", &|world| {
            world.is_known_to_stand = false;
            world.received.clear();
            if let Some(NearRead::Sent { .. }) = world.read {
                world.read = None;
            }
        });
        may(!self.is_known_to_stand, "another connection stands", &|world| {
            world.link += 1;
            (world.stands, world.is_known_to_stand) = (true, true);
        });
        may(left.ticks > 0, "time passes", &|world| {
            world.left.ticks -= 1;
            world.now.0 += 1;
            let tick = usize::from(world.now.0);
            world.required_since[tick] = world.required_since[tick - 1];
        });
        next
    }

    /// Only the order of moments matters: so that worlds are one that differ in nothing else.
    fn renumber(&mut self) {
        let questions = self.sent.iter_mut().filter_map(|sent| match sent {
            Sent::Question(asked) => Some(&mut asked.1),
            Sent::Read => None,
        });
        let answers = self.received.iter_mut().filter_map(|received| match received {
            Received::Answer(asked) => Some(&mut asked.1),
            _ => None,
        });
        let known = self.answered.iter_mut().chain(&mut self.doubted).map(|moment| &mut moment.1);
        let mut all: Vec<&mut u8> = questions.chain(answers).chain(known).chain([&mut self.now.1]).collect();
        let ranks: BTreeSet<u8> = all.iter().map(|moment| **moment).collect();
        for moment in &mut all {
            **moment = ranks.range(..**moment).count() as u8;
        }
    }

    fn own_changes(&self, may: &mut May<'_>) {
        may(self.left.own > 0 && self.own.is_none(), "this process writes", &|world| {
            world.left.own -= 1;
            world.data += 1;
            world.own = Some(Change::Written);
        });
        may(self.own == Some(Change::Written), "its own invalidation is done", &|world| {
            world.own = Some(Change::Done);
            world.invalidate();
        });
        may(self.own == Some(Change::Written) && self.left.failures > 0, "its own invalidation fails", &|world| {
            world.left.failures -= 1;
            // It is done when it is sent again.
            world.owes = true;
            world.required = world.data;
        });
        may(self.own == Some(Change::Done), "its own invalidation returns", &|world| {
            world.own = None;
            world.doubted = Some(world.now);
            world.owes = false;
            world.required = world.data;
        });
    }

    fn push(&mut self, message: Received) {
        // Redis forgets a key that it has pushed, and all keys when it is flushed.
        if self.stands && (self.is_tracked || message == Received::NilPush) {
            self.received.push_back(message);
        }
        self.is_tracked = false;
    }

    fn invalidate(&mut self) {
        self.stored = None;
        self.push(Received::Push);
        self.required_since[usize::from(self.now.0)] = self.data;
    }

    fn take_command(&mut self) {
        match self.sent.pop_front() {
            Some(Sent::Read) => {
                self.is_tracked = true;
                self.received.push_back(Received::Value(self.stored));
            }
            Some(Sent::Question(asked)) => self.received.push_back(Received::Answer(asked)),
            None => {}
        }
    }

    fn take_message(&mut self, off: Option<Rule>) {
        let drops_placeholders = off != Some(Rule::PushDropsPlaceholders);
        match self.received.pop_front() {
            Some(Received::Value(value)) => {
                if let Some(NearRead::Sent { link, has_placeholder }) = self.read {
                    self.read = Some(NearRead::Replied { link, has_placeholder, value });
                }
            }
            Some(message @ (Received::Push | Received::NilPush)) => {
                if message == Received::NilPush && off == Some(Rule::NilPushDropsAll) {
                    return;
                }
                if off != Some(Rule::PushDropsCopies) {
                    self.copy = None;
                }
                if let Some(NearRead::Sent { has_placeholder, .. } | NearRead::Replied { has_placeholder, .. }) =
                    &mut self.read
                {
                    *has_placeholder &= !drops_placeholders;
                }
            }
            Some(Received::Answer(asked)) => {
                let since = if off == Some(Rule::TrustBeginsWithTheQuestion) { self.now } else { asked };
                self.answered = self.answered.max(Some(since));
            }
            None => {}
        }
    }

    fn keep(&mut self, off: Option<Rule>) {
        let Some(NearRead::Replied { link, has_placeholder, value }) = self.read.take() else { return };
        let is_of_now = self.is_known_to_stand && link == self.link;
        if !is_of_now && off != Some(Rule::LateReplyIsNoCopy) {
            return;
        }
        if !has_placeholder && off != Some(Rule::CopyNeedsPlaceholder) {
            return;
        }
        self.copy = value.map(|version| (version, self.link)).or(self.copy);
    }
}

struct Explored {
    states: usize,
    stale: Option<Vec<String>>,
}

fn explore(scene: &Scene, off: Option<Rule>) -> Explored {
    let start = World::new(&scene.left);
    let mut seen = HashSet::from([start.clone()]);
    let mut trace: Vec<(usize, String)> = vec![(0, String::new())];
    let mut left = vec![(start, 0)];
    while let Some((world, reached_by)) = left.pop() {
        for (what, next) in world.successors(off) {
            if !seen.insert(next.clone()) {
                continue;
            }
            trace.push((reached_by, what.to_owned()));
            if let Some(stale) = next.stale_hit(off) {
                trace.push((trace.len() - 1, stale));
                return Explored { states: seen.len(), stale: Some(unwind(&trace)) };
            }
            left.push((next, trace.len() - 1));
        }
    }
    Explored { states: seen.len(), stale: None }
}

#[test]
fn no_interleaving_serves_a_copy_too_long() {
    for scene in &SCENES {
        let Explored { states, stale } = explore(scene, None);
        println!("{states:>8} states  {}", scene.name);
        assert_eq!(stale, None, "a stale hit in `{}`", scene.name);
        assert!(states > 1_000, "only {states} states in `{}`", scene.name);
    }
}

#[test]
fn each_rule_is_needed() {
    for rule in RULES {
        let found = SCENES.iter().find_map(|scene| Some((scene.name, explore(scene, Some(rule)).stale?)));
        let (scene, stale) = found.unwrap_or_else(|| panic!("without {rule:?} no hit is stale"));
        println!("without {rule:?}, in `{scene}`:\n    {}", stale.join("\n    "));
    }
}
