//! Builders of keys and tags, as generated code uses them.

use std::any::type_name;

use super::{Captured, Key, Policy, Recipe};
use crate::name::{KeyPart, Names, Part, Template, type_part};

/// The key of one call of a cached function: `prefix`, then `:` and a part per parameter.
#[derive(Clone, Debug)]
pub struct KeyText(Template);

impl Template {
    /// Goes back to the key that [`KeyText::template`] began from: further parts may follow.
    pub fn into_key(self) -> KeyText {
        KeyText(self)
    }
}

impl KeyText {
    /// A key with no parts yet.
    pub fn new(prefix: &str) -> Self {
        Self(Template::of_key().text(prefix))
    }

    /// The next parameter.
    pub fn part<T: KeyPart + ?Sized>(self, value: &T) -> Self {
        Self(self.0.text(":").part(value))
    }

    /// The next parameter, encoded before.
    pub fn encoded(self, part: &Part) -> Self {
        Self(self.0.text(":").encoded(part))
    }

    /// The next type parameter, by its full name with `.` between the segments.
    ///
    /// Two types of one program may have the same name (types inside two blocks of one function;
    /// types of two versions of one crate). Nothing tells such types apart from process to process:
    /// calls with the type that is met second are not cached.
    pub fn type_part<T: ?Sized>(self) -> Self {
        let part = type_part(typeid::of::<T>(), type_name::<T>());
        self.encoded(&part)
    }

    /// The text so far.
    pub(super) fn so_far(&self) -> &str {
        self.0.so_far()
    }

    /// An explicit `key`: text and values after the prefix and one `:`.
    pub fn template(self) -> Template {
        self.0.text(":")
    }

    /// The key, without a recipe for its entry.
    pub fn finish<T>(self) -> Key<T> {
        self.0.finish_key().typed()
    }

    /// The key of a companion: `put` through it stores what the function itself would store.
    pub fn finish_with<T>(
        self,
        policy: Policy,
        captured: Captured,
        declared: fn(&Captured, &T) -> Names,
        keep: fn(&T) -> bool,
    ) -> Key<T> {
        self.finish().with_recipe(Recipe { policy, captured, declared, keep })
    }
}
