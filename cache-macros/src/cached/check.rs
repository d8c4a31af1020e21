//! Options and signature make a plan; all that can be wrong is found here: expansion cannot fail.

mod background;
mod each;
mod parameters;
mod recursion;

use syn::Type;

use super::parse::{CachedOptions, Companion, PolicyValue, Role};
use super::plan::{CachePlan, Place, SelfPart};
use crate::context::Context;
use crate::errors::Errors;
use crate::evaluate::resolve_items;
use crate::mentions::mentions;
use crate::runtime_path::private_path;
use crate::signature::{Function, peel_type};

pub(crate) fn plan(
    function: Function,
    mut options: CachedOptions,
    attribute_mentions_self: bool,
    errors: &mut Errors,
) -> CachePlan {
    function.check("cached", errors);
    check_output(&function, errors);
    parameters::check_skip(&function, &options, errors);
    let context = context(&function, &mut options, errors);
    resolve_key(&function, &mut options, errors);
    parameters::check_receiver(&function, &options, errors);
    let skipped = function.bindings().filter(|binding| options.skip.contains(binding)).cloned().collect();
    parameters::check_parameters(&function, &options, errors);
    // Templates in lists may use every parameter, and the value.
    resolve_items(&function, options.tags.iter_mut().chain(&mut options.depends_on), errors);
    check_policy(&function, &options, errors);
    let place = place(&function, &options, attribute_mentions_self, errors);
    background::check(&function, &options, &place, errors);
    let self_part = self_part(&function, &options, &place, attribute_mentions_self);
    let generic_parts = parameters::generic_parts(&function, &options.skip);
    let batch = each::batch(&function, &options, errors);
    CachePlan { function, options, context, place, self_part, generic_parts, batch, skipped }
}

/// A context brings the cache, and is not in the key, unless `key` names it.
fn context(function: &Function, options: &mut CachedOptions, errors: &mut Errors) -> Option<Context> {
    let context = Context::of(options.context.as_ref(), options.cache.as_ref(), function, errors)?;
    let name = &context.name;
    if let Some(skipped) = options.skip.iter().find(|skipped| *skipped == name) {
        errors
            .at(skipped, format!("`{name}` is the context, which is not in the key by itself: remove it from `skip`"));
    } else if !options.key.as_ref().is_some_and(|key| key.mentions(&name.to_string())) {
        options.skip.push(name.clone());
    }
    options.cache = Some(context.cache(&private_path(options.krate.as_ref())));
    Some(context)
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

fn resolve_key(function: &Function, options: &mut CachedOptions, errors: &mut Errors) {
    let Some(template) = &mut options.key else { return };
    let known = function.names();
    if template.mentions("result") && !known.iter().any(|known| known == "result") {
        errors.at(
            &template.literal,
            "`result` is not known before the call: make the key of parameters, and use `result` in `tags`",
        );
    } else {
        template.resolve(&known, errors);
    }
}

/// What the settings of the policy say about each other, and about what is returned.
fn check_policy(function: &Function, options: &CachedOptions, errors: &mut Errors) {
    let mut lifetimes = options.settings(Role::Lifetime).map(|setting| &setting.name);
    if let Some(first) = lifetimes.next() {
        for name in lifetimes {
            errors.at(name, format!("`{name}` and `{first}` both give the lifetime: keep one"));
        }
    }
    if let Some(window) = options.setting("stale_if_error")
        && !function.returns_result()
    {
        errors.at(
            &window.name,
            "`stale_if_error` stands in for a load that fails, and this function cannot fail: return a \
             `Result`, or remove it",
        );
    }
    if let Some(timeout) = options.setting("load_timeout")
        && options.setting("stale_if_error").is_none()
    {
        errors.at(
            &timeout.name,
            "`load_timeout` serves what `stale_if_error` keeps: add `stale_if_error = \"10m\"`; for a load that goes \
             on without its callers write `finish`",
        );
    }
    check_near(options, errors);
    if options.each.is_some() {
        let near = options.near.iter().map(|near| &near.name);
        let verify = options.verify.iter().map(|verify| &verify.name);
        let of_one = options.settings(Role::Age).map(|setting| &setting.name);
        for name in of_one.chain(&options.finish).chain(near).chain(verify) {
            let message = format!(
                "`{name}` is for one key at a time: remove it, or write it on the function of one id that \
                 shares the prefix"
            );
            errors.at(name, message);
        }
    }
}

/// A copy ends with what it is a copy of.
fn check_near(options: &CachedOptions, errors: &mut Errors) {
    let Some(near) = &options.near else { return };
    let ttl = options.setting("ttl").and_then(|ttl| match &ttl.value {
        PolicyValue::Duration(lifetime) => lifetime.millis(),
        _ => None,
    });
    if near.lifetime.millis().zip(ttl).is_some_and(|(near, ttl)| near > ttl) {
        errors.at(
            &near.name,
            "a copy ends with the `ttl` of its value: give `near` no more than `ttl`, such as a few seconds",
        );
    }
}

/// Where the companion goes.
fn place(function: &Function, options: &CachedOptions, mentions_self: bool, errors: &mut Errors) -> Place {
    let is_method = function.receiver().is_some();
    match &options.companion {
        Some(Companion::None) => Place::None,
        _ if function.is_of_async_trait() => {
            errors.at(
                &function.sig.ident,
                "a trait, which `#[async_trait]` is for, has no place for a companion: write `companion = none`, or to \
                 have typed keys move the body to a method of the type, with `#[cached]`, and call that here",
            );
            Place::None
        }
        Some(Companion::Associated) => Place::Associated,
        Some(Companion::Named(name)) if is_method => {
            errors.at(
                name,
                "the companion of a method is its associated functions: remove `companion`, or write \
                 `companion = none`",
            );
            Place::Associated
        }
        Some(Companion::Named(name)) => Place::Type(name.clone()),
        None if is_method || mentions_self || mentions_self_type(function) => Place::Associated,
        None => Place::Type(function.sig.ident.clone()),
    }
}

fn self_part(function: &Function, options: &CachedOptions, place: &Place, mentions_self: bool) -> SelfPart {
    let in_a_type = function.receiver().is_some() || mentions_self_type(function) || mentions_self;
    match place {
        _ if options.skip.iter().any(|name| name == "Self") => SelfPart::Never,
        Place::Associated => SelfPart::IfGeneric,
        Place::None if in_a_type => SelfPart::Always,
        Place::Type(_) | Place::None => SelfPart::Never,
    }
}

fn mentions_self_type(function: &Function) -> bool {
    mentions(&function.sig, "Self") || mentions(&function.body.statements, "Self")
}
