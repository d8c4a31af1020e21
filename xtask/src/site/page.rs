//! A document of the repository as a chapter of the book.

use std::path::Path;

use super::items::Items;
use super::summary::Chapter;
use crate::steps::workspace;

/// A document that is to become a chapter.
pub(super) struct Page<'a> {
    pub(super) chapter: &'a Chapter,
    pub(super) items: &'a Items<'a>,
}

/// The chapter, and what it needs.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Files of the repository that the chapter shows.
    pub(super) images: Vec<String>,
    pub(super) faults: Vec<String>,
}

/// Where a link leads.
enum Target {
    /// To another place.
    To(String),
    /// To a file that is not in the book: its text alone stays.
    Nowhere,
}

impl Page<'_> {
    /// rustdoc shows a document below the name of its item, and reads blocks of code as Rust if
    /// they do not say what they are. So a chapter gets a title, its headings go one down, and its
    /// blocks say `rust`.
    pub(super) fn translate(&self, document: &str) -> Translated {
        let mut translated = Translated::default();
        let has_title = document.starts_with("# ");
        if !has_title {
            translated.text += &format!("# {}\n\n", self.chapter.title);
        }
        let mut in_code = false;
        for line in document.lines() {
            let is_fence = line.trim_start().starts_with("```");
            let text = if is_fence && !in_code && line.trim() == "```" {
                format!("{line}rust")
            } else if is_fence || in_code {
                line.to_owned()
            } else if line.starts_with('#') && !has_title {
                format!("#{}", self.links(line, &mut translated))
            } else {
                self.links(line, &mut translated)
            };
            in_code ^= is_fence;
            translated.text += &text;
            translated.text.push('\n');
        }
        translated
    }

    /// A line of text with its links.
    fn links(&self, line: &str, translated: &mut Translated) -> String {
        let mut text = String::new();
        let mut opened = Vec::new(); // where the text of a link begins
        let mut rest = line;
        while let Some(at) = rest.find(['[', ']', '`']) {
            let (before, found) = rest.split_at(at);
            text += before;
            if let Some(code) = found.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
                text += &format!("`{}`", code.0);
                rest = code.1;
            } else if let Some(after) = found.strip_prefix('[') {
                opened.push(text.len());
                text.push('[');
                rest = after;
            } else {
                let start = opened.pop();
                let after = found.get(1..).unwrap_or_default();
                rest = self.link(start, after, &mut text, translated);
            }
        }
        text + rest
    }

    /// What follows the text of a link, which begins at `start`. What is left of the line.
    fn link<'l>(
        &self,
        start: Option<usize>,
        after: &'l str,
        text: &mut String,
        translated: &mut Translated,
    ) -> &'l str {
        let Some(start) = start else {
            text.push(']');
            return after;
        };
        let label = text[start + 1..].to_owned();
        let (link, rest) = match after.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((link, rest)) => (link.to_owned(), rest),
            // `[`Cache`]` alone is a link to the item of that name.
            None if label.len() > 2 && label.starts_with('`') && label.ends_with('`') => {
                (label.trim_matches('`').to_owned(), after)
            }
            None => {
                text.push(']');
                return after;
            }
        };
        match self.target(&link, translated) {
            Ok(Target::To(target)) => *text += &format!("]({target})"),
            Ok(Target::Nowhere) => text.replace_range(start.., &label),
            Err(fault) => {
                translated.faults.push(fault);
                text.push(']');
            }
        }
        rest
    }

    fn target(&self, link: &str, translated: &mut Translated) -> Result<Target, String> {
        if link.contains("://") || link.starts_with('#') {
            return Ok(Target::To(link.to_owned()));
        }
        if link.contains("::") || link.contains('@') || !link.contains(['/', '.']) && !self.file(link).1 {
            let item = self.items.resolve(link, &self.crate_name());
            return item.map(Target::To).ok_or_else(|| format!("there is no item {link}"));
        }
        let (path, anchor) =
            link.split_once('#').map_or((link, String::new()), |(path, anchor)| (path, format!("#{anchor}")));
        let (source, exists) = self.file(path);
        if let Some(chapter) = self.items.summary.of(&source) {
            return Ok(Target::To(format!("{}{anchor}", chapter.name)));
        }
        if !exists {
            return Err(format!("there is no file {link}"));
        }
        if !source.ends_with(".svg") && !source.ends_with(".png") {
            return Ok(Target::Nowhere);
        }
        let target = image(&source);
        translated.images.push(source);
        Ok(Target::To(target))
    }

    /// A file that the document links, as seen from the root of the repository, and whether it is
    /// there.
    fn file(&self, link: &str) -> (String, bool) {
        let mut parts: Vec<&str> = self.chapter.source.split('/').collect();
        parts.pop();
        for part in link.split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." | "" => {}
                part => parts.push(part),
            }
        }
        let source = parts.join("/");
        let exists = workspace().join(Path::new(&source)).exists();
        (source, exists)
    }

    /// The crate whose documentation the document belongs to.
    fn crate_name(&self) -> String {
        let folder = self.chapter.source.split('/').next().unwrap_or_default();
        if folder.starts_with("cache-") { folder.replace('-', "_") } else { "cache_core".to_owned() }
    }
}

/// Where an image of the repository lies in the book.
pub(super) fn image(source: &str) -> String {
    format!("images/{}", source.replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::items::Items;
    use super::super::summary::Summary;
    use super::{Page, Translated};

    fn translated(document: &str) -> Translated {
        let summary = "[Story](../cache-core/docs/story.md)\n[Freshness](../cache-core/docs/freshness.md)";
        let summary = Summary::parse(summary).unwrap();
        let pages = BTreeMap::from([("freshness".to_owned(), "cache-core/docs/freshness.md".to_owned())]);
        let items = Items { api: Path::new("/nowhere"), pages, summary: &summary };
        Page { chapter: &summary.chapters[0], items: &items }.translate(document)
    }

    #[track_caller]
    fn check(document: &str, chapter: &str) {
        let translated = translated(document);
        assert_eq!(translated.text, format!("# Story\n\n{chapter}\n"));
        assert_eq!(translated.faults, Vec::<String>::new());
    }

    #[test]
    fn headings_go_one_down_and_code_stays() {
        check(
            "First.\n# One\n## Two\n```sh\n# not a heading\n```",
            "First.\n## One\n### Two\n```sh\n# not a heading\n```",
        );
    }

    #[test]
    fn code_that_says_nothing_is_rust() {
        check("```\nlet a = [`x`];\n```\n```text\nb\n```", "```rust\nlet a = [`x`];\n```\n```text\nb\n```");
    }

    #[test]
    fn links_to_documents_lead_to_chapters_and_those_to_sources_are_none() {
        check("[a](freshness.md#limits), [b](../../README.md)", "[a](freshness.md#limits), b");
        check("[`a`](crate::guide::freshness#x) [b](#here)", "[`a`](freshness.md#x) [b](#here)");
        check("[b](https://docs.rs/x) `[c](d)` [d] a[0]", "[b](https://docs.rs/x) `[c](d)` [d] a[0]");
    }

    #[test]
    fn images_come_along() {
        let translated = translated("![a](plots/story.svg)");
        assert_eq!(translated.text, "# Story\n\n![a](images/cache-core-docs-plots-story.svg)\n");
        assert_eq!(translated.images, ["cache-core/docs/plots/story.svg"]);
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        let faults = translated("[`Cash`] and [b](crate::Cash::x) and [c](nothing.md)").faults;
        assert_eq!(faults, ["there is no item Cash", "there is no item crate::Cash::x", "there is no file nothing.md"]);
    }

    #[test]
    fn a_document_with_a_title_keeps_it() {
        assert_eq!(translated("# Mine\n## Two").text, "# Mine\n## Two\n");
    }
}
