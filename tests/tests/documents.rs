//! What the documents name is there, and what they say twice they say alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");
const ROOT_PAGE: &str = include_str!("../../cache-core/docs/crate.md");
const ROOT: &str = include_str!("../../cache-core/src/lib.rs");

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands below a heading, up to the next one of its level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let level = heading.split(' ').next().unwrap_or_default();
    rest.split(&format!("\n{level} ")).next().unwrap_or(rest).trim()
}

/// Without where links lead: that depends on where the page stands.
fn unlinked(text: &str) -> String {
    let mut parts = text.split("](");
    let mut unlinked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        unlinked += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    unlinked
}

fn first_code(page: &str) -> &str {
    let (_, rest) = page.split_once("\n```rust\n").expect("a page with code");
    rest.split("\n```").next().unwrap_or(rest)
}

#[test]
fn the_readme_and_the_crate_say_the_same_of_what_is_guaranteed() {
    let (readme, root) = (section(README, "## What is guaranteed"), section(ROOT_PAGE, "# What is guaranteed"));
    assert_eq!(unlinked(readme), unlinked(root));
}

#[test]
fn the_readme_and_the_crate_show_the_same_example() {
    assert_eq!(first_code(README), first_code(ROOT_PAGE));
}

#[test]
fn the_pages_on_tests_and_codecs_show_code_that_runs() {
    for (page, least) in [("testing", 6), ("codecs", 3)] {
        let tests = read(format!("tests/tests/{page}_page.rs"));
        let page = read(format!("cache-core/docs/{page}.md"));
        let shown: Vec<&str> =
            page.split("\n```rust\n").skip(1).filter_map(|rest| rest.split("\n```\n").next()).collect();
        assert!(shown.len() >= least, "only {shown:?}");
        for code in shown {
            assert!(tests.contains(code), "the tests of the page do not have\n{code}");
        }
    }
}

/// A page with Rust on it is a doctest, or a test of its own compares it with a program.
#[test]
fn every_example_of_a_page_is_compiled() {
    let compared = ["testing.md", "codecs.md", "first-app.md"];
    let mut doctests = String::new();
    for name in ["cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http"] {
        sources(&format!("{name}/src"), &mut doctests);
    }
    // No program sees the module `guide`, and no doctest does.
    let (before, guide) = doctests.split_once("\npub mod guide {\n").expect("the guide");
    let (_, after) = guide.split_once("\n}\n").expect("its end");
    let doctests = format!("{before}{after}");
    let mut pages = 0;
    for chapter in read("site/SUMMARY.md").split("](../").skip(1).filter_map(|rest| rest.split(')').next()) {
        let fences: Vec<String> =
            read(chapter).lines().filter_map(|line| Some(line.strip_prefix("```")?.to_owned())).step_by(2).collect();
        assert!(!fences.iter().any(|fence| fence.contains("ignore")), "{chapter}: an example that nothing compiles");
        // A bare fence is Rust to rustdoc.
        let of_crate = chapter.starts_with("cache-");
        if fences.iter().any(|fence| fence.is_empty() && of_crate || fence.starts_with("rust")) {
            let file = chapter.rsplit('/').next().unwrap_or(chapter);
            let is_compared = compared.contains(&file);
            assert!(is_compared || doctests.contains(&format!("/{file}\")")), "nothing compiles {chapter}");
            pages += 1;
        }
    }
    assert!(pages > 20, "only {pages} pages with Rust were found");
}

#[test]
fn the_page_on_tests_calls_everything_that_a_script_and_a_gate_can_do() {
    let (page, script) = (read("cache-core/docs/testing.md"), read("cache-core/src/store/script.rs"));
    let code: String = page.split("\n```").skip(1).step_by(2).collect();
    let called = script.split("    pub fn ").chain(script.split("    pub async fn ")).skip(1);
    let names: BTreeSet<&str> =
        called.filter_map(|rest| rest.split('(').next()).filter(|name| !name.contains(' ')).collect();
    assert!(names.len() > 8, "only {names:?}");
    for name in names {
        assert!(code.contains(&format!(".{name}(")), "no test of the page calls `{name}`");
    }
}

#[test]
fn the_crate_s_page_lists_every_public_item() {
    let exports = ROOT.split("\npub use ").skip(1).map(|export| export.split(';').next().unwrap_or(export));
    let names: BTreeSet<&str> = exports
        .flat_map(|export| export.rsplit("::").next().unwrap_or(export).split([',', '{', '}']))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() > 25, "only {names:?}");
    let links = |name: &str| {
        ["[`NAME`]", "](macro@NAME)", "](derive@NAME)", "](trait@NAME)"].map(|form| form.replace("NAME", name))
    };
    for name in names.into_iter().chain(["key!", "tag!"]) {
        assert!(links(name).iter().any(|link| ROOT_PAGE.contains(link)), "`crate.md` does not link `{name}`");
    }
}

#[test]
fn every_page_is_part_of_the_documentation() {
    let sources = ["lib.rs", "invalidation/wire.rs", "private/name_macros.rs", "warm/warm.rs"];
    let sources: String = sources.iter().map(|file| read(Path::new("cache-core/src").join(file))).collect();
    let pages = fs::read_dir(workspace().join("cache-core/docs")).expect("the pages");
    let pages: Vec<_> = pages.map(|page| page.expect("a page").file_name().into_string().expect("UTF-8")).collect();
    for page in pages.iter().filter(|page| page.ends_with(".md")) {
        assert!(sources.contains(&format!("docs/{page}\")")), "no documentation includes {page}");
    }
    for plot in fs::read_dir(workspace().join("cache-core/docs/plots")).expect("the plots") {
        let plot = plot.expect("a plot").file_name().into_string().expect("UTF-8");
        assert!(sources.contains(&format!("plots/{plot}")), "no documentation includes {plot}");
    }
}

#[test]
fn every_page_is_a_chapter_of_the_book() {
    let summary = read("site/SUMMARY.md");
    for page in documents() {
        let page = page.strip_prefix(workspace()).expect("a document of the workspace").to_string_lossy().into_owned();
        // The root page of rustdoc is the introduction there; here the README is.
        let is_for_readers = page.starts_with("cache-core/docs/") && !page.ends_with("/crate.md");
        assert!(
            !is_for_readers || summary.contains(&format!("](../{page})")),
            "`site/SUMMARY.md` does not name {page}"
        );
    }
}

#[test]
fn the_readme_and_the_page_on_operating_show_the_same_user() {
    let user = |page: &str| {
        let rest = page.split("\nredis-cli ACL SETUSER ").nth(1).expect("a user").to_owned();
        rest.split("\n```").next().map(ToOwned::to_owned)
    };
    assert_eq!(user(README), user(&read("cache-core/docs/operating.md")));
}

#[test]
fn each_alert_has_its_section_and_each_section_its_alert() {
    let (rules, page) = (read("dashboards/rules.yml"), read("cache-core/docs/operating.md"));
    let after = |text: &str, mark: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(mark)).map(ToOwned::to_owned).collect()
    };
    let alerts = after(&rules, "- alert: ");
    assert!(alerts.len() > 10, "only {alerts:?}");
    assert_eq!(alerts, after(section(&page, "# Alerts"), "## "), "in this order");
    let home = "https://docs.rs/cache-core/latest/cache_core/guide/operating/index.html";
    let runbooks: Vec<String> = alerts.iter().map(|alert| format!("{home}#{}", alert.to_lowercase())).collect();
    assert_eq!(after(&rules, "runbook_url: "), runbooks);
    for (alert, severity) in alerts.iter().zip(after(&rules, "labels: { severity: ")) {
        let severity = severity.trim_end_matches(" }");
        assert!(section(&page, &format!("## {alert}")).starts_with(&format!("*{severity}.*")), "{alert} is {severity}");
    }
}

fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    let examples = ["examples/flight-board", "examples/flight-board/data", "examples/orders"];
    let crates =
        ["cache-sqlx", "cache-otel", "cache-admin", "cache-admin/docs", "cache-http", "cache-http/docs", "cache-cli"];
    for folder in ["", ".github", "cache-core/docs"].iter().chain(&examples).chain(&crates) {
        let files = fs::read_dir(workspace().join(folder)).expect("a folder with documents");
        let files = files.map(|file| file.expect("a file").path());
        documents.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "md")));
    }
    assert!(documents.len() > 15, "only {documents:?}");
    documents
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut followed = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere = link.contains("://") || link.contains('@') || link.contains("::");
            if elsewhere || !link.contains(['/', '.']) {
                continue;
            }
            let folder = document.parent().expect("a document has a folder");
            assert!(folder.join(link).exists(), "{}: there is no {link}", document.display());
            followed += 1;
        }
    }
    assert!(followed > 30, "only {followed} links were found");
}

/// How many cells a row of a table has: an escaped bar belongs to its cell.
fn cells(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count()
}

#[test]
fn every_table_is_one() {
    let mut tables = 0;
    for document in documents() {
        let page = fs::read_to_string(&document).expect("a document");
        let lines: Vec<&str> = page.lines().collect();
        for (index, pair) in lines.windows(2).enumerate() {
            let is_first = pair[0].starts_with("| ") && (index == 0 || !lines[index - 1].starts_with('|'));
            let place = || format!("{}:{}: {}", document.display(), index + 1, pair[0]);
            if is_first {
                tables += 1;
                assert!(pair[1].starts_with("|--"), "no line under the head of a table in {}", place());
            }
            if pair[0].starts_with('|') && pair[1].starts_with('|') {
                assert_eq!(cells(pair[0]), cells(pair[1]), "a row of another width after {}", place());
            }
        }
    }
    assert!(tables > 50, "only {tables}");
}

/// What stands between backticks outside of blocks of code, each with what follows it.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let outside = text.split("\n```").step_by(2);
    outside
        .flat_map(|text| {
            let mut rest = text;
            std::iter::from_fn(move || {
                let (quoted, after) = rest.split_once('`')?.1.split_once('`')?;
                rest = after;
                Some((quoted, after))
            })
        })
        .collect()
}

/// A path without a crate is one of `cache-core/src/` or of `tests/tests/`. `None`: it is no path,
/// stands for many, or is made by a command.
fn named(quoted: &str) -> Option<PathBuf> {
    let is_path = quoted.contains('/') || [".rs", ".lua", ".md", ".toml"].iter().any(|end| quoted.ends_with(end));
    let stands_for_many = quoted.contains("NAME") || quoted.starts_with('/') || quoted.starts_with("target/");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !is_path || stands_for_many || !quoted.chars().all(plain) {
        return None;
    }
    let homes = ["", "cache-core/src", "tests/tests"].map(|home| workspace().join(home).join(quoted));
    let found = homes.into_iter().find(|path| path.exists());
    Some(found.unwrap_or_else(|| panic!("there is no {quoted}")))
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut found = 0;
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"] {
        found += quoted(&read(document)).into_iter().filter_map(|(quoted, _)| named(quoted)).count();
    }
    assert!(found > 80, "only {found} files were found");
}

/// The names that follow a file, as in `paths/lease.rs`: `Renewal`, `renew`.
fn names_after(mut text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((name, rest)) = [": `", ", `"].iter().find_map(|sign| text.strip_prefix(sign)?.split_once('`')) {
        if name.contains(['/', '.']) {
            break;
        }
        names.push(name);
        text = rest;
    }
    names
}

fn defines(source: &str, name: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    ["fn", "struct", "enum", "trait", "const"].iter().any(|kind| {
        let definition = format!("{kind} {name}");
        let mut found = source.match_indices(&definition);
        found.any(|(at, _)| !source[at + definition.len()..].starts_with(goes_on))
    })
}

#[test]
fn what_the_architecture_names_in_a_file_is_defined_there() {
    let text = read("ARCHITECTURE.md");
    let mut checked = 0;
    for (file, after) in quoted(&text) {
        let Some(path) = named(file).filter(|path| path.is_file()) else { continue };
        let source = fs::read_to_string(&path).expect("a source");
        for name in names_after(after) {
            assert!(defines(&source, name), "{file} defines no `{name}`");
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} names were found");
}

#[test]
fn each_kind_of_bookkeeping_that_the_architecture_names_is_there() {
    let (page, mut code) = (read("ARCHITECTURE.md"), String::new());
    sources("cache-core/src/store/redis", &mut code);
    let kinds = page.split('~').skip(1).map(|rest| rest.split(|letter: char| !letter.is_ascii_lowercase()));
    let kinds: Vec<&str> = kinds.filter_map(|mut rest| rest.next()).filter(|kind| !kind.is_empty()).collect();
    let gone: Vec<&&str> = kinds.iter().filter(|kind| !code.contains(&format!("~{kind}"))).collect();
    assert!(gone.is_empty(), "no key has {gone:?}");
    assert!(kinds.len() > 5, "only {kinds:?}");
}

#[test]
fn the_changelog_has_a_dated_section_of_this_version() {
    let heading = concat!("\n## [", env!("CARGO_PKG_VERSION"), "] - ");
    let changelog = read("CHANGELOG.md");
    let (_, rest) = changelog.split_once(heading).expect("a section of this version");
    let date = rest.lines().next().unwrap_or_default();
    let digits: Vec<usize> = date.split('-').map(|part| part.parse::<u16>().map_or(0, |_| part.len())).collect();
    assert_eq!(digits, [4, 2, 2], "{date} is no date");
}

/// What is needed to be found on crates.io, and may be there: five keywords of 20 characters.
#[test]
fn every_published_crate_says_what_it_is() {
    let crates = ["cache-core", "cache-macros", "cache-sqlx", "cache-otel", "cache-admin", "cache-http", "cache-cli"];
    for name in crates {
        let manifest = read(Path::new(name).join("Cargo.toml"));
        let list = |key: &str| -> Vec<String> {
            let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = [")));
            let line = line.unwrap_or_else(|| panic!("{name} has no {key}")).trim_end_matches(']');
            line.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
        };
        let (keywords, categories) = (list("keywords"), list("categories"));
        assert!(keywords.len() <= 5 && keywords.iter().all(|word| word.len() <= 20), "{name}: {keywords:?}");
        assert!(categories.len() <= 5 && categories.contains(&"caching".to_owned()), "{name}: {categories:?}");
        assert!(manifest.contains("\ndescription = \""), "{name} has no description");
        let has_features = manifest.contains("\n[features]\n");
        assert_eq!(manifest.contains("\n[package.metadata.docs.rs]\nall-features = true"), has_features, "{name}");
    }
}

/// The rows of a page's tables without their heads, each with the head of its table.
fn rows(page: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut rows = Vec::new();
    let mut head = None;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            head = if line.starts_with("|---") { head } else { None };
            continue;
        };
        let cells: Vec<&str> = line.split(" | ").collect();
        match &head {
            None => head = Some(cells),
            Some(head) => rows.push((head.clone(), cells)),
        }
    }
    rows
}

fn sources(folder: &str, text: &mut String) {
    for file in fs::read_dir(workspace().join(folder)).expect("a folder of sources").flatten() {
        let name = format!("{folder}/{}", file.file_name().to_string_lossy());
        if file.path().is_dir() {
            sources(&name, text);
        } else if name.ends_with(".rs") {
            *text += &read(&name);
        }
    }
}

#[test]
fn each_cell_of_the_comparison_names_a_test_or_a_source() {
    let page = read("cache-core/docs/comparison.md");
    let mut tests = String::new();
    for folder in ["tests/tests", "cache-core/src", "cache-http/tests"] {
        sources(folder, &mut tests);
    }
    let rows = rows(&page);
    assert!(rows.len() > 25, "only {} rows", rows.len());
    for (head, cells) in rows {
        assert_eq!(head.len(), cells.len(), "{cells:?}");
        let own = quoted(cells[1]);
        assert!(!own.is_empty(), "{}: no test is named", cells[0]);
        for (name, _) in own {
            let is_ui = workspace().join(format!("tests/ui/{name}.rs")).exists();
            assert!(is_ui || tests.contains(&format!("fn {name}(")), "{}: there is no test {name}", cells[0]);
        }
        for (library, cell) in head.iter().zip(&cells).skip(2) {
            assert!(library.contains(|c: char| c.is_ascii_digit()), "{library} has no version");
            let source = ["README", "docs", "examples/"].iter().any(|source| cell.contains(source));
            assert!(*cell == "–" || source, "{}: {library} has no source", cells[0]);
        }
    }
}

#[test]
fn the_page_for_assistants_has_every_option() {
    let page = read("cache-core/docs/assistants.md");
    let words = |text: &str| -> BTreeSet<String> {
        text.split('"').skip(1).step_by(2).filter(|word| !word.contains(' ')).map(ToOwned::to_owned).collect()
    };
    let cached = read("cache-macros/src/cached/parse.rs");
    let (_, table) = cached.split_once("const OPTIONS: ").expect("the table of options");
    let known = |file: &str| {
        let source = read(format!("cache-macros/src/{file}/parse.rs"));
        let (_, list) = source.split_once("const KNOWN: ").expect("the list of options");
        words(list.split(';').next().unwrap_or_default())
    };
    let options = [
        ("#[cached(…)]", words(table.split("];").next().unwrap_or_default())),
        ("#[invalidates(…)]", known("invalidates")),
        ("#[write_through(call, …)]", known("write_through")),
        ("#[cacheable(…)]", known("cacheable")),
    ];
    for (attribute, options) in options {
        let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{attribute}` | ")));
        let row = row.unwrap_or_else(|| panic!("no row for {attribute}"));
        let told: BTreeSet<String> = quoted(row).into_iter().map(|(option, _)| option.to_owned()).collect();
        assert!(options.len() > 3 && told == options, "{attribute}: {told:?} and {options:?}");
    }
}

#[test]
fn the_page_for_assistants_has_every_feature() {
    let page = read("cache-core/docs/assistants.md");
    let manifest = read("cache-core/Cargo.toml");
    let lines = section(&manifest, "[features]").lines().take_while(|line| !line.starts_with('['));
    let features = lines.filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once(" = ")?.0));
    let features: BTreeSet<&str> = features.filter(|feature| *feature != "default").collect();
    let (_, list) = page.split_once("; features ").expect("the list of features");
    let told = quoted(list.split('.').next().unwrap_or(list)).into_iter().map(|(feature, _)| feature);
    assert_eq!(told.collect::<BTreeSet<_>>(), features);
}

#[test]
fn the_sums_of_recorded_histories_are_those_of_their_runs() {
    let (file, page) = (read("consistency/history.md"), read("cache-core/docs/consistency.md"));
    let (runs, sums): (Vec<_>, Vec<_>) = rows(&file).into_iter().partition(|(head, _)| head[0] == "date");
    let number = |cell: &str| cell.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{cell} is no number"));
    let column = |head: &[&str], cells: &[&str], name: &str| {
        number(cells[head.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no column {name}"))])
    };
    let on_page: Vec<_> = rows(&page).into_iter().filter(|(head, _)| head[..2] == ["store", "runs"]).collect();
    assert_eq!(sums, on_page, "the page and the file say the same");
    assert!(runs.is_empty() || sums.iter().any(|(_, cells)| cells[0] == "all"), "no row for all stores");
    for (head, cells) in &sums {
        let of_store: Vec<_> =
            runs.iter().filter(|(_, run)| cells[0] == "all" || run[1].split(' ').next() == Some(cells[0])).collect();
        assert_eq!(number(cells[1]), of_store.len() as u64, "runs on {}", cells[0]);
        for name in ["reads", "copies", "soon", "invalidations", "refused fills", "stale", "panics"] {
            let sum: u64 = of_store.iter().map(|(head, run)| column(head, run, name)).sum();
            assert_eq!(column(head, cells, name), sum, "{name} on {}", cells[0]);
        }
        let expected = column(head, cells, "reads") / 3;
        assert!(cells[9] == "–" || number(cells[9]) == expected, "the bound of {}", cells[0]);
    }
}
