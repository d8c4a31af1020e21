//! `cargo xtask test`: starts servers of its own, runs every test, prints one last line.

use std::process::Command;

use crate::cluster::Cluster;
use crate::install;
use crate::packages;
use crate::server::Server;
use crate::steps::{Tally, cargo};

/// The packages whose tests use databases. Other tests do not wait until databases are there.
const DATABASE_PACKAGES: [&str; 3] = ["cache-sqlx", "orders", "--workspace"];
/// Likewise, those whose tests use Prometheus.
const PROMETHEUS_PACKAGES: [&str; 2] = ["flight-board", "--workspace"];

/// Those whose tests drive a browser.
const BROWSER_PACKAGES: [&str; 2] = ["cache-admin", "--workspace"];

/// Those whose tests put a Varnish before a server.
const VARNISH_PACKAGES: [&str; 2] = ["cache-http", "--workspace"];

/// The tests that are files of their own, by their names, in halves that take about as long.
const HALVES: [&str; 2] = ["[!m-z]*", "[m-z]*"];

/// Runs everything, or with `arguments` only `cargo test` with them. False if something failed.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let (redis, valkey) = (install::redis()?, install::valkey()?);
    for program in [&redis, &valkey] {
        println!("{}: {}", program.display(), install::version(program).unwrap_or_default());
    }
    let (redis_server, valkey_server) = (Server::redis_of_few_rights(&redis)?, Server::redis_of_few_rights(&valkey)?);
    // Both first: they settle at the same time.
    let (redis_cluster, valkey_cluster) = (Cluster::start(&redis)?, Cluster::start(&valkey)?);
    redis_cluster.wait()?;
    valkey_cluster.wait()?;
    let wants =
        |packages: &[&str]| arguments.is_empty() || arguments.iter().any(|word| packages.contains(&word.as_str()));
    let databases = if wants(&DATABASE_PACKAGES) { Some(Databases::start()?) } else { None };
    let chromium = if wants(&BROWSER_PACKAGES) { Some(install::chromium()?) } else { None };
    if let Some(chromium) = &chromium {
        println!("{}: {}", chromium.display(), install::version(chromium).unwrap_or_default());
    }
    let prometheus = if wants(&PROMETHEUS_PACKAGES) { Some(install::prometheus()?) } else { None };
    let varnish = if wants(&VARNISH_PACKAGES) { Some(install::varnish()?) } else { None };
    let with_servers = |mut command: Command| {
        command
            .env("CACHE_TEST_REDIS_BIN", &redis)
            .env("CACHE_TEST_REDIS_URL", redis_server.url())
            .env("CACHE_TEST_VALKEY_BIN", &valkey)
            .env("CACHE_TEST_VALKEY_URL", valkey_server.url())
            .env("CACHE_TEST_REDIS_CLUSTER_URL", redis_cluster.url())
            .env("CACHE_TEST_VALKEY_CLUSTER_URL", valkey_cluster.url());
        if let Some(databases) = &databases {
            databases.name_to(&mut command);
        }
        if let Some(chromium) = &chromium {
            command.env("CACHE_TEST_CHROMIUM_BIN", chromium);
        }
        if let Some(prometheus) = &prometheus {
            command.env("CACHE_TEST_PROMETHEUS_BIN", prometheus);
        }
        if let Some(varnish) = &varnish {
            command.env("CACHE_TEST_VARNISH_BIN", varnish);
        }
        command
    };

    let mut tally = Tally::default();
    if arguments.is_empty() {
        workspace(&mut tally, with_servers);
        tours(&mut tally, [redis_server.url(), valkey_server.url(), valkey_cluster.url()]);
        story(&mut tally, &redis_cluster.admin_url());
    } else {
        let arguments: Vec<&str> = ["test"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        tally.tests(with_servers(cargo(&arguments)));
    }
    drop((redis_server, valkey_server, redis_cluster, valkey_cluster, databases));
    println!();
    Ok(tally.finish())
}

/// Runs every test of the workspace. What a user sees is mostly waited for: so these tests run in
/// two halves, beside the unit tests; and a check of one package keeps one core busy.
fn workspace(tally: &mut Tally, with_servers: impl Fn(Command) -> Command + Sync) {
    let test = |which: &[&str]| with_servers(cargo(&[&["test", "--workspace", "--no-fail-fast"], which].concat()));
    tally.command(test(&["--no-run"]));
    let [half, other] = HALVES.map(|names| ["--test", names]);
    let unit_tests = |tally: &mut Tally| {
        tally.tests(test(&["--lib", "--bins"]));
        tally.tests(test(&["--doc"]));
    };
    let first_half = |tally: &mut Tally| {
        tally.tests(test(&half));
        features(tally);
    };
    let other_half = |tally: &mut Tally| {
        tally.tests(test(&other));
        packages::check(tally);
    };
    tally.side_by_side(Box::new(unit_tests), vec![Box::new(first_half), Box::new(other_half)]);
}

/// The databases that tests use.
struct Databases {
    postgres: Server,
    mariadb: Server,
}

impl Databases {
    fn start() -> Result<Self, String> {
        let (postgres, (mariadb, install_db)) = (install::postgres()?, install::mariadb()?);
        for program in [&postgres, &mariadb] {
            println!("{}: {}", program.display(), install::version(program).unwrap_or_default());
        }
        Ok(Self { postgres: Server::postgres(&postgres)?, mariadb: Server::mariadb(&mariadb, &install_db)? })
    }

    fn name_to(&self, command: &mut Command) {
        command.env("CACHE_TEST_POSTGRES_URL", self.postgres.url()).env("CACHE_TEST_MARIADB_URL", self.mariadb.url());
    }
}

/// Runs the example's tour, on the embedded store, on each server, and by its URL alone on a
/// cluster. The tour fails if anything that it prints is not true.
fn tours(tally: &mut Tally, urls: [String; 3]) {
    let tour = || cargo(&["run", "--quiet", "--package", "flight-board"]);
    let mut embedded = tour();
    embedded.env_remove("CACHE_URL");
    tally.command(embedded);
    for url in urls {
        let mut shared = tour();
        shared.env("CACHE_URL", url);
        tally.command(shared);
    }
    // It has no TLS, as the workspace's other tests have.
    let mut encrypted = tour();
    encrypted.env("CACHE_URL", "rediss://ann:s3cr3t@localhost");
    tally.refused(encrypted, "needs the feature `tls`", "s3cr3t");
}

/// Plays the minute of the story on the other cluster, where it caches by hand, too. It fails if
/// the cache spares the database little.
fn story(tally: &mut Tally, url: &str) {
    let mut story = cargo(&["run", "--quiet", "--package", "story", "minute"]);
    story.env("CACHE_URL", url);
    tally.command(story);
}

/// Checks that every feature builds by itself, and leaves nothing unused. What each adds to a tree
/// of dependencies is a test of its own (`tests/tests/dependencies.rs`).
fn features(tally: &mut Tally) {
    for features in ["", "macros", "redis", "tls", "metrics", "postcard", "rmp", "lz4", "zstd", "codec"] {
        let package = ["check", "--package", "cache-core", "--no-default-features"];
        tally.compiles(cargo(&[&package[..], &["--features", features]].concat()));
    }
    for features in ["", "postgres"] {
        let package = ["check", "--package", "cache-sqlx", "--no-default-features"];
        tally.compiles(cargo(&[&package[..], &["--features", features]].concat()));
    }
}
