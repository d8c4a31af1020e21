//! `get_flight::key(&id)` and `get_flight::refresh(…)`, or `Self::get_flight_key` and
//! `Self::get_flight_refresh`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{FnArg, Pat, ReceiverKind};

use super::heading::{Heading, arg_name, explicit_argument, heading, this_span};
use super::recipe::{context_type, finish, knows_cache, knows_recipe};
use crate::cached::generator::{Bindings, Generator};
use crate::cached::plan::{CachePlan, Place};
use crate::names::{TARGET, associated_name};
use crate::wrapper;

/// What is added to the function's documentation, if it has any.
pub(super) fn docs(plan: &CachePlan) -> Option<String> {
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

pub(super) fn expand(generator: &Generator<'_>) -> TokenStream {
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
            // Braced, it lives in the type namespace only. Hidden, or links to the function would
            // be ambiguous.
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
        let cfgs = &param.cfgs;
        quote!(#(#cfgs)* #[allow(unused_variables, clippy::pattern_type_mismatch)] let #pat = #arg;)
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
            let __prefix = #prefix;
            let __key = #key;
            #finish
        }
    }
}

/// The function that hands the entry to one that writes through. Its return type says what the
/// companion does not know of the entry, so that this is a compile error.
fn target(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let Heading { vis, generics, inputs, value_type, params } = &heading(generator);
    let (where_clause, coding) = (&generics.where_clause, generator.coding(value_type));
    let marker = |known| if known { quote!(#private::Known) } else { quote!(#private::NotKnown) };
    let recipe_is = marker(knows_recipe(generator, generics));
    let cache = plan.options.cache.as_ref().filter(|cache| knows_cache(plan, generics, cache));
    let cache_is = match (&plan.options.cache, context_type(plan, generics)) {
        (None, _) => quote!(#private::Installed),
        (Some(_), Some(context)) => quote!(#private::InContext<#context>),
        (Some(_), None) => marker(cache.is_some()),
    };
    let cache = wrapper::with_cache(cache, private, &quote_spanned!(Span::mixed_site() => __cache.cloned()));
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
    let args = params.iter().map(|(at, param)| {
        let (cfgs, arg) = (&param.cfgs, arg_name(*at, param));
        quote!(#(#cfgs)* #arg)
    });
    quote_spanned! { Span::mixed_site() =>
        #[doc(hidden)]
        #[allow(dead_code, non_snake_case, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis fn #name #generics (#inputs) -> #private::Target<#value_type, #recipe_is, #cache_is> #where_clause {
            let __cache = #cache;
            #private::Target::new(#key(#(#args),*), #coding, __cache)
        }
    }
}

fn refresh(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let (vis, sig) = (&function.vis, &function.sig);
    let (generics, where_clause, output) = (&sig.generics, &sig.generics.where_clause, &function.output);
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
        let (mut arg, ty, cfgs) = (arg_name(at, param), &param.ty, &param.cfgs);
        // Ours: a parameter named like its function must not hide it from the call below.
        arg.set_span(arg.span().resolved_at(Span::mixed_site()));
        args.push(quote!(#(#cfgs)* #arg: #ty));
        passed.push(quote!(#(#cfgs)* #arg));
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
        #[allow(dead_code, deprecated, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis async fn #name #generics (#(#args),*) -> #output #where_clause {
            #private::refresh(#path(#(#passed),*)).await
        }
    }
}

/// `key` matches a reference with the user's pattern: all of its bindings are references then, and
/// `mut`, `ref` and `&` have no place in it.
struct PlainBindings;

impl VisitMut for PlainBindings {
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        while let Pat::Reference(reference) = pat {
            *pat = (*reference.pat).clone();
        }
        if let Pat::Ident(pat) = pat {
            pat.mutability = None;
            pat.by_ref = None;
        }
        syn::visit_mut::visit_pat_mut(self, pat);
    }
}
