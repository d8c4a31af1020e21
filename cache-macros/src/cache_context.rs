//! `#[derive(CacheContext)]`: finds the field that brings the cache, and hands it out.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Fields, Index, Member, Meta, Path, Type};

use crate::errors::Errors;
use crate::options;
use crate::runtime_path::private_path;
use crate::signature::{last_segment, peel_type};
use crate::wrapper::located;

pub(crate) fn cache_context(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let krate = read_crate(&input, &mut errors);
    let field = field(&input, &mut errors);
    match (errors.finish(), field) {
        (Ok(()), Some(field)) => expand(&input, &field, &private_path(krate.as_ref())),
        (Err(errors), _) => errors,
        (Ok(()), None) => TokenStream::new(),
    }
}

/// `#[cache_context(crate = path)]`.
fn read_crate(input: &DeriveInput, errors: &mut Errors) -> Option<Path> {
    let mut krate = None;
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("cache_context")) {
        match &attr.meta {
            Meta::List(list) => options::read_options(list.tokens.clone(), &["crate"], errors, |name, input, _| {
                krate = Some(options::value(name, input)?);
                Ok(())
            }),
            other => errors.at(other, "`#[cache_context]` has one option: `#[cache_context(crate = path)]`"),
        }
    }
    krate
}

/// The field that is marked with `#[cache]`, or the only one of a type that is named `Cache`.
fn field(input: &DeriveInput, errors: &mut Errors) -> Option<(Member, Type)> {
    let Data::Struct(data) = &input.data else {
        errors.at(
            &input.ident,
            "`CacheContext` is derived for a struct with a cache in it: implement it by hand for this type",
        );
        return None;
    };
    let marked: Vec<_> = members(&data.fields, is_marked).collect();
    if let [_, second, ..] = marked.as_slice() {
        errors.at(second.1, "a context has one cache: keep one `#[cache]`");
        return None;
    }
    let named: Vec<_> = members(&data.fields, is_named_cache).collect();
    match (marked.as_slice(), named.as_slice()) {
        ([(member, field)], _) | ([], [(member, field)]) => Some((member.clone(), field.ty.clone())),
        ([], []) => {
            let message = "no field of this context is a `Cache`: mark the one that brings the cache with `#[cache]`";
            errors.at(&input.ident, message);
            None
        }
        _ => {
            errors.at(&input.ident, "this context has more than one `Cache`: mark the one to use with `#[cache]`");
            None
        }
    }
}

fn members<'a>(
    fields: &'a Fields,
    wanted: impl Fn(&Field) -> bool + 'a,
) -> impl Iterator<Item = (Member, &'a Field)> + 'a {
    let member = |(at, field): (usize, &'a Field)| match &field.ident {
        Some(name) => (Member::Named(name.clone()), field),
        None => (Member::Unnamed(Index::from(at)), field),
    };
    fields.iter().enumerate().filter(move |(_, field)| wanted(field)).map(member)
}

fn is_marked(field: &Field) -> bool {
    field.attrs.iter().any(|attr| attr.path().is_ident("cache"))
}

fn is_named_cache(field: &Field) -> bool {
    last_segment(behind_reference(&field.ty)).is_some_and(|segment| segment.ident == "Cache")
}

fn behind_reference(ty: &Type) -> &Type {
    match peel_type(ty) {
        Type::Reference(reference) => peel_type(&reference.elem),
        ty => ty,
    }
}

fn expand(input: &DeriveInput, (member, ty): &(Member, Type), private: &TokenStream) -> TokenStream {
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let is_reference = matches!(peel_type(ty), Type::Reference(_));
    let borrow = (!is_reference).then(|| quote_spanned!(Span::mixed_site() => &));
    // What is wrong with the field is said at its type.
    let at_type = Span::mixed_site().located_at(ty.span());
    let located = located(private, ty.span());
    let cache = quote_spanned!(at_type => #located::cache_of(#borrow self.#member));
    quote_spanned! { Span::mixed_site() =>
        #[automatically_derived]
        impl #impl_generics #private::CacheContext for #name #type_generics #where_clause {
            fn cache(&self) -> &#private::Cache {
                #cache
            }
        }
    }
}
