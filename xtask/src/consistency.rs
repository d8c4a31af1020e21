//! `cargo xtask check-consistency`: random histories, in release, on a server of their own.

use crate::install;
use crate::steps::{cargo, with_cfg};

/// The stores, and how many reads of each continuous integration checks: a million in two minutes,
/// or as many as a slow machine makes in that time. The embedded store has no connections to wait
/// for, and one cluster will do.
const STORES: [(&str, Option<&str>); 5] = [
    ("embedded", Some("400000")),
    ("redis", Some("290000")),
    ("valkey", Some("290000")),
    ("redis-cluster", None),
    ("valkey-cluster", Some("20000")),
];
/// Scripts are small in it, so that calls meet their ends. A script of the usual size visits more
/// members than such a history has.
const QUICK: [&str; 4] = ["--mix-of", "usual", "--minutes", "0.6"];

/// One history on each store, or on the one that is named. False if one is not as promised.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let (redis, valkey) = (install::redis()?, install::valkey()?);
    let has_faults = arguments.iter().any(|argument| argument == "--faults");
    let faketime = if has_faults { install::faketime() } else { None };
    let check = |arguments: &[&str]| {
        // Only the build in which a rule may be left out has limits that can be set.
        let is_ablated = arguments.contains(&"--ablate") || arguments.contains(&"--mix-of");
        let mut command =
            cargo(&[&["run", "--release", "--quiet", "--package", "consistency", "--"], arguments].concat());
        if is_ablated {
            command = with_cfg("cache_ablation", command);
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
    for (store, reads) in STORES.into_iter().filter(|(store, _)| !has_faults || *store != "embedded") {
        let quick = match reads {
            _ if !is_quick => Vec::new(),
            Some(reads) => [&QUICK[..], &["--reads", reads]].concat(),
            None => continue,
        };
        holds &= check(&[&["--store", store], &quick[..], &given].concat())?;
        println!();
    }
    Ok(holds)
}
