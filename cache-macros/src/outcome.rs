//! What a function that changes something did: whether it succeeded, as far as its outcome says.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::signature::Function;

/// Runs the function's body by `run`, an expression, and goes on with `then` if it succeeded: with
/// `outcome` at hand, which is what `Ok` holds, or all of what is no `Result`. Otherwise `disarm`,
/// and what was returned is returned.
pub(crate) fn on_success(
    function: &Function,
    private: &TokenStream,
    run: &TokenStream,
    disarm: &TokenStream,
    then: &TokenStream,
) -> TokenStream {
    let span = Span::mixed_site();
    if function.returns_result() {
        // The error leaves before the next await, and no variable of ours ever held it, so it need
        // not be `Send`.
        return quote_spanned! { span =>
            let outcome = match #run {
                ::core::result::Result::Ok(outcome) => outcome,
                ::core::result::Result::Err(error) => {
                    #disarm
                    return ::core::result::Result::Err(error);
                }
            };
            #then
            ::core::result::Result::Ok(outcome)
        };
    }
    // Nothing can be asked about an `impl Trait`.
    let judged = (!function.returns_impl_trait()).then(|| {
        let output = &function.output;
        quote_spanned! { span =>
            let succeeded = {
                #[allow(unused_imports)]
                use #private::AnyOutcome as _;
                #private::Probe::<#output>::new().succeeded(&outcome)
            };
            if !succeeded {
                #disarm
                return outcome;
            }
        }
    });
    quote_spanned! { span =>
        let outcome = #run;
        #judged
        #then
        outcome
    }
}
