//! The architecture as a test. The tables say what may import what, the tests below say the other
//! rules that hold everywhere, and `planted.rs` shows that each rule finds what breaks it.
//!
//! With the laws of the rooms, the tables are printed by
//! `cargo test -p cache-tests --test architecture -- --nocapture`.

mod house;
mod planted;
mod rules;
mod source;
mod table;
mod tree;

use std::fmt::Display;
use std::sync::LazyLock;

use crate::house::House;
use crate::table::Table;

/// The rooms of `cache-core/src`, from the ground up. A room imports from the rows above its own
/// only: rooms of one row know nothing of each other.
const CORE: Table = Table {
    parent: "",
    rows: &[
        "codec",
        "ablation error config serializers sync",
        "clock",
        "observe",
        "name",
        "freshness",
        "entry",
        "key",
        "invalidation",
        "store",
        "runtime",
        "paths",
        "call",
        "cacheable cache",
        "builder context warm",
        "private",
    ],
};

/// The modules of `cache-macros/src`, by the same law.
const MACROS: Table = Table {
    parent: "",
    rows: &[
        "errors mentions runtime_path",
        "fallback options signature template",
        "duration names outcome packing wrapper",
        "context",
        "evaluate",
        "cache_context cacheable cached in_context invalidates literal_names write_through",
    ],
};

/// The modules of `cache-macros/src/cached`, likewise.
const CACHED: Table = Table { parent: "cached", rows: &["parse", "plan", "check", "generator", "expand"] };

/// The modules of `cache-admin/src`, likewise.
const ADMIN: Table = Table {
    parent: "",
    rows: &["limits", "answer cost", "desk page", "looking stats", "actions events health", "admin"],
};

/// The modules of `cache-http/src`, likewise.
const HTTP: Table = Table {
    parent: "",
    rows: &["limits", "body directives keeping queue", "cdn request", "purger", "headers", "stored", "responses"],
};

/// The modules of `cache-cli/src`, likewise.
const CLI: Table = Table { parent: "", rows: &["ending", "args terminal", "target", "admin doctor", "commands"] };

/// The crates that stand on the public face of the core alone.
const BESIDE_THE_CORE: [&str; 5] =
    ["cache-admin/src", "cache-cli/src", "cache-http/src", "cache-otel/src", "cache-sqlx/src"];

/// Read once for all tests.
fn house() -> &'static House {
    static HOUSE: LazyLock<House> = LazyLock::new(House::standing);
    &HOUSE
}

#[test]
fn a_room_of_the_core_imports_from_the_rows_above_it() {
    println!("{}", CORE.printed(&house().core()));
    holds(CORE.broken(&house().core()));
}

#[test]
fn a_module_of_the_macros_imports_from_the_rows_above_it() {
    for table in [MACROS, CACHED] {
        println!("{}", table.printed(&house().macros()));
    }
    holds([MACROS, CACHED].iter().flat_map(|table| table.broken(&house().macros())));
}

#[test]
fn a_module_of_the_admin_page_imports_from_the_rows_above_it() {
    println!("{}", ADMIN.printed(&house().admin()));
    holds(ADMIN.broken(&house().admin()));
}

#[test]
fn a_module_of_the_responses_imports_from_the_rows_above_it() {
    println!("{}", HTTP.printed(&house().http()));
    holds(HTTP.broken(&house().http()));
}

#[test]
fn a_module_of_the_command_line_imports_from_the_rows_above_it() {
    println!("{}", CLI.printed(&house().cli()));
    holds(CLI.broken(&house().cli()));
}

#[test]
fn the_crates_beside_the_core_stand_on_its_public_face_alone() {
    holds(BESIDE_THE_CORE.into_iter().flat_map(|folder| rules::hidden_faces(house(), folder)));
}

#[test]
fn no_two_modules_side_by_side_need_each_other() {
    holds(
        [house().core(), house().macros(), house().admin(), house().http(), house().cli()]
            .iter()
            .flat_map(rules::circles),
    );
}

#[test]
fn a_room_begins_with_its_law() {
    let macros = [MACROS, CACHED].into_iter().flat_map(|table| table.lawless(&house().macros()));
    let beside = ADMIN.lawless(&house().admin()).into_iter().chain(CLI.lawless(&house().cli()));
    let beside = beside.chain(HTTP.lawless(&house().http()));
    holds(CORE.lawless(&house().core()).into_iter().chain(macros).chain(beside));
}

#[test]
fn redis_and_sockets_are_named_below_the_redis_store_only() {
    holds(rules::redis(&house().core()));
}

#[test]
fn time_is_read_in_the_clock_only() {
    holds(rules::time(&house().core()));
}

#[test]
fn physical_keys_are_spelled_in_the_layout_only() {
    holds(rules::physical_keys(house()));
}

#[test]
fn nothing_is_unsafe() {
    holds(rules::unsafety(house()));
}

#[test]
fn files_and_functions_stay_short() {
    holds(rules::sizes(house()));
}

#[test]
fn lines_stay_short() {
    holds(rules::widths(house()));
}

#[test]
fn no_type_name_is_taken_twice() {
    holds([house().core(), house().macros()].iter().flat_map(rules::names));
}

/// Otherwise the other tests would prove nothing.
#[test]
fn every_file_is_read() {
    for (tree, files, steps) in [
        (house().core(), 80, 400),
        (house().macros(), 20, 80),
        (house().admin(), 8, 20),
        (house().http(), 8, 20),
        (house().cli(), 20, 40),
    ] {
        holds(rules::undeclared(house(), &tree));
        let read = (tree.homes().count(), tree.steps().len());
        assert!(read.0 >= files && read.1 >= steps, "{}: {read:?} files and paths are too few", tree.source);
    }
    let others =
        ["cache-core/src/store/redis/lua", "xtask", "tests/src", "tests/tests", "tests/ui", "examples", "benches"];
    for folder in others.into_iter().chain(BESIDE_THE_CORE) {
        assert!(house().files.keys().any(|file| file.starts_with(folder)), "nothing of {folder}");
    }
}

fn holds(violations: impl IntoIterator<Item = impl Display>) {
    let lines: Vec<String> = violations.into_iter().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "{} violations:\n{}\n", lines.len(), lines.join("\n"));
}
