//! A plan becomes the wrapper: note what is known, run the body, invalidate. Nothing fails here.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;

use super::check::Plan;
use super::parse::When;
use crate::evaluate::{Evaluator, Sink};
use crate::runtime_path::private_path;
use crate::signature::peel_type;
use crate::wrapper;

pub(crate) fn expand(plan: &Plan) -> TokenStream {
    let private = private_path(plan.options.krate.as_ref());
    let generator = Generator { plan, private: &private, opaque: is_opaque(&plan.function.output) };
    wrapper::function(&plan.function, &generator.wrapper(), None)
}

fn is_opaque(output: &Type) -> bool {
    matches!(peel_type(output), Type::ImplTrait(_))
}

struct Generator<'a> {
    plan: &'a Plan,
    private: &'a TokenStream,
    /// Returns an `impl Trait`, which nothing can be asked about.
    opaque: bool,
}

impl Generator<'_> {
    fn wrapper(&self) -> TokenStream {
        let Self { plan, private, opaque } = self;
        let function = &plan.function;
        let evaluator = Evaluator::of_function(function, private, Sink::Invalidation);
        let (names, value) = (Ident::new("names", Span::mixed_site()), Ident::new("value", Span::mixed_site()));
        let items = plan.items();
        let before = evaluator.before(&names, &items);
        let after = evaluator.after(&names, &value, &items);
        let mode = if plan.options.background { quote!(Background) } else { quote!(Wait) };
        let guard = quote_spanned!(Span::mixed_site() => #private::Invalidating::new(cache, #private::Mode::#mode));
        let guard = wrapper::with_cache(plan.options.cache.as_ref(), private, &guard);
        let known = self.collected(&names, &before);
        let body = wrapper::typed_body(function);
        let output = &function.output;
        let ascription = (!opaque).then(|| quote!(: #output));
        let run = quote_spanned!(Span::mixed_site() => { let outcome #ascription = #body.await; outcome });
        let end = self.end(&run, &names, &value, &after);
        let checks = (!opaque && !function.returns_result()).then(|| wrapper::plain_check(output, private));
        // What is kept for after the body is declared by `before`, so `names` must not hide it in a block.
        quote_spanned! { Span::mixed_site() =>
            #checks
            #[allow(unused_mut)]
            let mut guard = #guard;
            #known
            guard.known(#names);
            #end
        }
    }

    fn collected(&self, names: &Ident, statements: &TokenStream) -> TokenStream {
        let private = self.private;
        quote_spanned! { Span::mixed_site() =>
            #[allow(unused_mut)]
            let mut #names = #private::Invalidation::new();
            #statements
        }
    }

    /// From the outcome on. Everything of the value that is needed is taken before the wait, during which it is only kept.
    fn end(&self, run: &TokenStream, names: &Ident, value: &Ident, after: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let complete = |of_value: &TokenStream| {
            let collected = self.collected(names, of_value);
            quote_spanned!(span => #collected guard.complete(#names).await;)
        };
        let of_outcome = match after.is_empty() {
            true => TokenStream::new(),
            false => quote_spanned!(span => { let #value = &outcome; #after }),
        };
        match self.plan.options.when {
            // The error leaves before the await, and no variable of ours ever held it, so it need not be `Send`.
            When::Ok if self.plan.function.returns_result() => {
                let complete = complete(&of_outcome);
                quote_spanned! { span =>
                    let outcome = match #run {
                        ::core::result::Result::Ok(outcome) => outcome,
                        ::core::result::Result::Err(error) => {
                            guard.disarm();
                            return ::core::result::Result::Err(error);
                        }
                    };
                    #complete
                    ::core::result::Result::Ok(outcome)
                }
            }
            When::Always if self.plan.function.returns_result() => {
                let of_ok = match after.is_empty() {
                    true => TokenStream::new(),
                    false => quote_spanned!(span => if let ::core::result::Result::Ok(#value) = &outcome { #after }),
                };
                let complete = complete(&of_ok);
                quote_spanned!(span => let outcome = #run; #complete outcome)
            }
            when => {
                let complete = complete(&of_outcome);
                let disarm = (when == When::Ok && !self.opaque).then(|| self.disarm_unless_succeeded());
                quote_spanned!(span => let outcome = #run; #disarm #complete outcome)
            }
        }
    }

    fn disarm_unless_succeeded(&self) -> TokenStream {
        let (private, output) = (self.private, &self.plan.function.output);
        quote_spanned! { Span::mixed_site() =>
            let succeeded = {
                #[allow(unused_imports)]
                use #private::AnyOutcome as _;
                #private::Probe::<#output>::new().succeeded(&outcome)
            };
            if !succeeded {
                guard.disarm();
                return outcome;
            }
        }
    }
}
