//! `#[derive(Cacheable)]`: parse → check → expand.

mod expand;
mod parse;
mod skipped;

use proc_macro2::TokenStream;
use syn::{Data, DeriveInput, Ident};

use crate::errors::Errors;
use crate::names::Item;

pub(crate) fn cacheable(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let mut options = parse::CacheableOptions::parse(&input, &mut errors);
    check(&input, &mut options, &mut errors);
    skipped::check(&input, &mut errors);
    match errors.finish() {
        Ok(()) => expand::expand(&input, &options),
        Err(errors) => errors,
    }
}

fn check(input: &DeriveInput, options: &mut parse::CacheableOptions, errors: &mut Errors) {
    if let Data::Union(data) = &input.data {
        errors.at(
            &data.union_token,
            "`Cacheable` is for structs and enums, which serde can store: implement it by hand for a union",
        );
    }
    if options.ttl.is_none() && !options.ttl_was_wrong {
        errors.at(
            &input.ident,
            "`#[cacheable(ttl = \"…\")]` is required: say how long a value may live, such as `ttl = \"1h\"`",
        );
    }
    let known = [Ident::new("self", proc_macro2::Span::call_site())];
    for item in &mut options.tags {
        if let Item::Template(template) = item {
            template.resolve(&known, errors);
        }
    }
}
