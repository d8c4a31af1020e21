//! What a function returns: a `Result`, an `Option`, a plain value, a `Cacheable` type. Asked of
//! the compiler, for an attribute sees names only.
//!
//! A probe answers with a marker type: an inherent method, which exists for the special types
//! alone, beats the method of a trait that every type has. Bounds are then checked by one ordinary
//! function, never behind the probe, so that errors read like ordinary errors.

use std::marker::PhantomData;

use crate::cacheable::Cacheable;
use crate::entry::Shape;
use crate::key::Policy;
use crate::name::Names;

/// `Result<T, E>`, under whatever name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named like a `Result`, but is none",
    label = "not a `std::result::Result`",
    note = "a return type named `Result`, or `...Result<T>`, is taken for a `Result`: rename it, or return a `Result`"
)]
pub trait ReturnsResult {
    /// What is cached.
    type Ok;
}

impl<T, E> ReturnsResult for Result<T, E> {
    type Ok = T;
}

/// Compiles for a `Result`.
pub fn returns_result<T: ReturnsResult>() {}

/// What is logged of an error that no caller sees.
pub struct Said<'a, E>(pub &'a E);

impl<E: std::fmt::Display> Said<'_, E> {
    /// Its own words.
    pub fn said(&self) -> String {
        self.0.to_string()
    }
}

/// An error that cannot be printed, or a type parameter of which nothing is known.
pub trait UnsaidKind {
    /// That there was one.
    fn said(&self) -> String {
        crate::cache::UNSAID.to_owned()
    }
}

impl<E> UnsaidKind for Said<'_, E> {}

/// Asks about a type, without a value of it.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// About `T`.
    #[expect(clippy::new_without_default, reason = "generated code alone makes it")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// A plain value.
pub struct Plain;

/// A `Result` whose name does not say so.
pub struct HiddenResult;

impl<T, E> Probe<Result<T, E>> {
    /// It is one.
    pub fn kind(&self) -> HiddenResult {
        HiddenResult
    }
}

/// What is no `Result`, or a type parameter of which nothing is known.
pub trait PlainKind {
    /// It is none, as far as is known.
    fn kind(&self) -> Plain;
}

impl<T> PlainKind for Probe<T> {
    fn kind(&self) -> Plain {
        Plain
    }
}

/// The answer that [`plain`] accepts.
#[diagnostic::on_unimplemented(
    message = "this return type is an alias of `Result` whose name does not say so: its errors would be cached",
    label = "an alias of `Result`",
    note = "return `Result<T, E>`, or an alias with type arguments whose name ends in `Result`, such as `ApiResult<T>`"
)]
pub trait IsPlain {}

impl IsPlain for Plain {}

/// Compiles for what is no `Result`.
pub fn plain<K: IsPlain>(_: K) {}

/// `Option<T>`.
#[diagnostic::on_unimplemented(
    message = "`negative_ttl` is how long a `None` is cached, and `{Self}` is no `Option`",
    label = "returns no `Option`",
    note = "remove `negative_ttl`, or return an `Option`"
)]
pub trait Nullable {}

impl<T> Nullable for Option<T> {}

/// Compiles for an `Option`.
pub fn nullable<T: Nullable>() {}

/// A type that declares its TTL and tags.
pub struct IsCacheable;

/// A type that declares nothing.
pub struct NotCacheable;

impl<T: Cacheable> Probe<T> {
    /// It is.
    pub fn cacheability(&self) -> IsCacheable {
        IsCacheable
    }
}

/// What is not `Cacheable`, or not known to be.
pub trait NotCacheableKind {
    /// It is not, as far as is known.
    fn cacheability(&self) -> NotCacheable;
}

impl<T> NotCacheableKind for Probe<T> {
    fn cacheability(&self) -> NotCacheable {
        NotCacheable
    }
}

impl IsCacheable {
    /// Adds the tags that the type declares for the value.
    pub fn own_names<T: Cacheable>(self, value: &T, names: &mut Names) {
        names.tags(value.tags());
    }

    /// Adds the fields of the type to the fingerprint.
    pub fn complete<T: Cacheable>(self, policy: Policy) -> Policy {
        policy.shape(versioned_shape::<T>)
    }
}

fn versioned_shape<T: Cacheable>(shape: &mut Shape) {
    shape.within(&format!("version {}", T::VERSION), T::shape);
}

impl NotCacheable {
    /// Adds nothing.
    pub fn own_names<T>(self, _: &T, _: &mut Names) {}

    /// Adds nothing.
    pub fn complete<T>(self, policy: Policy) -> Policy {
        policy
    }
}

/// Whether an invalidating function did what it is named for.
pub trait AnyOutcome<T> {
    /// Nothing says that it failed.
    fn succeeded(&self, outcome: &T) -> bool;
}

impl<T> AnyOutcome<T> for Probe<T> {
    fn succeeded(&self, _: &T) -> bool {
        true
    }
}

impl<T, E> Probe<Result<T, E>> {
    /// `Ok`.
    pub fn succeeded(&self, outcome: &Result<T, E>) -> bool {
        outcome.is_ok()
    }
}

impl<T> Probe<Option<T>> {
    /// `Some`.
    pub fn succeeded(&self, outcome: &Option<T>) -> bool {
        outcome.is_some()
    }
}
