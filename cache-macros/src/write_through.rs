//! `#[write_through]`: parse → check → expand.

mod check;
mod expand;
mod parse;

use proc_macro2::TokenStream;

use crate::errors::Errors;
use crate::fallback;
use crate::signature::Function;

pub(crate) fn write_through(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = parse::WriteThroughOptions::parse(options, &mut errors);
    let Some(function) = errors.keep(syn::parse2::<Function>(item.clone())) else {
        return fallback::unchanged(item, errors);
    };
    let plan = check::WritePlan::check(function, options, &mut errors);
    match (errors.finish(), plan) {
        (Ok(()), Some(plan)) => expand::expand(&plan),
        (Ok(()), None) => item,
        (Err(errors), _) => fallback::with_errors(item, errors),
    }
}
