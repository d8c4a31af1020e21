//! `cargo xtask interleavings`: what the threads of one process share, in every order in which they
//! may come to it.

use crate::steps::cargo;

/// The tests beside the pieces, or those whose names hold what is given. Each prints how many
/// orders it has tried. They have a directory of their own, for all that is built for them sees the
/// `cfg`.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let test = ["test", "--quiet", "--target-dir", "target/interleavings", "--package", "cache-core", "--lib"];
    let wanted = arguments.first().map_or("interleavings", String::as_str);
    let mut command = cargo(&[&test[..], &[wanted, "--", "--nocapture"]].concat());
    // No feature: a feature could be turned on by somebody's dependency.
    command.env("RUSTFLAGS", "--cfg cache_loom");
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}
