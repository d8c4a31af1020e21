//! `#[invalidates]`: parse → check → expand.

mod check;
mod collecting;
mod collector;
mod expand;
mod parse;
mod statements;

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::fallback;
use crate::signature::Function;

pub(crate) fn invalidates(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = parse::InvalidatesOptions::parse(options, &mut errors);
    let Some(function) = errors.keep(syn::parse2::<Function>(item.clone())) else {
        return fallback::unchanged(item, errors);
    };
    let plan = check::InvalidationPlan::check(function, options, &mut errors);
    match errors.finish() {
        Ok(()) => expand::expand(&plan),
        Err(errors) => fallback::with_errors(item, errors),
    }
}
