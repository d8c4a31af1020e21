//! What the methods of a cache take as a key: typed keys, keys of any type, text.

use std::borrow::Cow;

use super::{Key, TextKey};
use crate::error::Error;

mod sealed {
    pub trait Sealed {}
}

/// What names the entry of a value of type `T`: a [`Key<T>`], a [`TextKey`], or text, taken literally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the key of a `{T}`",
    note = "pass the key that the function's companion makes, `key!(\"...\")`, or the logical key as text"
)]
pub trait IntoKey<T>: sealed::Sealed {
    /// The key.
    ///
    /// # Errors
    /// Text that is empty, longer than 1,024 bytes, starts with `~` or holds control characters.
    fn into_key(self) -> Result<Key<T>, Error>;
}

/// What names an entry, whatever its type: a [`Key`], a [`TextKey`], or text, taken literally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an entry",
    note = "pass the key that a function's companion makes, `key!(\"...\")`, or the logical key as text"
)]
pub trait IntoKeyName: sealed::Sealed {
    /// The key, its type forgotten.
    ///
    /// # Errors
    /// As for [`IntoKey::into_key`].
    fn into_key_name(self) -> Result<TextKey, Error>;
}

impl<T> sealed::Sealed for Key<T> {}
impl<T> sealed::Sealed for &Key<T> {}

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
}

impl<T> IntoKeyName for &Key<T> {
    fn into_key_name(self) -> Result<TextKey, Error> {
        Ok(self.untyped())
    }
}

/// Everything that is a key of any type is one of a given type.
macro_rules! untyped_keys {
    ($($key:ty: |$this:ident| $name:expr;)*) => {$(
        impl sealed::Sealed for $key {}
        impl IntoKeyName for $key {
            fn into_key_name(self) -> Result<TextKey, Error> {
                let $this = self;
                $name
            }
        }
        impl<T> IntoKey<T> for $key {
            fn into_key(self) -> Result<Key<T>, Error> {
                self.into_key_name().map(TextKey::typed)
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
