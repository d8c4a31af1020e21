//! How a run ends: what it says, and its exit code.

use cache_core::{Error, ErrorKind};

/// How a run ended. The table stands in `--help` and in the README, and a test compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Done,
    /// It is done, and something is not as it should be.
    Warned,
    /// The same call fails again until it is corrected.
    Wrong,
    Unreachable,
    /// Nothing was done.
    Refused,
    /// What the cache promises is in danger, or nothing is cached.
    Critical,
    Interrupted,
}

/// Printed at the end of `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    done, with a warning: `doctor` has one, or a load of `warm` has failed
  2    wrong usage, URL, credentials, permissions or name
  3    the server or the admin address cannot be reached, or does not answer as it should
  4    nothing was done: the question was not answered with yes, or actions are not allowed
  5    `doctor` has found something critical
  130  interrupted";

impl Ending {
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Warned => 1,
            Self::Wrong => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Critical => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command could not go on.
#[derive(Debug)]
pub(crate) struct Failure {
    ending: Ending,
    /// Empty: there is nobody to tell.
    message: String,
}

impl Failure {
    pub(crate) fn new(ending: Ending, message: impl Into<String>) -> Self {
        Self { ending, message: message.into() }
    }

    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::new(Ending::Wrong, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Ending::Unreachable, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Ending::Refused, message)
    }

    /// Whoever read the output has seen enough, as `head` does.
    pub(crate) fn nobody_reads() -> Self {
        Self::new(Ending::Done, "")
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending
    }

    /// Empty: there is nobody to tell.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Config | ErrorKind::Encode | ErrorKind::Limit => Self::wrong(error.to_string()),
            _ => Self::unreachable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_readme_state_every_exit_code() {
        let readme = include_str!("../README.md");
        let every =
            [Ending::Done, Ending::Warned, Ending::Wrong, Ending::Unreachable, Ending::Refused, Ending::Critical];
        for ending in every.into_iter().chain([Ending::Interrupted]) {
            let code = ending.code().to_string();
            let line = EXIT_CODES.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{code} ")));
            let meaning = line.expect("each has a line").trim_start();
            assert!(readme.contains(&format!("| {code} | {meaning} |")), "{code}: {meaning}");
        }
        assert_eq!(EXIT_CODES.lines().count(), 8, "a heading, and a line for each");
    }
}
