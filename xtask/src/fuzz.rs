//! `cargo xtask fuzz`: throws inputs at whatever reads bytes and texts of others, in release.

use crate::steps::cargo;

/// For so long as `arguments` say. False if something broke.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let run = ["run", "--release", "--quiet", "--package", "fuzz", "--"];
    let arguments: Vec<&str> = run.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let status = cargo(&arguments).status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}
