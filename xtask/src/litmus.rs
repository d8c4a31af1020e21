//! `cargo xtask litmus`: one experiment on this library and on others, each as its users use it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::steps::{cargo, output, workspace};

/// The page that shows the table.
const PAGE: &str = "cache-core/docs/litmus.md";
const BEGIN: &str = "<!-- cargo xtask litmus -->\n";
const END: &str = "<!-- end -->";
/// What is done while a load is under way, as the programs call it and as the page does.
const EXPERIMENTS: [(&str, &str); 5] = [
    ("key", "its key is deleted"),
    ("tag", "its tag"),
    ("everything", "everything"),
    ("joined", "its key; a call that begins then"),
    ("refresh", "its key, during a refresh"),
];

/// Asks all libraries and prints the table. With `--write` it replaces the one on the page.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let write = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => return Err("cargo xtask litmus [--write]".to_owned()),
    };
    let answers = [rust()?, python()?, node()?].concat();
    let table = table(&answers)?;
    print!("{table}");
    if write {
        let path = workspace().join(PAGE);
        let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
        let page = replace(&page, &table).ok_or_else(|| format!("{PAGE} has no place for the table"))?;
        fs::write(path, page).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    Ok(true)
}

fn rust() -> Result<String, String> {
    let manifest = ["--manifest-path", "litmus/rust/Cargo.toml", "--target-dir", "target/litmus/rust"];
    output(cargo(&[&["run", "--quiet"], &manifest[..]].concat()))
}

fn python() -> Result<String, String> {
    let (venv, source) = (workspace().join("target/litmus/python"), workspace().join("litmus/python"));
    let program = venv.join("bin/python");
    if !program.is_file() {
        output(command("python3", &[Path::new("-m"), Path::new("venv"), &venv]))?;
    }
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    pip.arg(source.join("requirements.txt"));
    output(pip)?;
    output(command(program, &[&source.join("litmus.py")]))
}

fn node() -> Result<String, String> {
    let (target, source) = (workspace().join("target/litmus/node"), workspace().join("litmus/node"));
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    for file in ["package.json", "litmus.js"] {
        fs::copy(source.join(file), target.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&target);
    output(npm)?;
    output(command("node", &[&target.join("litmus.js")]))
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&Path]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The table of what the programs print: library, version, experiment and answer in each line.
fn table(answers: &str) -> Result<String, String> {
    let mut rows: Vec<(String, [Option<&str>; EXPERIMENTS.len()])> = Vec::new();
    for line in answers.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [library, version, experiment, answer @ ("old" | "new")] = fields[..] else {
            return Err(format!("this is no answer: {line}"));
        };
        let column = EXPERIMENTS.iter().position(|(name, _)| *name == experiment);
        let column = column.ok_or_else(|| format!("there is no experiment {experiment}"))?;
        // This library is the only one of this repository's version.
        let name = if library == "cache-core" { "cache-core".to_owned() } else { format!("{library} {version}") };
        let row = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            rows.push((name, [None; EXPERIMENTS.len()]));
            rows.len() - 1
        });
        rows[row].1[column] = Some(answer);
    }
    let heads: Vec<&str> = EXPERIMENTS.iter().map(|(_, head)| *head).collect();
    let mut table = format!("| library | {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len() + 1));
    for (name, answers) in rows {
        let cells = answers.map(|answer| match answer {
            Some("old") => "**old**",
            Some(answer) => answer,
            None => "–",
        });
        table += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    Ok(table)
}

fn replace(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{PAGE, replace, table};
    use crate::steps::workspace;

    #[test]
    fn what_is_printed_becomes_a_table() {
        let answers = "cache-core\t0.1.0\tkey\tnew\nother\t2.0\tkey\told\ncache-core\t0.1.0\ttag\tnew\n";
        let head = "| library | its key is deleted | its tag | everything | its key; a call that begins then | its key, during a refresh |\n";
        let rows = "|---|---|---|---|---|---|\n| cache-core | new | new | – | – | – |\n| other 2.0 | **old** | – | – | – | – |\n";
        assert_eq!(table(answers), Ok(format!("{head}{rows}")));
        assert!(table("other\t2.0\tkey\tneither").is_err());
        assert!(table("other\t2.0\tunknown\tnew").is_err());
    }

    #[test]
    fn the_table_has_its_place_on_the_page_with_the_versions_that_are_asked() {
        let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
        let page = read(PAGE);
        assert_eq!(replace(&replace(&page, "x\n").unwrap(), "y\n"), replace(&page, "y\n"));
        let python = read("litmus/python/requirements.txt").replace("==", " ");
        let node = read("litmus/node/package.json").split_once("\"dependencies\"").unwrap().1.to_owned();
        let node = node.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\": \""));
        let node = node.map(|(name, version)| format!("{name} {}", version.trim_end_matches(['"', ','])));
        let rust = ["cached", "hitbox", "moka"].map(|name| {
            let manifest = read("litmus/rust/Cargo.toml");
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap().to_owned();
            format!("{name} {}", line.split_once('=').unwrap().1.split('"').nth(1).unwrap().trim_start_matches('='))
        });
        let libraries: Vec<String> = python.lines().map(ToOwned::to_owned).chain(node).chain(rust).collect();
        assert_eq!(libraries.len(), 10);
        for library in libraries {
            assert!(page.contains(&format!("\n| {library} |")), "{library} is not on the page");
        }
    }
}
