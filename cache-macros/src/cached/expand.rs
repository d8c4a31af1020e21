//! A plan becomes the wrapper and its companion. Nothing fails here.

mod background;
mod batch;
mod companion;
mod heading;
mod phases;
mod recipe;
mod single;

use proc_macro2::TokenStream;
use quote::quote;

use super::generator::Generator;
use super::plan::CachePlan;
use crate::wrapper;

pub(crate) fn expand(plan: &CachePlan) -> TokenStream {
    let generator = Generator::new(plan);
    let (body, body_function) = match (&plan.batch, plan.options.background()) {
        (Some(batch), _) => (batch::body(&generator, batch), None),
        (None, None) => (single::body(&generator), None),
        (None, Some(option)) => {
            let (body, function) = background::body(&generator, option);
            (body, Some(function))
        }
    };
    let function = wrapper::function(&plan.function, &body, companion::docs(plan));
    let moved = body_function.is_some() && background::has_mut_params(&plan.function);
    let moved = moved.then(|| quote!(#[allow(unused_mut)]));
    let companion = companion::expand(&generator);
    quote!(#moved #function #body_function #companion)
}
