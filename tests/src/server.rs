//! A server of one's own, to torture.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use crate::{Raw, ServerKind, port};

/// How often a start is tried on another port.
const ATTEMPTS: usize = 20;
/// As which [`Raw`] logs in, here as on the servers that all tests share.
const ADMIN_USER: &str = "user admin on >admin ~* &* +@all";
/// What both Redis and Valkey print once they listen, and what their sentinels do.
const READY: [&str; 2] = ["eady to accept connections", "Sentinel ID is"];

/// What is particular about a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    password: Option<String>,
    unix_socket: bool,
    tls: Option<ServerTls>,
    plain_port: Option<u16>,
    is_sentinel: bool,
    lines: Vec<String>,
    files: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

/// What a server shows by TLS, and whom it trusts; PEM.
#[derive(Clone, Debug)]
struct ServerTls {
    certificate: String,
    key: String,
    /// Clients must have a certificate of this authority.
    clients: Option<String>,
}

impl ServerOptions {
    /// Nothing particular: no password, no persistence, no memory limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The default user's password; it must need no quoting, neither
    /// in a configuration nor in a URL.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A memory limit, with the policy once it is reached (`noeviction`, `allkeys-lru`, …).
    pub fn memory(self, bytes_max: u64, policy: &str) -> Self {
        self.line(format!("maxmemory {bytes_max}")).line(format!("maxmemory-policy {policy}"))
    }

    /// Also listens on a unix socket: [`Server::unix_url`].
    pub fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// It is no server but a sentinel, with these lines of `sentinel.conf`.
    pub fn sentinel(mut self, lines: &[String]) -> Self {
        self.is_sentinel = true;
        self.lines.extend_from_slice(lines);
        self
    }

    /// Listens by TLS only, with this certificate and private key. With an authority for `clients`
    /// each client must show a certificate of it.
    pub fn tls(mut self, certificate: &str, key: &str, clients: Option<&str>) -> Self {
        let clients = clients.map(ToOwned::to_owned);
        self.tls = Some(ServerTls { certificate: certificate.to_owned(), key: key.to_owned(), clients });
        self
    }

    /// Beside TLS it listens without, on another port, by which [`Server::raw`] comes; and its link
    /// to the other nodes of its cluster is by TLS, with the certificate of the server.
    pub fn tls_cluster(mut self) -> Self {
        let port = port::free().port();
        self.plain_port = Some(port);
        self.line(format!("port {port}")).line("tls-cluster yes").line("tls-replication yes")
    }

    /// A file in its directory, as it is before the first start.
    pub fn file(mut self, name: &str, text: String) -> Self {
        self.files.push((name.to_owned(), text));
        self
    }

    /// Any line of `redis.conf`, for example `user reader on >secret ~shop:* +get`.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// A variable of its environment.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }
}

/// A Redis or Valkey server on a loopback port, in a directory of its own. Dropping it kills it.
///
/// Starting and stopping block the thread for some milliseconds.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    options: ServerOptions,
    address: SocketAddr,
    directory: TempDir,
    running: Option<ServerProcess>,
}

#[derive(Debug)]
struct ServerProcess {
    child: Child,
    stands_still: AtomicBool,
    /// Kills the server when our end of its stdin closes: it cannot outlive
    /// this process, however that ends.
    guard: Child,
}

impl Server {
    /// Starts a server of this kind without particulars.
    pub fn start(kind: ServerKind) -> Self {
        Self::with(kind, ServerOptions::new())
    }

    /// Starts a server of this kind.
    ///
    /// # Panics
    /// If it cannot be started; the message ends with the server's own log.
    pub fn with(kind: ServerKind, options: ServerOptions) -> Self {
        let mut server = Self::prepared(kind, options, port::free());
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match server.launch() {
                Ok(running) => {
                    server.running = Some(running);
                    return server;
                }
                Err(its_log) => log = its_log,
            }
            // Somebody was faster on this port.
            server.address = port::free();
        }
        panic!("{} does not start:\n{log}", server.program.display());
    }

    /// Starts a server of this kind at this very address. Fails with the server's log: somebody may
    /// have been faster on this port.
    pub fn at(kind: ServerKind, options: ServerOptions, address: SocketAddr) -> Result<Self, String> {
        let mut server = Self::prepared(kind, options, address);
        server.running = Some(server.launch()?);
        Ok(server)
    }

    fn prepared(kind: ServerKind, options: ServerOptions, address: SocketAddr) -> Self {
        let directory = tempfile::Builder::new().prefix("cache-test-").tempdir().expect("a temporary directory");
        for (name, text) in &options.files {
            std::fs::write(directory.path().join(name), text).expect("the directory is writable");
        }
        Self { program: kind.program(), options, address, directory, running: None }
    }

    /// Where it listens; stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, password included.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// Its URL through another address, for example a [`FaultProxy`](crate::FaultProxy)'s.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        match &self.options.password {
            Some(password) => format!("{scheme}://:{password}@{address}"),
            None => format!("{scheme}://{address}"),
        }
    }

    /// Its URL through the unix socket.
    ///
    /// # Panics
    /// If it was started without [`ServerOptions::unix_socket`].
    pub fn unix_url(&self) -> String {
        assert!(self.options.unix_socket, "started without a unix socket");
        let pass = self.options.password.as_ref().map(|password| format!("?pass={password}")).unwrap_or_default();
        format!("redis+unix://{}{pass}", self.directory.path().join("socket").display())
    }

    /// Its directory, removed with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A driver connection for assertions.
    pub async fn raw(&self) -> Raw {
        match self.options.plain_port {
            Some(port) => Raw::connect(&format!("redis://{}", SocketAddr::new(self.address.ip(), port))).await,
            None => Raw::connect(&self.url()).await,
        }
    }

    /// Freezes it: connections stay open, nothing answers. Returns once it stands still.
    pub fn pause(&self) {
        let pid = self.pid();
        kill_process(pid, Signal::STOP).expect("the server can be stopped");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("the server stops");
        self.running.iter().for_each(|running| running.stands_still.store(true, Ordering::Relaxed));
    }

    /// Lets it go on after [`pause`](Server::pause).
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("the server can be continued");
        self.running.iter().for_each(|running| running.stands_still.store(false, Ordering::Relaxed));
    }

    /// Kills it. Its port then refuses connections, and what was not persisted is gone.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Kills it and starts it again on the same port.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Kills it and starts it again on the same port, with other particulars. What lies in its
    /// directory stays.
    pub fn restart_as(&mut self, options: ServerOptions) {
        self.options = options;
        self.restart();
    }

    /// Starts it after [`stop`](Server::stop), on the same port.
    ///
    /// # Panics
    /// If the port was taken meanwhile.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the server is running");
        self.running = Some(self.launch().unwrap_or_else(|log| panic!("the server does not start again:\n{log}")));
    }

    /// Whether it was not stopped.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it runs, and does not [stand still](Server::pause).
    pub fn answers(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.stands_still.load(Ordering::Relaxed))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.running.as_ref().expect("the server is stopped").child)
    }

    /// One start on the current address; fails with the server's log.
    fn launch(&self) -> Result<ServerProcess, String> {
        let configuration = self.directory.path().join("server.conf");
        std::fs::write(&configuration, self.configuration()).expect("the directory is writable");
        // First, so that the server is hardly for a moment without it.
        let guard = guard();
        let mut child = Command::new(&self.program)
            .arg(&configuration)
            .args(self.options.is_sentinel.then_some("--sentinel"))
            .envs(self.options.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program.display()));
        let pid_for_guard = writeln!(guard.stdin.as_ref().expect("stdin is piped"), "{}", child.id());
        pid_for_guard.expect("the guard listens");
        let mut log = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let running = ServerProcess { child, stands_still: AtomicBool::new(false), guard };
        wait_until_ready(&mut log)?;
        drain(log);
        Ok(running)
    }

    fn configuration(&self) -> String {
        let directory = self.directory.path().display();
        let mut lines = vec![
            format!("bind {}", self.address.ip()),
            format!("port {}", self.address.port()),
            format!("dir {directory}"),
            "daemonize no".to_owned(),
            "logfile \"\"".to_owned(),
        ];
        if !self.options.is_sentinel {
            let plain = ["save \"\"", "appendonly no", "repl-diskless-sync-delay 0", ADMIN_USER];
            lines.extend(plain.map(ToOwned::to_owned));
        }
        lines.extend(self.options.password.iter().map(|password| format!("requirepass {password}")));
        if self.options.unix_socket {
            lines.push(format!("unixsocket {directory}/socket"));
        }
        if let Some(tls) = &self.options.tls {
            lines.push("port 0".to_owned());
            lines.push(format!("tls-port {}", self.address.port()));
            let mut file = |option: &str, pem: &str| {
                let path = self.directory.path().join(format!("{option}.pem"));
                std::fs::write(&path, pem).expect("the directory is writable");
                lines.push(format!("{option} {}", path.display()));
            };
            file("tls-cert-file", &tls.certificate);
            file("tls-key-file", &tls.key);
            match &tls.clients {
                Some(authority) => file("tls-ca-cert-file", authority),
                None => lines.push("tls-auth-clients no".to_owned()),
            }
        }
        lines.extend(self.options.lines.iter().cloned());
        lines.join("\n") + "\n"
    }
}

impl ServerProcess {
    fn kill(&mut self) {
        // The guard first: once the server is gone, its process id may be given to another.
        for child in [&mut self.guard, &mut self.child] {
            // Both fail only if it is dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends when the server listens, or with its log when it gives up.
fn wait_until_ready(log: &mut BufReader<ChildStdout>) -> Result<(), String> {
    let mut text = String::new();
    loop {
        let line_start = text.len();
        match log.read_line(&mut text) {
            Ok(0) | Err(_) => return Err(text),
            Ok(_) if READY.iter().any(|ready| text[line_start..].contains(ready)) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Reads a process id, and kills that process when stdin closes.
fn guard() -> Child {
    Command::new("sh")
        .args(["-c", "trap '' INT TERM HUP; read -r server; read -r _; kill -9 \"$server\""])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run sh: {error}"))
}

/// Reads the log to its end, or the server would stop at a full pipe.
fn drain(mut log: BufReader<ChildStdout>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 1024];
        while log.read(&mut chunk).is_ok_and(|length| length > 0) {}
    });
}
