//! Each rule finds what breaks it, and only that.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::house::House;
use crate::table::Table;
use crate::{holds, rules};

const ROOMS: Table = Table { parent: "", rows: &["error config", "clock", "name", "store"] };

/// The rooms, and one that nobody has put into the table. It stands if a test gives it a file.
const ROOT: &str = "mod error; mod config; mod clock; mod name; mod store; mod closet;";

/// A house with these files in `cache-core/src`, where the rooms are empty otherwise.
fn house(files: &[(&str, &str)]) -> House {
    let empty = ["error.rs", "config.rs", "clock.rs", "name.rs", "store/redis.rs"].map(|file| (file, ""));
    let wired = [("lib.rs", ROOT), ("store/mod.rs", "mod redis;")];
    let all: BTreeMap<&str, &str> = empty.into_iter().chain(wired).chain(files.iter().copied()).collect();
    House::of(all.into_iter().map(|(file, text)| (format!("cache-core/src/{file}"), text)))
}

/// The house with one file of the room `name`.
fn name(text: &str) -> House {
    house(&[("name.rs", text)])
}

/// Where the violations are, without the folder that all of them share.
fn places(violations: impl IntoIterator<Item = impl Display>) -> Vec<String> {
    let place = |line: String| {
        let place = line.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
        place.trim_start_matches("cache-core/src/").to_owned()
    };
    violations.into_iter().map(|violation| place(violation.to_string())).collect()
}

#[test]
fn an_import_from_below_is_found_however_it_is_written() {
    for text in [
        "use crate::store::Token;",
        "use crate::{error::Error, store::{redis::{Redis}}};",
        "use crate::store::{self as room};",
        "pub(crate) use super::store as room;",
        "use crate::store::*;",
        "fn f() { use crate::store; store::open() }",
        "fn f() -> impl Copy + use<> { crate::store::open() }",
        "fn f() { g(|x: Option<crate::store::Token>| x.map(crate::error::from)) }",
        "macro_rules! m { ($x:ident) => {{ $crate::store::$x::<u8>() }} }",
        "mod inner { mod inner { use super::super::super::store::Token; } }",
        "impl Walk for Name { type Way = self::super::store::Way; }",
        "#[derive(Clone, crate::store::Stored)] struct Name;",
        "struct Name(pub (crate::store::Token, u8));",
        "#[cfg(not(test))] use crate::store::Token;",
        "#[cfg(any(test, feature = \"redis\"))] fn f() { crate::store::open() }",
        "#[cfg(test)] use crate::store::Rig; use crate::store::Token;",
        "#[cfg(test)] const A: [u8; 1] = { [1] }; use crate::store::Token;",
        "#[cfg(test)] #[expect(dead_code)] pub(crate) async fn f() {} use crate::store::Token;",
        "struct Name { #[cfg(test)] rig: crate::store::Rig, token: crate::store::Token }",
    ] {
        assert_eq!(places(ROOMS.broken(&name(text).core())), ["name.rs:1"], "{text}");
    }
}

#[test]
fn what_is_no_import_is_taken_for_none() {
    for text in [
        "//! crate::store\n// use crate::store;\n/* crate::store */",
        "/// As [`crate::store::Token`].\npub(in crate::store) fn f() { \"crate::store::open\"; }",
        "mod tests { #[cfg(test)] use crate::store::Token; }",
        "#[cfg(all(test, feature = \"redis\"))] mod tests { fn f() { crate::store::open() } }",
        "struct Name { #[cfg(test)] token: crate::store::Token, pub(super) text: String }",
        "#[cfg(test)] #[inline] pub(crate) fn f<A, B>(token: crate::store::Token) where A: B, B: C {}",
        "mod store {} mod inner { use super::store::Token; use super::super::name::Name; }",
        "use crate::error::Error; use crate::name::Name; fn f() { <Name as Text>::store::<u8>() }",
        "fn f() { other::store::open() }",
    ] {
        holds(ROOMS.broken(&name(text).core()));
    }
}

#[test]
fn a_file_is_a_test_if_its_module_is_one() {
    let house = house(&[
        ("name.rs", "#[cfg(test)] mod rig; mod glob;"),
        ("name/rig.rs", "mod deeper; mod inner { use crate::store::Token; }"),
        ("name/rig/deeper.rs", "use crate::store::Token;"),
        ("name/glob/mod.rs", "\nuse super::super::store::Token; mod star;"),
        ("name/glob/star.rs", "\n\nuse super::super::super::store::Token;"),
    ]);
    assert_eq!(places(ROOMS.broken(&house.core())), ["name/glob/mod.rs:2", "name/glob/star.rs:3"]);
}

#[test]
fn a_room_imports_neither_from_its_own_row_nor_from_the_root() {
    let house = house(&[
        ("error.rs", "use crate::config::Config;"),
        ("clock.rs", "use crate::error::Error; use crate::config::Config;"),
        ("config.rs", "\nuse crate::Error;"),
        ("closet.rs", ""),
        ("lib.rs", &format!("{ROOT} mod hall {{ pub use crate::store::*; }} mod porch {{ pub use crate::error::E; }}")),
        ("name.rs", "macro_rules! m { () => { $crate::hall::open() } }\nuse crate::porch::E;"),
    ]);
    let found = ROOMS.broken(&house.core());
    assert!(found[0].what.contains("has no row"), "{}", found[0]);
    for (violation, from) in
        found[1..].iter().zip(["the parent of the rooms", "config", "store", "the parent of the rooms"])
    {
        assert!(violation.what.contains(&format!("from {from}: a room")), "{violation}");
    }
    assert_eq!(places(found), ["closet.rs:1", "config.rs:2", "error.rs:1", "name.rs:1", "name.rs:2"]);
}

#[test]
fn a_table_names_every_room_and_no_other() {
    let table = Table { parent: "name", rows: &["tag glob"] };
    let house = house(&[("name.rs", "mod tag; mod digest;"), ("name/tag.rs", ""), ("name/digest.rs", "")]);
    let found: Vec<String> = table.broken(&house.core()).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "cache-core/src:1: `glob` has a row and no module: take it out of the table",
            "cache-core/src/name/digest.rs:1: `digest` has no row: put it into the table",
        ]
    );
}

#[test]
fn a_table_below_a_module_is_about_its_children() {
    let table = Table { parent: "name", rows: &["tag", "glob"] };
    let house = house(&[
        ("name.rs", "mod tag; mod glob; use tag::Tag; fn f() { glob::f() }"),
        ("name/tag.rs", "use crate::store::glob; use super::glob::Glob;"),
        ("name/glob.rs", "use super::tag::Tag; use crate::error::tag;\n\nuse super::f;"),
    ]);
    assert_eq!(places(table.broken(&house.core())), ["name/glob.rs:3", "name/tag.rs:1"]);
}

#[test]
fn a_circle_is_found_through_what_a_parent_passes_on() {
    let direct = house(&[("clock.rs", "use crate::store::Store;"), ("store/mod.rs", "use crate::clock; mod redis;")]);
    assert_eq!(rules::circles(&direct.core()).len(), 1);
    let passed_on = house(&[
        ("name.rs", "mod tag; mod glob; pub(crate) use self::{tag::Tag as Label, glob::Glob};"),
        ("name/tag.rs", "use super::Glob; pub(crate) struct Tag;"),
        ("name/glob.rs", "use crate::name::Label; pub(crate) struct Glob;"),
    ]);
    let found = rules::circles(&passed_on.core());
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("name::glob -> name::tag  cache-core/src/name/glob.rs:1: `crate::name::Label`"));
    let of_three = house(&[
        ("error.rs", "use crate::config::A;"),
        ("config.rs", "use crate::clock::B;"),
        ("clock.rs", "fn f() { crate::error::f() }"),
    ]);
    assert_eq!(rules::circles(&of_three.core())[0].lines().count(), 4);
}

#[test]
fn a_parent_and_its_child_may_need_each_other() {
    let files =
        [("name.rs", "mod tag; use tag::Tag; struct Name;"), ("name/tag.rs", "use super::Name; use crate::error;")];
    holds(rules::circles(&house(&files).core()));
}

#[test]
fn a_room_without_a_law_is_found() {
    let house = house(&[
        ("error.rs", "//! Knows nothing."),
        ("config.rs", "//!\n//! Too late."),
        ("closet.rs", "//! A sentence that ends on the next\n//! line."),
        ("clock.rs", "// No documentation."),
        ("name.rs", "\n//! Too late."),
        ("store/redis.rs", ""),
    ]);
    let found = places(ROOMS.lawless(&house.core()));
    assert_eq!(found, ["clock.rs:1", "closet.rs:1", "config.rs:1", "name.rs:1", "store/mod.rs:1"]);
    assert!(ROOMS.printed(&house.core()).contains("   1  error         Knows nothing.\n"));
}

#[test]
fn the_driver_and_sockets_are_found_outside_of_their_place() {
    for text in [
        "use redis::Value;",
        "use redis as driver;",
        "fn f() { ::redis::cmd(\"GET\") }",
        "impl ::redis::FromRedisValue for Name {}",
        "struct Name(pub ::redis::Value);",
        "fn f(value: Vec<redis::Value>) {}",
        "use tokio::{sync::Mutex, net::TcpStream};",
        "async fn f() { tokio::net::lookup_host(\"x\").await }",
    ] {
        assert_eq!(places(rules::redis(&name(text).core())), ["name.rs:1"], "{text}");
        holds(rules::redis(&house(&[("store/redis.rs", text)]).core()));
    }
}

#[test]
fn a_hidden_face_of_the_core_is_found_in_a_crate_beside_it() {
    let beside = |text: &str| House::of([("cache-admin/src/lib.rs", text)]);
    for text in [
        "use cache_core::__private::Mode;",
        "use cache_core::{Cache, __entry::sample};",
        "fn f() { ::cache_core::__freshness::Times::new() }",
    ] {
        assert_eq!(
            places(rules::hidden_faces(&beside(text), "cache-admin/src")),
            ["cache-admin/src/lib.rs:1"],
            "{text}"
        );
    }
    holds(rules::hidden_faces(&beside("use cache_core::Cache; mod __own; use __own::f;"), "cache-admin/src"));
}

#[test]
fn the_room_of_the_name_of_the_driver_is_not_the_driver() {
    let store = |text: &str| house(&[("store/mod.rs", &format!("mod redis; {text}"))]);
    holds(rules::redis(&store("use redis::Store; fn f() { redis::open() }").core()));
    holds(rules::redis(&name("use crate::store::redis::{self, Store}; fn f() { redis::open() }").core()));
    for text in ["use ::redis::Value;", "fn f() { ::redis::cmd() }"] {
        assert_eq!(places(rules::redis(&store(text).core())), ["store/mod.rs:1"], "{text}");
    }
    let everything = name("use crate::store::redis::*; fn f() { redis::cmd() }");
    assert_eq!(places(rules::redis(&everything.core())), ["name.rs:1"]);
}

#[test]
fn a_reading_of_time_is_found_outside_of_the_clock() {
    for text in [
        "fn f() { Instant::now() }",
        "fn f() { option.unwrap_or_else(std::time::Instant::now) }",
        "fn f() { SystemTime::now() }",
        "fn f() { begun.elapsed() }",
        "use std::time::UNIX_EPOCH;",
        "fn f() { at.duration_since(SystemTime::UNIX_EPOCH) }",
    ] {
        assert_eq!(places(rules::time(&name(text).core())), ["name.rs:1"], "{text}");
        holds(rules::time(&house(&[("clock.rs", text)]).core()));
        holds(rules::time(&name(&format!("#[cfg(test)] mod tests {{ {text} }}")).core()));
    }
    holds(rules::time(&name("fn f(elapsed: Duration) { Instant::checked_add(now(), elapsed) }").core()));
}

#[test]
fn a_physical_key_is_found_outside_of_the_layout() {
    let house = |text: &str| {
        let layout = format!("//! `<root><logical key>` `<root>~clock` `<root>~index:<name>`\n{text}");
        house(&[("name.rs", text), ("store/redis.rs", "mod layout;"), ("store/redis/layout.rs", &layout)])
    };
    for text in ["const A: &str = \"~clock\";", "fn f() { format!(r\"{root}~index:k{name}\") }", "m!(b\"~clock\");"] {
        assert_eq!(places(rules::physical_keys(&house(text))), ["name.rs:1"], "{text}");
    }
    for text in ["/// Not `~clock`.\nconst A: &str = \"~other\";", "#[cfg(test)] mod tests { m!(\"~clock\"); }"] {
        holds(rules::physical_keys(&house(text)));
    }
    assert_eq!(places(rules::physical_keys(&name(""))), ["store/redis/layout.rs:1"]);
}

#[test]
fn unsafe_code_is_found() {
    let text = "fn f() { unsafe { g() } }\n// unsafe\nconst A: &str = \"unsafe\";\nunsafe impl Send for Name {}";
    assert_eq!(places(rules::unsafety(&name(text))), ["name.rs:1", "name.rs:4"]);
    holds(rules::unsafety(&House::of([("tests/ui/misuse.rs", "unsafe fn f() {}")])));
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let long = |head: &str, lines: usize, end: &str| {
        format!("{head}{}{end}\n", "\n".repeat(lines - 1 - head.matches('\n').count()))
    };
    let (at_most, too_long) = ("\n".repeat(500), "\n".repeat(501));
    assert_eq!(places(rules::sizes(&house(&[("clock.rs", &at_most), ("name.rs", &too_long)]))), ["name.rs:501"]);
    for (head, end, file) in [
        ("trait Name { fn g(); fn f(&self) where Self: Sized {", "}}", "name.rs"),
        ("tests! { async fn f(store: Store) {", "}}", "name.rs"),
        ("local function f(a)", "end", "store/redis/lua/fill.lua"),
        ("  f = function () if a then\n    end", "  end", "store/redis/lua/fill.lua"),
    ] {
        let two = long(head, 70, end) + &long(head, 71, end);
        assert_eq!(places(rules::sizes(&house(&[(file, &two)]))), [format!("{file}:71")], "{head}");
    }
}

#[test]
fn a_long_line_is_found() {
    let of = |mark: &str, columns: usize| format!("{mark}{}\n", "ä".repeat(columns - mark.len()));
    for (mark, file, max) in [
        ("// ", "name.rs", 100),
        ("    /// ", "name.rs", 100),
        ("//! ", "name.rs", 100),
        ("-- ", "store/redis/lua/fill.lua", 100),
    ] {
        let two = of(mark, max) + &of(mark, max + 1);
        assert_eq!(places(rules::widths(&house(&[(file, &two)]))), [format!("{file}:2")], "{mark}");
    }
}

#[test]
fn a_name_that_is_taken_twice_is_found() {
    let name = "struct Name; trait Step { type Item; }
        impl Step for Name { type Item = u8; fn f() -> impl Copy { type Inner = u8; } }";
    let clock = "trait Walk { type Item; }
        type Name = u8;
        struct Unit; impl<T> Walk for T { type Item = u8; }";
    let config = "macro_rules! m { () => { enum Inner {} } }
        #[cfg(test)] struct Walk;";
    let house = house(&[("name.rs", name), ("clock.rs", clock), ("config.rs", config)]);
    assert_eq!(places(rules::names(&house.core())), ["clock.rs:2", "config.rs:1", "name.rs:1", "name.rs:2"]);
}

#[test]
fn a_file_that_no_module_declares_is_found() {
    let house = house(&[
        ("name.rs", "mod tag; #[cfg(test)] mod tests;"),
        ("name/tag.rs", ""),
        ("name/tests.rs", ""),
        ("name/lost.rs", ""),
    ]);
    assert_eq!(places(rules::undeclared(&house, &house.core())), ["name/lost.rs:1"]);
}
