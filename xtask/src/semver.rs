//! `cargo xtask semver`: whether the public API has changed more than the version says.

use crate::steps::{announce, cargo};

/// The libraries whose API is promised. What `cache-macros` has, `cache-core` shows.
const LIBRARIES: [&str; 5] = ["cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http"];

/// Compares with the last tag of a release. Without one there is nothing to compare with.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if !arguments.is_empty() {
        return Err("`cargo xtask semver` takes no arguments".to_owned());
    }
    let Some(tag) = last_release()? else {
        println!("no tag of a release: there is nothing to compare with");
        return Ok(true);
    };
    let packages = LIBRARIES.iter().flat_map(|name| ["--package", name]);
    let arguments: Vec<&str> = ["semver-checks", "--baseline-rev", &tag].into_iter().chain(packages).collect();
    let mut command = cargo(&arguments);
    announce(&command);
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

/// The last tag `v…` that this state descends from.
fn last_release() -> Result<Option<String>, String> {
    let mut git = std::process::Command::new("git");
    git.args(["tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD"]);
    let output =
        git.current_dir(crate::steps::workspace()).output().map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().map(ToOwned::to_owned))
}
