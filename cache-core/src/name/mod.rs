//! How names are spelled: knows nothing of types, stores and time.

mod canonical;
mod digest;
mod escape;
mod glob;
mod name;
mod names;
mod readable;
mod sealed;
mod tag;
mod template;
mod text_key;
mod unencodable;

pub(crate) use self::canonical::differ;
pub use self::escape::{escape_glob, unescape_part};
pub(crate) use self::glob::Glob;
pub use self::glob::matches as glob_matches;
pub(crate) use self::name::{Name, check_name_text, prefix_of};
pub use self::names::Names;
pub(crate) use self::sealed::Sealed;
pub use self::tag::{IntoTag, Tag};
pub(crate) use self::template::type_part;
pub use self::template::{KeyPart, Part, Template, part, tag_part};
pub use self::text_key::{IntoKeyName, TextKey};
#[cfg(test)]
pub(crate) use self::unencodable::Unencodable;
