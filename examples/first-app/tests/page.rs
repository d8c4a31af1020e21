//! The page `first-app.md` shows this program, all of it, and the crates that it needs.

const PAGE: &str = include_str!("../../../cache-core/docs/first-app.md");
const PROGRAM: &str = include_str!("../src/main.rs");
const MANIFEST: &str = include_str!("../Cargo.toml");

fn blocks(language: &str) -> Vec<&'static str> {
    let fenced = PAGE.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_code_on_the_page_is_the_program() {
    let shown = blocks("rust").join("\n\n");
    assert_eq!(shown.trim(), PROGRAM.trim(), "the page and `src/main.rs` differ");
}

#[test]
fn the_page_names_the_crates_that_the_program_needs() {
    let names = |manifest: &str| {
        let (_, dependencies) = manifest.split_once("[dependencies]").expect("a list of dependencies");
        let listed = dependencies.lines().filter_map(|line| line.split_once('=')?.0.trim().split('.').next());
        listed.map(str::to_owned).collect::<Vec<_>>()
    };
    let shown = blocks("toml").join("\n");
    let needed = names(MANIFEST.split("[lints]").next().unwrap_or(MANIFEST));
    assert_eq!(names(&shown), needed);
    let (version, _) = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers");
    assert!(shown.contains(&format!("cache-core = \"{version}\"")), "the page names another version than {version}");
}
