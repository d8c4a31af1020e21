//! What to generate: the function and its options, with every question about them answered.

use syn::{Ident, Type};

use super::parse::CachedOptions;
use crate::context::Context;
use crate::names::Item;
use crate::signature::{Function, Param, peel_type};

pub(crate) struct CachePlan {
    pub(crate) function: Function,
    pub(crate) options: CachedOptions,
    /// What brings the cache, which `options.cache` then names.
    pub(crate) context: Option<Context>,
    pub(crate) place: Place,
    pub(crate) self_part: SelfPart,
    /// Type and const parameters that are part of the key.
    pub(crate) generic_parts: Vec<Ident>,
    /// What makes it a batch function.
    pub(crate) batch: Option<Batch>,
    /// Bindings that are not part of the key.
    pub(crate) skipped: Vec<Ident>,
}

/// Where the companion lives.
pub(crate) enum Place {
    /// A type in the type namespace beside the function.
    Type(Ident),
    /// Associated functions beside the method.
    Associated,
    None,
}

/// Whether the key tells apart the types that share a method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelfPart {
    Never,
    /// Only the instantiations of a generic type share one.
    IfGeneric,
    /// In traits every implementor does.
    Always,
}

/// A batch function (`each = ids`), as its signature says it.
pub(crate) struct Batch {
    /// The parameter that holds the ids.
    pub(crate) ids: Ident,
    /// What names one value.
    pub(crate) id: Type,
    /// The map that is returned.
    pub(crate) map: Type,
    /// What is stored for each id.
    pub(crate) value: Type,
    /// `Vec<K>`, not `&[K]`.
    pub(crate) by_value: bool,
}

impl Batch {
    /// Whether an id is a reference itself, which is copied instead of borrowed.
    pub(crate) fn id_is_reference(&self) -> bool {
        matches!(peel_type(&self.id), Type::Reference(_))
    }
}

impl CachePlan {
    /// Whether the key is made with `self`, so that its companion is a method.
    pub(crate) fn key_uses_self(&self) -> bool {
        self.options.key.as_ref().is_some_and(|template| template.mentions("self"))
    }

    /// What the parameter adds to the key, if that is made of all parameters.
    pub(crate) fn parts<'a>(&'a self, param: &'a Param) -> impl Iterator<Item = &'a Ident> {
        param.bindings.iter().filter(|binding| !self.skipped.contains(binding))
    }

    /// Whether the companion takes this parameter.
    pub(crate) fn is_key_param(&self, param: &Param) -> bool {
        self.parts(param).next().is_some()
    }

    /// Whether the parameter is a reference, which the companion takes as it is.
    pub(crate) fn is_reference(&self, param: &Param) -> bool {
        matches!(peel_type(self.key_type(param)), Type::Reference(_))
    }

    /// The type of what the parameter adds to one key: of a list of ids, one.
    pub(crate) fn key_type<'a>(&'a self, param: &'a Param) -> &'a Type {
        self.batch.as_ref().filter(|_| self.is_ids(param)).map_or(&param.ty, |batch| &batch.id)
    }

    /// Whether the parameter holds the ids of a batch, of which one is at hand by reference.
    pub(crate) fn is_ids(&self, param: &Param) -> bool {
        self.batch.as_ref().is_some_and(|batch| param.name() == Some(&batch.ids))
    }

    /// Names that the companion's `key` does not have at hand.
    pub(crate) fn unknown_to_companion(&self) -> Vec<String> {
        let this = (!self.key_uses_self()).then(|| "self".to_owned());
        self.skipped.iter().map(Ident::to_string).chain(this).collect()
    }

    /// The items of all lists.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.options.tags.iter().chain(&self.options.depends_on)
    }
}
