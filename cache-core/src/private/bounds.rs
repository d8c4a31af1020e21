//! The bounds of generated code, each with the message that a user is to read; and the names of
//! functions and types as prefixes.

use std::any::{TypeId, type_name};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cacheable::Cacheable;
use crate::call::{BatchMap, Coding, Copying, Mapping};
use crate::key::{KeyText, NearPlace};
use crate::name::Template;
use crate::name::{IntoTag, Tag};

/// A value that can be stored and read back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached: it does not implement both `Serialize` and `DeserializeOwned`",
    label = "cannot be stored and read back",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, without borrowed fields"
)]
pub trait Storable: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Storable for T {}

/// How values of a type are stored. Generated code names no other item with these bounds.
pub fn coding<T: Storable>() -> Coding<T> {
    Coding::of_type()
}

/// A value of which a copy can be kept in the process.
#[diagnostic::on_unimplemented(
    message = "no copy of `{Self}` can be kept in the process: it is not `Clone + Send + Sync + 'static`",
    label = "cannot be kept and handed out to all threads",
    note = "remove `near`, derive `Clone` for it, or return an `Arc` of it, of which a copy costs the least"
)]
pub trait Copyable: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Copyable for T {}

/// How copies of a value are kept, for this long at most. Generated code names no other item with
/// this bound.
pub fn copying<T: Copyable>(longest: Duration, is_shared: bool) -> Option<Copying<T>> {
    Some(Copying::within(Some(longest)).shared(is_shared))
}

/// What a batch function does with the map that it returns. Generated code names no other item with
/// this bound.
pub fn mapping<M: BatchMap>() -> Mapping<M, M::Id, M::Value> {
    Mapping::of_map()
}

/// A parameter that can be copied for a background load.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied for a background load: it is not `Clone`",
    label = "not `Clone`",
    note = "a background load runs in a task of its own: derive `Clone` for `{Self}`, or take an `Arc` of it"
)]
pub trait Carried {
    /// The copy.
    type Copy;

    /// Makes the copy.
    fn carried(&self) -> Self::Copy;
}

// The implementations of `ToOwned`, one by one. With one implementation for every `ToOwned` the
// compiler would complain that a type is not `Clone`, and would not show the message above.
#[diagnostic::do_not_recommend]
impl<T: Clone> Carried for T {
    type Copy = T;

    fn carried(&self) -> T {
        self.clone()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Carried for [T] {
    type Copy = Vec<T>;

    fn carried(&self) -> Vec<T> {
        self.to_vec()
    }
}

macro_rules! unsized_texts {
    ($($text:ty),*) => {$(
        #[diagnostic::do_not_recommend]
        impl Carried for $text {
            type Copy = <$text as ToOwned>::Owned;

            fn carried(&self) -> Self::Copy {
                self.to_owned()
            }
        }
    )*};
}

unsized_texts!(str, std::ffi::CStr, std::ffi::OsStr, std::path::Path);

/// An argument, or a copy of one, that a background load can take along.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken along by a background load: it is not `Send`",
    label = "not `Send`",
    note = "a background load runs in a task of its own: bound a type parameter by `Send + 'static`, or take an `Arc` in the place of an `Rc`"
)]
pub trait TakenAlong: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> TakenAlong for T {}

/// A copy that a background load takes along.
pub fn owned<T: Carried<Copy: TakenAlong> + ?Sized>(borrowed: &T) -> T::Copy {
    borrowed.carried()
}

/// One more copy of what a background load has taken along.
pub fn owned_again<T: Carried + ?Sized>(owned: &T) -> T::Copy {
    owned.carried()
}

/// An argument that a background load takes along.
pub fn moved<T: TakenAlong>(argument: T) -> T {
    argument
}

/// The load of a function whose options ask that it is `Send`. Boxed, it says so itself: the
/// compiler does not look through it when it finds out whether a chain of cached functions is. A
/// hit makes no box.
pub fn boxed<'a, F: Future + Send + 'a>(load: F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>> {
    Box::pin(load)
}

/// A parameter that the body of a batch function gets anew for each run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be given to the body of a batch function, which may run once more",
    label = "not `Clone`",
    note = "ids that another call was loading in vain are loaded after the others: take this parameter by reference, or make it `Clone`"
)]
pub trait Repeatable: Clone {}

#[diagnostic::do_not_recommend]
impl<T: Clone> Repeatable for T {}

/// The parameter for one run.
pub fn repeat<T: Repeatable>(parameter: &T) -> T {
    parameter.clone()
}

/// What an `Option` is as the argument of a key that takes a `K`: the whole, or what is inside.
#[diagnostic::on_unimplemented(
    message = "the key takes a `{K}` here, and this is an `{Self}`",
    label = "neither the argument of the key, nor an `Option` of it",
    note = "name the argument, or spread keys that you make: `..option.map(|id| get_flight::key(&id))`"
)]
pub trait ArgumentOf<K: ?Sized> {
    /// `None`: there is nothing, so there is no key.
    fn argument(&self) -> Option<&K>;
}

#[diagnostic::do_not_recommend]
impl<K> ArgumentOf<K> for K {
    fn argument(&self) -> Option<&K> {
        Some(self)
    }
}

#[diagnostic::do_not_recommend]
impl<K> ArgumentOf<K> for Option<K> {
    fn argument(&self) -> Option<&K> {
        self.as_ref()
    }
}

#[diagnostic::do_not_recommend]
impl<K: ?Sized> ArgumentOf<K> for Option<&K> {
    fn argument(&self) -> Option<&K> {
        *self
    }
}

#[diagnostic::do_not_recommend]
impl ArgumentOf<str> for Option<String> {
    fn argument(&self) -> Option<&str> {
        self.as_deref()
    }
}

#[diagnostic::do_not_recommend]
impl<K> ArgumentOf<[K]> for Option<Vec<K>> {
    fn argument(&self) -> Option<&[K]> {
        self.as_deref()
    }
}

/// What a key is made with, of a parameter that is an `Option`.
pub fn argument<A: ArgumentOf<K>, K: ?Sized>(option: &A) -> Option<&K> {
    option.argument()
}

/// An `Option` as the argument of a key that takes the whole of it.
#[diagnostic::on_unimplemented(
    message = "the key of the entry to write takes a `{K}` here, and this is an `{Self}`",
    label = "of a `None` there is no entry to write",
    note = "take what is inside as the parameter, or remove the entry with `#[invalidates(keys = [...])]`"
)]
pub trait WholeOf<K: ?Sized> {
    /// The argument.
    fn whole(&self) -> &K;
}

#[diagnostic::do_not_recommend]
impl<K: ?Sized> WholeOf<K> for K {
    fn whole(&self) -> &K {
        self
    }
}

/// An argument that no key takes.
pub struct NoArgument;

// If an `Option` were the argument of itself alone, the compiler would complain of a mismatched
// type, and would not show the message above.
#[diagnostic::do_not_recommend]
impl<T> WholeOf<NoArgument> for Option<T> {
    fn whole(&self) -> &NoArgument {
        &NoArgument
    }
}

/// What the key of an entry that is written is made with, of a parameter that is an `Option`.
pub fn whole<A: WholeOf<K>, K: ?Sized>(option: &A) -> &K {
    option.whole()
}

/// A type that says how long its values live.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says no ttl, and neither does this attribute",
    label = "not `Cacheable`",
    note = "write `ttl = \"60s\"` (or `class = \"...\"`) here, or derive `Cacheable` for `{Self}` with `#[cacheable(ttl = \"...\")]`"
)]
pub trait DeclaresTtl {
    /// The lifetime of the values.
    fn declared_ttl() -> Duration;
}

#[diagnostic::do_not_recommend]
impl<T: Cacheable> DeclaresTtl for T {
    fn declared_ttl() -> Duration {
        T::ttl()
    }
}

/// The TTL that the type declares.
pub fn declared_ttl<T: DeclaresTtl>() -> Duration {
    T::declared_ttl()
}

/// Asks the `when` closure. The bound gives its parameter a type.
pub fn when<T, F: FnOnce(&T) -> bool>(when: F, value: &T) -> bool {
    when(value)
}

/// A tag that a type declares, if there is one. A text that cannot be a tag becomes a tag that
/// names nothing, so the value is not stored.
pub fn declared_tag(tag: impl IntoTag) -> Option<Tag> {
    let tag = tag.into_tag().unwrap_or_else(|_| Template::of_tag().part(&f64::NAN).finish_tag());
    (!tag.is_absent()).then_some(tag)
}

/// The default prefix of a free function: its path with `.` between the segments. `Beside` is a
/// type that is declared where the function is. The name of a type tells functions inside different
/// functions apart, which `module_path!` does not.
pub fn function_path<Beside: ?Sized>(function: &str) -> String {
    let path = type_name::<Beside>();
    let module = path.rsplit_once("::").map_or("", |(module, _)| module);
    spelled(module.strip_suffix("::{{closure}}").unwrap_or(module), function)
}

/// The default prefix of a method: the path of its type, without type arguments, and its name.
pub fn method_path<This: ?Sized>(function: &str) -> String {
    let path = type_name::<This>();
    spelled(path.split_once('<').filter(|(path, _)| !path.is_empty()).map_or(path, |(path, _)| path), function)
}

fn spelled(path: &str, function: &str) -> String {
    let mut prefix = String::with_capacity(path.len() + 1 + function.len());
    for (at, segment) in path.split("::").enumerate() {
        if at > 0 {
            prefix.push('.');
        }
        // The paths of closures and implementations hold characters that a prefix must not have.
        prefix.extend(segment.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }));
    }
    prefix.push('.');
    prefix.push_str(function);
    prefix
}

/// The types made from one generic type share a method, so the key of the method tells them apart.
pub fn generic_self<This: ?Sized>(key: KeyText) -> KeyText {
    if has_type_arguments::<This>() { key.type_part::<This>() } else { key }
}

/// As [`generic_self`], for a place.
pub fn generic_self_place<This: ?Sized>(place: NearPlace) -> NearPlace {
    if has_type_arguments::<This>() { place.type_part::<This>() } else { place }
}

/// The type, if [`generic_self`] puts it into a key.
pub fn generic_self_id<This: ?Sized>() -> Option<TypeId> {
    has_type_arguments::<This>().then(typeid::of::<This>)
}

/// The type that a key always holds.
pub fn self_id<This: ?Sized>() -> Option<TypeId> {
    Some(typeid::of::<This>())
}

fn has_type_arguments<This: ?Sized>() -> bool {
    let arguments = type_name::<This>().split_once('<').map_or("", |(_, arguments)| arguments);
    // Lifetimes do not tell types apart.
    !arguments.chars().all(|c| matches!(c, '\'' | '_' | ',' | ' ' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Repo<T>(T);

    #[test]
    fn a_method_is_named_by_its_type_without_arguments() {
        assert_eq!(method_path::<Repo<u8>>("get"), "cache_core.private.bounds.tests.Repo.get");
        assert_eq!(method_path::<Repo<Repo<u8>>>("get"), method_path::<Repo<u8>>("get"));
    }

    #[test]
    fn a_function_is_named_by_its_path_also_inside_functions() {
        struct Beside;
        let inside = "cache_core.private.bounds.tests.a_function_is_named_by_its_path_also_inside_functions.get";
        assert_eq!(function_path::<Beside>("get"), inside);
    }

    #[test]
    fn only_type_arguments_make_a_part() {
        let key = || KeyText::new("p");
        assert_eq!(generic_self::<String>(key()).finish::<()>().as_str(), "p");
        let (a, b) = (generic_self::<Repo<u8>>(key()).finish::<()>(), generic_self::<Repo<u16>>(key()).finish::<()>());
        assert_ne!(a.as_str(), "p");
        assert_ne!(a, b);
    }
}
