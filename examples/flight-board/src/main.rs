//! `flight-board tour` shows what the cache does, and checks it;
//! `flight-board serve` runs the board.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cache_core::{Cache, ErrorKind};
use flight_board::api::App;
use flight_board::db::Db;
use flight_board::{outbox, setup, tour, warm};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const USAGE: &str = "\
usage: flight-board [tour]
       flight-board serve [--listen 127.0.0.1:3000] [--database FILE]

tour    drives the board over HTTP, prints what came from where, and fails if a printed claim is not true
serve   runs the board; with --database, processes that use the same file share one cache

CACHE_URL=redis://…  caches there; otherwise in the embedded store";

enum Command {
    Tour,
    Serve { listen: SocketAddr, database: Option<PathBuf> },
    Help,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match command(std::env::args().skip(1)) {
        Ok(Command::Tour) => tour::run().await,
        Ok(Command::Serve { listen, database }) => serve(listen, database).await.map(|()| true),
        Ok(Command::Help) => {
            println!("{USAGE}");
            Ok(true)
        }
        Err(mistake) => {
            eprintln!("{mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flight-board: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    match words.next().as_deref() {
        None | Some("tour") => words.next().map_or(Ok(Command::Tour), |word| Err(format!("`tour` takes no `{word}`"))),
        Some("serve") => {
            let (mut listen, mut database) = (SocketAddr::from(([127, 0, 0, 1], 3000)), None);
            while let Some(option) = words.next() {
                let value = words.next().ok_or_else(|| format!("`{option}` needs a value"))?;
                match option.as_str() {
                    "--listen" => {
                        listen = value.parse().map_err(|_| format!("`{value}` is not an address and a port"))?
                    }
                    "--database" => database = Some(PathBuf::from(value)),
                    _ => return Err(format!("`serve` has no option `{option}`")),
                }
            }
            Ok(Command::Serve { listen, database })
        }
        Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some(word) => Err(format!("there is no command `{word}`")),
    }
}

async fn serve(listen: SocketAddr, database: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let db = match &database {
        Some(file) => Db::open(file)?,
        None => Db::in_memory()?,
    };
    // Some hits are loaded again and compared: a change that forgets to invalidate would show.
    let settings = Cache::builder().namespace(db.namespace()).verify(0.05);
    let (cache, store) = setup::install_cache(settings)?;
    match cache.ready(Duration::from_secs(2)).await {
        Err(error) if error.kind() == ErrorKind::Config => return Err(error.into()),
        Err(error) => eprintln!("flight-board: {error}; the board does without the cache until it is there"),
        Ok(()) => {}
    }
    // Before anything is served: what a process that died after a commit had still to invalidate.
    outbox::relay(&db, &cache).await?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    println!("flight board on http://{address}, cached in {store}; try:");
    println!("  curl -i 'http://{address}/airports/DFW/departures?day=2001-03-09'");
    println!("what the cache does: http://{address}/cache");
    let app = App::new(db.clone(), cache.clone());
    let mut background = JoinSet::new(); // dropped, it stops
    background.spawn(outbox::relay_forever(db, cache.clone()));
    let warming = app.clone();
    background.spawn(async move {
        let warmed = warm::at_start(&warming).await;
        println!("{} of the {} busiest boards are warm", warmed.done, warmed.total);
    });
    setup::serve(listener, app, stopped()).await?;
    if database.is_none() {
        // Nobody will ever ask for these again. A server that is not
        // there any more lets them expire.
        let _ = cache.clear().await;
    }
    Ok(())
}

/// Ctrl-C, or the TERM of whoever supervises us.
async fn stopped() {
    #[cfg(unix)]
    let term = async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("every Unix lets a process catch TERM");
        term.recv().await;
    };
    #[cfg(not(unix))]
    let term = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}
