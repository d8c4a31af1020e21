//! `cargo xtask check-consistency`: a random history of several processes on a real server, each
//! read of which is checked. `options.rs` says what it takes, `cache-core/docs/consistency.md` what
//! is promised, and `checker.rs` how a read is judged.

mod bias;
mod checker;
mod clock;
mod conductor;
mod coverage;
mod database;
mod faults;
mod ledger;
mod link;
mod mix;
mod names;
mod options;
mod probing;
mod record;
mod report;
mod wire;
mod witness;
mod worker;
mod world;

use std::process::ExitCode;

use crate::options::Options;
use crate::worker::Orders;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(orders) = arguments.split_first().filter(|(first, _)| *first == "worker") {
        worker::run(&Orders::parse(orders.1).expect("the conductor says what a worker needs"));
        return ExitCode::SUCCESS;
    }
    let checked = Options::parse(&arguments).and_then(|options| check(&options));
    match checked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the history is as it must be.
fn check(options: &Options) -> Result<bool, String> {
    // The conductor has this thread; the link that faults are done to and their director have one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(conductor::run(options.clone())).map_err(|error| error.to_string())?;
    println!("{}", report::text(options, &outcome));
    print!("{}", report::witnesses(options, &outcome));
    if let Some(rule) = &options.ablate {
        let found = outcome.checker.stale_count() > 0;
        println!("{}", report::ablation(options, rule, &outcome));
        return Ok(found);
    }
    if options.records {
        println!("{}", ledger::note(options, &outcome)?);
    }
    let counts = ["panics", "failed calls"].map(|count| outcome.coverage.count(count));
    let is_covered = outcome.coverage.lacks(options, outcome.checker.judged()).is_empty();
    Ok(outcome.checker.stale_count() == 0 && counts == [0, 0] && outcome.fault_ledger.holds() && is_covered)
}
