//! Options and signature together make a plan; everything that can be wrong is found here, so that expansion cannot fail.

mod each;
mod recursion;

use syn::{GenericParam, Ident, Type};

pub(crate) use self::each::Each;
pub(super) use self::recursion::call_of_itself;
use super::expand::background;
use super::parse::{Companion, Options};
use crate::errors::{Errors, listed, nearest};
use crate::evaluate::resolve_items;
use crate::mentions::mentions;
use crate::names::Item;
use crate::signature::{Function, Param, peel_type};
use crate::template::Template;

/// What to generate.
pub(crate) struct Plan {
    pub(crate) function: Function,
    pub(crate) options: Options,
    pub(crate) place: Place,
    pub(crate) key: KeyPlan,
    pub(crate) self_part: SelfPart,
    /// Type and const parameters that are part of the key.
    pub(crate) generic_parts: Vec<Ident>,
    /// What makes it a batch function.
    pub(crate) each: Option<Each>,
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

pub(crate) enum KeyPlan {
    /// One part per binding, in order.
    Parts(Vec<Ident>),
    Template(Template),
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

impl Plan {
    pub(crate) fn check(
        function: Function,
        mut options: Options,
        attribute_mentions_self: bool,
        errors: &mut Errors,
    ) -> Self {
        function.check("cached", errors);
        check_output(&function, errors);
        check_skip(&function, &options, errors);
        let known = function.names();
        if let Some(template) = &mut options.key {
            if template.mentions("result") && !known.iter().any(|known| known == "result") {
                errors.at(
                    &template.literal,
                    "`result` is not known before the call: make the key of parameters, and use `result` in `tags`",
                );
            } else {
                template.resolve(&known, errors);
            }
        }
        check_receiver(&function, &options, errors);
        let skipped: Vec<Ident> =
            function.bindings().filter(|binding| options.skip.contains(binding)).cloned().collect();
        let key = check_parameters(&function, &options, errors);
        check_names(&function, &mut options, errors);
        if let (Some(ttl), Some(class)) = (&options.ttl, &options.class) {
            errors.at(&class.name, format!("`{}` and `{}` both give the lifetime: keep one", class.name, ttl.name));
        }
        if let Some(adaptive) = &options.adaptive_ttl {
            let fixed = options.ttl.as_ref().map(|ttl| &ttl.name).or(options.class.as_ref().map(|class| &class.name));
            if let Some(fixed) = fixed {
                let message = format!("`{}` and `{fixed}` both give the lifetime: keep one", adaptive.name);
                errors.at(&adaptive.name, message);
            }
        }
        if let Some(window) = &options.stale_if_error
            && !function.returns_result()
        {
            errors.at(
                &window.name,
                "`stale_if_error` stands in for a load that fails, and this function cannot fail: return a `Result`, or remove it",
            );
        }
        if options.each.is_some() {
            for option in options.freshness() {
                let message = format!(
                    "`{option}` is for one key at a time: remove it, or write it on the function of one id that shares the prefix"
                );
                errors.at(option, message);
            }
        }
        let place = check_companion(&function, &options, attribute_mentions_self, errors);
        background::check(&function, &options, &place, errors);
        let self_part = match &place {
            _ if options.skip.iter().any(|name| name == "Self") => SelfPart::Never,
            Place::Associated => SelfPart::IfGeneric,
            Place::None
                if function.receiver().is_some() || mentions_self_type(&function) || attribute_mentions_self =>
            {
                SelfPart::Always
            }
            Place::Type(_) | Place::None => SelfPart::Never,
        };
        let generic_parts = generic_parts(&function, &options.skip);
        let each = Each::check(&function, &options, errors);
        Self { function, options, place, key, self_part, generic_parts, each, skipped }
    }

    /// Whether the key is made with `self`, so that its companion is a method.
    pub(crate) fn key_uses_self(&self) -> bool {
        matches!(&self.key, KeyPlan::Template(template) if template.mentions("self"))
    }

    /// Whether the companion takes this parameter.
    pub(crate) fn is_key_param(&self, param: &Param) -> bool {
        param.bindings.iter().any(|binding| !self.skipped.contains(binding))
    }

    /// Whether the parameter that binds it is a reference, which the companion takes as it is.
    pub(crate) fn is_reference(&self, binding: &Ident) -> bool {
        let param = self.function.params.iter().find(|param| param.bindings.contains(binding));
        param.is_some_and(|param| matches!(peel_type(self.key_type(param)), Type::Reference(_)))
    }

    /// What a parameter adds to one key: of a list of ids, one.
    pub(crate) fn key_type<'a>(&'a self, param: &'a Param) -> &'a Type {
        self.each.as_ref().filter(|each| param.name() == Some(&each.ids)).map_or(&param.ty, |each| &each.id)
    }

    /// Whether it holds the ids of a batch, of which one is at hand by reference.
    pub(crate) fn is_each(&self, binding: &Ident) -> bool {
        self.each.as_ref().is_some_and(|each| each.ids == *binding)
    }

    /// Names that the companion's `key` does not have at hand.
    pub(crate) fn unknown_to_companion(&self) -> Vec<String> {
        let this = (!self.key_uses_self()).then(|| "self".to_owned());
        self.skipped.iter().map(Ident::to_string).chain(this).collect()
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.options.tags.iter().chain(&self.options.depends_on)
    }
}

fn check_output(function: &Function, errors: &mut Errors) {
    if let Type::ImplTrait(ty) = peel_type(&function.output) {
        errors.at(ty, "an `impl Trait` cannot be read back from a store: name the type that is returned");
    }
    if let Some(reference @ Type::Reference(_)) = function.value_type().map(peel_type) {
        errors.at(
            reference,
            "a reference cannot be read back from a store: return an owned value, such as `String` or `Arc<T>`",
        );
    }
}

fn check_skip(function: &Function, options: &Options, errors: &mut Errors) {
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

fn check_receiver(function: &Function, options: &Options, errors: &mut Errors) {
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

/// Every binding is either in the key or skipped. This is what keeps one tenant from reading another's entry.
fn check_parameters(function: &Function, options: &Options, errors: &mut Errors) -> KeyPlan {
    let mut parts = Vec::new();
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
                    format!("`{binding}` is neither in the key nor skipped: add `{{{binding}}}` to `key`, or write `skip({binding})`"),
                ),
                (None, None) => {
                    used = true;
                    parts.push(binding.clone());
                }
                _ => {}
            }
        }
        if used && param.is_impl_trait() {
            errors.at(
                &param.ty,
                "an `impl Trait` parameter has no type that a key could tell apart: say what it contributes with `key = \"{…}\"`, \
                 or skip it",
            );
        }
    }
    match &options.key {
        Some(template) => KeyPlan::Template(template.clone()),
        None => KeyPlan::Parts(parts),
    }
}

/// Templates in lists may use every parameter, and the value.
fn check_names(function: &Function, options: &mut Options, errors: &mut Errors) {
    resolve_items(function, options.tags.iter_mut().chain(&mut options.depends_on), errors);
}

fn check_companion(function: &Function, options: &Options, mentions_self: bool, errors: &mut Errors) -> Place {
    let is_method = function.receiver().is_some();
    match &options.companion {
        Some(Companion::None) => Place::None,
        Some(Companion::Associated) => Place::Associated,
        Some(Companion::Named(name)) if is_method => {
            errors.at(name, "the companion of a method is its associated functions: remove `companion`, or write `companion = none`");
            Place::Associated
        }
        Some(Companion::Named(name)) => Place::Type(name.clone()),
        None if is_method || mentions_self || mentions_self_type(function) => Place::Associated,
        None => Place::Type(function.sig.ident.clone()),
    }
}

fn mentions_self_type(function: &Function) -> bool {
    mentions(&function.sig, "Self") || mentions(&function.body.statements, "Self")
}

/// Type and const parameters tell entries apart, unless all they shape is skipped.
fn generic_parts(function: &Function, skip: &[Ident]) -> Vec<Ident> {
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
