//! `cargo xtask bench build`: what 200 annotated functions cost the compiler, beside `cached` on
//! Redis and beside the bare functions.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::steps::{cargo, workspace};

const FUNCTIONS: usize = 200;

/// A crate that is generated, and what its functions are annotated with.
struct Candidate {
    name: &'static str,
    title: &'static str,
    dependencies: &'static str,
    head: &'static str,
    /// The attribute of one function. `NUMBER` stands for its number, `PAIR` for the next field.
    attribute: &'static str,
    /// What the attribute says besides if the key is made from two parameters.
    pair: &'static str,
}

const CANDIDATES: [Candidate; 3] = [
    Candidate { name: "of-none", title: "the bare functions", dependencies: "", head: "", attribute: "", pair: "" },
    Candidate {
        name: "of-ours",
        title: "cache-core",
        dependencies: "cache-core = { path = \"../../../cache-core\" }\n",
        head: "use cache_core::cached;\n",
        attribute: "#[cached(prefix = \"row-NUMBER\", ttl = \"60s\")]\n",
        pair: "",
    },
    Candidate {
        name: "of-cached",
        title: "`cached` 4.1 on Redis",
        dependencies: "cached = { version = \"=4.1.0\", features = [\"redis_tokio\"] }\n",
        head: "use cached::macros::concurrent_cached;\n",
        attribute: "#[concurrent_cached(redis = true, ttl_secs = 60, map_error = \"|error| error.to_string()\"PAIR)]\n",
        // A key in Redis must be one text there.
        pair: ", key = \"String\", convert = r#\"{ format!(\"{name}:{id}\") }\"#",
    },
];

/// Figures of one candidate, in seconds and KiB.
#[derive(Default)]
struct Figures {
    clean: Vec<f64>,
    touched: Vec<f64>,
    code_kib: f64,
}

/// Measures, and returns the table. `None`: something did not build.
pub(crate) fn run(quick: bool) -> Result<Option<String>, String> {
    let rounds = if quick { 1 } else { 3 };
    let mut figures = CANDIDATES.map(|_| Figures::default());
    for candidate in &CANDIDATES {
        candidate.write(0)?;
        // The dependencies, which no figure counts.
        if candidate.build(&[])?.is_none() {
            return Ok(None);
        }
    }
    for round in 1..=rounds {
        for (candidate, figures) in CANDIDATES.iter().zip(&mut figures) {
            candidate.clean()?;
            let Some(clean) = candidate.build(&[])? else { return Ok(None) };
            candidate.write(round)?;
            let Some(touched) = candidate.build(&[])? else { return Ok(None) };
            figures.clean.push(clean);
            figures.touched.push(touched);
        }
    }
    for (candidate, figures) in CANDIDATES.iter().zip(&mut figures) {
        if candidate.build(&["--release"])?.is_none() {
            return Ok(None);
        }
        figures.code_kib = candidate.code_kib()?;
    }
    let table = table(rounds, &figures);
    print!("{table}");
    Ok(Some(table))
}

fn table(rounds: usize, figures: &[Figures]) -> String {
    let mut table = format!("\n## A crate of {FUNCTIONS} functions: {rounds} rounds; median (min..max)\n\n");
    table +=
        "| | clean debug build of the crate alone, s | one function touched, s | code of the release build, KiB |\n";
    table += "|---|---|---|---|\n";
    for (candidate, Figures { clean, touched, code_kib }) in CANDIDATES.iter().zip(figures) {
        let (clean, touched) = (spread(clean), spread(touched));
        let _ = writeln!(table, "| {} | {clean} | {touched} | {code_kib:.0} |", candidate.title);
    }
    table
}

fn spread(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    format!("{:.1} ({:.1}..{:.1})", sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}

impl Candidate {
    fn directory(&self) -> PathBuf {
        workspace().join("target/build-times").join(self.name)
    }

    /// Writes the crate. With another `version` one of its functions is another one.
    fn write(&self, version: usize) -> Result<(), String> {
        let directory = self.directory();
        let write = |name: &str, text: &str| {
            let file = directory.join(name);
            fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
        };
        fs::create_dir_all(directory.join("src"))
            .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
        let Self { name, dependencies, .. } = self;
        write(
            "Cargo.toml",
            &format!(
                "[workspace]\n\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
                 {dependencies}serde = {{ version = \"1\", features = [\"derive\"] }}\n\
                 tokio = {{ version = \"1\", features = [\"full\"] }}\n"
            ),
        )?;
        // The versions that everything else in `benches/` is compared with.
        if !directory.join("Cargo.lock").exists() {
            fs::copy(workspace().join("benches/Cargo.lock"), directory.join("Cargo.lock"))
                .map_err(|error| format!("cannot copy a lock file: {error}"))?;
        }
        write("src/main.rs", &self.source(version))
    }

    fn source(&self, version: usize) -> String {
        let mut source = format!("use serde::{{Deserialize, Serialize}};\n{}\n", self.head);
        let mut calls = String::new();
        for number in 0..FUNCTIONS {
            let pair = if number % 2 == 0 { "" } else { self.pair };
            let attribute = self.attribute.replace("NUMBER", &number.to_string()).replace("PAIR", pair);
            let touched = if number == FUNCTIONS / 2 { version } else { 0 };
            // Every second function has two parameters in its key.
            let (parameters, arguments) =
                if number % 2 == 0 { ("id: u64", "id") } else { ("name: String, id: u64", "name.clone(), id") };
            let of = if number % 2 == 0 { "String::new()" } else { "name" };
            let _ = write!(
                source,
                "#[derive(Clone, Debug, Serialize, Deserialize)]\npub struct Row{number} {{\n    id: u64,\n    \
                 name: String,\n    places: Vec<u32>,\n    note: Option<String>,\n}}\n\n{attribute}\
                 pub async fn row_{number}({parameters}) -> Result<Row{number}, String> {{\n    \
                 tokio::task::yield_now().await;\n    \
                 Ok(Row{number} {{ id: id + {touched}, name: {of}, places: vec![{number}], note: None }})\n}}\n\n"
            );
            let _ = writeln!(calls, "        {number} => println!(\"{{:?}}\", row_{number}({arguments}).await),");
        }
        let _ = write!(
            source,
            "#[tokio::main]\nasync fn main() {{\n    let id = std::env::args().count() as u64;\n    \
             let name = id.to_string();\n    match id {{\n{calls}        _ => {{}}\n    }}\n}}\n"
        );
        source
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.current_dir(self.directory()).env_remove("CARGO_TARGET_DIR");
        command
    }

    /// Removes what was built of this crate, and nothing of its dependencies.
    fn clean(&self) -> Result<(), String> {
        let status = self.cargo(&["clean", "--quiet", "--package", self.name]).status();
        status.map(drop).map_err(|error| format!("cannot run cargo: {error}"))
    }

    /// The seconds of a build. `None`: it failed.
    fn build(&self, arguments: &[&str]) -> Result<Option<f64>, String> {
        let begun = Instant::now();
        let status = self.cargo(&[&["build", "--quiet"], arguments].concat()).status();
        let status = status.map_err(|error| format!("cannot run cargo: {error}"))?;
        Ok(status.success().then(|| begun.elapsed().as_secs_f64()))
    }

    /// What `size` says of the release build: all code, that of dependencies included.
    fn code_kib(&self) -> Result<f64, String> {
        let program = self.directory().join("target/release").join(self.name);
        let output = Command::new("size").arg(Path::new(&program)).output();
        let said = output.map_err(|error| format!("cannot run size, of binutils: {error}"))?.stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        let text = said.lines().nth(1).and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        text.map(|bytes| bytes / 1024.0).ok_or_else(|| format!("size says nothing of {}", program.display()))
    }
}
