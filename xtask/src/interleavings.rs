//! `cargo xtask interleavings`: what the threads of one process share, in every order in which they
//! may come to it.

use crate::steps::{cargo, with_cfg};

/// The tests beside the pieces, or those whose names hold what is given. Each prints how many
/// orders it has tried.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let test = ["test", "--quiet", "--package", "cache-core", "--lib"];
    let wanted = arguments.first().map_or("interleavings", String::as_str);
    let mut command = with_cfg("cache_loom", cargo(&[&test[..], &[wanted, "--", "--nocapture"]].concat()));
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}
