//! `cargo xtask semver`: whether the public API has changed more than the version says.

use std::process::Command;

use crate::steps::{announce, cargo, output, workspace};

/// The libraries whose API is promised. What `cache-macros` has, `cache-core` shows.
const LIBRARIES: [&str; 5] = ["cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http"];

/// Compares with the last release. Before the first one there is nothing to compare with.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if !arguments.is_empty() {
        return Err("`cargo xtask semver` takes no arguments".to_owned());
    }
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    if let Some(tag) = releases(&["--points-at", "HEAD"])?.into_iter().find(|tag| tag != version) {
        return Err(format!("the tag {tag} is on {version}"));
    }
    // Not the tag of this very state, if it is a release itself.
    let Some(tag) = releases(&["--merged", "HEAD", "--no-contains", "HEAD"])?.into_iter().next() else {
        println!("no tag of an earlier release: there is nothing to compare with");
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

/// The tags `v…` of which that is true, the newest version first.
fn releases(which: &[&str]) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["tag", "--list", "v*", "--sort=-version:refname"]).args(which).current_dir(workspace());
    Ok(output(git)?.lines().map(ToOwned::to_owned).collect())
}
