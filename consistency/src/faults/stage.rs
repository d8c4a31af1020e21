//! The server that faults are done to, and the link that leads to it.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use cache_core::Cache;
use cache_tests::redis::{self, FromRedisValue, RedisError, aio::MultiplexedConnection};
use cache_tests::{Fault as Link, FaultProxy, Raw, Server, ServerKind, ServerOptions};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use super::clock_file::ClockFile;
use super::left::Left;
use super::replica::field;
use super::{Act, Episode, Fault, spoil};
use crate::worker::NAMESPACE;

/// How long a command may take a server that is well.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what is left may take to go: longer than anything lives that is kept for a while. What
/// is kept by a clock that was set back is kept until it is where it was.
pub(super) const LEAVES_WITHIN: Duration = Duration::from_secs(15);
/// So many of the keys that are left are told by name.
const LEFT_EXAMPLES_MAX: usize = 3;
const LOOKS_EVERY: Duration = Duration::from_millis(250);
/// How long a link is cut each time.
const CUT: Duration = Duration::from_millis(30);
/// How long a server is away that is restarted to lose something.
const AWAY: Duration = Duration::from_millis(200);
/// How far a clock is set, in seconds.
const CLOCK_SECONDS_MAX: i64 = 120;
/// The files of a server that it would read when it starts.
const FILES: [&str; 2] = ["dump.rdb", "appendonlydir"];

/// See the module.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) kind: ServerKind,
    pub(super) server: Server,
    pub(super) replica: Option<Server>,
    pub(super) proxy: FaultProxy,
    /// The server has particulars for an episode.
    is_particular: bool,
    random: fastrand::Rng,
}

impl Stage {
    pub(crate) async fn start(kind: ServerKind, seed: u64) -> Self {
        let server = Server::start(kind);
        let proxy = FaultProxy::start(server.address()).await;
        let random = fastrand::Rng::with_seed(seed);
        Self { kind, server, replica: None, proxy, is_particular: false, random }
    }

    /// Through the link.
    pub(crate) fn url(&self) -> String {
        self.proxy.url()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Gives the server what the faults of an episode need, while no call is under way.
    pub(crate) async fn prepare(&mut self, episode: &Episode) -> io::Result<()> {
        let mut options = ServerOptions::new();
        if episode.has(&[Fault::RestartAof]) {
            // What is acknowledged is in the file.
            options = options.line("appendonly yes").line("appendfsync always");
        }
        if episode.has(&[Fault::ServerClock]) {
            self.clock().set(0)?;
            for (name, value) in self.clock().variables()? {
                options = options.variable(name, value);
            }
        }
        if episode.has(&[Fault::RestartAof, Fault::ServerClock]) {
            self.is_particular = true;
            block_in_place(|| self.server.restart_as(options));
        }
        if episode.has(&[Fault::ReadOnly, Fault::Promotion, Fault::LossyFailover]) {
            self.add_replica().await?;
        }
        Ok(())
    }

    /// Takes it away again.
    pub(crate) fn tidy(&mut self) {
        self.remove_replica();
        if self.is_particular {
            self.is_particular = false;
            block_in_place(|| {
                self.server.stop();
                self.remove_files();
                self.server.restart_as(ServerOptions::new());
            });
        }
        self.remove_files();
    }

    /// Makes a step of a fault. An error is a step that did not work, as it may be when another
    /// fault is in its way.
    pub(crate) async fn act(&mut self, fault: Fault, act: Act) -> io::Result<()> {
        match act {
            Act::Begin | Act::Again => self.strike(fault, act).await,
            Act::End => self.end(fault).await,
        }
    }

    async fn strike(&mut self, fault: Fault, act: Act) -> io::Result<()> {
        match fault {
            Fault::RestartEmpty | Fault::RestartAof => block_in_place(|| self.server.stop()),
            Fault::RestartRdb => self.command(&["SAVE"]).await?,
            Fault::StopServer if self.server.is_running() => block_in_place(|| self.server.pause()),
            Fault::FlushAll => self.command(&["FLUSHALL"]).await?,
            Fault::ScriptFlush => self.command(&["SCRIPT", "FLUSH"]).await?,
            Fault::KillConnections => _ = self.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await?,
            Fault::Reset => self.cut(Link::Reset).await,
            Fault::CutReply => {
                let bytes = self.random.u64(1..300);
                self.cut(Link::CutAfter(bytes)).await;
            }
            Fault::SlowLink => {
                self.proxy.set(Link::DelayBetween(Duration::from_millis(10), Duration::from_millis(100))).await;
            }
            Fault::HalfOpen => self.proxy.set(Link::HalfOpen).await,
            Fault::NarrowLink => self.proxy.set(Link::Narrow(64 << 10)).await,
            Fault::LateReplies => self.proxy.set(Link::Delay(Duration::from_millis(400))).await,
            Fault::LostReplies => self.proxy.set(Link::LoseReplies).await,
            Fault::Garbage => self.proxy.set(Link::Garbage).await,
            Fault::Refuse => self.proxy.set(Link::Refuse).await,
            Fault::NoEviction | Fault::VolatileLru | Fault::AllkeysLru => self.fill_memory(fault.name()).await?,
            Fault::WrongTypes => {
                let mut connection = connect(&self.server).await?;
                let spoilt = spoil::another_type(&mut connection, &mut self.random);
                timeout(COMMAND_TIMEOUT, spoilt).await?.map_err(io::Error::other)?;
            }
            Fault::CorruptBytes => {
                let mut connection = connect(&self.server).await?;
                let spoilt = spoil::other_bytes(&mut connection, &mut self.random);
                timeout(COMMAND_TIMEOUT, spoilt).await?.map_err(io::Error::other)?;
            }
            Fault::ReadOnly => self.change_roles().await?,
            Fault::Promotion => {
                self.change_roles().await?;
                self.lead_to_replica().await?;
            }
            Fault::LossyFailover => self.promote_replica().await?,
            Fault::ServerClock => {
                let seconds = self.random.i64(-CLOCK_SECONDS_MAX..=CLOCK_SECONDS_MAX);
                self.clock().set(seconds)?;
            }
            _ => {
                return Err(io::Error::other(format!("{act:?} is nothing that is done to this server")));
            }
        }
        Ok(())
    }

    async fn end(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::RestartEmpty => {
                self.remove_files();
                self.ensure_running();
            }
            Fault::RestartAof => self.ensure_running(),
            Fault::RestartRdb => {
                block_in_place(|| self.server.stop());
                sleep(AWAY).await;
                self.ensure_running();
            }
            Fault::StopServer if self.server.is_running() => self.server.resume(),
            Fault::SlowLink
            | Fault::HalfOpen
            | Fault::NarrowLink
            | Fault::LateReplies
            | Fault::LostReplies
            | Fault::Garbage
            | Fault::Refuse => self.proxy.set(Link::None).await,
            Fault::NoEviction | Fault::VolatileLru | Fault::AllkeysLru => self.free_memory().await?,
            Fault::ReadOnly => self.lead_again().await?,
            Fault::LossyFailover => self.lead_to_replica().await?,
            Fault::ServerClock => self.clock().set(0)?,
            _ => {}
        }
        Ok(())
    }

    /// Whatever faults have done that were in each other's way, there is one primary from now on,
    /// which is well, and the link leads to it.
    pub(crate) async fn heal(&mut self) -> io::Result<()> {
        self.ensure_running();
        self.server.resume();
        self.proxy.set(Link::None).await;
        self.proxy.lead_to(self.server.address()).await;
        if self.replica.is_some() {
            self.command::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
            self.command::<()>(&["CLIENT", "UNPAUSE"]).await?;
        }
        if self.clock().exists() {
            self.clock().set(0)?;
        }
        self.free_memory().await
    }

    fn ensure_running(&mut self) {
        if !self.server.is_running() {
            block_in_place(|| self.server.start_again());
        }
    }

    fn remove_files(&self) {
        for file in FILES.map(|file| self.server.directory().join(file)) {
            // One of both is an error, or both: it is a file or a directory, or is not there.
            _ = (fs::remove_file(&file), fs::remove_dir_all(&file));
        }
    }

    /// For a moment: so long each connection, also a new one, has the fault.
    async fn cut(&self, fault: Link) {
        self.proxy.set(fault).await;
        sleep(CUT).await;
        self.proxy.set(Link::None).await;
    }

    /// There is room for half of what is stored.
    async fn fill_memory(&self, policy: &str) -> io::Result<()> {
        let info: String = self.command(&["INFO", "memory"]).await?;
        let bytes = |name| field(&info, name).and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
        let bytes_max = bytes("used_memory") - bytes("used_memory_dataset") / 2;
        self.command::<()>(&["CONFIG", "SET", "maxmemory-policy", policy]).await?;
        self.command(&["CONFIG", "SET", "maxmemory", &bytes_max.to_string()]).await
    }

    async fn free_memory(&self) -> io::Result<()> {
        self.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        self.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await
    }

    fn clock(&self) -> ClockFile {
        ClockFile::of(self.server.directory())
    }

    async fn command<T: FromRedisValue>(&self, words: &[&str]) -> io::Result<T> {
        command(&self.server, words).await
    }

    /// Clears the namespace, and tells what is left of it when all has gone that goes by itself.
    pub(crate) async fn left(&mut self, episode: &Episode) -> io::Result<Left> {
        let was_set = episode.has(&[Fault::ServerClock]);
        let set_back = Duration::from_secs(if was_set { 2 * CLOCK_SECONDS_MAX.unsigned_abs() } else { 0 });
        let cache = Cache::builder().url(self.server.url()).namespace(NAMESPACE).build().map_err(io::Error::other)?;
        cache.ready(LEAVES_WITHIN).await.map_err(io::Error::other)?;
        let mut raw = self.server.raw().await;
        let cleared = Instant::now();
        loop {
            // Again each time: a fence that has outlived its time goes with the next invalidation.
            cache.clear().await.map_err(io::Error::other)?;
            let left = measure(&mut raw, &format!("{NAMESPACE}:*"), cleared).await;
            if left.holds() || left.after > LEAVES_WITHIN + set_back {
                return Ok(left);
            }
            sleep(LOOKS_EVERY).await;
        }
    }
}

async fn connect(server: &Server) -> io::Result<MultiplexedConnection> {
    let client = redis::Client::open(server.url()).map_err(io::Error::other)?;
    // The driver's own timeouts are shorter: a busy machine is not a fault that was done.
    let config = redis::AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(COMMAND_TIMEOUT, connecting).await?.map_err(io::Error::other)
}

pub(super) async fn command<T: FromRedisValue>(server: &Server, words: &[&str]) -> io::Result<T> {
    let (name, arguments) = words.split_first().expect("a command has a name");
    let mut connection = connect(server).await?;
    let mut command = redis::cmd(name);
    let asking = command.arg(arguments).query_async(&mut connection);
    let answer: Result<T, RedisError> = timeout(COMMAND_TIMEOUT, asking).await?;
    answer.map_err(|error| io::Error::other(format!("{words:?}: {error}")))
}

/// What a server has by this pattern.
pub(super) async fn measure(raw: &mut Raw, pattern: &str, cleared: Instant) -> Left {
    let keys: Vec<String> = raw.command("KEYS", &[pattern]).await;
    let mut left = Left { keys: keys.len() as u64, after: cleared.elapsed(), ..Left::default() };
    for key in keys {
        // Nothing if it has gone meanwhile.
        let bytes: Option<u64> = raw.command("MEMORY", &["USAGE", &key, "SAMPLES", "0"]).await;
        left.bytes += bytes.unwrap_or(0);
        if !key.ends_with(":~clock") && left.examples.len() < LEFT_EXAMPLES_MAX {
            left.examples.push(format!("`{key}`, {} bytes", bytes.unwrap_or(0)));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::super::{Selection, Span, Target};
    use super::*;
    use crate::options::Place;

    fn alone(fault: Fault) -> Episode {
        Episode(vec![Span { fault, begins: Duration::ZERO, lasts: Duration::ZERO }])
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_is_well_after_each_fault() {
        let mut stage = Stage::start(ServerKind::Redis, 1).await;
        for fault in Selection::All
            .faults(Place::Server(ServerKind::Redis))
            .into_iter()
            .filter(|fault| fault.target() != Target::Process)
        {
            stage.prepare(&alone(fault)).await.unwrap();
            stage.server().raw().await.set("history:a", b"bytes").await;
            let again = fault.every().map(|_| Act::Again);
            for act in [Some(Act::Begin), again, Some(Act::End)].into_iter().flatten() {
                stage.act(fault, act).await.unwrap_or_else(|error| panic!("{}: {act:?}: {error}", fault.name()));
            }
            stage.heal().await.unwrap();
            let mut raw = Raw::connect(&stage.url()).await;
            let replication: String = raw.command("INFO", &["replication"]).await;
            assert_eq!(field(&replication, "role"), Some("master"), "{}", fault.name());
            raw.set("history:b", b"bytes").await;
            assert!(stage.left(&alone(fault)).await.unwrap().holds(), "{}", fault.name());
            stage.tidy();
        }
    }

    /// So that a history comes across it: a fault that does nothing costs nothing.
    #[tokio::test(flavor = "multi_thread")]
    async fn faults_do_what_they_are_called() {
        let mut stage = Stage::start(ServerKind::Redis, 1).await;
        let mut raw = stage.server().raw().await;
        raw.set("history:a", &[b'x'; 100]).await;
        stage.act(Fault::CorruptBytes, Act::Begin).await.unwrap();
        assert_ne!(raw.get("history:a").await, Some(vec![b'x'; 100]));
        stage.act(Fault::WrongTypes, Act::Begin).await.unwrap();
        assert_ne!(raw.command::<String>("TYPE", &["history:a"]).await, "string");
        stage.act(Fault::FlushAll, Act::Begin).await.unwrap();
        assert_eq!(raw.command::<u64>("DBSIZE", &[]).await, 0);
        stage.act(Fault::NoEviction, Act::Begin).await.unwrap();
        let full = redis::cmd("SET").arg("history:a").arg("x").exec_async(raw.connection()).await;
        assert!(full.unwrap_err().to_string().contains("OOM"));
        stage.act(Fault::NoEviction, Act::End).await.unwrap();
        stage.prepare(&alone(Fault::LossyFailover)).await.unwrap();
        stage.act(Fault::LossyFailover, Act::Begin).await.unwrap();
        raw.set("history:lost", b"bytes").await;
        stage.act(Fault::LossyFailover, Act::End).await.unwrap();
        assert_eq!(Raw::connect(&stage.url()).await.get("history:lost").await, None);
    }
}
