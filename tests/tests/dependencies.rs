//! What the users of the library build beside it: least without features, and what each one adds.
//! Whoever adds a crate says why it is worth it to all who build it.

use std::collections::BTreeSet;
use std::process::Command;

/// Without any feature.
const LEAST: &str = "arrayvec blake3 bytes cache-core cc cfg-if constant_time_eq cpufeatures crc32fast fastrand \
                     find-msvc-tools itoa memchr once_cell pin-project-lite proc-macro2 quote serde serde_core \
                     serde_derive serde_json shlex syn tokio tokio-macros tracing tracing-core typeid unicode-ident zmij";
const REDIS: &str = "libc mio percent-encoding sha1_smol socket2";
const TLS: &str =
    "getrandom ring rustls rustls-pki-types rustls-webpki subtle tokio-rustls untrusted webpki-roots zeroize";
/// What each feature adds to the least.
const ADDED: [(&str, &[&str]); 10] = [
    ("macros", &["cache-macros"]),
    ("redis", &[REDIS]),
    ("tls", &[REDIS, TLS]),
    ("tls-native-roots", &[REDIS, TLS, "rustls-native-certs openssl-probe"]),
    ("metrics", &["metrics rapidhash rustversion"]),
    ("postcard", &["postcard cobs thiserror thiserror-impl"]),
    ("rmp", &["rmp rmp-serde num-traits autocfg"]),
    ("lz4", &["lz4_flex"]),
    ("zstd", &["zstd zstd-safe zstd-sys jobserver libc pkg-config"]),
    ("codec", &["erased-serde"]),
];

/// The names of the crates in the tree of `cache-core`, on one platform whatever machine asks.
fn tree(features: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--locked", "--package", "cache-core", "--target", "x86_64-unknown-linux-gnu"]);
    cargo.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]).args(features);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names of crates are UTF-8");
    lines.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn named(lists: &[&str]) -> BTreeSet<String> {
    lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect()
}

#[test]
fn by_default_the_tree_is_as_small_as_it_was() {
    assert_eq!(tree(&[]), named(&[LEAST, REDIS, "cache-macros"]));
}

#[test]
fn without_features_nothing_of_sockets_is_built_and_each_one_only_adds() {
    assert_eq!(tree(&["--no-default-features"]), named(&[LEAST]));
    for (feature, added) in ADDED {
        let tree = tree(&["--no-default-features", "--features", feature]);
        assert_eq!(tree, named(&[&[LEAST], added].concat()), "{feature}");
    }
}

#[test]
fn every_feature_is_asked() {
    let manifest = include_str!("../../cache-core/Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").expect("features");
    let features = features.split("\n[").next().unwrap_or(features);
    let lines = features.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0)).filter(|name| *name != "default");
    let names: BTreeSet<&str> = names.collect();
    assert_eq!(names, ADDED.iter().map(|(feature, _)| *feature).collect());
}
