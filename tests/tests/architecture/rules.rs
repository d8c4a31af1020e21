//! The rules beside the tables, each a function that returns what breaks it.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::{File, House, Violation, at, sorted};
use crate::source::Path;
use crate::tree::{self, Crate, Module, Step};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COMMENT_COLUMNS_MAX: usize = 100;

const LAYOUT: &str = "cache-core/src/store/redis/layout.rs";

/// Circles of modules that stand side by side: rooms, or modules of one folder in a room. What a
/// module shares with its own children makes none. Each path is followed through `use` to where the
/// thing is defined, for a parent may pass on what its children define.
pub(crate) fn circles(tree: &Crate<'_>) -> Vec<String> {
    let steps = tree.steps();
    let mut edges: BTreeMap<(&[String], Module), &Step<'_>> = BTreeMap::new();
    for step in &steps {
        let end = tree.end(step);
        let shared = step.from.iter().zip(&end).take_while(|(from, to)| from == to).count();
        if shared < step.from.len().min(end.len()) {
            edges.entry((&step.from[..=shared], end[..=shared].to_vec())).or_insert(step);
        }
    }
    let pairs = edges.keys().map(|(from, to)| (from.to_vec(), to.clone())).collect();
    let described = |circle: BTreeSet<Module>| {
        let mut text = format!("{}: {} modules make a circle, and none may", tree.source, circle.len());
        for ((from, to), step) in edges.iter().filter(|((from, to), _)| circle.contains(*from) && circle.contains(to)) {
            let (from, to, written) = (from.join("::"), to.join("::"), step.path.segments.join("::"));
            text += &format!("\n    {from} -> {to}  {}:{}: `{written}`", step.file, step.path.line);
        }
        text
    };
    tree::circles(&pairs).into_iter().map(described).collect()
}

pub(crate) fn redis(tree: &Crate<'_>) -> Vec<Violation> {
    let allowed = |module: &Module| module.starts_with(&["store".to_owned(), "redis".to_owned()]);
    let mut found = Vec::new();
    for (module, file, path) in paths(tree).filter(|(module, ..)| !allowed(module)) {
        let outer: Vec<&str> = path.segments.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
        let outside = matches!(outer[..], ["redis", ..] | ["tokio", "net", ..]) && !tree.own(module, path);
        if outside {
            let what = format!("`{}`: only what is below `store/redis` names that crate", outer.join("::"));
            found.push(at(&file.name, path.line, what));
        }
    }
    sorted(found)
}

/// What the core shows to generated code and to the tools of this repository is nobody else's.
pub(crate) fn hidden_faces(house: &House, folder: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in house.files.values().filter(|file| file.name.starts_with(&format!("{folder}/"))) {
        let hidden = |path: &&Path| {
            let mut segments = path.segments.iter().map(String::as_str).skip_while(|segment| segment.is_empty());
            segments.next() == Some("cache_core") && segments.any(|segment| segment.starts_with("__"))
        };
        for path in file.facts.paths.iter().filter(hidden) {
            let what = format!("`{}`: this crate stands on the public face of the core", path.segments.join("::"));
            found.push(at(&file.name, path.line, what));
        }
    }
    sorted(found)
}

pub(crate) fn time(tree: &Crate<'_>) -> Vec<Violation> {
    let clock = |module: &Module| module.first().is_some_and(|room| room == "clock");
    let mut found = Vec::new();
    let mut add = |file: &File, line, what: &str| {
        found.push(at(&file.name, line, format!("`{what}`: time is read in `clock` only")));
    };
    for (_, file, path) in paths(tree).filter(|(module, ..)| !clock(module)) {
        let now = |two: &[String]| matches!([&*two[0], &*two[1]], ["Instant" | "SystemTime", "now" | "elapsed"]);
        if path.segments.windows(2).any(now) || path.segments.iter().any(|segment| segment == "UNIX_EPOCH") {
            add(file, path.line, &path.segments.join("::"));
        }
    }
    for (_, file) in tree.homes().filter(|(module, _)| !clock(module)) {
        for word in file.facts.words.iter().filter(|word| !word.test && word.text == ".elapsed") {
            add(file, word.line, &word.text);
        }
    }
    sorted(found)
}

/// What the layout documents as `<root>~name` is spelled nowhere else.
pub(crate) fn physical_keys(house: &House) -> Vec<Violation> {
    let layout = house.files.get(LAYOUT).map_or("", |file| &file.text);
    let name = |rest: &str| ["~", rest.split(|char: char| !char.is_alphanumeric()).next().unwrap_or("")].concat();
    let keys: BTreeSet<String> = layout.split("<root>~").skip(1).map(name).filter(|key| key != "~").collect();
    if keys.is_empty() {
        return vec![at(LAYOUT, 1, "the layout documents the physical keys as `<root>~name`, each once")];
    }
    let mut found = Vec::new();
    let tree = house.core();
    for (_, file) in tree.homes().filter(|(_, file)| file.name != LAYOUT) {
        for literal in file.facts.literals.iter().filter(|literal| !literal.test) {
            if keys.iter().any(|key| literal.text.contains(key)) {
                let what = format!("{}: physical keys are spelled in `store/redis/layout.rs` only", literal.text);
                found.push(at(&file.name, literal.line, what));
            }
        }
    }
    sorted(found)
}

/// The files in `tests/ui` are wrong on purpose.
pub(crate) fn unsafety(house: &House) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in house.files.values().filter(|file| !file.name.starts_with("tests/ui/")) {
        for word in file.facts.words.iter().filter(|word| word.text == "unsafe") {
            found.push(at(&file.name, word.line, "`unsafe`: nothing here needs it"));
        }
    }
    sorted(found)
}

pub(crate) fn sizes(house: &House) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in house.files.values() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(at(&file.name, lines, format!("{lines} lines: a file has {FILE_LINES_MAX} at most")));
        }
        let functions = file.facts.functions.iter().map(|function| (&*function.name, function.line, function.lines));
        for (name, line, lines) in
            functions.chain(lua_functions(file)).filter(|(.., lines)| *lines > FUNCTION_LINES_MAX)
        {
            let what = format!("`{name}` has {lines} lines: a function has {FUNCTION_LINES_MAX} at most");
            found.push(at(&file.name, line, what));
        }
    }
    sorted(found)
}

/// Functions of Lua end with the first `end` that stands as far to the left as they do.
fn lua_functions(file: &File) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (first, head) in lines.iter().enumerate().filter(|_| file.name.ends_with(".lua")) {
        let Some((_, name)) = head.split_once("function ") else { continue };
        let last = (first..lines.len())
            .find(|&last| lines[last].trim_start().starts_with("end") && indent(lines[last]) <= indent(head));
        if let Some(last) = last {
            found.push((name, first + 1, last - first + 1));
        }
    }
    found
}

pub(crate) fn widths(house: &House) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in house.files.values() {
        let mark = if file.name.ends_with(".lua") { "--" } else { "//" };
        for (line, text) in file.text.lines().enumerate() {
            // Lines of code are the business of rustfmt, which leaves long texts whole.
            let columns = text.chars().count();
            if text.trim_start().starts_with(mark) && columns > COMMENT_COLUMNS_MAX {
                let rule = format!("{columns} columns: a line of comment has {COMMENT_COLUMNS_MAX} at most");
                found.push(at(&file.name, line + 1, rule));
            }
        }
    }
    sorted(found)
}

pub(crate) fn names(tree: &Crate<'_>) -> Vec<Violation> {
    let mut places: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (_, file) in tree.homes() {
        for spot in file.facts.types.iter().filter(|spot| !spot.test) {
            places.entry(&spot.text).or_default().push((&file.name, spot.line));
        }
    }
    let mut found = Vec::new();
    for (name, places) in &places {
        for (file, line) in places {
            let others = places.iter().filter(|other| **other != (*file, *line));
            let others: Vec<String> = others.map(|(file, line)| format!("{file}:{line}")).collect();
            if !others.is_empty() {
                let what = format!("`{name}` stands in {} too: a type's name is its own", others.join(" and "));
                found.push(at(file, *line, what));
            }
        }
    }
    sorted(found)
}

/// The files of a crate that no module declares: they are not compiled, and would not be checked.
pub(crate) fn undeclared(house: &House, tree: &Crate<'_>) -> Vec<Violation> {
    let rust = |file: &&String| file.starts_with(&format!("{}/", tree.source)) && file.ends_with(".rs");
    let lost = house.files.keys().filter(rust).filter(|file| !tree.declared.contains(*file));
    lost.map(|file| at(file, 1, "no module declares this file")).collect()
}

/// Every path outside of tests, with the module and the file that it stands in.
fn paths<'a>(tree: &'a Crate<'_>) -> impl Iterator<Item = (&'a Module, &'a File, &'a Path)> {
    tree.homes().flat_map(|(module, file)| {
        file.facts.paths.iter().filter(|path| !path.test).map(move |path| (module, file, path))
    })
}
