//! Keys as text, for values of any type.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::digest;
use super::name::{Name, check_name_text};
use super::names::Names;
use super::sealed::Sealed;
use super::unencodable::{NameText, Unencodable};
use crate::error::Error;

/// A key made from text, for values of any type. Made by `key!`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TextKey {
    text: NameText,
}

impl TextKey {
    /// Takes text literally. A text over 120 bytes names the entry of the shortened key (see
    /// [`Key`](crate::Key)).
    pub(crate) fn literal(text: &str) -> Result<Self, Error> {
        check_name_text(text)?;
        Ok(Self::from_encoded(Ok(text)))
    }

    pub(crate) fn from_encoded(text: Result<&str, Unencodable>) -> Self {
        Self { text: text.map(|text| Arc::from(&*digest::shorten_key(text))) }
    }

    /// A key that names no entry.
    pub(crate) fn unencodable() -> Self {
        Self { text: Err(Unencodable::Failed) }
    }

    pub(crate) fn text(&self) -> &NameText {
        &self.text
    }

    /// The logical key; empty if a value in it could not be encoded.
    pub fn as_str(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The key as fences and indexes spell it; `None`: it names no entry.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::key(self.text.as_ref().ok()?).ok()
    }

    pub(crate) fn fmt_named(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Ok(text) => write!(f, "{name}({text})"),
            Err(error) => write!(f, "{name}(none: {error})"),
        }
    }
}

impl fmt::Display for TextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_named("TextKey", f)
    }
}

/// What names an entry of any type: a [`Key`](crate::Key), a [`TextKey`], or text, which is taken
/// literally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an entry",
    note = "pass the key that a function's companion makes, `key!(\"...\")`, or the logical key as text"
)]
pub trait IntoKeyName: Sealed {
    /// The key without the type of its value.
    ///
    /// # Errors
    /// As for [`IntoKey::into_key`](crate::IntoKey::into_key).
    fn into_key_name(self) -> Result<TextKey, Error>;

    /// The names that the entry has whatever its value is, as far as the key knows them.
    #[doc(hidden)]
    fn known_names(&self) -> Option<&Names> {
        None
    }
}

impl Names {
    /// Adds a dependency, and what is known of its entry's own names. The store leads from those to
    /// the dependency, and on to whatever depends on it, only while the dependency is stored.
    pub fn key(&mut self, key: impl IntoKeyName) {
        if let Some(known) = key.known_names() {
            self.extend(known.clone());
        }
        self.add(key.into_key_name().ok().and_then(|key| key.name()));
    }

    /// Adds several dependencies.
    pub fn keys(&mut self, keys: impl IntoIterator<Item = impl IntoKeyName>) {
        keys.into_iter().for_each(|key| self.key(key));
    }
}

macro_rules! untyped_keys {
    ($($key:ty: |$this:ident| $name:expr;)*) => {$(
        impl Sealed for $key {}
        impl IntoKeyName for $key {
            fn into_key_name(self) -> Result<TextKey, Error> {
                let $this = self;
                $name
            }
        }
    )*};
}

untyped_keys! {
    TextKey: |key| Ok(key);
    &TextKey: |key| Ok(key.clone());
    &str: |text| TextKey::literal(text);
    &&str: |text| TextKey::literal(text);
    String: |text| TextKey::literal(&text);
    &String: |text| TextKey::literal(text);
    Cow<'_, str>: |text| TextKey::literal(&text);
}
