//! `cargo xtask minimal-versions`: the library builds with the oldest dependencies it allows.
//!
//! Users with a lockfile of their own may have any version that our manifests allow. Everybody here
//! builds with the newest, so a bound that is too low shows to nobody else. The oldest versions are
//! chosen by an option of cargo that is not stable; with it nothing is compiled.

use std::fs;
use std::path::Path;

use crate::steps::{announce, cargo, copy_all, workspace};

/// The crates that other crates depend on. `cachectl` is installed, with the newest.
const LIBRARIES: [&str; 6] = ["cache-macros", "cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http"];

/// Checks the libraries in a workspace of their own: those that are not published, and what tests
/// use, would raise versions that users do not raise.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if !arguments.is_empty() {
        return Err("`cargo xtask minimal-versions` takes no arguments".to_owned());
    }
    let copied = workspace().join("target/minimal-versions/workspace");
    let _ = fs::remove_dir_all(&copied);
    for library in LIBRARIES {
        copy_all(&workspace().join(library), &copied.join(library))?;
        edit(&copied.join(library).join("Cargo.toml"), without_tests)?;
    }
    fs::copy(workspace().join("Cargo.toml"), copied.join("Cargo.toml")).map_err(|error| error.to_string())?;
    edit(&copied.join("Cargo.toml"), with_libraries_alone)?;
    let target = workspace().join("target/minimal-versions/target");
    for arguments in [&["update", "-Zdirect-minimal-versions"][..], &["check", "--all-features", "--locked"]] {
        let mut command = cargo(arguments);
        command.current_dir(&copied).env("CARGO_TARGET_DIR", &target);
        if arguments[0] == "update" {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        announce(&command);
        if !command.status().is_ok_and(|status| status.success()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn edit(manifest: &Path, change: impl Fn(&str) -> String) -> Result<(), String> {
    let edited = fs::read_to_string(manifest).and_then(|text| fs::write(manifest, change(&text)));
    edited.map_err(|error| format!("{}: {error}", manifest.display()))
}

/// A manifest without what only tests are built from.
fn without_tests(manifest: &str) -> String {
    let sections = manifest.split("\n[");
    let kept: Vec<&str> = sections.filter(|section| !section.starts_with("dev-dependencies]")).collect();
    kept.join("\n[")
}

/// The manifest of the workspace with these members, and without profiles of others.
fn with_libraries_alone(manifest: &str) -> String {
    let members = LIBRARIES.map(|library| format!("\"{library}\"")).join(", ");
    let sections = manifest.split("\n[").filter(|section| !section.starts_with("profile."));
    let kept: Vec<&str> = sections.skip(1).collect();
    format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[{}", kept.join("\n["))
}

#[cfg(test)]
mod tests {
    use super::{with_libraries_alone, without_tests};

    #[test]
    fn what_only_tests_need_is_left_out() {
        let manifest = "[package]\nname = \"a\"\n\n[dev-dependencies]\nb = \"1\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(without_tests(manifest), "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n");
    }

    #[test]
    fn the_workspace_has_the_libraries_alone() {
        let manifest = "[workspace]\nmembers = [\n    \"tests\",\n]\n\n[workspace.dependencies]\nserde = \"1\"\n\n\
                        [profile.dev]\ndebug = 1\n";
        let edited = with_libraries_alone(manifest);
        assert!(edited.contains("\"cache-core\"") && edited.contains("\n[workspace.dependencies]\nserde = \"1\"\n"));
        assert!(!edited.contains("tests") && !edited.contains("profile"));
    }
}
