//! Measures cache-core beside raw redis-rs, `cached` and the naive cascade, and prints Markdown.
//! Run by `cargo xtask bench`.
//!
//! Every contestant runs in every round, so that other work of the machine slows all of them; what
//! counts is the ratio within a round. The server is our own and shares the machine.

use std::time::Duration;

use cache_tests::{Server, ServerKind};

mod cascade;
mod flight;
mod hit;
mod large;
mod million;
mod rounds;
mod soak;
mod wake;

/// Two threads, like the machine that the numbers in the README come from.
const WORKERS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("crowd", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a tokio runtime").block_on(cache_tests::crowd_main(rest));
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = |name: &str| arguments.iter().all(|argument| argument.starts_with("--") || argument == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.expect("a tokio runtime").block_on(async {
        let server = Server::start(ServerKind::Redis);
        let rounds = if quick { 3 } else { 9 };
        if only("hit") {
            let slice = Duration::from_millis(if quick { 200 } else { 700 });
            hit::run(&server, rounds, slice).await;
        }
        if only("large") {
            large::run(&server, rounds, Duration::from_millis(if quick { 300 } else { 1_000 })).await;
        }
        if only("wake") {
            wake::run(rounds).await;
        }
        if only("cascade") {
            cascade::run(&server, rounds).await;
        }
        // Minutes long: only when asked for by name.
        if arguments.iter().any(|argument| argument == "million") {
            million::run(&server, if quick { 100_000 } else { 1_000_000 }).await;
        }
        if arguments.iter().any(|argument| argument == "soak") {
            soak::run(&server, if quick { 100_000 } else { 2_000_000 }).await;
        }
    });
}
