//! The reasons why a name has no text.

use std::fmt;
use std::sync::Arc;

/// Why a value makes no part of a name. Holds no message of the value's own: it could repeat the
/// value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Unencodable {
    /// The value is not a scalar: the caller hashes it instead. Never leaves `readable`.
    Composite,
    /// The value is NaN. Two NaN are different, and so would be the keys of two equal calls.
    NotANumber,
    /// The value's own `Serialize` failed.
    Failed,
    /// Nested deeper than `KEY_DEPTH_MAX`.
    TooDeep,
    /// Two different types print the same name, so their keys could not be told apart.
    SameTypeName,
    /// The value is a `None` in a tag: there is no such tag. No mistake, unlike the others.
    Absent,
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Composite => "not a scalar",
            Self::NotANumber => "not a number",
            Self::Failed => "its serialization failed",
            Self::TooDeep => "nested too deeply",
            Self::SameTypeName => "another type parameter has the same name",
            Self::Absent => "a value in it is `None`",
        })
    }
}

impl std::error::Error for Unencodable {}

impl serde::ser::Error for Unencodable {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Failed
    }
}

/// The text of a key or tag; clones share it.
pub(crate) type NameText = Result<Arc<str>, Unencodable>;
