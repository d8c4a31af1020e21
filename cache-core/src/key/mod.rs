//! Typed keys and how their entries are to be stored: knows nothing of stores and calls.

mod conversion;
#[cfg(test)]
mod golden_tests;
mod key;
mod owner;
mod place;
#[cfg(test)]
mod property_tests;
mod recipe;
mod text;
mod walk;

pub use self::conversion::IntoKey;
pub(crate) use self::key::EntryKey;
pub use self::key::Key;
pub use self::owner::{CachedFunction, Owner};
pub(crate) use self::owner::{Holding, Loads};
pub use self::place::NearPlace;
pub(crate) use self::place::hash_of;
pub(crate) use self::recipe::Recipe;
pub use self::recipe::{Captured, Policy};
pub use self::text::KeyText;
pub use self::walk::WalkStep;
