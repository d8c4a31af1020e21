//! `cargo xtask check-consistency`: random histories, in release, on a server of their own.

use crate::install;
use crate::steps::cargo;

/// The stores, and how many reads of each continuous integration checks: a million in less than two
/// minutes, or as many as a slow machine makes in that time. The embedded store has no connections
/// to wait for.
const STORES: [(&str, &str); 3] = [("embedded", "400000"), ("redis", "300000"), ("valkey", "300000")];
const QUICK_MINUTES: &str = "0.6";
/// Each has faults of its own, and takes minutes.
const CLUSTERS: [&str; 2] = ["redis-cluster", "valkey-cluster"];

/// One history on each store, or on the one that is named. False if one is not as promised.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let (redis, valkey) = (install::redis()?, install::valkey()?);
    let has_faults = arguments.iter().any(|argument| argument == "--faults");
    let faketime = if has_faults { install::faketime() } else { None };
    let check = |arguments: &[&str]| {
        // The mix of a rule has the small limits of the build in which the rule is left out.
        let is_ablated = arguments.contains(&"--ablate") || arguments.contains(&"--mix-of");
        let run = ["run", "--release", "--quiet", "--package", "consistency"];
        let apart = if is_ablated { &["--target-dir", "target/ablation"][..] } else { &[] };
        let mut command = cargo(&[&run[..], apart, &["--"], arguments].concat());
        if is_ablated {
            // No feature: a feature could be turned on by somebody's dependency.
            command.env("RUSTFLAGS", "--cfg cache_ablation");
        }
        if let Some(library) = &faketime {
            command.env("CACHE_TEST_FAKETIME_LIB", library);
        }
        command.env("CACHE_TEST_REDIS_BIN", &redis).env("CACHE_TEST_VALKEY_BIN", &valkey);
        let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
        Ok::<bool, String>(status.success())
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.contains(&"--store") {
        return check(&arguments);
    }
    let is_quick = arguments.contains(&"--quick");
    let given: Vec<&str> = arguments.into_iter().filter(|argument| *argument != "--quick").collect();
    let mut holds = true;
    let clusters = CLUSTERS.iter().filter(|_| !is_quick).map(|store| (*store, ""));
    for (store, reads) in STORES.into_iter().chain(clusters).filter(|(store, _)| !has_faults || *store != "embedded") {
        let quick = ["--reads", reads, "--minutes", QUICK_MINUTES];
        let quick = if is_quick { &quick[..] } else { &[] };
        holds &= check(&[&["--store", store], quick, &given].concat())?;
        println!();
    }
    Ok(holds)
}
