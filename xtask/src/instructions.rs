//! `cargo xtask instructions`: counts what the hot paths execute and how often they allocate, and
//! compares with the committed counts. A count hardly depends on the machine or on what else runs
//! there, as times do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install;
use crate::server::Server;
use crate::steps::{Tally, cargo, workspace};

const COUNTS: &str = "instructions/counts.toml";
const HEAD: &str = "\
# What one iteration of each hot path executes, in instructions of this process, the kernel's left out,
# and how often it allocates.
# Written by `cargo xtask instructions --bless`; `cargo xtask instructions` compares.
";
/// Beyond this share of the committed instructions, more or less, the path has changed.
const TOLERANCE: f64 = 0.03;
/// Allocations are counted exactly, but for what is shared by many iterations.
const TOLERANCE_ALLOCATIONS: f64 = 0.5;
/// Iterations of the shorter run, and of the longer one. Both are multiples of the crowd.
const ITERATIONS: [u64; 2] = [256, 1_280];

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
    println!("{:<32} {:>12} {:>12} {:>12} {:>12}", "path", "instructions", "committed", "allocations", "committed");
    for path in counter.paths()? {
        let counted = counter.count(&path)?;
        let before = committed.of(&path);
        let [instructions, allocations] = before.map_or(["-".to_owned(), "-".to_owned()], |cost| {
            [cost.instructions.to_string(), cost.allocations.to_string()]
        });
        println!(
            "{path:<32} {:>12} {instructions:>12} {:>12} {allocations:>12}",
            counted.instructions, counted.allocations
        );
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

/// What one iteration of a path costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    instructions: u64,
    /// To a tenth: some allocations serve several iterations.
    allocations: f64,
}

/// A path that became cheaper is written down as well: otherwise it could become as dear again
/// unseen.
fn compare(path: &str, counted: Cost, committed: Option<Cost>) -> Result<(), String> {
    let Some(committed) = committed else {
        return Err(format!("`{path}` has no committed count: run `cargo xtask instructions --bless`"));
    };
    let change = counted.instructions as f64 / committed.instructions as f64 - 1.0;
    let allocations = (counted.allocations - committed.allocations).abs();
    if change.abs() <= TOLERANCE && allocations <= TOLERANCE_ALLOCATIONS {
        return Ok(());
    }
    Err(format!(
        "`{path}` executes {} instructions ({:+.1} %) with {} allocations, not {} with {}; if that is meant, run \
         `cargo xtask instructions --bless` and say why in the commit",
        counted.instructions,
        change * 100.0,
        counted.allocations,
        committed.instructions,
        committed.allocations
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

    /// What one iteration costs.
    fn count(&self, path: &str) -> Result<Cost, String> {
        let callgrind =
            ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=instructions::counted"];
        let dhat = ["--tool=dhat", "--dhat-out-file=/dev/null"];
        // `==7== Collected : 123`
        let instructions =
            self.difference(path, &callgrind, |line| line.split_once("Collected : ").map(|(_, rest)| rest))?;
        // `==7== Total:     1,234 bytes in 56 blocks`
        let allocations = self.difference(path, &dhat, |line| {
            line.split_once("Total: ")?.1.split_once(" bytes in ")?.1.strip_suffix(" blocks")
        })?;
        Ok(Cost { instructions: instructions.round() as u64, allocations: (allocations * 10.0).round() / 10.0 })
    }

    /// What the longer run has more than the shorter one, for each iteration that it has more.
    fn difference(&self, path: &str, tool: &[&str], number: impl Fn(&str) -> Option<&str>) -> Result<f64, String> {
        let run = |iterations: u64| {
            let mut command = Command::new(&self.valgrind);
            command
                .args(tool)
                .arg(&self.program)
                .args([path, &iterations.to_string()])
                .env("CACHE_URL", &self.cache_url);
            let output = command.stdin(Stdio::null()).output();
            let output = output.map_err(|error| format!("cannot run valgrind: {error}"))?;
            let report = String::from_utf8_lossy(&output.stderr).into_owned();
            let number =
                report.lines().find_map(&number).and_then(|number| number.trim().replace(',', "").parse().ok());
            number
                .filter(|_| output.status.success())
                .ok_or_else(|| format!("nothing was counted of `{path}`:\n{report}"))
        };
        let [fewer, more] = ITERATIONS;
        let (whole, part): (f64, f64) = (run(more)?, run(fewer)?);
        Ok((whole - part) / (more - fewer) as f64)
    }
}

/// The committed file, which is TOML: each path is a line of its own.
#[derive(Default)]
struct Counts {
    environment: String,
    paths: Vec<(String, Cost)>,
}

impl Counts {
    fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {COUNTS}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{COUNTS} has a line that is not as `--bless` writes it"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            match line.split_once(" = ")? {
                ("environment", environment) => counts.environment = environment.trim_matches('"').to_owned(),
                (path, cost) => {
                    let cost = cost.strip_prefix("{ instructions = ")?.strip_suffix(" }")?;
                    let (instructions, allocations) = cost.split_once(", allocations = ")?;
                    let cost =
                        Cost { instructions: instructions.parse().ok()?, allocations: allocations.parse().ok()? };
                    counts.paths.push((path.to_owned(), cost));
                }
            }
        }
        Some(counts)
    }

    fn of(&self, path: &str) -> Option<Cost> {
        self.paths.iter().find_map(|(name, cost)| (name == path).then_some(*cost))
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}environment = \"{}\"", self.environment)?;
        self.paths.iter().try_for_each(|(path, Cost { instructions, allocations })| {
            writeln!(f, "{path} = {{ instructions = {instructions}, allocations = {allocations:.1} }}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cost, Counts, compare};

    #[test]
    fn counts_are_read_as_they_were_written() {
        let cost = Cost { instructions: 7, allocations: 1.5 };
        let counts = Counts { environment: "rustc 1".to_owned(), paths: vec![("hit".to_owned(), cost)] };
        let again = Counts::parse(&counts.to_string()).expect("what was written");
        assert_eq!((again.environment, again.paths), (counts.environment, counts.paths));
    }

    #[test]
    fn a_count_beyond_the_tolerance_fails_on_either_side() {
        let committed = Some(Cost { instructions: 1_000, allocations: 3.0 });
        let compare = |instructions, allocations| compare("hit", Cost { instructions, allocations }, committed);
        assert!(compare(1_029, 3.4).is_ok());
        assert!(compare(971, 2.6).is_ok());
        assert!(compare(1_032, 3.0).is_err());
        assert!(compare(968, 3.0).is_err());
        assert!(compare(1_000, 4.0).is_err());
        assert!(compare(1_000, 2.0).is_err());
    }

    #[test]
    fn a_path_without_a_committed_count_fails() {
        assert!(compare("hit", Cost { instructions: 1, allocations: 0.0 }, None).is_err());
    }
}
