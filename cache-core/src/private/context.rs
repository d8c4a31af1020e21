//! The option `context`: the cache that a parameter brings, and the type by which two functions
//! know that they use the same one.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use super::target::{InContext, Known, NotKnown, Target};
use crate::cache::Cache;
use crate::context::CacheContext;
use crate::key::Key;

/// A context, or a shared pointer to one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` brings no cache: it does not implement `CacheContext`",
    label = "not a `CacheContext`",
    note = "derive `cache_core::CacheContext` for it, or implement it: `fn cache(&self) -> &Cache`"
)]
pub trait LeadsToContext {
    /// The context.
    type Context: CacheContext + ?Sized;

    /// The context.
    fn context(&self) -> &Self::Context;
}

#[diagnostic::do_not_recommend]
impl<C: CacheContext + ?Sized> LeadsToContext for C {
    type Context = C;

    fn context(&self) -> &C {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<C: LeadsToContext + ?Sized> LeadsToContext for Arc<C> {
    type Context = C::Context;

    fn context(&self) -> &C::Context {
        (**self).context()
    }
}

#[diagnostic::do_not_recommend]
impl<C: LeadsToContext + ?Sized> LeadsToContext for Rc<C> {
    type Context = C::Context;

    fn context(&self) -> &C::Context {
        (**self).context()
    }
}

/// The cache that a parameter, or a field, brings.
pub fn cache_of<C: LeadsToContext + ?Sized>(context: &C) -> &Cache {
    context.context().cache()
}

/// The type of a context, once the context itself may have moved.
pub struct ContextType<C: ?Sized>(PhantomData<fn(&C)>);

impl<C: ?Sized> ContextType<C> {
    /// The type as a function spells it.
    pub fn spelled() -> Self {
        Self(PhantomData)
    }
}

impl<C: ?Sized> Clone for ContextType<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized> Copy for ContextType<C> {}

/// The type of the context behind a parameter of a type that no function spells.
pub fn context_type<C: LeadsToContext + ?Sized>(_: &C) -> ContextType<C::Context> {
    ContextType(PhantomData)
}

/// Asks whether a parameter is a context: an inherent method, which only contexts have, takes
/// precedence over the method of a trait.
pub struct ContextProbe<T: ?Sized>(PhantomData<fn(&T)>);

impl<T> ContextProbe<T> {
    /// Asks about a parameter whose type no function spells.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

impl<T: ?Sized> ContextProbe<T> {
    /// Asks about the type of a parameter.
    pub fn of_type() -> Self {
        Self(PhantomData)
    }
}

/// The answer for a context.
pub struct UnusedContext;

/// The answer for any other parameter.
pub struct NoContext;

impl<T: LeadsToContext + ?Sized> ContextProbe<T> {
    /// It is a context.
    pub fn kind(&self) -> UnusedContext {
        UnusedContext
    }
}

/// A parameter that is no context, or of whose type nothing is known.
pub trait NoContextKind {
    /// It is no context, as far as is known.
    fn kind(&self) -> NoContext {
        NoContext
    }
}

impl<T: ?Sized> NoContextKind for ContextProbe<T> {}

/// The answer that [`is_no_context`] accepts.
#[diagnostic::on_unimplemented(
    message = "this parameter brings a cache, and the attribute says neither `context` nor `cache`",
    label = "its cache would not be used",
    note = "use it with `context = ...`, or name the cache to use: `cache = ...`"
)]
pub trait IsNoContext {}

impl IsNoContext for NoContext {}

/// Compiles for a parameter that is no context.
pub fn is_no_context<K: IsNoContext>(_: K) {}

/// An entry of a function that has the same context, or that names a cache, of which nothing is
/// known.
#[diagnostic::on_unimplemented(
    message = "the context of this attribute is of the type `{C}`, and this entry is in another cache",
    label = "its function has another `context`, or none",
    note = "give its function a context of the same type, or say here where the entry is: `cache = ...`"
)]
pub trait IsIn<C: ?Sized> {}

impl<C: ?Sized> IsIn<C> for InContext<C> {}

impl<C: ?Sized> IsIn<C> for Known {}

impl<C: ?Sized> IsIn<C> for NotKnown {}

/// The key of a target that is in the cache of a context.
pub fn in_context<C: ?Sized, T, Recipe, In: IsIn<C>>(_: ContextType<C>, target: Target<T, Recipe, In>) -> Key<T> {
    target.into_key()
}

/// Compiles for a target that is in the cache of a context.
pub fn is_in_context<C: ?Sized, T, Recipe, In: IsIn<C>>(_: ContextType<C>, _: &Target<T, Recipe, In>) {}
