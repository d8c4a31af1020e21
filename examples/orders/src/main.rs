//! `orders tour` shows what a transaction does with the cache, and checks it; `orders serve` runs
//! the shop; `orders staleness` measures how long changes of other programs stay unseen.

mod client;
mod postgres;
mod schema;
mod setup;
mod sqlite;
mod staleness;
mod tour;

use std::process::ExitCode;

const USAGE: &str = "\
usage: orders [tour]
       orders serve
       orders staleness

tour       places orders over HTTP, prints what came of it, and fails if a printed claim is not true
serve      runs the shop, and prints where
staleness  changes rows as another program would, and prints how long old values were served

DATABASE_URL=postgres://…  the database; otherwise SQLite in a file that is removed at the end
CACHE_URL=redis://…        caches there; otherwise in the embedded store of one process";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["tour"] => tour::run().await,
        ["serve"] => setup::serve().await,
        ["staleness"] => staleness::run().await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("orders: {error}");
            ExitCode::FAILURE
        }
    }
}
