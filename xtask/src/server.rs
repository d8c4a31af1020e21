//! The servers that all tests share.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Most attempts to start: somebody else may take a port after it was found free and before the
/// server listens.
const ATTEMPTS: usize = 20;
/// What both Redis and Valkey print once they listen.
const READY: &str = "eady to accept connections";
/// Runs the server and kills it when stdin closes, so the server cannot outlive us, however we end.
/// Only the server writes the log, so the log ends when the server does.
const GUARD: &str =
    "\"$@\" & server=$!; exec >/dev/null 2>&1; trap 'kill -9 $server; wait' EXIT; trap exit HUP INT TERM; read -r _";

/// A running server; dropping it kills it.
pub(crate) struct Server {
    guard: Child,
    port: u16,
}

impl Server {
    /// Starts a server on a free loopback port; it keeps nothing on disk.
    pub(crate) fn start(program: &Path) -> Result<Self, String> {
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_on(free_port()?, program)? {
                Ok(server) => return Ok(server),
                Err(its_log) => log = its_log,
            }
        }
        Err(format!("{} does not start:\n{log}", program.display()))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Makes one attempt; the inner error is the server's log.
    fn start_on(port: u16, program: &Path) -> Result<Result<Self, String>, String> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run sh: {error}"))?;
        let mut log = BufReader::new(guard.stdout.take().expect("stdout is piped"));
        let server = Self { guard, port };
        Ok(wait_until_ready(&mut log).map(|()| {
            drain(log);
            server
        }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // Fails only if the server is gone already.
        let _ = self.guard.wait();
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free loopback port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Waits until the server listens. Returns the log as an error if the server gives up.
fn wait_until_ready(log: &mut BufReader<ChildStdout>) -> Result<(), String> {
    let mut text = String::new();
    loop {
        let line_start = text.len();
        match log.read_line(&mut text) {
            Ok(0) | Err(_) => return Err(text),
            Ok(_) if text[line_start..].contains(READY) => return Ok(()),
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
