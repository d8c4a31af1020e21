//! Another process on the same store.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::TestStore;

/// Another process of the application, on the store of a test; what it understands is said in `src/bin/process.rs`.
/// Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `program`, which is `env!("CARGO_BIN_EXE_process")` in every integration test, and waits until it is ready.
    ///
    /// # Panics
    /// On the embedded store, which no other process can see.
    pub async fn start(program: &str, store: &TestStore) -> Self {
        assert!(store.kind().is_some(), "no other process sees the embedded store");
        let mut child = Command::new(program)
            .args([store.url(), store.namespace()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        let orders = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut process = Self { child, orders, answers };
        process.expect("ready").await;
        process
    }

    /// Says one line.
    pub async fn say(&mut self, line: &str) {
        self.orders.write_all(format!("{line}\n").as_bytes()).await.expect("the process listens");
    }

    /// The next line that it answers.
    pub async fn answer(&mut self) -> String {
        self.answers.next_line().await.expect("answers are text").expect("the process lives")
    }

    /// Waits for exactly this answer.
    pub async fn expect(&mut self, answer: &str) {
        assert_eq!(self.answer().await, answer);
    }

    /// Says one line and takes the answer.
    pub async fn ask(&mut self, line: &str) -> String {
        self.say(line).await;
        self.answer().await
    }

    /// Kills it without a chance to put anything in order.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }
}
