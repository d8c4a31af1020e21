//! What the methods of a cache take as a key: typed keys, keys for any type, text.

use std::borrow::Cow;

use super::Key;
use crate::error::Error;
use crate::name::{IntoKeyName, Names, Sealed, TextKey};

/// What names the entry of a value of type `T`: a [`Key<T>`], a [`TextKey`], or text, which is
/// taken literally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the key of a `{T}`",
    note = "pass the key that the function's companion makes, `key!(\"...\")`, or the logical key as text"
)]
pub trait IntoKey<T>: Sealed {
    /// The key.
    ///
    /// # Errors
    /// Text that is empty, longer than 1,024 bytes, starts with `~` or holds control characters.
    fn into_key(self) -> Result<Key<T>, Error>;
}

impl<T> Sealed for Key<T> {}
impl<T> Sealed for &Key<T> {}

impl<T> IntoKey<T> for Key<T> {
    fn into_key(self) -> Result<Key<T>, Error> {
        Ok(self)
    }
}

impl<T> IntoKey<T> for &Key<T> {
    fn into_key(self) -> Result<Key<T>, Error> {
        Ok(self.clone())
    }
}

impl<T> IntoKeyName for Key<T> {
    fn into_key_name(self) -> Result<TextKey, Error> {
        Ok(self.untyped())
    }

    fn known_names(&self) -> Option<&Names> {
        Some(&self.recipe()?.captured.names)
    }
}

impl<T> IntoKeyName for &Key<T> {
    fn into_key_name(self) -> Result<TextKey, Error> {
        Ok(self.untyped())
    }

    fn known_names(&self) -> Option<&Names> {
        (**self).known_names()
    }
}

/// A key for any type is also a key for a given type.
macro_rules! untyped_keys {
    ($($key:ty),*) => {$(
        impl<T> IntoKey<T> for $key {
            fn into_key(self) -> Result<Key<T>, Error> {
                self.into_key_name().map(TextKey::typed)
            }
        }
    )*};
}

untyped_keys!(TextKey, &TextKey, &str, &&str, String, &String, Cow<'_, str>);
