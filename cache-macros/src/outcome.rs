//! What a function that changes something did: whether it succeeded, as far as its outcome says.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::signature::Function;

/// Runs the function's body by `run`, an expression, and goes on with `then` if it succeeded: with
/// `__outcome` at hand, which is what `Ok` holds, or all of what is no `Result`. Otherwise
/// `disarm`, and what was returned is returned.
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
            let __outcome = match #run {
                ::core::result::Result::Ok(__outcome) => __outcome,
                ::core::result::Result::Err(__error) => {
                    #disarm
                    return ::core::result::Result::Err(__error);
                }
            };
            #then
            ::core::result::Result::Ok(__outcome)
        };
    }
    // Nothing can be asked about an `impl Trait`.
    let judged = (!function.returns_impl_trait()).then(|| {
        let output = &function.output;
        quote_spanned! { span =>
            let __succeeded = {
                #[allow(unused_imports)]
                use #private::AnyOutcome as _;
                #private::Probe::<#output>::new().succeeded(&__outcome)
            };
            if !__succeeded {
                #disarm
                return __outcome;
            }
        }
    });
    quote_spanned! { span =>
        let __outcome = #run;
        #judged
        #then
        __outcome
    }
}
