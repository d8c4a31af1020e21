//! Runs cargo and counts what passed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// A command of the same cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace()).stdin(Stdio::null());
    command
}

/// Has cargo build the packages of this workspace with a `cfg`, and what they depend on as ever, so
/// that nobody builds that once more. No feature: it could be turned on by somebody's dependency.
pub(crate) fn with_cfg(cfg: &str, mut command: Command) -> Command {
    // Cargo tells its builds apart by the path of this program.
    command.env("RUSTC_WORKSPACE_WRAPPER", workspace().join("xtask/with-cfg").join(cfg));
    command
}

/// Copies a file, and creates the folder that it goes to.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let copied = fs::create_dir_all(folder).and_then(|()| fs::copy(from, to));
    copied.map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
}

/// Copies a folder with all that is in it; what links lead to is copied as well.
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    for entry in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_all(&path, &target)? } else { copy(&path, &target)? }
    }
    Ok(())
}

/// What a command prints. Its complaints and its progress are shown as they come.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many lines of each failure are shown again at the end: what is behind them is its backtrace.
const FAILURE_LINES_MAX: usize = 12;

/// The count of what was run so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    /// What the failures said, shown once more at the end: somebody may be given the end alone.
    failures: Vec<String>,
    /// How many of the lines that come tell of the failure that is being told.
    failure_lines_left: usize,
    /// What tests have printed beside others, to be shown when all are done.
    kept: Option<Vec<String>>,
}

/// Tests and checks, one after the other.
pub(crate) type Lane<'a> = Box<dyn FnOnce(&mut Tally) + Send + 'a>;

impl Tally {
    /// Does all lanes at once. What tests of another one than the first print is shown at the end.
    pub(crate) fn side_by_side(&mut self, first: Lane<'_>, others: Vec<Lane<'_>>) {
        let start = |lane: Lane<'_>| {
            let mut tally = Self { kept: Some(Vec::new()), ..Self::default() };
            lane(&mut tally);
            tally
        };
        thread::scope(|scope| {
            let started: Vec<_> = others.into_iter().map(|lane| scope.spawn(move || start(lane))).collect();
            first(self);
            for other in started {
                let tally = other.join().expect("the thread only counts");
                tally.kept.iter().flatten().for_each(|line| println!("{line}"));
                self.passed += tally.passed;
                self.failed += tally.failed;
                self.failures.extend(tally.failures);
            }
        });
    }

    /// Runs tests, shows their output as it comes, and counts each.
    pub(crate) fn tests(&mut self, mut command: Command) {
        announce(&command);
        let mut child = match command.stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => return self.check(Err(format!("cannot run cargo: {error}"))),
        };
        let failed_before = self.failed;
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        for line in output.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            match &mut self.kept {
                Some(kept) => kept.push(line.to_string()),
                None => println!("{line}"),
            }
            self.count(&line);
            self.keep_failures(&line);
        }
        let succeeded = child.wait().is_ok_and(|status| status.success());
        if !succeeded && self.failed == failed_before {
            // Nothing was counted: it did not build, or a test took its whole process down.
            self.check(Err("this command failed without a failed test".to_owned()));
        }
    }

    /// Runs a command that passes or fails as a whole.
    pub(crate) fn command(&mut self, mut command: Command) {
        announce(&command);
        self.check(match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("cannot run it: {error}")),
        });
    }

    /// Runs a command that must fail and say this, and not that.
    pub(crate) fn refused(&mut self, command: Command, says: &str, hides: &str) {
        self.check(complaints(command).and_then(|(status, said)| {
            match !status.success() && said.contains(says) && !said.contains(hides) {
                true => Ok(()),
                false => Err(format!("{status}; it should fail, say {says:?}, and not say {hides:?}")),
            }
        }));
    }

    /// Checks a package, in which the compiler may warn of nothing.
    pub(crate) fn compiles(&mut self, command: Command) {
        self.check(complaints(command).and_then(|(status, said)| match status.success() {
            false => Err(status.to_string()),
            true if said.lines().any(|line| line.starts_with("warning: ")) => Err("it warns".to_owned()),
            true => Ok(()),
        }));
    }

    /// Counts one check.
    pub(crate) fn check(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(reason) => {
                let told = format!("FAILED: {reason}");
                println!("{told}");
                self.failures.push(told);
                self.failed += 1;
            }
        }
    }

    /// Prints what failed, and the last line.
    pub(crate) fn finish(self) -> bool {
        for line in &self.failures {
            println!("{line}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }

    /// Keeps the lines in which libtest tells what failed, and why.
    fn keep_failures(&mut self, line: &str) {
        let is_list = line == "failures:";
        if is_list && self.failure_lines_left == 0 {
            self.failures.push(String::new());
        }
        match line {
            _ if is_list || line.starts_with("---- ") => self.failure_lines_left = FAILURE_LINES_MAX,
            _ if line.starts_with("test result: ") => self.failure_lines_left = 0,
            _ => {}
        }
        if self.failure_lines_left > 0 {
            self.failure_lines_left -= 1;
            self.failures.push(line.to_owned());
        }
    }

    /// Reads libtest's `test result: ok. 24 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number_before = |word: &str| {
            let (before, _) = result.split_once(word)?;
            before.rsplit(' ').next()?.parse::<u64>().ok()
        };
        self.passed += number_before(" passed").unwrap_or(0);
        self.failed += number_before(" failed").unwrap_or(0);
    }
}

/// Runs a command, and shows what it complains of: how it ended, and these complaints.
fn complaints(mut command: Command) -> Result<(ExitStatus, String), String> {
    announce(&command);
    let output = command.stderr(Stdio::piped()).spawn().and_then(Child::wait_with_output);
    let output = output.map_err(|error| format!("cannot run it: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    print!("{said}");
    Ok((output.status, said))
}

/// Shows what is run.
pub(crate) fn announce(command: &Command) {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("\n$ cargo {}", arguments.join(" "));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Tally;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_package_with_a_warning_does_not_pass() {
        let passes = |script| {
            let mut tally = Tally::default();
            tally.compiles(shell(script));
            tally.failed == 0
        };
        assert!(passes("echo Checking >&2"));
        assert!(!passes("echo 'warning: unused import' >&2"));
        assert!(!passes("exit 101"));
    }

    #[test]
    fn a_refusal_fails_says_why_and_hides_the_rest() {
        let passes = |script| {
            let mut tally = Tally::default();
            tally.refused(shell(script), "needs TLS", "secret");
            tally.failed == 0
        };
        assert!(passes("echo 'it needs TLS' >&2; exit 1"));
        assert!(!passes("echo 'it needs TLS' >&2"));
        assert!(!passes("echo 'something else' >&2; exit 1"));
        assert!(!passes("echo 'secret needs TLS' >&2; exit 1"));
    }

    #[test]
    fn what_failed_is_kept_for_the_end() {
        let mut tally = Tally::default();
        let said = [
            "test one ... FAILED",
            "failures:",
            "---- one stdout ----",
            "left: 1, right: 2",
            "failures:",
            "    one",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "running 1 test",
            "test two ... ok",
        ];
        for line in said {
            tally.keep_failures(line);
        }
        assert_eq!(tally.failures, ["", "failures:", said[2], said[3], said[4], said[5]]);
    }

    #[test]
    fn a_long_backtrace_hides_no_failure_behind_it() {
        let mut tally = Tally::default();
        tally.keep_failures("failures:");
        for name in ["one", "two"] {
            tally.keep_failures(&format!("---- {name} stdout ----"));
            (0..1_000).for_each(|frame| tally.keep_failures(&format!("{frame:>4}: a frame")));
        }
        let told: Vec<_> = tally.failures.iter().filter(|line| line.starts_with("---- ")).collect();
        assert_eq!(told, ["---- one stdout ----", "---- two stdout ----"]);
        assert!(tally.failures.len() < 40, "{:?}", tally.failures);
    }

    #[test]
    fn libtest_results_are_added_up() {
        let mut tally = Tally::default();
        tally.count("running 24 tests");
        tally.count("test result: ok. 24 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.56s");
        tally.count("test result: FAILED. 2 passed; 22 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!((tally.passed, tally.failed), (26, 22));
    }
}
