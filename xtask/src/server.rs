//! The servers that all tests share.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Most attempts to start: somebody else may take a port after it was found free and before the
/// server listens.
const ATTEMPTS: usize = 20;
/// Runs the server and ends it when stdin closes, so the server cannot outlive us, however we end.
/// Its directory goes with it. Only the server writes the log, so the log ends when the server
/// does.
const GUARD: &str = "directory=$1 signal=$2; shift 2; \
    \"$@\" 2>&1 & server=$!; exec >/dev/null 2>&1; trap 'kill -s $signal $server; wait; rm -rf \"$directory\"' EXIT; \
    trap exit HUP INT TERM; read -r _";
/// Whose rights a server gets that refuses to run as root.
const UNPRIVILEGED: &str = "nobody";

/// A running server; dropping it ends it, and removes what it has stored.
pub(crate) struct Server {
    guard: Child,
    scheme: &'static str,
    pub(crate) port: u16,
}

/// Where a node of a cluster listens: for clients, and for the other nodes.
#[derive(Clone, Copy)]
pub(crate) struct ClusterPorts {
    pub(crate) port: u16,
    pub(crate) bus: u16,
}

impl ClusterPorts {
    pub(crate) fn free() -> Result<Self, String> {
        Ok(Self { port: free_port()?, bus: free_port()? })
    }
}

/// What servers differ in.
struct Kind<'a> {
    /// The URL without the address: user included.
    scheme: &'static str,
    /// What the log says once the server listens.
    ready: &'static str,
    /// The signal that ends the server and all its processes at once.
    signal: &'static str,
    /// Fills the directory before the first start.
    prepare: &'a dyn Fn(&Home) -> Result<(), String>,
    /// The command line, without the program.
    arguments: &'a dyn Fn(&Path, u16) -> Vec<String>,
}

impl Server {
    /// Redis or Valkey, on a free loopback port; it keeps nothing on disk.
    pub(crate) fn redis(program: &Path) -> Result<Self, String> {
        Self::redis_with(program, &[])
    }

    /// The same for tests: whoever does not log in has the rights that the README lists and no
    /// others, so a command that is not in that list fails them. What tests do to a server
    /// themselves they do as `admin`.
    pub(crate) fn redis_of_few_rights(program: &Path) -> Result<Self, String> {
        Self::redis_with(program, &few_rights("~*:*", &[])?)
    }

    fn redis_with(program: &Path, more: &[&str]) -> Result<Self, String> {
        let arguments = |directory: &Path, port: u16| {
            let port = port.to_string();
            let line = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"];
            let line = line.into_iter().map(str::to_owned).chain([path(directory)]);
            line.chain(more.iter().map(|word| (*word).to_owned())).collect()
        };
        let kind = Kind {
            scheme: "redis://",
            ready: "eady to accept connections",
            signal: "KILL",
            prepare: &|_| Ok(()),
            arguments: &arguments,
        };
        Self::start(program, &kind)
    }

    /// A node of a cluster, at its port. `nodes` is what it knows of the others, as it would have
    /// written it itself. Rights are as in [`redis_of_few_rights`](Self::redis_of_few_rights), with
    /// what the README says of clusters. To its primary a replica logs in as `admin`.
    pub(crate) fn cluster_node(program: &Path, ports: ClusterPorts, nodes: &str) -> Result<Self, String> {
        let prepare = |home: &Home| {
            let file = home.directory.join("nodes.conf");
            fs::write(&file, nodes).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            let given = home.owner.map_or(Ok(()), |(user, group)| chown(&file, Some(user), Some(group)));
            given.map_err(|error| format!("cannot give {} away: {error}", file.display()))
        };
        let rights = few_rights("~{*/*", &["+cluster|slots"])?;
        let arguments = |directory: &Path, port: u16| {
            let (port, bus) = (port.to_string(), ports.bus.to_string());
            let line = [
                ["--bind", "127.0.0.1"],
                ["--port", &port],
                ["--save", ""],
                ["--appendonly", "no"],
                ["--repl-diskless-sync-delay", "0"],
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "2000"],
                ["--masteruser", "admin"],
                ["--masterauth", "admin"],
            ];
            let line = line.into_iter().flatten().chain(rights.iter().copied()).map(str::to_owned);
            line.chain(["--dir".to_owned(), path(directory)]).collect()
        };
        let kind = Kind {
            scheme: "redis://",
            ready: "eady to accept connections",
            signal: "KILL",
            prepare: &prepare,
            arguments: &arguments,
        };
        let home = Home::new()?;
        (kind.prepare)(&home).inspect_err(|_| _ = fs::remove_dir_all(&home.directory))?;
        Self::start_in(&home, ports.port, program, &kind)?
    }

    /// PostgreSQL, with a fresh cluster whose superuser `postgres` needs no password. What is
    /// written is not flushed: it is gone with the server anyway.
    pub(crate) fn postgres(program: &Path) -> Result<Self, String> {
        let initdb = program.with_file_name("initdb");
        let prepare = |home: &Home| {
            let options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"];
            home.run(home.command(&initdb).args(options).arg(&home.directory))
        };
        let arguments = |directory: &Path, port: u16| {
            let mut line = vec!["-D".to_owned(), path(directory), "-p".to_owned(), port.to_string()];
            for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
                line.extend(["-c".to_owned(), setting.to_owned()]);
            }
            line
        };
        let kind = Kind {
            scheme: "postgres://postgres@",
            ready: "system is ready to accept connections",
            signal: "QUIT",
            prepare: &prepare,
            arguments: &arguments,
        };
        Self::start(program, &kind)
    }

    /// MariaDB, with a fresh data directory whose `root` needs no password.
    pub(crate) fn mariadb(program: &Path, install_db: &Path) -> Result<Self, String> {
        let prepare = |home: &Home| {
            let options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"];
            let datadir = format!("--datadir={}", path(&home.directory));
            home.run(home.command(install_db).args(options).arg(datadir))
        };
        let arguments = |directory: &Path, port: u16| {
            let directory = path(directory);
            vec![
                "--no-defaults".to_owned(),
                format!("--datadir={directory}"),
                format!("--socket={directory}/socket"),
                format!("--port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--innodb-flush-log-at-trx-commit=0".to_owned(),
            ]
        };
        let kind = Kind {
            scheme: "mysql://root@",
            ready: "ready for connections",
            signal: "KILL",
            prepare: &prepare,
            arguments: &arguments,
        };
        Self::start(program, &kind)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}127.0.0.1:{}", self.scheme, self.port)
    }

    fn start(program: &Path, kind: &Kind<'_>) -> Result<Self, String> {
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            let home = Home::new()?;
            (kind.prepare)(&home).inspect_err(|_| _ = fs::remove_dir_all(&home.directory))?;
            match Self::start_in(&home, free_port()?, program, kind)? {
                Ok(server) => return Ok(server),
                Err(its_log) => log = its_log,
            }
        }
        Err(format!("{} does not start:\n{log}", program.display()))
    }

    /// Makes one attempt; the inner error is the server's log.
    fn start_in(home: &Home, port: u16, program: &Path, kind: &Kind<'_>) -> Result<Result<Self, String>, String> {
        let mut guard = home
            .command(Path::new("sh"))
            .args(["-c", GUARD, "sh"])
            .arg(&home.directory)
            .arg(kind.signal)
            .arg(program)
            .args((kind.arguments)(&home.directory, port))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run sh: {error}"))?;
        let mut log = BufReader::new(guard.stdout.take().expect("stdout is piped"));
        let server = Self { guard, scheme: kind.scheme, port };
        Ok(wait_until_ready(&mut log, kind.ready).map(|()| {
            drain(log);
            server
        }))
    }
}

/// The users of a server: whoever does not log in has the rights that the README lists, on these
/// keys, and these; `admin` has all.
fn few_rights(keys: &'static str, more: &[&'static str]) -> Result<Vec<&'static str>, String> {
    let anybody = ["--user", "default", "on", "nopass", keys].into_iter().chain(needed_rights()?);
    let admin = ["--user", "admin", "on", ">admin", "~*", "&*", "+@all"];
    Ok(anybody.chain(more.iter().copied()).chain(admin).collect())
}

/// What the library needs, as the README says it under "Access": the rules of `ACL SETUSER` after
/// those for the keys.
fn needed_rights() -> Result<Vec<&'static str>, String> {
    let readme = include_str!("../../README.md");
    let command = readme.split_once("redis-cli ACL SETUSER ").and_then(|(_, rest)| rest.split("```").next());
    let rules = command.unwrap_or_default().split_whitespace().map(|rule| rule.trim_matches('\''));
    let rights: Vec<_> = rules.skip_while(|rule| !rule.starts_with('~')).skip(1).filter(|rule| *rule != "\\").collect();
    if rights.is_empty() { Err("the README lists no rights under \"Access\"".to_owned()) } else { Ok(rights) }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // Fails only if the server is gone already.
        let _ = self.guard.wait();
    }
}

/// The directory of one server, and whose it is.
struct Home {
    directory: PathBuf,
    /// User and group, where we are root: database servers refuse to run as root.
    owner: Option<(u32, u32)>,
}

impl Home {
    fn new() -> Result<Self, String> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("cache-server-{}-{number}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        let owner =
            if id(&["-u"])? == 0 { Some((id(&["-u", UNPRIVILEGED])?, id(&["-g", UNPRIVILEGED])?)) } else { None };
        if let Some((user, group)) = owner {
            chown(&directory, Some(user), Some(group))
                .map_err(|error| format!("cannot give {} away: {error}", directory.display()))?;
        }
        Ok(Self { directory, owner })
    }

    /// A command with the rights that the server will have.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.gid(group).uid(user);
        }
        command
    }

    /// Runs a command that prepares the directory. Its output is the error if it fails.
    fn run(&self, command: &mut Command) -> Result<(), String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().map_err(|error| format!("cannot run {program}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("{program} failed:\n{}", String::from_utf8_lossy(&said)))
    }
}

/// What `id` says of us, or of the user in the last argument.
fn id(arguments: &[&str]) -> Result<u32, String> {
    let output = Command::new("id").args(arguments).stdin(Stdio::null()).output();
    let said = output.map_err(|error| format!("cannot run id: {error}"))?.stdout;
    let number = String::from_utf8_lossy(&said).trim().parse();
    number.map_err(|_| format!("`id {}` says no number", arguments.join(" ")))
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free loopback port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Waits until the server listens. Returns the log as an error if the server gives up.
fn wait_until_ready(log: &mut BufReader<ChildStdout>, ready: &str) -> Result<(), String> {
    let mut text = String::new();
    loop {
        let line_start = text.len();
        match log.read_line(&mut text) {
            Ok(0) | Err(_) => return Err(text),
            Ok(_) if text[line_start..].contains(ready) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Reads the log to its end: otherwise the server would stop at a full pipe.
fn drain(mut log: BufReader<ChildStdout>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 1024];
        while log.read(&mut chunk).is_ok_and(|length| length > 0) {}
    });
}
