//! How the companion's key says that its entry is stored, and whether it has all that this takes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::visit::Visit;
use syn::{Expr, Generics, Type};

use super::heading::explicit_argument;
use crate::cached::generator::Generator;
use crate::cached::parse::PolicySetting;
use crate::cached::plan::CachePlan;
use crate::mentions::mentions;
use crate::names::{Item, Kind};
use crate::wrapper;

/// The key with its recipe: how the function itself would store its entry.
pub(super) fn finish(generator: &Generator<'_>, generics: &Generics, value_type: &TokenStream) -> TokenStream {
    let private = &generator.private;
    let evaluator = generator.evaluator().borrowed();
    let (names, value) = (Ident::new("__names", Span::mixed_site()), Ident::new("__value", Span::mixed_site()));
    let known = known_names(generator, generics, &names);
    if !knows_recipe(generator, generics) {
        // A name that cannot be spelled keeps `put` from storing: without all of its tags the value
        // could not be invalidated by them. An invalidation needs no recipe, and what depends on
        // the entry needs the names that are known.
        return quote_spanned! { Span::mixed_site() =>
            #known
            let __policy = #private::Policy::new(__prefix);
            let __declared = |_: &_, _: &_| {
                let mut #names = #private::Names::new();
                #names.tag("");
                #names
            };
            __key.finish_with(__policy, #private::Captured::new().names(#names), __declared, |_| true)
        };
    }
    let (function, policy) =
        (generator.function(), generator.policy(&quote_spanned!(Span::mixed_site() => __prefix), value_type));
    let captured = Ident::new("__captured", Span::mixed_site());
    let items = generator.items();
    let parts = evaluator.captured_parts(&items);
    let declared = evaluator.declared(&names, &captured, &value, &items);
    let cacheability = wrapper::cacheability(value_type, private);
    let keep = generator.keep(value_type, &value);
    quote_spanned! { Span::mixed_site() =>
        #known
        let __function = #function;
        let __policy = #policy;
        let __captured = #private::Captured::new().names(#names) #parts;
        #[allow(unused_variables)]
        __key.finish_with(__policy, __captured, |#captured, #value: &#value_type| {
            let mut #names = #private::Names::new();
            #cacheability.own_names::<#value_type>(#value, &mut #names);
            #declared
            #names
        }, |#value: &#value_type| #keep)
    }
}

/// Declares `names`, with those that need only parameters which the companion has. The keys among
/// them bring the names of their entries along, which may lead back to this key.
fn known_names(generator: &Generator<'_>, generics: &Generics, names: &Ident) -> TokenStream {
    let (private, plan) = (&generator.private, generator.plan);
    let evaluator = generator.evaluator().borrowed();
    let mut items: Vec<_> = generator.items().into_iter().filter(|(_, item)| evaluator.is_known_before(item)).collect();
    if !knows_recipe(generator, generics) {
        let unknown: Vec<_> = plan.unknown_to_companion().into_iter().chain(out_of_scope(plan, generics)).collect();
        items.retain(|(_, item)| {
            let takes_references = match item {
                Item::Template(_) => true,
                Item::Typed(call) => call.takes_references(),
                Item::Spread(_) => false,
            };
            takes_references && !unknown.iter().any(|name| item.mentions(name))
        });
    }
    let mut before = evaluator.before(names, &items);
    if items.iter().any(|(kind, item)| *kind == Kind::Key && !matches!(item, Item::Template(_))) {
        before = quote_spanned! { Span::mixed_site() =>
            let __step = #private::WalkStep::to(&__key);
            if __step.goes_on() { #before }
            let #names = __step.end(#names);
        };
    }
    quote_spanned! { Span::mixed_site() =>
        #[allow(unused_mut)]
        let mut #names = #private::Names::new();
        #before
    }
}

/// Whether the companion has all it takes to store a value as the function itself does.
pub(super) fn knows_recipe(generator: &Generator<'_>, generics: &Generics) -> bool {
    let plan = generator.plan;
    let evaluator = generator.evaluator();
    let unknown = plan.unknown_to_companion();
    let uses_unknown = |tokens: &TokenStream| unknown.iter().any(|name| mentions(tokens, name));
    let options = &plan.options;
    let mut computed = options.policy.iter().filter_map(PolicySetting::computed);
    let policy_unknown = computed.any(|expr| uses_unknown(&expr.to_token_stream()));
    let items_unknown = plan
        .items()
        .any(|item| evaluator.needs_live_parameters(item) || unknown.iter().any(|name| item.mentions(name)));
    // The closure becomes a function pointer, which captures nothing. Its own argument may have the
    // name of a parameter.
    let when_unknown = plan.options.when.as_ref().is_some_and(|when| {
        let mut used =
            plan.function.names().into_iter().map(|name| name.to_string()).chain(out_of_scope(plan, generics));
        used.any(|name| mentions(&when.body, &name) && !mentions(&when.inputs, &name))
    });
    !(policy_unknown || items_unknown || when_unknown)
}

/// Whether the companion can evaluate the `cache` option. A parameter that the function takes by
/// value does not count: the companion takes it by reference, and the expression may not fit both.
pub(super) fn knows_cache(plan: &CachePlan, generics: &Generics, cache: &Expr) -> bool {
    let by_value = plan.function.params.iter().filter(|param| !plan.is_reference(param));
    let by_value = by_value.flat_map(|param| &param.bindings).map(ToString::to_string);
    let mut unknown = plan.unknown_to_companion().into_iter().chain(by_value).chain(out_of_scope(plan, generics));
    !unknown.any(|name| mentions(cache, &name))
}

/// The type of the context, if the companion can spell it. It cannot spell a lifetime that only the
/// context has, and each use of `dyn Trait` or `impl Trait` is a type of its own.
pub(super) fn context_type<'a>(plan: &'a CachePlan, generics: &Generics) -> Option<&'a Type> {
    struct Unspelled(bool);
    impl Visit<'_> for Unspelled {
        fn visit_lifetime(&mut self, _: &syn::Lifetime) {
            self.0 = true;
        }
        fn visit_type_reference(&mut self, _: &syn::TypeReference) {
            self.0 = true;
        }
        fn visit_type_trait_object(&mut self, _: &syn::TypeTraitObject) {
            self.0 = true;
        }
        fn visit_type_impl_trait(&mut self, _: &syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let ty = plan.context.as_ref()?.ty()?;
    let mut unspelled = Unspelled(out_of_scope(plan, generics).iter().any(|name| mentions(ty, name)));
    unspelled.visit_type(ty);
    (!unspelled.0).then_some(ty)
}

/// The function's type and const parameters that `key` does not have.
fn out_of_scope(plan: &CachePlan, generics: &Generics) -> Vec<String> {
    let names = |generics: &Generics| -> Vec<String> {
        generics.params.iter().filter_map(explicit_argument).map(|name| name.to_string()).collect()
    };
    let known = names(generics);
    names(&plan.function.sig.generics).into_iter().filter(|name| !known.contains(name)).collect()
}
