//! `cargo xtask instructions`: counts what the hot paths execute, and compares with the committed
//! counts. A count hardly depends on the machine or on what else runs there, as times do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install;
use crate::server::Server;
use crate::steps::{Tally, cargo, workspace};

const COUNTS: &str = "instructions/counts.toml";
const HEAD: &str = "\
# What one iteration of each hot path executes, in instructions of this process, the kernel's left out.
# Written by `cargo xtask instructions --bless`; `cargo xtask instructions` compares.
";
/// Beyond this share of the committed count, more or less, the path has changed.
const TOLERANCE: f64 = 0.03;
/// Iterations of the shorter run, and of the longer one. Both are multiples of the crowd.
const ITERATIONS: [u64; 2] = [256, 768];

/// Counts each path. False if a count differs from the committed one and both are of the same
/// compiler and C library. With `--bless` the counts are written down instead.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let bless = match arguments {
        [] => false,
        [only] if only == "--bless" => true,
        _ => return Err("cargo xtask instructions [--bless]".to_owned()),
    };
    let (valgrind, redis) = (install::valgrind()?, install::redis()?);
    let built = cargo(&["build", "--release", "--quiet", "--package", "instructions"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("the package `instructions` does not build".to_owned());
    }
    let server = Server::redis(&redis)?;
    let counter = Counter { valgrind, program: program(), cache_url: server.url() };
    let environment = environment();
    let file = workspace().join(COUNTS);
    let committed = if bless { Counts::default() } else { Counts::read(&file)? };
    let comparable = committed.environment == environment;
    if !bless && !comparable {
        println!("counted with {environment},\ncommitted with {}: shown, not compared", committed.environment);
    }
    let (mut tally, mut counts) = (Tally::default(), Counts { environment, paths: Vec::new() });
    println!("{:<28} {:>10} {:>10}", "path", "counted", "committed");
    for path in counter.paths()? {
        let counted = counter.count(&path)?;
        let before = committed.of(&path);
        let shown = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        println!("{path:<28} {counted:>10} {shown:>10}");
        tally.check(if bless || !comparable { Ok(()) } else { compare(&path, counted, before) });
        counts.paths.push((path, counted));
    }
    let gone = committed.paths.iter().filter(|(path, _)| counts.of(path).is_none());
    gone.for_each(|(path, _)| tally.check(Err(format!("`{path}` is committed, and there is no such path"))));
    if bless {
        std::fs::write(&file, counts.to_string()).map_err(|error| format!("cannot write {COUNTS}: {error}"))?;
    }
    Ok(tally.finish())
}

/// A path that became cheaper is written down as well: otherwise it could become as dear again
/// unseen.
fn compare(path: &str, counted: u64, committed: Option<u64>) -> Result<(), String> {
    let Some(committed) = committed else {
        return Err(format!("`{path}` has no committed count: run `cargo xtask instructions --bless`"));
    };
    let change = counted as f64 / committed as f64 - 1.0;
    if change.abs() <= TOLERANCE {
        return Ok(());
    }
    let word = if change > 0.0 { "more" } else { "fewer" };
    Err(format!(
        "`{path}` executes {counted} instructions, {:.1} % {word} than the committed {committed}; if that is meant, \
         run `cargo xtask instructions --bless` and say why in the commit",
        change.abs() * 100.0
    ))
}

/// What counts depend on apart from our code: the compiler, and the C library with its allocator.
fn environment() -> String {
    let first_line = |command: &[&str]| {
        let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
    };
    let rustc = first_line(&["rustc", "--version"]).unwrap_or_else(|| "an unknown rustc".to_owned());
    let libc = first_line(&["getconf", "GNU_LIBC_VERSION"]).unwrap_or_else(|| "an unknown C library".to_owned());
    format!("{rustc}, {}, {libc}", std::env::consts::ARCH)
}

fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    target.join("release/instructions")
}

struct Counter {
    valgrind: PathBuf,
    program: PathBuf,
    cache_url: String,
}

impl Counter {
    fn paths(&self) -> Result<Vec<String>, String> {
        let output = Command::new(&self.program).arg("list").stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// The instructions of one iteration.
    fn count(&self, path: &str) -> Result<u64, String> {
        let [fewer, more] = ITERATIONS;
        Ok(self.collected(path, more)?.saturating_sub(self.collected(path, fewer)?) / (more - fewer))
    }

    /// The instructions of a whole run, as callgrind reports them: `==7== Collected : 123`.
    fn collected(&self, path: &str, iterations: u64) -> Result<u64, String> {
        let mut command = Command::new(&self.valgrind);
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=instructions::counted"]);
        command.arg(&self.program).args([path, &iterations.to_string()]).env("CACHE_URL", &self.cache_url);
        let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run valgrind: {error}"))?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        match collected {
            Some(collected) if output.status.success() && collected > 0 => Ok(collected),
            _ => Err(format!("callgrind has counted nothing of `{path}`:\n{report}")),
        }
    }
}

/// The committed file: lines `name = value`, as TOML has them.
#[derive(Default)]
struct Counts {
    environment: String,
    paths: Vec<(String, u64)>,
}

impl Counts {
    fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {COUNTS}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{COUNTS} holds a line that is no `name = value`"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            match line.split_once(" = ")? {
                ("environment", environment) => counts.environment = environment.trim_matches('"').to_owned(),
                (path, count) => counts.paths.push((path.to_owned(), count.parse().ok()?)),
            }
        }
        Some(counts)
    }

    fn of(&self, path: &str) -> Option<u64> {
        self.paths.iter().find_map(|(name, count)| (name == path).then_some(*count))
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}environment = \"{}\"", self.environment)?;
        self.paths.iter().try_for_each(|(path, count)| writeln!(f, "{path} = {count}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, compare};

    #[test]
    fn counts_are_read_as_they_were_written() {
        let counts = Counts { environment: "rustc 1".to_owned(), paths: vec![("hit".to_owned(), 7)] };
        let again = Counts::parse(&counts.to_string()).expect("what was written");
        assert_eq!((again.environment, again.paths), (counts.environment, counts.paths));
    }

    #[test]
    fn a_count_beyond_the_tolerance_fails_on_either_side() {
        assert!(compare("hit", 1_029, Some(1_000)).is_ok());
        assert!(compare("hit", 1_032, Some(1_000)).is_err());
        assert!(compare("hit", 968, Some(1_000)).is_err());
        assert!(compare("hit", 1_000, None).is_err());
    }
}
