//! The shape that a fingerprint is made from: paths, and what is at each of them.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::record::record;
use super::{Fingerprint, push_segment};

/// The shape of a type: names of fields and variants, kinds of leaves.
///
/// A set of lines, so the order of fields does not count: entries are read by field name.
#[derive(Debug, Default)]
pub struct Shape {
    lines: BTreeSet<(String, String)>,
    path: String,
}

impl Shape {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Describes what is at `name`, a field or variant, below the current place.
    pub fn within(&mut self, name: &str, describe: impl FnOnce(&mut Self)) {
        let outer = self.path.len();
        push_segment(&mut self.path, name);
        self.lines.insert((self.path.clone(), "named".to_owned()));
        describe(self);
        self.path.truncate(outer);
    }

    /// Says something about the current place.
    pub(crate) fn line(&mut self, aspect: &str, is: &str) {
        self.lines.insert((self.path.clone(), format!("{aspect}={is}")));
    }

    /// Adds what `T` asks of a deserializer, an outer `Option` left out.
    pub(super) fn stored<T: DeserializeOwned>(&mut self) {
        self.walked::<T>(true);
    }

    fn walked<T: DeserializeOwned>(&mut self, peel_option: bool) {
        for (below, what) in record::<T>(peel_option) {
            self.lines.insert((format!("{}{below}", self.path), what));
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        for text in self.lines.iter().flat_map(|(path, what)| [path, what]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let mut fingerprint = [0; 16];
        hasher.finalize_xof().fill(&mut fingerprint);
        Fingerprint(fingerprint)
    }
}

/// The type of one field, for the derive. `ShapeOf::<F>::new().record(shape)` walks the type if it
/// is deserializable. Otherwise, with [`OpaqueField`] in scope, it notes only that the field is
/// there.
#[derive(Debug)]
pub struct ShapeOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> ShapeOf<T> {
    /// Of `T`.
    #[allow(clippy::new_without_default)] // generated code alone makes one
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: DeserializeOwned> ShapeOf<T> {
    /// Adds the shape of the field's type.
    pub fn record(&self, shape: &mut Shape) {
        shape.walked::<T>(false);
    }
}

/// Fallback for fields whose type has no `Deserialize` of its own.
pub trait OpaqueField {
    /// Notes that something is there.
    fn record(&self, shape: &mut Shape);
}

impl<T: ?Sized> OpaqueField for ShapeOf<T> {
    fn record(&self, shape: &mut Shape) {
        shape.line("kind", "opaque");
    }
}
