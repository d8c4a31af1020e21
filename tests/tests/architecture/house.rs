//! The files of the repository.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::source::{Facts, read};
use crate::tree::Crate;

pub(crate) struct File {
    /// From the root of the repository, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
    /// None of Lua.
    pub(crate) facts: Facts,
}

pub(crate) struct House {
    pub(crate) files: BTreeMap<String, File>,
}

/// Something that is against a rule.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

pub(crate) fn at(file: &str, line: usize, what: impl Into<String>) -> Violation {
    Violation { file: file.to_owned(), line, what: what.into() }
}

pub(crate) fn sorted(mut found: Vec<Violation>) -> Vec<Violation> {
    found.sort();
    found.dedup();
    found
}

impl House {
    pub(crate) fn standing() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this package");
        let mut files = Vec::new();
        collect(root, "", &mut files);
        Self::of(files)
    }

    /// A house of these files: the name and the text of each.
    pub(crate) fn of(files: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let file = |(name, text): (String, String)| {
            let facts = match name.ends_with(".rs").then(|| read(&text)) {
                Some(Ok(facts)) => facts,
                Some(Err(error)) => panic!("{name}:{}: {error}", error.span().start().line),
                None => Facts::default(),
            };
            (name.clone(), File { name, text, facts })
        };
        Self { files: files.into_iter().map(|(name, text)| file((name.into(), text.into()))).collect() }
    }

    pub(crate) fn core(&self) -> Crate<'_> {
        Crate::new("cache-core/src", &self.files)
    }

    pub(crate) fn macros(&self) -> Crate<'_> {
        Crate::new("cache-macros/src", &self.files)
    }

    pub(crate) fn admin(&self) -> Crate<'_> {
        Crate::new("cache-admin/src", &self.files)
    }

    pub(crate) fn http(&self) -> Crate<'_> {
        Crate::new("cache-http/src", &self.files)
    }

    pub(crate) fn cli(&self) -> Crate<'_> {
        Crate::new("cache-cli/src", &self.files)
    }
}

/// Every Rust and Lua file below `folder` that is not a build product.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("the folder is read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are plain").to_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, &format!("{prefix}{name}/"), files);
            }
        } else if name.ends_with(".rs") || name.ends_with(".lua") {
            files.push((format!("{prefix}{name}"), fs::read_to_string(&path).expect("sources are text")));
        }
    }
}
