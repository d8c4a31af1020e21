//! Where a link to an item leads: what rustdoc calls an intra-doc link.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::summary::Summary;

/// The documented items.
pub(super) struct Items<'a> {
    /// The documentation that rustdoc has built.
    pub(super) api: &'a Path,
    /// The file that documents an item or a module of the guide, by its name.
    pub(super) pages: BTreeMap<String, String>,
    pub(super) summary: &'a Summary,
}

const KINDS: [&str; 9] = ["struct", "enum", "trait", "fn", "macro", "attr", "derive", "constant", "type"];
const MEMBERS: [&str; 5] = ["method", "tymethod", "variant", "structfield", "associatedconstant"];

impl Items<'_> {
    /// Where a link such as `crate::Cache::close` in the documentation of a crate leads from a
    /// chapter. `None`: there is no such item.
    pub(super) fn resolve(&self, link: &str, crate_name: &str) -> Option<String> {
        let (path, anchor) = link.split_once('#').map_or((link, ""), |(path, anchor)| (path, anchor));
        let (kind, path) = path.split_once('@').map_or((None, path), |(kind, path)| (Some(kind), path));
        let path = path.trim_end_matches("()").trim_end_matches('!');
        let (root, path) = match path.split_once("::") {
            Some(("crate", path)) => (crate_name, path),
            Some((name, path)) if self.api.join(name).is_dir() => (name, path),
            _ if path == "crate" => (crate_name, ""),
            _ => (crate_name, path),
        };
        let with_anchor = |page: String| if anchor.is_empty() { page } else { format!("{page}#{anchor}") };
        // A trait and the macro that derives it have one name. The page is that of the macro.
        let own = path.strip_prefix("guide::").unwrap_or(path);
        if root == "cache_core"
            && kind != Some("trait")
            && let Some(source) = self.pages.get(own)
        {
            return self.summary.of(source).map(|chapter| with_anchor(chapter.name.clone()));
        }
        if path.is_empty() {
            return Some(with_anchor(format!("api/{root}/index.html")));
        }
        match path.split_once("::") {
            None => {
                let kind = kind.filter(|kind| *kind != "macro");
                self.page(root, kind, path).map(with_anchor)
            }
            Some((owner, member)) => {
                let page = self.page(root, kind, owner)?;
                let text = fs::read_to_string(self.api.join(page.strip_prefix("api/")?)).ok()?;
                let mut ids = MEMBERS.iter().map(|kind| format!("{kind}.{member}"));
                let id = ids.find(|id| text.contains(&format!("id=\"{id}\"")))?;
                Some(format!("{page}#{id}"))
            }
        }
    }

    fn page(&self, root: &str, kind: Option<&str>, name: &str) -> Option<String> {
        let mut kinds = KINDS.into_iter().filter(|known| kind.is_none_or(|kind| kind == *known));
        kinds.find_map(|kind| {
            let page = format!("{root}/{kind}.{name}.html");
            self.api.join(&page).is_file().then(|| format!("api/{page}"))
        })
    }
}

/// Which file documents which item or module, as the root of `cache-core` says.
pub(super) fn pages(root: &str) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut included = None;
    for line in root.lines().map(str::trim) {
        let include = line.strip_prefix("#[doc = include_str!(\"../docs/");
        if let Some(file) = include.and_then(|rest| rest.strip_suffix("\")]")) {
            if file.ends_with(".md") {
                included = Some(format!("cache-core/docs/{file}"));
            }
            continue;
        }
        let item = ["pub mod ", "pub use cache_macros::"].iter().find_map(|start| line.strip_prefix(start));
        let name = item.and_then(|item| item.split([' ', ';']).next());
        if let Some((file, name)) = included.take().zip(name) {
            pages.insert(name.to_owned(), file);
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::super::summary::Summary;
    use super::{Items, pages};
    use crate::steps::workspace;

    #[test]
    fn the_root_says_which_file_documents_what() {
        let root = "#[doc = include_str!(\"../docs/a-b.md\")]\n#[doc = include_str!(\"../docs/p.svg\")]\npub mod a_b {}\n\
                    #[doc = include_str!(\"../docs/tested.md\")]\nmod tested {}\n\
                    #[doc = include_str!(\"../docs/cached.md\")]\npub use cache_macros::cached;\npub use x::Y;";
        let expected = [("a_b", "cache-core/docs/a-b.md"), ("cached", "cache-core/docs/cached.md")];
        assert_eq!(pages(root), BTreeMap::from(expected.map(|(name, file)| (name.to_owned(), file.to_owned()))));
    }

    #[test]
    fn a_link_to_an_item_leads_to_its_chapter_or_to_rustdoc() {
        let api = workspace().join(format!("target/site-items-{}", std::process::id()));
        fs::create_dir_all(api.join("cache_core")).unwrap();
        for page in ["struct.Cache", "trait.Cacheable", "derive.Cacheable", "fn.observe"] {
            fs::write(api.join(format!("cache_core/{page}.html")), "<a id=\"method.close\">").unwrap();
        }
        let summary =
            Summary::parse("[C](../cache-core/docs/cached.md)\n[D](../cache-core/docs/cacheable.md)").unwrap();
        let root = "#[doc = include_str!(\"../docs/cached.md\")]\npub use cache_macros::cached;\n\
                    #[doc = include_str!(\"../docs/cacheable.md\")]\npub use cache_macros::Cacheable;\n\
                    #[doc = include_str!(\"../docs/cached.md\")]\npub mod again {}";
        let items = Items { api: &api, pages: pages(root), summary: &summary };
        for (link, target) in [
            ("crate::Cache", Some("api/cache_core/struct.Cache.html")),
            ("Cache", Some("api/cache_core/struct.Cache.html")),
            ("cache_core::Cache::close", Some("api/cache_core/struct.Cache.html#method.close")),
            ("crate::Cache::open", None),
            ("crate::Cash", None),
            ("crate::observe()", Some("api/cache_core/fn.observe.html")),
            ("macro@crate::cached#keys", Some("cached.md#keys")),
            ("crate::guide::again", Some("cached.md")),
            ("derive@Cacheable", Some("cacheable.md")),
            ("trait@Cacheable", Some("api/cache_core/trait.Cacheable.html")),
            ("crate#features", Some("api/cache_core/index.html#features")),
        ] {
            assert_eq!(items.resolve(link, "cache_core").as_deref(), target, "{link}");
        }
        fs::remove_dir_all(&api).unwrap();
    }
}
