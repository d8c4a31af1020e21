//! The typed key of one entry.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Policy, Recipe};
use crate::entry::Fingerprint;
use crate::freshness::Ttl;
#[cfg(test)]
use crate::name::Unencodable;
use crate::name::{IntoTag, Name, TextKey, check_name_text, prefix_of};

/// The key of one entry, typed by what is stored under it.
///
/// Made by the companion of a cached function, `get_flight::key(&42)`. Printed as the logical key,
/// `flight:42`.
///
/// # Spelling
/// The prefix, then `:` and a part per parameter:
/// - integers, `bool`, `char`, strings and types that serialize as one are readable; in strings
///   `: % # ~ * ? [ ] \ { }`, whitespace and control characters are percent-escaped;
/// - `None` is `!`, `Some(x)` is `+` and x, `()` is `!()`, a unit variant is `.Name`;
/// - a string that reads like another scalar (digits, `true`, `false`, or starting with `'`, `+`,
///   `.` or `!`) starts with `'`, unless the parameter's own type is a string or `char`;
/// - everything else is `#` and 32 hex digits, 128 bits of blake3 over a canonical encoding: maps
///   and `HashSet`s are sorted, `-0.0` is `0.0`, enum variants count by name;
/// - in a key over 120 bytes one such digest of the whole key replaces all that follows the first
///   `:`, so patterns find that key by its prefix alone.
///
/// Different argument lists have different keys, as far as serde shows a difference. A field under
/// `#[serde(skip)]` or `#[serde(skip_serializing)]` makes none: no encoder can know of it, and
/// arguments that differ in it alone share an entry. Integers count by value, whatever their width,
/// and a newtype counts as its content. If a hand-written `Serialize` passes on the items of a
/// `HashSet` one by one, the set counts as a list in iteration order: equal sets may then miss each
/// other's entries.
///
/// # Arguments that cannot be encoded
/// NaN and a failing `Serialize` make a key that names no entry. The key prints as nothing, calls
/// with it are not cached (the statistics count them), and to invalidate it does nothing.
pub struct Key<T> {
    text: TextKey,
    recipe: Option<Arc<Recipe<T>>>,
    stored: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The logical key; empty if an argument could not be encoded.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The same key with a TTL of its own for values that are stored through this key.
    pub fn with_ttl(self, ttl: Duration) -> Self {
        self.refined(|recipe| recipe.policy.ttl = Ttl::Fixed(ttl))
    }

    /// The same key with further tags for values that are stored through this key.
    pub fn with_tags(self, tags: impl IntoIterator<Item = impl IntoTag>) -> Self {
        self.refined(|recipe| recipe.captured.names.tags(tags))
    }

    /// How the key says that its entry is stored; `None`: by the cache's defaults.
    pub(crate) fn recipe(&self) -> Option<&Arc<Recipe<T>>> {
        self.recipe.as_ref()
    }

    /// The logical key, or why there is none.
    #[cfg(test)]
    pub(crate) fn text(&self) -> Result<&Arc<str>, Unencodable> {
        self.text.text().as_ref().map_err(|error| *error)
    }

    /// The key as fences and indexes spell it; `None`: the key names no entry.
    #[cfg(test)]
    pub(crate) fn name(&self) -> Option<Name> {
        self.text.name()
    }

    /// The prefix under which the statistics count the key: the function's, or the text before the
    /// first `:`.
    pub(crate) fn prefix(&self) -> &str {
        match &self.recipe {
            Some(recipe) => &recipe.policy.prefix,
            None => prefix_of(self.as_str()),
        }
    }

    /// How the key's entry is stored: as its recipe says, or by the cache's defaults.
    pub(crate) fn policy(&self) -> Policy {
        self.recipe.as_ref().map_or_else(|| Policy::by_text(self.prefix()), |recipe| recipe.policy.clone())
    }

    /// The key of the entry; `None`: the key names no entry.
    pub(crate) fn entry(&self) -> Option<EntryKey> {
        let text = self.text.text().as_ref().ok()?;
        check_name_text(text).ok()?;
        Some(EntryKey { text: text.clone() })
    }

    /// A key that names no entry.
    pub(crate) fn unencodable() -> Self {
        TextKey::unencodable().typed()
    }

    pub(crate) fn untyped(&self) -> TextKey {
        self.text.clone()
    }

    pub(crate) fn with_recipe(mut self, recipe: Recipe<T>) -> Self {
        self.recipe = Some(Arc::new(recipe));
        self
    }

    fn refined(mut self, refine: impl FnOnce(&mut Recipe<T>)) -> Self {
        let mut recipe = match self.recipe.take() {
            Some(shared) => Arc::unwrap_or_clone(shared),
            None => Recipe::plain(prefix_of(self.as_str())),
        };
        refine(&mut recipe);
        self.recipe = Some(Arc::new(recipe));
        self
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), recipe: self.recipe.clone(), stored: PhantomData }
    }
}

impl<T> fmt::Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt_named("Key", f)
    }
}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Key<T> {}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// A key that names an entry.
#[derive(Clone, Debug)]
pub(crate) struct EntryKey {
    pub(crate) text: Arc<str>,
}

impl EntryKey {
    /// The key of an entry beside this one, for values of one type.
    pub(crate) fn of_type(&self, fingerprint: &Fingerprint) -> Self {
        Self { text: [&*self.text, "~", &fingerprint.short()].concat().into() }
    }

    /// The key as fences and indexes spell it. A hit has no use for it.
    pub(crate) fn name(&self) -> Name {
        Name::of_key(&self.text)
    }
}

impl TextKey {
    /// The same key, for values of one type.
    pub fn typed<T>(self) -> Key<T> {
        Key { text: self, recipe: None, stored: PhantomData }
    }

    /// The same key with a TTL of its own for values that are stored through this key.
    pub fn with_ttl<T>(self, ttl: Duration) -> Key<T> {
        self.typed().with_ttl(ttl)
    }

    /// The same key with tags for values that are stored through this key.
    pub fn with_tags<T>(self, tags: impl IntoIterator<Item = impl IntoTag>) -> Key<T> {
        self.typed().with_tags(tags)
    }
}

impl<T> From<TextKey> for Key<T> {
    fn from(key: TextKey) -> Self {
        key.typed()
    }
}
