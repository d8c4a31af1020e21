//! `cargo xtask deny`: checks the dependencies of the workspace against `deny.toml`.

use std::process::{Command, Stdio};

use crate::install;
use crate::steps::workspace;

/// Makes every check that can be made here, or with `checks` exactly those. False if something was
/// found.
pub(crate) fn run(checks: &[String]) -> Result<bool, String> {
    let program = install::cargo_deny()?;
    let deny = |arguments: &[&str]| {
        println!("$ cargo deny {}", arguments.join(" "));
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(workspace()).stdin(Stdio::null());
        let status = command.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        Ok::<_, String>(status.success())
    };
    // A warning is about a line of `deny.toml` that nothing needs any more.
    let check = |checks: &[&str]| deny(&[&["check", "--deny", "warnings"], checks].concat());
    if !checks.is_empty() {
        return check(&checks.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if !check(&["bans", "licenses", "sources"])? {
        return Ok(false);
    }
    // Not every machine reaches the repository of the advisories. Whoever needs its answer names
    // the check.
    if !deny(&["fetch", "db"])? {
        println!("advisories: SKIPPED, because their database cannot be fetched from here");
        return Ok(true);
    }
    check(&["advisories"])
}
