//! `cargo xtask bench`: the comparisons, in release, on a server of their own.

use crate::install;
use crate::steps::cargo;

/// Runs the package in `benches/`, a workspace of its own, so that users never build the peers.
/// False if it failed.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let redis = install::redis()?;
    println!("{}: {}", redis.display(), install::version(&redis).unwrap_or_default());
    let mut command =
        cargo(&["run", "--release", "--manifest-path", "benches/Cargo.toml", "--target-dir", "target/benches", "--"]);
    command.args(arguments).env("CACHE_TEST_REDIS_BIN", &redis);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}
