//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::ending::EXIT_CODES;

/// Looks into a cache of cache-core, invalidates, and finds what is wrong with its server.
///
/// The password comes from CACHE_PASSWORD, from the file of --password-file, or from the URL in
/// CACHE_URL. On the command line everybody who lists the processes would see it.
#[derive(Parser)]
#[command(name = "cachectl", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Answers in JSON, one line for each answer.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the cache is.
#[derive(Args, Clone)]
pub(crate) struct ServerArguments {
    /// The server: redis://, rediss://, redis+unix://, redis-sentinel:// or redis-cluster://, as
    /// for Builder::url.
    #[arg(long, global = true, env = "CACHE_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// The namespace of the cache.
    #[arg(long, global = true, env = "CACHE_NAMESPACE", default_value = "cache")]
    pub(crate) namespace: String,
    /// The user that the password is of.
    #[arg(long, global = true, env = "CACHE_USER")]
    pub(crate) user: Option<String>,
    /// A file that holds the password of the server, and nothing else.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<std::path::PathBuf>,
    /// How long one answer may take, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) timeout: u64,
    /// The admin page of a process, for `top`, `watch` and `warm`: http://host/path.
    #[arg(long, global = true, env = "CACHE_ADMIN", hide_env_values = true, value_name = "URL")]
    pub(crate) admin: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Says what is known of a key: its entry, its names, what depends on it.
    Explain {
        /// The logical key, such as flight:42.
        key: String,
    },
    /// Says which entries an invalidation would remove, and removes nothing.
    Preview(NameArguments),
    /// Removes entries, after it has said how many and was answered yes.
    Invalidate(InvalidateArguments),
    /// Lists the keys of live entries.
    Keys(ListArguments),
    /// Lists the tags that lead to something.
    Tags(ListArguments),
    /// Says what is wrong with the server, what it means and what to do.
    ///
    /// Reads, and writes one key for a moment, as each connection of a cache does.
    Doctor {
        /// Looks at the rights of this user, in place of the one that logs in.
        #[arg(long, value_name = "USER")]
        of: Option<String>,
    },
    /// Shows what the prefixes of a process do, as it changes.
    Top(TopArguments),
    /// Tells of the invalidations of a process as they happen.
    Watch {
        /// The name that the process has given to a cache; all of them without it.
        #[arg(long)]
        cache: Option<String>,
    },
    /// Has a process load what is not cached yet.
    Warm(WarmArguments),
    /// Serves the admin page for the server, on this machine alone.
    Serve(ServeArguments),
    /// Writes the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What an invalidation names.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct NameArguments {
    /// The entry of this logical key, and what depends on it.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// The entries that have this tag, and what depends on them.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// The entries whose keys match, and what depends on them: `*`, `?`, `[ab]`.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) pattern: Vec<String>,
    /// Every entry of the namespace.
    #[arg(long, conflicts_with_all = ["key", "tag", "pattern"])]
    pub(crate) everything: bool,
}

#[derive(Args)]
pub(crate) struct InvalidateArguments {
    #[command(flatten)]
    pub(crate) names: NameArguments,
    /// Does it without a preview and without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Which: `*` any text, `?` one byte, `[ab]` one of these.
    #[arg(default_value = "*")]
    pub(crate) pattern: String,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, conflicts_with_all = ["all", "count"])]
    pub(crate) limit: usize,
    /// All of them, as they come: one that is moved meanwhile may come twice.
    #[arg(long)]
    pub(crate) all: bool,
    /// How many there are, by prefix.
    #[arg(long, conflicts_with = "all")]
    pub(crate) count: bool,
}

#[derive(Args)]
pub(crate) struct TopArguments {
    /// The name that the process has given to the cache; the first one without it.
    #[arg(long)]
    pub(crate) cache: Option<String>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) interval: u64,
    /// Ends after so many looks.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) times: Option<u64>,
}

#[derive(Args)]
pub(crate) struct WarmArguments {
    /// What to run, of what the process has registered; everything without names and keys.
    pub(crate) warmer: Vec<String>,
    /// A key to load.
    #[arg(long)]
    pub(crate) key: Vec<String>,
    /// The name that the process has given to the cache; the first one without it.
    #[arg(long)]
    pub(crate) cache: Option<String>,
}

#[derive(Args)]
pub(crate) struct ServeArguments {
    /// The port of 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 7380)]
    pub(crate) port: u16,
    /// Whoever reaches the page may invalidate.
    #[arg(long)]
    pub(crate) allow_actions: bool,
}
