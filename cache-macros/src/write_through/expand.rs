//! A plan becomes the wrapper: read the clock, run the body, write. Nothing fails here.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;

use super::check::Plan;
use crate::runtime_path::private_path;
use crate::wrapper::{self, located};

pub(crate) fn expand(plan: &Plan) -> TokenStream {
    let private = private_path(plan.krate.as_ref());
    wrapper::function(&plan.function, &body(plan, &private), None)
}

fn body(plan: &Plan, private: &TokenStream) -> TokenStream {
    let Plan { function, target, cache, .. } = plan;
    let span = Span::mixed_site();
    let output = &function.output;
    let call = &target.call;
    // What the target cannot do is said at its name, what the function returns at its type: all tokens of a call are there.
    let at_target = span.located_at(target.written.span());
    let private_at_target = located(private, target.written.span());
    let mut checks = quote_spanned!(at_target => #private_at_target::writable(&target););
    if cache.is_none() {
        checks.extend(quote_spanned!(at_target => #private_at_target::located(&target);));
    }
    let begin = quote_spanned!(span => #private::write_through(cache, target));
    let begin = wrapper::with_cache(cache.as_ref(), private, &begin);
    let run = wrapper::typed_body(function);
    let run = quote_spanned!(span => { let outcome: #output = writing.run(#run).await; outcome });
    let at_output = span.located_at(output.span());
    let private_at_output = located(private, output.span());
    let value = quote_spanned!(at_output => #private_at_output::written(&writing, &outcome));
    // In several statements: a reference that lives through the await would ask the value to be `Sync`.
    let write = quote_spanned! { span =>
        let write = {
            let value = #value;
            writing.finish(value)
        };
        write.await;
    };
    let begin = quote_spanned! { span =>
        let writing = {
            let target = #call;
            #checks
            #begin
        }
        .await;
    };
    if function.returns_result() {
        // The error leaves before the await, and no variable of ours ever held it, so it need not be `Send`.
        return quote_spanned! { span =>
            #begin
            let outcome = match #run {
                ::core::result::Result::Ok(outcome) => outcome,
                ::core::result::Result::Err(error) => {
                    writing.disarm();
                    return ::core::result::Result::Err(error);
                }
            };
            #write
            ::core::result::Result::Ok(outcome)
        };
    }
    let check = wrapper::plain_check(output, private);
    quote_spanned! { span =>
        #check
        #begin
        let outcome = #run;
        let succeeded = {
            #[allow(unused_imports)]
            use #private::AnyOutcome as _;
            #private::Probe::<#output>::new().succeeded(&outcome)
        };
        if !succeeded {
            writing.disarm();
            return outcome;
        }
        #write
        outcome
    }
}
