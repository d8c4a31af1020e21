//! The signature of a function that names an entry: it takes what the key is made of, by reference,
//! and the generics that this needs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{GenericParam, Generics, Lifetime, Type, TypeParamBound, Visibility};

use crate::cached::generator::Generator;
use crate::cached::plan::CachePlan;
use crate::mentions::mentions;
use crate::signature::{Param, peel_type};

pub(super) struct Heading<'a> {
    pub(super) vis: &'a Visibility,
    pub(super) generics: Generics,
    pub(super) inputs: TokenStream,
    pub(super) value_type: TokenStream,
    /// The parameters that `inputs` takes, beside `self`, each with its place in the signature.
    pub(super) params: Vec<(usize, &'a Param)>,
}

pub(super) fn heading<'a>(generator: &Generator<'a>) -> Heading<'a> {
    let plan = generator.plan;
    let function = &plan.function;
    let mut value_type: TokenStream = generator.value_type();
    if let Ok(mut ty) = syn::parse2::<Type>(value_type.clone()) {
        StaticElided.visit_type_mut(&mut ty);
        value_type = ty.to_token_stream();
    }
    let params: Vec<(usize, &Param)> =
        function.params.iter().enumerate().filter(|(_, param)| plan.is_key_param(param)).collect();
    let args = params.iter().map(|(at, param)| {
        let (cfgs, arg, ty) = (&param.cfgs, arg_name(*at, param), by_reference(plan.key_type(param)));
        quote!(#(#cfgs)* #arg: #ty)
    });
    let this = plan.key_uses_self().then(|| quote_spanned!(this_span(plan) => &self,));
    let inputs = quote!(#this #(#args),*);
    let generics = key_generics(plan, &value_type, &params);
    Heading { vis: &function.vis, generics, inputs, value_type, params }
}

/// A generic parameter as an argument of a call; lifetimes are inferred.
pub(super) fn explicit_argument(param: &GenericParam) -> Option<TokenStream> {
    match param {
        GenericParam::Type(param) => Some(param.ident.to_token_stream()),
        GenericParam::Const(param) => Some(param.ident.to_token_stream()),
        GenericParam::Lifetime(_) => None,
    }
}

pub(super) fn arg_name(at: usize, param: &Param) -> Ident {
    match param.name() {
        Some(name) => name.clone(),
        None => format_ident!("__arg_{at}", span = Span::mixed_site()),
    }
}

pub(super) fn this_span(plan: &CachePlan) -> Span {
    plan.function.receiver().map_or_else(Span::call_site, |receiver| receiver.self_token.span)
}

/// A reference stays as it is; every other type is borrowed.
fn by_reference(ty: &Type) -> TokenStream {
    match peel_type(ty) {
        Type::Reference(reference) => {
            let mut reference = reference.clone();
            reference.mutability = None;
            reference.to_token_stream()
        }
        // `&impl A + B` is ambiguous.
        ty @ (Type::ImplTrait(_) | Type::TraitObject(_)) => quote_spanned!(ty.span() => &(#ty)),
        ty => quote_spanned!(ty.span() => &#ty),
    }
}

/// The generics that the key's parameters, value or text need. A caller of `key` could not infer
/// one that occurs in skipped parameters only.
fn key_generics(plan: &CachePlan, value_type: &TokenStream, params: &[(usize, &Param)]) -> Generics {
    let mut generics = plan.function.sig.generics.clone();
    let used = |name: &str| {
        plan.generic_parts.iter().any(|part| part == name)
            || mentions(value_type, name)
            || params.iter().any(|(_, param)| mentions(&param.ty, name))
    };
    let name = |param: &GenericParam| match param {
        GenericParam::Type(param) => param.ident.to_string(),
        GenericParam::Const(param) => param.ident.to_string(),
        GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
    };
    let dropped: Vec<String> = generics.params.iter().map(name).filter(|name| !used(name)).collect();
    let stays = |tokens: &dyn ToTokens| !dropped.iter().any(|name| mentions(&tokens.to_token_stream(), name));
    generics.params = generics.params.into_iter().filter(|param| !dropped.contains(&name(param))).collect();
    for param in &mut generics.params {
        match param {
            GenericParam::Type(param) => {
                let bounds = std::mem::take(&mut param.bounds);
                param.bounds = bounds.into_iter().filter(|bound: &TypeParamBound| stays(bound)).collect();
            }
            GenericParam::Lifetime(param) => {
                let bounds = std::mem::take(&mut param.bounds);
                param.bounds = bounds.into_iter().filter(|bound| stays(bound)).collect();
            }
            GenericParam::Const(_) => {}
        }
    }
    if let Some(clause) = &mut generics.where_clause {
        let predicates = std::mem::take(&mut clause.predicates);
        clause.predicates = predicates.into_iter().filter(|predicate| stays(predicate)).collect();
    }
    generics
}

/// The stored type never borrows, so an elided lifetime in it stands for any.
struct StaticElided;

impl VisitMut for StaticElided {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        if reference.lifetime.is_none() {
            reference.lifetime = Some(Lifetime::new("'static", reference.and_token.span));
        }
        syn::visit_mut::visit_type_reference_mut(self, reference);
    }
}
