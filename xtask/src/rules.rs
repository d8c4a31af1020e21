//! `cargo xtask rules`: each rule that a process keeps is left out, and the test must fail that is
//! named beside the rule in `cache-core/src/ablation.rs`.

use crate::install;
use crate::server::Server;
use crate::steps::cargo;

/// What is built without rules has a directory of its own, for all of it sees the `cfg`.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if !arguments.is_empty() {
        return Err("cargo xtask rules takes no arguments".to_owned());
    }
    let redis = Server::redis_of_few_rights(&install::redis()?)?;
    let test = ["test", "--quiet", "--target-dir", "target/ablation", "--package", "cache-core", "--lib"];
    let mut command = cargo(&[&test[..], &["each_rule_of_a_process", "--", "--nocapture"]].concat());
    // No feature: a feature could be turned on by somebody's dependency.
    command.env("RUSTFLAGS", "--cfg cache_ablation").env("CACHE_TEST_REDIS_URL", redis.url());
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}
