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
