//! The chapters of the book.

/// One chapter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) title: String,
    /// The file in the repository.
    pub(super) source: String,
    /// The file in the book. All lie in one folder.
    pub(super) name: String,
}

/// The list of chapters.
pub(super) struct Summary {
    pub(super) chapters: Vec<Chapter>,
    /// The list as mdBook reads it.
    pub(super) text: String,
}

impl Summary {
    /// Reads `site/SUMMARY.md`. A chapter that links nothing is one that is still to be written.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut chapters, mut translated) = (Vec::<Chapter>::new(), String::new());
        for line in text.lines() {
            let link = line.split_once('[').and_then(|(before, rest)| {
                let (title, rest) = rest.split_once("](")?;
                Some((before, title, rest.strip_suffix(')')?))
            });
            let Some((before, title, path)) = link.filter(|(_, _, path)| !path.is_empty()) else {
                translated += &format!("{line}\n");
                continue;
            };
            let source =
                path.strip_prefix("../").ok_or_else(|| format!("SUMMARY.md: {path} leads into its own folder"))?;
            let name = name(source);
            if chapters.iter().any(|chapter| chapter.name == name) {
                return Err(format!("SUMMARY.md: two chapters are {name}"));
            }
            translated += &format!("{before}[{title}]({name})\n");
            chapters.push(Chapter { title: title.to_owned(), source: source.to_owned(), name });
        }
        Ok(Self { chapters, text: translated })
    }

    /// The chapter that is made from a file of the repository.
    pub(super) fn of(&self, source: &str) -> Option<&Chapter> {
        self.chapters.iter().find(|chapter| chapter.source == source)
    }
}

/// A README is called by its folder.
fn name(source: &str) -> String {
    let mut parts: Vec<&str> = source.split('/').collect();
    match (parts.pop(), parts.pop()) {
        (Some("README.md"), Some(folder)) => format!("{folder}.md"),
        (Some("README.md"), None) => "index.md".to_owned(),
        (Some(file), _) => file.to_lowercase(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn chapters_lie_in_one_folder_under_names_of_their_own() {
        let text = "# Summary\n\n[What](../README.md)\n\n- [A](../docs/a.md)\n  - [B](../b/README.md)\n- [Later]()\n";
        let summary = Summary::parse(text).unwrap();
        assert_eq!(summary.text, "# Summary\n\n[What](index.md)\n\n- [A](a.md)\n  - [B](b.md)\n- [Later]()\n");
        assert_eq!(summary.of("b/README.md").unwrap().title, "B");
        assert!(summary.of("c.md").is_none());
        assert!(Summary::parse("[A](../x/a.md)\n[B](../y/a.md)").is_err());
    }
}
