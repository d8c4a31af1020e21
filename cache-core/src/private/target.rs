//! What the companion of a target tells the function that writes the target through.

use std::future::Future;
use std::marker::PhantomData;

use super::cache::runtime_of;
use crate::cache::Cache;
use crate::call::{Coding, Writing, writing};
use crate::key::Key;

/// The entry of one call of a cached function, to be written by another function. To store a value
/// takes a recipe and a cache: for each the companion says whether it is [`Known`] or
/// [`NotKnown`].
#[must_use]
pub struct Target<T, Recipe, In> {
    key: Key<T>,
    coding: Coding<T>,
    cache: Option<Cache>,
    known: PhantomData<fn() -> (Recipe, In)>,
}

impl<T, Recipe, In> Target<T, Recipe, In> {
    /// `cache`: the value of the target's `cache` option, if the companion knows it.
    pub fn new(key: Key<T>, coding: Coding<T>, cache: Option<Cache>) -> Self {
        Self { key, coding, cache, known: PhantomData }
    }

    pub(super) fn into_key(self) -> Key<T> {
        self.key
    }
}

/// The companion knows the recipe, or the cache.
pub struct Known;

/// Of a cache: the target's function names no cache.
pub struct Installed;

/// Of a cache: the target's function is given it with a context of type `C`.
pub struct InContext<C: ?Sized>(PhantomData<fn(&C)>);

/// The recipe, or the cache, needs parameters that the companion does not have.
pub struct NotKnown;

/// The tags, dependencies, lifetime and `when` of a target.
#[diagnostic::on_unimplemented(
    message = "this entry cannot be written through: its tags, `depends_on`, `ttl` or `when` use parameters that its key does not have",
    label = "its key alone does not say how it is stored",
    note = "in the target's options use `result` and what is in its key (in `when` only the value), or remove the entry with `#[invalidates(keys = [...])]`"
)]
pub trait IsWritable {}

impl IsWritable for Known {}

/// The cache of a target.
#[diagnostic::on_unimplemented(
    message = "the cache of this entry is not known here: its function is given the cache with a parameter",
    label = "its key alone does not say where it is stored",
    note = "say it here too: `#[write_through(..., context = ...)]` or `#[write_through(..., cache = ...)]`"
)]
pub trait IsLocated {}

impl IsLocated for Known {}

impl IsLocated for Installed {}

/// The cache of functions that name none.
#[diagnostic::on_unimplemented(
    message = "the function of this entry names its cache with `cache` or `context`, and this attribute names none",
    label = "its entries may not be in the installed cache",
    note = "name the same cache here: `context = ...` or `cache = ...`"
)]
pub trait IsInstalled {}

impl IsInstalled for Installed {}

/// The key of a target that is in the installed cache.
pub fn installed<T, Recipe, In: IsInstalled>(target: Target<T, Recipe, In>) -> Key<T> {
    target.key
}

/// The result of a function, as the value of its target.
#[diagnostic::on_unimplemented(
    message = "this function returns `{Self}`, and the entry that it writes through holds `{T}`",
    label = "not the value of the target",
    note = "return the target's value, or remove the entry with `#[invalidates(keys = [...])]`"
)]
pub trait WrittenAs<T> {
    /// The value to write; `None`: there is no value any more.
    fn written(&self) -> Option<&T>;
}

impl<T> WrittenAs<T> for T {
    fn written(&self) -> Option<&T> {
        Some(self)
    }
}

impl<T> WrittenAs<T> for Option<T> {
    fn written(&self) -> Option<&T> {
        self.as_ref()
    }
}

/// Compiles for a target whose companion knows how the entry is stored. The bounds are checked
/// here: where a future is made, errors would be reported twice.
pub fn writable<T, Recipe: IsWritable, In>(_: &Target<T, Recipe, In>) {}

/// Compiles for a target whose companion knows in which cache the entry is stored.
pub fn located<T, Recipe, In: IsLocated>(_: &Target<T, Recipe, In>) {}

/// Whether an entry is closed while the body runs that changes its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// It is.
    Closed,
    /// It is not.
    Open,
}

/// Begins to write through, before the body runs. `cache` is the cache to write to; `None`: the
/// target's cache.
pub fn write_through<T, Recipe, In>(
    cache: Option<&Cache>,
    target: Target<T, Recipe, In>,
    around: Around,
) -> impl Future<Output = Writing<T>> + Send + use<T, Recipe, In> {
    let runtime = runtime_of(cache.or(target.cache.as_ref()));
    writing(runtime, target.key, target.coding, around == Around::Closed)
}

/// The value to write, if the result of the body holds one.
pub fn written<'a, T, V: WrittenAs<T>>(_: &Writing<T>, value: &'a V) -> Option<&'a T> {
    value.written()
}
