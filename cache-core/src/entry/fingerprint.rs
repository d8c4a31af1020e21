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
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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

/// A type, the version of the function, and whether the type is known to be `Cacheable`.
type Stored = (TypeId, u32, bool);

thread_local! {
    /// Shapes do not change while a program runs, and walking one takes microseconds. For each
    /// thread by itself: every hit asks, and a lock that all threads take is dearer than a walk for
    /// each type and thread.
    static KNOWN: RefCell<HashMap<Stored, Fingerprint, BuildHasherDefault<HashOfDigest>>> = RefCell::default();
}

/// For keys that are digests in the main, as a [`TypeId`] is.
#[derive(Default)]
struct HashOfDigest(u64);

impl Hasher for HashOfDigest {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The fingerprint of `T`, remembered. `Option<T>` and `T` share one, because `Some(x)` is stored
/// as `x`.
///
/// `declared` is `<T as Cacheable>::shape` where the type is known to be `Cacheable`.
pub(crate) fn fingerprint<T: DeserializeOwned>(version: u32, declared: Option<fn(&mut Shape)>) -> Fingerprint {
    let stored = (typeid::of::<T>(), version, declared.is_some());
    // A thread that ends may have nothing left to remember with.
    let known = KNOWN.try_with(|known| known.borrow().get(&stored).copied()).ok().flatten();
    known.unwrap_or_else(|| {
        let fingerprint = compute::<T>(version, declared);
        _ = KNOWN.try_with(|known| known.borrow_mut().insert(stored, fingerprint));
        fingerprint
    })
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
