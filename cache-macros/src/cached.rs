//! `#[cached]`: parse → plan → check → generator → expand, each of which imports from those before.

mod check;
mod expand;
mod generator;
mod parse;
mod plan;

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::fallback;
use crate::mentions::mentions;
use crate::signature::Function;

pub(crate) fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mentions_self = mentions(&options, "Self");
    let options = parse::CachedOptions::parse(options, &mut errors);
    let Some(function) = errors.keep(syn::parse2::<Function>(item.clone())) else {
        return fallback::unchanged(item, errors);
    };
    let plan = check::plan(function, options, mentions_self, &mut errors);
    match errors.finish() {
        Ok(()) => expand::expand(&plan),
        Err(errors) => fallback::with_errors(item, errors),
    }
}
