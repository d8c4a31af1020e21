//! `cargo xtask …`: the project's own commands.

use std::process::ExitCode;

mod bench;
mod build_times;
mod cluster;
mod consistency;
mod deny;
mod fuzz;
mod install;
mod instructions;
mod interleavings;
mod litmus;
mod minimal_versions;
mod model;
mod packages;
mod semver;
mod server;
mod site;
mod steps;
mod test;

const USAGE: &str = "\
cargo xtask test [cargo test arguments]   start Redis, Valkey, clusters of both and databases, and run everything, or only the tests asked for
cargo xtask check-consistency [--store S] [--quick] [--faults all|random|NAMES] [options]
                                          random histories of several processes, each read of which is checked
cargo xtask deny [checks]                 hold what the workspace is built from against deny.toml
cargo xtask instructions [--bless]        count instructions and allocations of the hot paths, and compare
cargo xtask interleavings [part of a name]
                                          try the orders in which threads come to what a process shares
cargo xtask model [part of a name]        give the second model of the protocol to spin, with and without each rule
cargo xtask fuzz [targets] [--seconds N] [--seed N]
                                          throw bytes and texts at whatever reads those of others
cargo xtask site                          build the documentation as a book, and follow its links
cargo xtask packages                      pack each library, and build it from its package
cargo xtask minimal-versions              build the libraries with the oldest dependencies that they say they take
cargo xtask semver                        compare the public API with the last release (needs cargo-semver-checks)
cargo xtask litmus [--write]              ask other libraries what they return after an invalidation
cargo xtask bench [all | names] [--quick | --size=N] [--write]
                                          measure beside raw redis-rs, other libraries and the naive way";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_deref() {
        Some("test") => test::run(&rest),
        Some("check-consistency") => consistency::run(&rest),
        Some("deny") => deny::run(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("instructions") => instructions::run(&rest),
        Some("interleavings") => interleavings::run(&rest),
        Some("site") => site::run(&rest),
        Some("litmus") => litmus::run(&rest),
        Some("packages") => Ok(packages::run()),
        Some("minimal-versions") => minimal_versions::run(&rest),
        Some("semver") => semver::run(&rest),
        Some("model") => model::run(&rest),
        Some("bench") => bench::run(&rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
