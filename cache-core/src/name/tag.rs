//! Tags: the names of groups of entries.

#[cfg(test)]
mod spelling_tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::digest;
use super::name::{Name, check_name_text};
use super::sealed::Sealed;
use super::unencodable::{NameText, Unencodable};
use crate::error::Error;

/// The name of a group of entries that are invalidated together.
///
/// Made by `tag!`, which escapes values as keys do, or from text, which is taken literally.
///
/// # Spelling
/// A value in `tag!` and in the `tags` of an attribute is spelled as in a [`Key`](crate::Key), but
/// by value alone, so that a function that tags and a function that invalidates agree whatever
/// types they hold a value in:
/// - `7u32`, `7i64`, `Some(7)`, `"7"` and a newtype of one of them are `7`;
/// - a unit variant is its name as text, without a dot;
/// - with a `None` anywhere in it there is no tag: it adds nothing to an entry, and to invalidate
///   it does nothing.
///
/// Floats, lists, maps and structs are `#` and the digest that they have in a key. Inside of them
/// everything counts as in a key: a list of `Some(7)`, of `7` and of `"7"` are three tags. Name
/// the parts that matter instead: `"route:{route.from}:{route.to}"`.
///
/// In a tag over 1,024 bytes a digest of the whole tag replaces all that follows the first `:`, so
/// values may be as long as they like. Text is refused at that length.
///
/// # On a cluster
/// A tag that begins with `*`, such as `*catalog`, is *spread*: it is at home in every partition.
/// So an entry that has it registers nowhere, and its invalidation is one script in each partition.
/// It is for tags that most entries have, and makes no difference on one server. The two spellings
/// are two tags: what has `*catalog` is not removed by `catalog`, which says so in no way.
///
/// # Values that cannot be encoded
/// A tag with a value that cannot be encoded (NaN, a failing `Serialize`) names nothing: an entry
/// that should have the tag is not stored, and to invalidate the tag does nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(NameText);

impl Tag {
    /// Takes text literally.
    ///
    /// # Errors
    /// Text that is empty, longer than 1,024 bytes, starts with `~` or holds control characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        check_name_text(text.as_ref())?;
        Ok(Self(Ok(text.as_ref().into())))
    }

    pub(crate) fn from_encoded(text: Result<&str, Unencodable>) -> Self {
        Self(text.map(|text| Arc::from(&*digest::shorten_tag(text))))
    }

    /// The text of the tag; empty if a value in it is `None` or could not be encoded.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether a value in it is `None`, so that there is no tag.
    pub(crate) fn is_absent(&self) -> bool {
        self.0 == Err(Unencodable::Absent)
    }

    /// The tag as fences and indexes spell it; `None`: it names nothing.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::tag(self.0.as_ref().ok()?).ok()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(text) => write!(f, "Tag({text})"),
            Err(error) => write!(f, "Tag(none: {error})"),
        }
    }
}

/// What names a group of entries: a [`Tag`], or text, which is taken literally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tag",
    note = "pass a `Tag`, `tag!(\"...\")`, or the tag as text"
)]
pub trait IntoTag: Sealed {
    /// The tag.
    ///
    /// # Errors
    /// As for [`Tag::new`].
    fn into_tag(self) -> Result<Tag, Error>;
}

impl Sealed for Tag {}
impl Sealed for &Tag {}

macro_rules! tags {
    ($($tag:ty: |$this:ident| $made:expr;)*) => {$(
        impl IntoTag for $tag {
            fn into_tag(self) -> Result<Tag, Error> {
                let $this = self;
                $made
            }
        }
    )*};
}

tags! {
    Tag: |tag| Ok(tag);
    &Tag: |tag| Ok(tag.clone());
    &str: |text| Tag::new(text);
    &&str: |text| Tag::new(text);
    String: |text| Tag::new(text);
    &String: |text| Tag::new(text);
    Cow<'_, str>: |text| Tag::new(text);
}
