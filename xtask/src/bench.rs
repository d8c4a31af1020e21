//! `cargo xtask bench`: the comparisons, in release, on servers of their own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::build_times;
use crate::install;
use crate::server::Server;
use crate::steps::{cargo, workspace};

/// The pages that show the tables, each below the command that prints it.
const PAGES: [&str; 3] = ["cache-core/docs/performance.md", "cache-core/docs/codecs.md", "cache-core/docs/cluster.md"];
const COMMAND: &str = "<!-- cargo xtask bench ";
const END: &str = "<!-- end -->";
/// What is made without names: the others take minutes each.
const SHORT: [&str; 10] =
    ["hit", "in-process", "near", "server-time", "scripts", "batch", "memory", "large", "wake", "cascade"];
const USAGE: &str = "cargo xtask bench [all | names] [--quick | --size=N] [--write]";
/// The packages in `benches/` are a workspace of their own, so that users never build the peers.
const WORKSPACE: [&str; 5] = ["--release", "--manifest-path", "benches/Cargo.toml", "--target-dir", "target/benches"];

/// Makes the comparisons that are named: all of the pages, or the short ones. With `--write` their
/// tables replace those on the pages. False if one failed.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let (own, flags): (Vec<&str>, Vec<&str>) = flags.into_iter().partition(|flag| *flag == "--write");
    let is_size = |flag: &str| flag.strip_prefix("--size=").is_some_and(|size| size.parse::<u64>().is_ok());
    if flags.iter().any(|flag| *flag != "--quick" && !is_size(flag)) {
        return Err(USAGE.to_owned());
    }
    let write = !own.is_empty();
    let pages = read_pages()?;
    let names = match names[..] {
        [] => SHORT.to_vec(),
        ["all"] => commands(&pages).collect(),
        _ => names,
    };
    for name in names {
        let Some(tables) = compare(name, &flags)? else { return Ok(false) };
        if write {
            write_down(name, &tables)?;
        }
    }
    Ok(true)
}

/// Puts the tables of a comparison into their place.
fn write_down(name: &str, tables: &str) -> Result<(), String> {
    // Read anew: the run may have taken long.
    let pages = PAGES.into_iter().zip(read_pages()?);
    let mut written = pages.filter_map(|(path, page)| Some((path, replace(&page, name, tables)?)));
    let (path, page) = written.next().ok_or_else(|| format!("no page has a place for {name}"))?;
    fs::write(workspace().join(path), page).map_err(|error| format!("cannot write {path}: {error}"))
}

fn read_pages() -> Result<Vec<String>, String> {
    let read =
        |path| fs::read_to_string(workspace().join(path)).map_err(|error| format!("cannot read {path}: {error}"));
    PAGES.into_iter().map(read).collect()
}

/// The comparisons of the pages, in their order.
fn commands(pages: &[String]) -> impl Iterator<Item = &str> {
    let places = pages.iter().flat_map(|page| page.split(COMMAND).skip(1));
    places.filter_map(|rest| rest.split(" -->").next())
}

/// The page with these tables in the place of one comparison. `None`: it has no such place.
fn replace(page: &str, name: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(&format!("{COMMAND}{name} -->\n"))?;
    let (_, after) = rest.split_once(END)?;
    // Headings of a run are lines of text on the page, which has headings of its own.
    let text: Vec<&str> = tables.trim().lines().map(|line| line.trim_start_matches("## ")).collect();
    Some(format!("{before}{COMMAND}{name} -->\n{}\n\n{END}{after}", text.join("\n")))
}

/// Makes one comparison, and returns the tables that it printed. `None`: it failed.
fn compare(name: &str, flags: &[&str]) -> Result<Option<String>, String> {
    let quick = flags.contains(&"--quick");
    match name {
        "realworld" => realworld(quick),
        "build" => build_times::run(quick),
        _ => {
            let redis = redis()?;
            let package = if name == "codecs" { name } else { "cache-benches" };
            let mut command =
                cargo(&[&["run", "--quiet", "--package", package], &WORKSPACE[..], &["--", name]].concat());
            command.args(flags).env("CACHE_TEST_REDIS_BIN", redis);
            printed(command)
        }
    }
}

fn redis() -> Result<std::path::PathBuf, String> {
    let redis = install::redis()?;
    eprintln!("{}: {}", redis.display(), install::version(&redis).unwrap_or_default());
    Ok(redis)
}

/// The application is built twice, without the attributes of the library and with them.
fn realworld(quick: bool) -> Result<Option<String>, String> {
    let (redis, postgres) = (redis()?, install::postgres()?);
    eprintln!("{}: {}", postgres.display(), install::version(&postgres).unwrap_or_default());
    let build = [&["build", "--package", "realworld"], &WORKSPACE[..]].concat();
    let built = workspace().join("target/benches/release/realworld");
    let plain = built.with_file_name("realworld-plain");
    if printed(cargo(&[&build[..], &["--no-default-features"]].concat()))?.is_none() {
        return Ok(None);
    }
    fs::copy(&built, &plain).map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
    if printed(cargo(&build))?.is_none() {
        return Ok(None);
    }
    let database = Server::postgres(&postgres)?;
    let mut command = Command::new(&built);
    command.args(quick.then_some("--quick")).env("CACHE_TEST_REDIS_BIN", &redis);
    command.env("CACHE_TEST_POSTGRES_URL", database.url()).env("REALWORLD_PLAIN", &plain);
    printed(command)
}

/// Runs a command, shows its output as it comes, and returns it. `None`: it failed.
fn printed(mut command: Command) -> Result<Option<String>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot run {program}: {error}"))?;
    let mut output = String::new();
    for line in BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok) {
        println!("{line}");
        output += &line;
        output.push('\n');
    }
    let status = child.wait().map_err(|error| format!("cannot wait for {program}: {error}"))?;
    Ok(status.success().then_some(output))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{commands, read_pages, replace};
    use crate::steps::workspace;

    #[test]
    fn a_run_replaces_its_own_tables_and_no_others() {
        let page =
            "A\n<!-- cargo xtask bench hit -->\nold\n<!-- end -->\nB\n<!-- cargo xtask bench batch -->\n<!-- end -->\n";
        let written = replace(page, "hit", "\n## Hits\n\n| new |\n").expect("a place for it");
        assert_eq!(written, page.replace("old\n", "Hits\n\n| new |\n\n"));
        assert_eq!(replace(&written, "hit", "## Hits\n\n| new |\n"), Some(written));
        assert_eq!(replace(page, "miss", ""), None);
    }

    #[test]
    fn the_pages_have_a_place_for_every_comparison() {
        let pages = read_pages().expect("the pages");
        let named = pages.iter().flat_map(|page| page.split("`cargo xtask bench ").skip(1));
        for command in named.filter_map(|rest| rest.split('`').next()) {
            assert!(command == "all" || commands(&pages).any(|place| place == command), "no place for {command}");
        }
        assert!(commands(&pages).count() > 10);
        assert!(commands(&pages).any(|place| place == "codecs"), "the package of its own");
    }

    #[test]
    fn the_pages_have_what_the_program_can_compare() {
        let (pages, program) = (read_pages().expect("the pages"), workspace().join("benches/src/main.rs"));
        let program = fs::read_to_string(program).expect("the program");
        let arms = program.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
        let names: Vec<&str> = arms.map(|(name, _)| name).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(commands(&pages).any(|place| place == name), "no place for {name}");
        }
    }
}
