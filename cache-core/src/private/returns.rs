//! Finds out what a function returns: a `Result`, an `Option`, a plain value, a `Cacheable` type.
//! The compiler is asked, for an attribute sees only names.
//!
//! A probe answers with a marker type: an inherent method, which only the special types have, takes
//! precedence over the method of a trait that every type has. The bounds are then checked by an
//! ordinary function and not behind the probe, so that errors read like ordinary errors.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::cacheable::Cacheable;
use crate::call::{Copying, Sampling};
use crate::entry::Shape;
use crate::key::Policy;
use crate::name::{KeyPart, Names};

/// A `Result<T, E>`, under whatever name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named like a `Result`, but is none",
    label = "not a `std::result::Result`",
    note = "a return type named `Result`, or `...Result<T>`, is taken for a `Result`: rename it, or return a `Result`"
)]
pub trait ReturnsResult {
    /// The type of the cached value.
    type Ok;
}

impl<T, E> ReturnsResult for Result<T, E> {
    type Ok = T;
}

/// Compiles for a `Result`.
pub fn returns_result<T: ReturnsResult>() {}

/// The text that is logged of an error that no caller sees.
pub struct Said<'a, E>(pub &'a E);

impl<E: std::fmt::Display> Said<'_, E> {
    /// The error's own text.
    pub fn said(&self) -> String {
        self.0.to_string()
    }
}

/// An error that cannot be printed, or a type parameter of which nothing is known.
pub trait UnsaidKind {
    /// A text that says only that there was an error.
    fn said(&self) -> String {
        crate::cache::UNSAID.to_owned()
    }
}

impl<E> UnsaidKind for Said<'_, E> {}

/// Asks about a type, without a value of it.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// Asks about `T`.
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
    /// The type is a `Result`.
    pub fn kind(&self) -> HiddenResult {
        HiddenResult
    }
}

/// A type that is no `Result`, or a type parameter of which nothing is known.
pub trait PlainKind {
    /// The type is no `Result`, as far as is known.
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

/// Compiles for a type that is no `Result`.
pub fn plain<K: IsPlain>(_: K) {}

/// An `Option<T>`.
#[diagnostic::on_unimplemented(
    message = "`negative_ttl` is how long a `None` is cached, and `{Self}` is no `Option`",
    label = "returns no `Option`",
    note = "remove `negative_ttl`, or return an `Option`"
)]
pub trait Nullable {}

impl<T> Nullable for Option<T> {}

/// Compiles for an `Option`.
pub fn nullable<T: Nullable>() {}

/// The answer for a type that declares its TTL and tags.
pub struct IsCacheable;

/// The answer for a type that declares nothing.
pub struct NotCacheable;

impl<T: Cacheable> Probe<T> {
    /// The type is `Cacheable`.
    pub fn cacheability(&self) -> IsCacheable {
        IsCacheable
    }
}

/// A type that is not `Cacheable`, or not known to be.
pub trait NotCacheableKind {
    /// The type is not `Cacheable`, as far as is known.
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

    /// How long copies of the type are kept, if it says that.
    pub fn near<T: Cacheable>(self) -> Option<Duration> {
        T::near()
    }

    /// Which hits of functions that return the type are verified.
    pub fn sampling<T: Cacheable>(self) -> Sampling {
        Sampling::of_type(T::verify())
    }

    /// Adds the fields of the type to the fingerprint, and what the type says of its payloads.
    pub fn complete<T: Cacheable>(self, policy: Policy) -> Policy {
        policy.shape(versioned_shape::<T>).of_type(T::codec(), T::compression())
    }
}

fn versioned_shape<T: Cacheable>(shape: &mut Shape) {
    shape.within(&format!("version {}", T::VERSION), T::shape);
}

impl NotCacheable {
    /// Adds nothing.
    pub fn own_names<T>(self, _: &T, _: &mut Names) {}

    /// Those that the cache says.
    pub fn sampling<T>(self) -> Sampling {
        Sampling::OfCache
    }

    /// Nothing is said of copies.
    pub fn near<T>(self) -> Option<Duration> {
        None
    }

    /// Adds nothing.
    pub fn complete<T>(self, policy: Policy) -> Policy {
        policy
    }
}

impl<T: Clone + Send + Sync + 'static> Probe<T> {
    /// How copies of values are kept, if the type or the store says that they are.
    pub fn copying(&self, longest: Option<Duration>, is_shared: bool) -> Option<Copying<T>> {
        Some(Copying::within(longest).shared(is_shared))
    }
}

/// A type of which no copy can be kept, or of which that is not known.
pub trait NotCopyableKind<T> {
    /// No copies are kept.
    fn copying(&self, longest: Option<Duration>, is_shared: bool) -> Option<Copying<T>>;
}

impl<T> NotCopyableKind<T> for Probe<T> {
    fn copying(&self, _: Option<Duration>, _: bool) -> Option<Copying<T>> {
        None
    }
}

impl<T: ?Sized> Probe<Arc<T>> {
    /// It is shared by its clones.
    pub fn is_shared(&self) -> bool {
        true
    }
}

/// A type whose `Clone` may be the user's code.
pub trait NotSharedKind {
    /// Nothing is known of its clones.
    fn is_shared(&self) -> bool {
        false
    }
}

impl<T> NotSharedKind for Probe<T> {}

/// A parameter on its way into the place of a copy.
pub struct PlacePart<'a, T: ?Sized>(&'a T);

impl Probe<()> {
    /// Asks about the type of a parameter.
    pub fn of<T: ?Sized>(value: &T) -> PlacePart<'_, T> {
        PlacePart(value)
    }
}

impl<T: KeyPart + ?Sized> PlacePart<'_, T> {
    /// Appends the parameter; `false`: it cannot be encoded.
    pub fn push_canonical(&self, bytes: &mut Vec<u8>) -> bool {
        self.0.push_canonical(bytes)
    }
}

/// A parameter of which no key can be made: an error where the key is made.
pub trait NoPartKind {
    /// There is no such place.
    fn push_canonical(&self, bytes: &mut Vec<u8>) -> bool;
}

impl<T: ?Sized> NoPartKind for PlacePart<'_, T> {
    fn push_canonical(&self, _: &mut Vec<u8>) -> bool {
        false
    }
}

/// The result of an invalidating function, which tells whether the function succeeded.
pub trait AnyOutcome<T> {
    /// `true` for a type that cannot tell of a failure.
    fn succeeded(&self, outcome: &T) -> bool;
}

impl<T> AnyOutcome<T> for Probe<T> {
    fn succeeded(&self, _: &T) -> bool {
        true
    }
}

impl<T, E> Probe<Result<T, E>> {
    /// Whether the result is `Ok`.
    pub fn succeeded(&self, outcome: &Result<T, E>) -> bool {
        outcome.is_ok()
    }
}

impl<T> Probe<Option<T>> {
    /// Whether the result is `Some`.
    pub fn succeeded(&self, outcome: &Option<T>) -> bool {
        outcome.is_some()
    }
}
