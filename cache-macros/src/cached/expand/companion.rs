//! `get_flight::key(&id)` and `get_flight::refresh(…)`, or `Self::get_flight_key` and `Self::get_flight_refresh`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{FnArg, Generics, Pat, ReceiverKind};

use super::heading::{Heading, arg_name, explicit_argument, heading, this_span};
use super::{Bindings, Generator};
use crate::cached::check::{Place, Plan};
use crate::mentions::mentions;
use crate::names::{TARGET, associated_name};
use crate::wrapper;

/// What the function's own documentation says about its companion; nothing if there is none to add to.
pub(crate) fn docs(plan: &Plan) -> Option<String> {
    if !plan.function.attrs.iter().any(|attr| attr.path().is_ident("doc")) {
        return None;
    }
    let name = plan.function.sig.ident.to_string();
    let (key, refresh) = match &plan.place {
        Place::Type(companion) => (format!("{companion}::key"), format!("{companion}::refresh")),
        Place::Associated => (format!("Self::{name}_key"), format!("Self::{name}_refresh")),
        Place::None => return Some("\n\n# Caching\n\nResults are cached.".to_owned()),
    };
    Some(format!(
        "\n\n# Caching\n\nResults are cached. `{key}` is the key of an entry, `{refresh}` loads and fills now."
    ))
}

pub(crate) fn expand(generator: &Generator<'_>) -> TokenStream {
    let plan = generator.plan;
    let function = &plan.function;
    let cfgs: Vec<_> = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let vis = &function.vis;
    match &plan.place {
        Place::None => TokenStream::new(),
        Place::Associated => {
            let name = &function.sig.ident;
            let key = key(generator, &associated_name(name, "key"));
            let target = target(generator, &associated_name(name, TARGET));
            let refresh = refresh(generator, &associated_name(name, "refresh"));
            quote!(#(#cfgs)* #key #(#cfgs)* #target #(#cfgs)* #refresh)
        }
        Place::Type(name) => {
            let key = key(generator, &Ident::new("key", function.sig.ident.span()));
            let target = target(generator, &Ident::new(TARGET, function.sig.ident.span()));
            let refresh = refresh(generator, &Ident::new("refresh", function.sig.ident.span()));
            // Braced, it lives in the type namespace only. Hidden, or links to the function would be ambiguous.
            quote! {
                #(#cfgs)*
                #[doc(hidden)]
                #[allow(non_camel_case_types, dead_code, clippy::all, clippy::pedantic, clippy::nursery)]
                #vis struct #name {}

                #(#cfgs)*
                #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
                impl #name {
                    #key
                    #target
                    #refresh
                }
            }
        }
    }
}

fn key(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let Heading { vis, generics, inputs, value_type, params } = &heading(generator);
    let patterns = params.iter().filter(|(_, param)| param.name().is_none()).map(|(at, param)| {
        let (arg, mut pat) = (arg_name(*at, param), param.pat.clone());
        PlainBindings.visit_pat_mut(&mut pat);
        quote!(#[allow(unused_variables)] let #pat = #arg;)
    });
    let where_clause = &generics.where_clause;
    let (prefix, key) = (generator.prefix(), generator.key(Bindings::Borrowed));
    let finish = finish(generator, generics, value_type);
    let docs = format!("The key of one call of `{}`.", function.sig.ident);
    quote_spanned! { Span::mixed_site() =>
        #[doc = #docs]
        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis fn #name #generics (#inputs) -> #private::Key<#value_type> #where_clause {
            #(#patterns)*
            let prefix = #prefix;
            let key = #key;
            #finish
        }
    }
}

/// The key with its recipe: how the function itself would store its entry.
fn finish(generator: &Generator<'_>, generics: &Generics, value_type: &TokenStream) -> TokenStream {
    let private = &generator.private;
    let items = generator.items();
    let evaluator = generator.evaluator();
    let names = Ident::new("names", Span::mixed_site());
    if !knows_recipe(generator, generics) {
        // Part of the recipe is not at hand here. A name that cannot be spelled keeps `put` from storing a value that
        // its tags could not reach; invalidation needs no recipe.
        return quote_spanned! { Span::mixed_site() =>
            let policy = #private::Policy::new(prefix);
            let declared = |_: &_, _: &_| {
                let mut #names = #private::Names::new();
                #names.tag("");
                #names
            };
            key.finish_with(policy, #private::Captured::new(), declared, |_| true)
        };
    }
    let policy = generator.policy(value_type);
    let (captured, value) = (Ident::new("captured", Span::mixed_site()), Ident::new("value", Span::mixed_site()));
    let known: Vec<_> = items.iter().filter(|(_, item)| evaluator.is_known_before(item)).copied().collect();
    let before = evaluator.before(&names, &known);
    let parts = evaluator.captured_parts(&items);
    let declared = evaluator.declared(&names, &captured, &value, &items);
    let cacheability = wrapper::cacheability(value_type, private);
    let keep = generator.keep(value_type, &value);
    quote_spanned! { Span::mixed_site() =>
        #[allow(unused_mut)]
        let mut #names = #private::Names::new();
        #before
        let policy = #policy;
        let captured = #private::Captured::new().names(#names) #parts;
        #[allow(unused_variables)]
        key.finish_with(policy, captured, |#captured, #value: &#value_type| {
            let mut #names = #private::Names::new();
            #cacheability.own_names::<#value_type>(#value, &mut #names);
            #declared
            #names
        }, |#value: &#value_type| #keep)
    }
}

/// Whether the companion has all it takes to store a value as the function itself does.
fn knows_recipe(generator: &Generator<'_>, generics: &Generics) -> bool {
    let plan = generator.plan;
    let evaluator = generator.evaluator();
    let unknown = plan.unknown_to_companion();
    let uses_unknown = |tokens: &TokenStream| unknown.iter().any(|name| mentions(tokens, name));
    let options = &plan.options;
    let lifetimes = [&options.ttl, &options.negative_ttl, &options.stale_while_revalidate, &options.stale_if_error];
    let lifetimes = lifetimes.into_iter().flatten();
    let lifetime_unknown =
        lifetimes.filter_map(|ttl| ttl.value.computed()).any(|expr| uses_unknown(&expr.to_token_stream()));
    let items_unknown = plan
        .items()
        .any(|item| evaluator.needs_live_parameters(item) || unknown.iter().any(|name| item.mentions(name)));
    // A function pointer holds no parameters at all. What the closure calls its own argument is none.
    let when_unknown = plan.options.when.as_ref().is_some_and(|when| {
        let mut used =
            plan.function.names().into_iter().map(|name| name.to_string()).chain(out_of_scope(plan, generics));
        used.any(|name| mentions(&when.body, &name) && !mentions(&when.inputs, &name))
    });
    !(lifetime_unknown || items_unknown || when_unknown)
}

/// Whether the companion can evaluate the `cache` option. What it takes by reference and the function by value may not be
/// spelled alike.
fn knows_cache(plan: &Plan, generics: &Generics) -> bool {
    let Some(cache) = &plan.options.cache else { return true };
    let by_value = plan.function.bindings().filter(|binding| !plan.is_reference(binding)).map(ToString::to_string);
    let mut unknown = plan.unknown_to_companion().into_iter().chain(by_value).chain(out_of_scope(plan, generics));
    !unknown.any(|name| mentions(cache, &name))
}

/// Type and const parameters of the function that `key` does not have.
fn out_of_scope(plan: &Plan, generics: &Generics) -> Vec<String> {
    let names = |generics: &Generics| -> Vec<String> {
        generics.params.iter().filter_map(explicit_argument).map(|name| name.to_string()).collect()
    };
    let known = names(generics);
    names(&plan.function.sig.generics).into_iter().filter(|name| !known.contains(name)).collect()
}

/// The entry for a function that writes through; what it is made with is known by type, so that a lack is a compile error.
fn target(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let Heading { vis, generics, inputs, value_type, params } = &heading(generator);
    let where_clause = &generics.where_clause;
    let marker = |known| if known { quote!(#private::Known) } else { quote!(#private::NotKnown) };
    let located = knows_cache(plan, generics);
    let (recipe_is, cache_is) = (marker(knows_recipe(generator, generics)), marker(located));
    let cache = plan.options.cache.as_ref().filter(|_| located);
    let cache = wrapper::with_cache(cache, private, &quote_spanned!(Span::mixed_site() => cache.cloned()));
    let mut key = match &plan.place {
        _ if plan.key_uses_self() => {
            let (this, key) = (Ident::new("self", this_span(plan)), associated_name(&function.sig.ident, "key"));
            quote!(#this.#key)
        }
        Place::Associated => {
            let key = associated_name(&function.sig.ident, "key");
            quote!(Self::#key)
        }
        Place::Type(_) | Place::None => quote!(Self::key),
    };
    let explicit: Vec<TokenStream> = generics.params.iter().filter_map(explicit_argument).collect();
    if !explicit.is_empty() {
        key = quote!(#key::<#(#explicit),*>);
    }
    let args = params.iter().map(|(at, param)| arg_name(*at, param));
    quote_spanned! { Span::mixed_site() =>
        #[doc(hidden)]
        #[allow(dead_code, non_snake_case, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis fn #name #generics (#inputs) -> #private::Target<#value_type, #recipe_is, #cache_is> #where_clause {
            let cache = #cache;
            #private::Target::new(#key(#(#args),*), cache)
        }
    }
}

fn refresh(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let (vis, sig) = (&function.vis, &function.sig);
    let (generics, where_clause, output) = (&sig.generics, &sig.generics.where_clause, &sig.output);
    let mut args = Vec::new();
    let mut passed = Vec::new();
    let mut path = sig.ident.to_token_stream();
    for arg in &sig.inputs {
        if let FnArg::Receiver(receiver) = arg {
            let mut receiver = receiver.clone();
            receiver.attrs.clear();
            if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
                receiver.mutability = None;
            }
            passed.push(receiver.self_token.to_token_stream());
            args.push(receiver.to_token_stream());
        }
    }
    for (at, param) in function.params.iter().enumerate() {
        let (mut arg, ty) = (arg_name(at, param), &param.ty);
        // Ours: a parameter named like its function must not hide it from the call below.
        arg.set_span(arg.span().resolved_at(Span::mixed_site()));
        args.push(quote!(#arg: #ty));
        passed.push(arg.to_token_stream());
    }
    if matches!(plan.place, Place::Associated) {
        path = quote_spanned!(sig.ident.span() => Self::#path);
    }
    let explicit: Vec<TokenStream> = generics.params.iter().filter_map(explicit_argument).collect();
    if !explicit.is_empty() {
        path = quote!(#path::<#(#explicit),*>);
    }
    let docs = format!("Calls `{}`, whatever is stored, and fills the cache.", sig.ident);
    quote_spanned! { Span::mixed_site() =>
        #[doc = #docs]
        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis async fn #name #generics (#(#args),*) #output #where_clause {
            #private::refresh(#path(#(#passed),*)).await
        }
    }
}

/// `key` matches references with the user's pattern, where `mut` and `ref` have no place.
struct PlainBindings;

impl VisitMut for PlainBindings {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Ident(pat) = pat {
            pat.mutability = None;
            pat.by_ref = None;
        }
        syn::visit_mut::visit_pat_mut(self, pat);
    }
}
