//! The fingerprint of a stored type: types with the same fingerprint read each other's entries.
//!
//! It is made of the `version` of the function and of the type, of the shape that the type's
//! `Deserialize` asks for, and of the fields that a `Cacheable` type declares. Type names are no
//! part of it: moving a type to another module must not empty the cache.

mod layout;
mod record;
mod shape;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use serde::de::DeserializeOwned;

pub(super) use self::layout::{LayoutDigest, layout_of};
pub use self::shape::{OpaqueField, Shape, ShapeOf};

/// 128 bits of blake3 over the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(pub(crate) [u8; 16]);

impl Fingerprint {
    /// That of the same type where values are sealed. Processes with and without a seal then have
    /// entries beside each other, where they would store over each other's call by call.
    pub(crate) fn sealed(mut self) -> Self {
        self.0[0] ^= 1;
        self
    }

    /// Enough of it to tell the types of a few entries apart. A mistake costs a load.
    pub(crate) fn short(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Remembered, because shapes do not change while a program runs, and walking one takes
/// microseconds.
type Memo = RwLock<HashMap<(TypeId, u32, bool), Fingerprint>>;

/// The fingerprint of `T`, remembered. `Option<T>` and `T` share one, because `Some(x)` is stored
/// as `x`.
///
/// `declared` is `<T as Cacheable>::shape` where the type is known to be `Cacheable`.
pub(crate) fn fingerprint<T: DeserializeOwned>(version: u32, declared: Option<fn(&mut Shape)>) -> Fingerprint {
    static MEMO: OnceLock<Memo> = OnceLock::new();
    let memo = MEMO.get_or_init(Memo::default);
    let key = (typeid::of::<T>(), version, declared.is_some());
    if let Some(known) = memo.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return *known;
    }
    let fingerprint = compute::<T>(version, declared);
    memo.write().unwrap_or_else(PoisonError::into_inner).insert(key, fingerprint);
    fingerprint
}

fn compute<T: DeserializeOwned>(version: u32, declared: Option<fn(&mut Shape)>) -> Fingerprint {
    let mut shape = Shape::new();
    shape.line("version", &version.to_string());
    shape.stored::<T>();
    if let Some(declared) = declared {
        shape.within("declared", declared);
    }
    shape.fingerprint()
}

/// Appends one segment, with its length in front, so that no name can look like a path.
fn push_segment(path: &mut String, segment: &str) {
    path.push_str(&segment.len().to_string());
    path.push(':');
    path.push_str(segment);
}
