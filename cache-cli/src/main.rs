//! `cachectl`: looks into a cache, invalidates, and finds what is wrong with its server. See
//! `README.md`.

mod admin;
mod args;
mod commands;
mod doctor;
mod ending;
mod target;
mod terminal;

use std::process::exit;

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use args::{Arguments, Command};
use ending::{Ending, Failure};
use target::Target;
use terminal::Terminal;

fn main() {
    let arguments = match read_arguments() {
        Ok(arguments) => arguments,
        Err(ending) => exit(ending.code()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ending = match runtime {
        Ok(runtime) => {
            let ending = runtime.block_on(until_interrupted(arguments));
            // A thread may still wait for an admin address.
            runtime.shutdown_background();
            ending
        }
        Err(error) => terminal::tell(&Failure::unreachable(format!("no runtime: {error}"))),
    };
    exit(ending.code());
}

/// What clap says of a mistake repeats the argument, which may be a URL with a password.
fn read_arguments() -> Result<Arguments, Ending> {
    let parsed = Arguments::command().try_get_matches().and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        let on_command_line = Some(clap::parser::ValueSource::CommandLine);
        let is_seen = |name: &str, url: &Option<String>| {
            matches.value_source(name) == on_command_line && url.as_deref().is_some_and(target::has_password)
        };
        if is_seen("url", &arguments.server.url) || is_seen("admin", &arguments.server.admin) {
            terminal::warn("whoever lists the processes sees the password in the URL: give it in the environment");
        }
        Ok(arguments)
    });
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Coloured on a terminal.
            _ = error.print();
            Ending::Done
        }
        _ => terminal::tell(&Failure::wrong(target::without_passwords(error.to_string().trim_end()))),
    })
}

async fn until_interrupted(arguments: Arguments) -> Ending {
    let invalidates = matches!(arguments.command, Command::Invalidate(_));
    tokio::select! {
        biased;
        () = interrupted() => {
            // What was drawn is gone: the command was dropped before this is said.
            if invalidates {
                terminal::warn(
                    "interrupted: the invalidation may be unfinished, and no other one finishes it; run it again",
                );
            }
            Ending::Interrupted
        }
        ending = run(arguments) => ending.unwrap_or_else(|failure| terminal::tell(&failure)),
    }
}

async fn run(Arguments { server, json, command }: Arguments) -> Result<Ending, Failure> {
    let terminal = Terminal::new(json);
    let target = Target::new(server);
    match command {
        Command::Explain { key } => commands::explain::run(&target, &terminal, &key).await,
        Command::Preview(names) => commands::preview::run(&target, &terminal, &names).await,
        Command::Invalidate(what) => commands::invalidate::run(&target, &terminal, &what).await,
        Command::Keys(listing) => commands::list::keys(&target, &terminal, &listing).await,
        Command::Tags(listing) => commands::list::tags(&target, &terminal, &listing).await,
        Command::Doctor { of } => doctor::run(&target, &terminal, of.as_deref()).await,
        Command::Top(how) => commands::top::run(&target, &terminal, &how).await,
        Command::Watch { cache } => commands::watch::run(&target, &terminal, cache.as_deref()).await,
        Command::Warm(what) => commands::warm::run(&target, &terminal, &what).await,
        Command::Serve(how) => commands::serve::run(&target, &terminal, &how).await,
        Command::Completions { shell } => commands::completions::run(shell),
    }
}

/// Ctrl-C, and what ends a service.
async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminated => {}
    }
}
