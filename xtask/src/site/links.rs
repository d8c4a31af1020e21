//! Follows every link of the built book that leads to another place in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The pages read so far, each with its anchors.
type Pages = BTreeMap<PathBuf, BTreeSet<String>>;

/// Follows the links of all chapters, and adds what is wrong. The number of links followed.
///
/// The documentation that rustdoc has built is followed into, and not from: rustdoc checks its own.
pub(super) fn check(book: &Path, faults: &mut Vec<String>) -> Result<usize, String> {
    let (mut pages, mut followed) = (Pages::new(), 0);
    let entries = fs::read_dir(book).map_err(|error| format!("{}: {error}", book.display()))?;
    let mut chapters: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    chapters.sort();
    for chapter in chapters {
        // The page for what is not found is shown at any depth, so its links are not relative.
        let is_chapter = chapter.extension().is_some_and(|end| end == "html") && !chapter.ends_with("404.html");
        if !is_chapter {
            continue;
        }
        let text = fs::read_to_string(&chapter).map_err(|error| format!("{}: {error}", chapter.display()))?;
        for link in links(&text) {
            followed += 1;
            if !leads(&chapter, &link, &mut pages) {
                let name = chapter.file_name().unwrap_or_default().to_string_lossy();
                faults.push(format!("{name}: the link {link} leads nowhere"));
            }
        }
    }
    Ok(followed)
}

fn leads(chapter: &Path, link: &str, pages: &mut Pages) -> bool {
    let (path, anchor) = link.split_once('#').map_or((link, ""), |(path, anchor)| (path, anchor));
    let path = path.split('?').next().unwrap_or_default();
    let folder = chapter.parent().unwrap_or(Path::new("."));
    let target = if path.is_empty() { chapter.to_owned() } else { folder.join(path) };
    if anchor.is_empty() {
        return target.exists();
    }
    let anchors = pages
        .entry(target)
        .or_insert_with_key(|page| fs::read_to_string(page).map(|text| anchors(&text)).unwrap_or_default());
    anchors.contains(anchor)
}

/// The links of a page to other places in the book.
fn links(page: &str) -> Vec<String> {
    let values = ["href", "src"].into_iter().flat_map(|name| values(page, name));
    let here = |link: &String| !link.is_empty() && !link.contains(':') && !link.starts_with("//") && link != "#";
    values.map(|link| decoded(&link)).filter(here).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    values(page, "id").map(|anchor| decoded(&anchor)).collect()
}

/// The values of an attribute.
fn values<'p>(page: &'p str, attribute: &str) -> impl Iterator<Item = String> + use<'p> {
    let start = format!(" {attribute}=\"");
    let mut rest = page;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value.replace("&amp;", "&").replace("&#x27;", "'").replace("&quot;", "\""))
    })
}

/// Without `%21` and the like.
fn decoded(link: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = link.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;
    use crate::steps::workspace;

    #[test]
    fn a_link_without_its_page_or_anchor_is_a_fault() {
        let book = workspace().join(format!("target/site-links-{}", std::process::id()));
        fs::create_dir_all(book.join("api")).unwrap();
        fs::write(book.join("api/macro.key!.html"), "<a id=\"x\">").unwrap();
        fs::write(book.join("b.html"), "<h1 id=\"there\">").unwrap();
        let links = ["b.html", "b.html#there", "b.html#gone", "c.html", "#here", "#away", "api/macro.key%21.html#x"];
        let links = links.map(|link| format!("<a class=\"l\" href=\"{link}\">")).concat();
        let elsewhere = "<a href=\"https://docs.rs/x\"><img src=\"gone.svg\"><p id=\"here\">";
        fs::write(book.join("a.html"), links + elsewhere).unwrap();
        fs::write(book.join("404.html"), "<a href=\"gone.html\">").unwrap();
        let mut faults = Vec::new();
        assert_eq!(check(&book, &mut faults), Ok(8));
        let gone = ["b.html#gone", "c.html", "#away", "gone.svg"];
        assert_eq!(faults, gone.map(|link| format!("a.html: the link {link} leads nowhere")));
        fs::remove_dir_all(&book).unwrap();
    }
}
