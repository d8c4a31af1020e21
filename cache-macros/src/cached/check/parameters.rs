//! What each parameter adds to the key.

use syn::{GenericParam, Ident};

use crate::cached::parse::CachedOptions;
use crate::errors::{Errors, listed, nearest};
use crate::mentions::mentions;
use crate::signature::{Function, Param};

pub(super) fn check_skip(function: &Function, options: &CachedOptions, errors: &mut Errors) {
    let generics = function.sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(param.ident.to_string()),
        GenericParam::Const(param) => Some(param.ident.to_string()),
        GenericParam::Lifetime(_) => None,
    });
    let names: Vec<String> = function.names().iter().map(Ident::to_string).chain(generics).collect();
    for (at, skipped) in options.skip.iter().enumerate() {
        if options.skip[..at].contains(skipped) {
            errors.at(skipped, format!("`{skipped}` is skipped twice: keep one"));
        } else if skipped == "Self" || names.iter().any(|name| skipped == name) {
            continue;
        } else if skipped == "self" {
            errors.at(skipped, format!("`{}` has no `self` to skip: remove it", function.sig.ident));
        } else {
            let meant = nearest(&skipped.to_string(), names.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
            let message = format!("`{skipped}` is not a parameter: {meant}known here: {}", listed(&names));
            errors.at(skipped, message);
        }
    }
}

pub(super) fn check_receiver(function: &Function, options: &CachedOptions, errors: &mut Errors) {
    let Some(receiver) = function.receiver() else { return };
    let skipped = options.skip.iter().find(|name| *name == "self");
    let in_key = options.key.as_ref().is_some_and(|key| key.mentions("self"));
    match skipped {
        None if !in_key => errors.at(
            &receiver.self_token,
            "`self` is never part of the key by itself: write `skip(self)`, or name what matters in `key`, such as \
             `{self.tenant}`",
        ),
        Some(skipped) if in_key => errors.at(skipped, "`self` is both in the key and skipped: keep one"),
        _ => {}
    }
}

/// Every binding is either in the key or skipped. This is what keeps one tenant from reading
/// another's entry.
pub(super) fn check_parameters(function: &Function, options: &CachedOptions, errors: &mut Errors) {
    for param in &function.params {
        let mut used = false;
        for binding in &param.bindings {
            let skipped = options.skip.iter().find(|name| *name == binding);
            let in_template = options.key.as_ref().map(|key| key.mentions(&binding.to_string()));
            match (skipped, in_template) {
                (Some(skipped), Some(true)) => {
                    errors.at(skipped, format!("`{binding}` is both in the key and skipped: keep one"));
                }
                (None, Some(false)) if options.each.as_ref() == Some(binding) => errors.at(
                    binding,
                    format!("`{binding}` tells the entries apart: add `{{{binding}}}`, which is one of them, to `key`"),
                ),
                (None, Some(false)) => errors.at(
                    binding,
                    format!(
                        "`{binding}` is neither in the key nor skipped: add `{{{binding}}}` to `key`, or \
                             write `skip({binding})`"
                    ),
                ),
                (None, None) => used = true,
                _ => {}
            }
        }
        if used && param.is_impl_trait() {
            errors.at(
                &param.ty,
                "an `impl Trait` parameter has no type that a key could tell apart: say what it contributes \
                 with `key = \"{…}\"`, or skip it",
            );
        }
    }
}

/// Type and const parameters tell entries apart, unless all they shape is skipped.
pub(super) fn generic_parts(function: &Function, skip: &[Ident]) -> Vec<Ident> {
    let is_skipped = |param: &Param| param.bindings.iter().all(|binding| skip.contains(binding));
    let generics = function.sig.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    });
    let counts = |ident: &&Ident| {
        let name = ident.to_string();
        let occurs_in = |param: &&Param| mentions(&param.ty, &name);
        let only_in_skipped = function.params.iter().filter(occurs_in).all(is_skipped)
            && function.params.iter().any(|param| occurs_in(&param))
            && !mentions(&function.output, &name);
        !skip.contains(ident) && !only_in_skipped
    };
    generics.filter(counts).cloned().collect()
}
