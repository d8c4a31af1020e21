//! `cargo xtask site`: the documentation as a book, in `target/site/book`.
//!
//! The book has no text of its own. Its chapters are the files that `site/SUMMARY.md` names, most
//! of which rustdoc includes as well. What only rustdoc understands is put in the book's terms
//! (`page`), a link to an item leads to the built documentation (`items`), and in the end every
//! link of the book is followed (`links`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::steps::{announce, cargo, copy, copy_all, workspace};

mod items;
mod links;
mod page;
mod summary;

use items::Items;
use page::Page;
use summary::Summary;

/// The page for coding assistants, which is `llms.txt` as well.
const ASSISTANTS: &str = "cache-core/docs/assistants.md";
/// The crates whose documentation belongs to the book.
const CRATES: [&str; 5] = ["cache-core", "cache-sqlx", "cache-otel", "cache-admin", "cache-http"];

/// Builds the book and follows its links. False if one of them leads nowhere.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if !arguments.is_empty() {
        return Err("`cargo xtask site` takes no arguments".to_owned());
    }
    let mdbook = install::mdbook()?;
    let api = rustdoc()?;
    let site = workspace().join("target/site");
    let _ = fs::remove_dir_all(&site);
    let summary = Summary::parse(&read("site/SUMMARY.md")?)?;
    let items = Items { api: &api, pages: items::pages(&read("cache-core/src/lib.rs")?), summary: &summary };
    let mut faults = Vec::new();
    for chapter in &summary.chapters {
        let page = Page { chapter, items: &items };
        let translated = page.translate(&read(&chapter.source)?);
        faults.extend(translated.faults.into_iter().map(|fault| format!("{}: {fault}", chapter.source)));
        for image in translated.images {
            copy(&workspace().join(&image), &site.join("src").join(page::image(&image)))?;
        }
        write(&site.join("src").join(&chapter.name), &translated.text)?;
        if chapter.source == ASSISTANTS {
            // Beside the book, which copies it: nobody turns its links to chapters into others.
            write(&site.join("src/llms.txt"), &translated.text.replace(".md)", ".html)"))?;
        }
    }
    write(&site.join("src/SUMMARY.md"), &summary.text)?;
    for file in ["book.toml", "book.css"] {
        copy(&workspace().join("site").join(file), &site.join(file))?;
    }
    build(&mdbook, &site)?;
    let book = site.join("book");
    copy_all(&api, &book.join("api"))?;
    let followed = links::check(&book, &mut faults)?;
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    println!(
        "{} chapters, {followed} links followed, {} faults: {}",
        summary.chapters.len(),
        faults.len(),
        book.join("index.html").display()
    );
    Ok(faults.is_empty())
}

/// Documents the crates in a directory of their own: the workspace's has its tools and tests too.
fn rustdoc() -> Result<PathBuf, String> {
    let target = workspace().join("target/site-api");
    let packages = CRATES.iter().flat_map(|name| ["--package", name]);
    let arguments: Vec<&str> = ["doc", "--no-deps", "--all-features"].into_iter().chain(packages).collect();
    let mut command = cargo(&arguments);
    // What is built on the way lies where every other build finds it.
    command.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_BUILD_DIR", workspace().join("target"));
    announce(&command);
    match command.status() {
        Ok(status) if status.success() => Ok(target.join("doc")),
        Ok(status) => Err(format!("cargo doc: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

fn build(mdbook: &Path, site: &Path) -> Result<(), String> {
    match Command::new(mdbook).arg("build").arg(site).env("RUST_LOG", "warn").status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("mdbook: {status}")),
        Err(error) => Err(format!("cannot run {}: {error}", mdbook.display())),
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(workspace().join(path)).map_err(|error| format!("{path}: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
