//! What is done to the server, the link and the processes while a history goes on. `--faults` says
//! what, [`director`] does it, [`stage`] is what it is done to, and [`ledger`] has what came of it.

use std::ops::Range;
use std::time::Duration;

use cache_tests::ServerKind;

use crate::options::Place;

pub(crate) mod baton;
pub(crate) mod clock_file;
mod cluster;
pub(crate) mod director;
pub(crate) mod ledger;
pub(crate) mod left;
mod replica;
pub(crate) mod scene;
mod spoil;
pub(crate) mod stage;

/// What becomes of guarantee 1 under a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    Kept,
    /// The same; but names that were closed around a COMMIT are not closed any more, for the store
    /// has lost its clock.
    KeptWithoutMarks,
    /// Acknowledged writes are lost, or indexes: what is served then is measured.
    Measured,
}

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Server,
    Cluster,
    Process,
}

macro_rules! faults {
    ($($fault:ident = $name:literal, $target:ident, $promise:ident, $every_ms:literal, $words:literal;)*) => {
        /// One thing that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($fault,)* }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$fault,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// What it is.
            pub(crate) fn words(self) -> &'static str {
                match self { $(Self::$fault => $words,)* }
            }

            pub(crate) fn promise(self) -> Promise {
                match self { $(Self::$fault => Promise::$promise,)* }
            }

            fn target(self) -> Target {
                match self { $(Self::$fault => Target::$target,)* }
            }

            /// How often it is done again while it lasts. `None`: it is there all the time.
            fn every(self) -> Option<Duration> {
                let every_ms: u64 = match self { $(Self::$fault => $every_ms,)* };
                (every_ms > 0).then_some(Duration::from_millis(every_ms))
            }
        }
    };
}

faults! {
    RestartEmpty = "restart-empty", Server, KeptWithoutMarks, 0, "the server is killed, and comes back empty";
    RestartRdb = "restart-rdb", Server, Measured, 0, "the server is killed, and comes back with an RDB file that is {} older";
    RestartAof = "restart-aof", Server, KeptWithoutMarks, 0, "the server is killed, and comes back with its append-only file";
    StopServer = "stop-server", Server, Kept, 0, "SIGSTOP of the server";
    FlushAll = "flushall", Server, KeptWithoutMarks, 200, "`FLUSHALL`, every 200 ms";
    ScriptFlush = "script-flush", Server, Kept, 50, "`SCRIPT FLUSH`, every 50 ms";
    KillConnections = "client-kill", Server, Kept, 100, "`CLIENT KILL` of all, every 100 ms";
    Reset = "reset", Server, Kept, 150, "all connections are reset, every 150 ms";
    CutReply = "cut-reply", Server, Kept, 150, "all connections end within a reply, every 150 ms";
    HalfOpen = "half-open", Server, Kept, 0, "connections stay open, and every byte vanishes";
    SlowLink = "slow-link", Server, Kept, 0, "replies take 10 to 100 ms longer, each another time";
    NarrowLink = "narrow-link", Server, Kept, 0, "64 KiB of replies pass in a second";
    LateReplies = "late-replies", Server, Kept, 0, "replies come 400 ms late, past the deadline";
    LostReplies = "lost-replies", Server, Kept, 0, "requests arrive, and their replies vanish";
    Garbage = "garbage", Server, Kept, 0, "replies are bytes that are no reply";
    Refuse = "refuse", Server, Kept, 0, "connections are refused";
    NoEviction = "noeviction", Server, Kept, 0, "memory is full under `noeviction`";
    VolatileLru = "volatile-lru", Server, Kept, 0, "memory is full under `volatile-lru`";
    AllkeysLru = "allkeys-lru", Server, Measured, 0, "memory is full under `allkeys-lru`";
    WrongTypes = "wrong-types", Server, KeptWithoutMarks, 20, "a random key of ours becomes one of another type, every 20 ms";
    CorruptBytes = "corrupt-bytes", Server, Kept, 5, "a random value of ours has other bytes, every 5 ms";
    ReadOnly = "read-only", Server, KeptWithoutMarks, 0, "the server is made a replica";
    Promotion = "promotion", Server, KeptWithoutMarks, 0, "a replica that has everything is made the primary";
    LossyFailover = "lossy-failover", Server, Measured, 0, "a replica is made the primary that lacks the writes of {}";
    ServerClock = "server-clock", Server, Kept, 500, "the server's clock is set by up to two minutes, to and fro, every 500 ms";
    StopClient = "stop-client", Process, Kept, 0, "SIGSTOP of a process";
    KillClients = "kill-client", Process, Kept, 400, "a process is killed, every 400 ms";
    EndRuntimes = "end-runtime", Process, Kept, 400, "a process ends its tokio runtime with all that is under way, every 400 ms";
    ClientClock = "client-clock", Process, Kept, 700, "the clock of a process is set by up to ten minutes, to and fro, every 700 ms";
    DropCalls = "drop-calls", Process, Kept, 0, "three of five calls are dropped within 4 ms";
    Reshard = "reshard", Cluster, KeptWithoutMarks, 0, "`redis-cli --cluster reshard` moves 1,000 slots";
    AtomicReshard = "atomic-reshard", Cluster, KeptWithoutMarks, 0, "`CLUSTER MIGRATESLOTS` moves 1,000 slots";
    ClockFirst = "clock-first", Cluster, KeptWithoutMarks, 500, "a slot is moved key by key, its clock first, every 500 ms";
    ClockAmid = "clock-amid", Cluster, KeptWithoutMarks, 500, "the same, its clock after half of the keys";
    ClockLast = "clock-last", Cluster, KeptWithoutMarks, 500, "the same, its clock last";
    NodeStopped = "node-stopped", Cluster, Kept, 0, "SIGSTOP of a primary";
    NodeStoppedMoved = "node-stopped-moved", Cluster, KeptWithoutMarks, 500, "SIGSTOP of a primary; a slot moves elsewhere every 500 ms";
    NodeReplaced = "node-replaced", Cluster, Measured, 0, "SIGSTOP of a primary that is replaced meanwhile, and comes back";
    NodeKilled = "node-killed", Cluster, Measured, 0, "SIGKILL of a primary, which is replaced";
    NodeHandsOver = "node-failover", Cluster, KeptWithoutMarks, 0, "`CLUSTER FAILOVER`: a primary hands over to its replica";
    NodeFlushed = "node-flushed", Cluster, KeptWithoutMarks, 300, "`FLUSHALL` of a primary, every 300 ms";
    ClientsKilled = "clients-killed", Cluster, KeptWithoutMarks, 150, "a process is killed every 150 ms, after `FLUSHALL` of a primary each third time";
}

impl Fault {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// Those that strike one primary of a cluster.
    const OF_A_NODE: [Self; 8] = [
        Self::Reshard,
        Self::AtomicReshard,
        Self::NodeStopped,
        Self::NodeStoppedMoved,
        Self::NodeReplaced,
        Self::NodeKilled,
        Self::NodeHandsOver,
        Self::NodeFlushed,
    ];

    /// Whether a node stands still while it lasts.
    fn is_standstill(self) -> bool {
        matches!(self, Self::NodeStopped | Self::NodeStoppedMoved | Self::NodeReplaced)
    }

    /// Whether it can be done there, and here. The library that sets a program's clock does not
    /// start together with the allocator of Redis, whose cluster moves no slots at once.
    pub(crate) fn is_possible(self, place: Place) -> bool {
        let is_there = match place {
            Place::Embedded => false,
            Place::Server(_) => self.target() != Target::Cluster,
            Place::Cluster(_) => self.target() != Target::Server,
        };
        let is_valkey = matches!(place, Place::Server(ServerKind::Valkey) | Place::Cluster(ServerKind::Valkey));
        is_there
            && match self {
                Self::ServerClock => is_valkey && clock_file::faketime().is_some(),
                Self::ClientClock => clock_file::faketime().is_some(),
                Self::AtomicReshard => is_valkey,
                _ => true,
            }
    }

    /// How long it lasts, in milliseconds; what takes longer is waited for.
    fn lasts_ms(self) -> Range<u64> {
        match self {
            _ if self.is_standstill() => 4_000..4_001,
            _ if self.target() == Target::Cluster => 3_000..6_000,
            Self::ClientClock => 4_000..8_000,
            Self::StopServer | Self::StopClient => 1_000..10_000,
            _ => 1_000..3_000,
        }
    }
}

/// What `--faults` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All that are possible, one after the other.
    All,
    /// One after the other.
    Alone(Vec<Fault>),
    /// Up to three at a time.
    Random,
}

impl Selection {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "all" => Self::All,
            "random" => Self::Random,
            names => Self::Alone(names.split(',').map(Fault::of).collect::<Option<_>>()?),
        })
    }

    /// The faults of the episode with this number.
    pub(crate) fn episode(&self, number: usize, place: Place, random: &mut fastrand::Rng) -> Episode {
        let mut faults = self.faults(place);
        if *self == Self::Random {
            let count = random.usize(1..4);
            faults = random.choose_multiple(faults, count);
        } else {
            faults = vec![faults[number % faults.len()]];
        }
        let is_alone = faults.len() == 1;
        let spans = faults.into_iter().map(|fault| Span {
            fault,
            begins: Duration::from_millis(if is_alone { 0 } else { random.u64(0..1_500) }),
            lasts: Duration::from_millis(random.u64(fault.lasts_ms())),
        });
        Episode(spans.collect())
    }

    /// The faults to be done, or to choose from.
    pub(crate) fn faults(&self, place: Place) -> Vec<Fault> {
        match self {
            Self::Alone(faults) => faults.clone(),
            Self::All | Self::Random => Fault::ALL.iter().copied().filter(|fault| fault.is_possible(place)).collect(),
        }
    }
}

/// A fault, when it begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    fault: Fault,
    begins: Duration,
    lasts: Duration,
}

/// Faults that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Episode(Vec<Span>);

/// A step of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    Begin,
    Again,
    End,
}

impl Episode {
    pub(crate) fn faults(&self) -> impl Iterator<Item = Fault> {
        self.0.iter().map(|span| span.fault)
    }

    /// Its faults last for so long.
    pub(crate) fn endure(&mut self, lasts: Duration) {
        self.0.iter_mut().for_each(|span| span.lasts = lasts);
    }

    pub(crate) fn has(&self, wanted: &[Fault]) -> bool {
        self.faults().any(|fault| wanted.contains(&fault))
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.0.len() == 1
    }

    /// That of the worst of its faults.
    pub(crate) fn promise(&self) -> Promise {
        self.faults().map(Fault::promise).max().unwrap_or(Promise::Kept)
    }

    pub(crate) fn title(&self) -> String {
        match &self.0[..] {
            // It lasts until it is done.
            [Span { fault, .. }] if fault.target() == Target::Cluster => fault.words().to_owned(),
            [Span { fault, lasts, .. }] => {
                let (words, lasts) = (fault.words(), format!("{:.1} s", lasts.as_secs_f64()));
                if words.contains("{}") { words.replace("{}", &lasts) } else { format!("{words}; {lasts}") }
            }
            spans => spans.iter().map(|span| span.fault.name()).collect::<Vec<_>>().join(" + "),
        }
    }

    /// All that is done, in the order of time.
    pub(crate) fn steps(&self) -> Vec<(Duration, Act, Fault)> {
        let mut steps = Vec::new();
        for Span { fault, begins, lasts } in &self.0 {
            steps.extend([(*begins, Act::Begin, *fault), (*begins + *lasts, Act::End, *fault)]);
            let Some(every) = fault.every() else { continue };
            let again = (1..).map(|times| every * times).take_while(|after| after < lasts);
            steps.extend(again.map(|after| (*begins + after, Act::Again, *fault)));
        }
        steps.sort_unstable();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_selected_by_name() {
        assert_eq!(Selection::parse("flushall"), Some(Selection::Alone(vec![Fault::FlushAll])));
        assert_eq!(Selection::parse("random"), Some(Selection::Random));
        assert_eq!(Selection::parse("flushall,nothing"), None);
        for fault in Fault::ALL {
            assert_eq!(Fault::of(fault.name()), Some(*fault), "a name of its own");
        }
    }

    #[test]
    fn a_seed_gives_the_same_episodes_each_time() {
        let episodes = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..20)
                .map(|number| Selection::Random.episode(number, Place::Server(ServerKind::Redis), &mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(episodes(1), episodes(1));
        assert_ne!(episodes(1), episodes(2));
        assert!(episodes(1).iter().any(|episode| episode.0.len() > 1));
    }

    #[test]
    fn each_fault_begins_once_and_ends_once_in_the_order_of_time() {
        let ms = Duration::from_millis;
        let flush = Span { fault: Fault::FlushAll, begins: ms(100), lasts: ms(500) };
        let stop = Span { fault: Fault::StopServer, begins: ms(0), lasts: ms(350) };
        let steps = Episode(vec![flush, stop]).steps();
        let of = |fault| steps.iter().filter(|step| step.2 == fault).map(|step| (step.0, step.1)).collect::<Vec<_>>();
        assert_eq!(of(Fault::StopServer), [(ms(0), Act::Begin), (ms(350), Act::End)]);
        assert_eq!(
            of(Fault::FlushAll),
            [(ms(100), Act::Begin), (ms(300), Act::Again), (ms(500), Act::Again), (ms(600), Act::End)]
        );
        assert!(steps.is_sorted());
    }

    #[test]
    fn the_worst_fault_of_an_episode_says_what_is_promised() {
        let of = |faults: &[Fault]| {
            let span = |fault: &Fault| Span { fault: *fault, begins: Duration::ZERO, lasts: Duration::ZERO };
            Episode(faults.iter().map(span).collect()).promise()
        };
        assert_eq!(of(&[Fault::StopServer]), Promise::Kept);
        assert_eq!(of(&[Fault::FlushAll, Fault::StopServer]), Promise::KeptWithoutMarks);
    }
}
