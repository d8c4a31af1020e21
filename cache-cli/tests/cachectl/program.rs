//! Runs the built program.

use std::fs::File;
use std::process::{Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tokio::process::Command;

/// What a run has said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints text");
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The answer of a run that ended well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.any_json()
    }

    pub(crate) fn any_json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, without a terminal, in an environment without settings of its own.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
    for name in ["URL", "NAMESPACE", "USER", "PASSWORD", "ADMIN", "ADMIN_AUTHORIZATION"] {
        command.env_remove(format!("CACHE_{name}"));
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn run(mut command: Command) -> Said {
    Said::of(&command.output().await.expect("it runs"))
}

/// A run at a server, in this namespace.
pub(crate) async fn at(url: &str, namespace: &str, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.env("CACHE_URL", url).env("CACHE_NAMESPACE", namespace);
    run(command).await
}

/// A terminal: the side of the person, and that of the program.
pub(crate) fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    (File::from(person), File::options().read(true).write(true).open(name).unwrap())
}
