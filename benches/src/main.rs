//! Measures cache-core beside raw redis-rs, other caching libraries and the naive way, and prints
//! Markdown. Run by `cargo xtask bench`.
//!
//! Every contestant runs in every round, so that other work of the machine slows all of them; what
//! counts is the ratio within a round. The server is our own and shares the machine.

use std::time::Duration;

use cache_tests::{Server, ServerKind};

mod batch;
mod cascade;
mod cluster;
mod flight;
mod hit;
mod in_process;
mod large;
mod memory;
mod million;
mod near;
mod rounds;
mod scale;
mod scripts;
mod server_time;
mod soak;
mod wake;

/// Two threads, like the machine that the numbers in the README come from.
const WORKERS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first() {
        let alone = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
        if first == "crowd" {
            return alone().block_on(cache_tests::crowd_main(rest));
        }
        if first == "near-crowd" {
            return alone().block_on(cache_tests::near_main(rest));
        }
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let size = arguments.iter().find_map(|argument| argument.strip_prefix("--size="));
    let size = size.map(|size| size.parse().expect("--size is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.expect("a tokio runtime");
    for name in arguments.iter().filter(|argument| !argument.starts_with("--")) {
        runtime.block_on(compare(name, quick, size));
    }
}

/// Makes one comparison, on a server of its own. `size` is how many entries there are in those that
/// are about many.
async fn compare(name: &str, quick: bool, size: Option<u64>) {
    let server = Server::start(ServerKind::Redis);
    let rounds = if quick { 3 } else { 9 };
    let slice = |quick_ms, ms| Duration::from_millis(if quick { quick_ms } else { ms });
    let size = |quick_size, usual| size.unwrap_or(if quick { quick_size } else { usual });
    match name {
        "hit" => hit::run(&server, rounds, slice(200, 700)).await,
        "in-process" => in_process::run(rounds, slice(20, 200)).await,
        "server-time" => server_time::run(&server, rounds).await,
        "scripts" => scripts::run(&server, rounds).await,
        "batch" => batch::run(&server, rounds, slice(200, 700)).await,
        "memory" => memory::run(&server).await,
        "large" => large::run(&server, rounds, slice(300, 1_000)).await,
        "wake" => wake::run(rounds).await,
        "near" => near::run(&server, if quick { 100_000 } else { 1_000_000 }).await,
        "cascade" => cascade::run(&server, rounds).await,
        "cluster" => cluster::run(rounds).await,
        "scale" => scale::run(&server, rounds, slice(200, 700), if quick { 100_000 } else { 1_000_000 }).await,
        "million" => million::run(&server, size(100_000, 1_000_000)).await,
        "soak" => soak::run(&server, size(100_000, 10_000_000)).await,
        _ => panic!("no comparison `{name}`: `cache-core/docs/performance.md` has all of them"),
    }
}
