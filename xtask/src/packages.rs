//! Checks that a published crate holds what its users must be given, and builds from its package:
//! it is all that they have of this repository.

use std::fs;
use std::process::Command;

use crate::steps::{Tally, announce, cargo, copy, output, workspace};

const PUBLISHED: [&str; 7] =
    ["cache-macros", "cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http", "cache-cli"];

/// Where the packages are unpacked.
const UNPACKED: &str = "target/unpacked";

pub(crate) fn run() -> bool {
    let mut tally = Tally::default();
    check(&mut tally);
    tally.finish()
}

/// Beside the other tests.
pub(crate) fn check(tally: &mut Tally) {
    // None of them is in the registry yet.
    let beside = PUBLISHED.map(|name| format!("patch.crates-io.{name}.path='{name}'"));
    let beside: Vec<&str> = beside.iter().flat_map(|patch| ["--config", patch]).collect();
    let package = ["package", "--allow-dirty", "--quiet", "--no-verify"];
    for name in PUBLISHED {
        let list = cargo(&[&package[..], &["--list", "--package", name]].concat());
        announce(&list);
        tally.check(output(list).and_then(|list| {
            let missing = |file: &&str| !list.lines().any(|packaged| packaged == *file);
            if let Some(file) = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"].into_iter().find(missing) {
                return Err(format!("the package {name} holds no {file}"));
            }
            // What cargo leaves out of a published manifest, its tests would miss.
            let tests = list.lines().find(|packaged| packaged.starts_with("tests/"));
            match tests.filter(|_| needs_the_repository(name)) {
                Some(test) => Err(format!("the package {name} holds {test}, which nobody else can build")),
                None => Ok(()),
            }
        }));
        tally.command(cargo(&[&package[..], &["--package", name], &beside].concat()));
    }
    let unpacked = unpack();
    let is_unpacked = unpacked.is_ok();
    tally.check(unpacked);
    // Each by itself: together, one would have the features that another one asks for.
    for name in PUBLISHED.iter().filter(|_| is_unpacked) {
        let manifest = format!("{UNPACKED}/Cargo.toml");
        tally.command(cargo(&[
            "check",
            "--quiet",
            "--package",
            name,
            "--manifest-path",
            &manifest,
            "--target-dir",
            "target",
        ]));
    }
}

/// Makes a workspace of the packages, with the versions of dependencies that this one has.
fn unpack() -> Result<(), String> {
    let folder = workspace().join(UNPACKED);
    let _ = fs::remove_dir_all(&folder);
    copy(&workspace().join("Cargo.lock"), &folder.join("Cargo.lock"))?;
    let members = PUBLISHED.map(|name| format!("{name}-{}", env!("CARGO_PKG_VERSION")));
    // With the profile that dependencies are built with already.
    let mut manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[patch.crates-io]\n"
    );
    for (name, member) in PUBLISHED.iter().zip(&members) {
        manifest += &format!("{name} = {{ path = \"{member}\" }}\n");
        let mut tar = Command::new("tar");
        tar.current_dir(&folder).args(["-xzf", &format!("../package/{member}.crate")]);
        output(tar)?;
    }
    fs::write(folder.join("Cargo.toml"), manifest).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Whether tests of this crate use one that is not published.
fn needs_the_repository(name: &str) -> bool {
    let manifest = fs::read_to_string(workspace().join(name).join("Cargo.toml"));
    manifest.is_ok_and(|manifest| manifest.contains("\ncache-tests = "))
}
