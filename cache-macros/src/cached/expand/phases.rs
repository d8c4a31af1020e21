//! The phases that a call for one key and a call for many have in common.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use crate::cached::generator::Generator;
use crate::wrapper;

impl Generator<'_> {
    /// The value of `run`, which awaits the body. If it is an error, `failed` has it as `__error`,
    /// and leaves the function.
    pub(super) fn loaded(&self, run: &TokenStream, failed: &TokenStream) -> TokenStream {
        let output = &self.plan.function.output;
        let run = quote_spanned! { Span::mixed_site() => {
            let __running = __load.begin();
            let __loaded: #output = #run;
            __load.end(__running);
            __loaded
        } };
        if !self.plan.function.returns_result() {
            return run;
        }
        // The error leaves before the next await, and no variable of ours ever held it, so it need
        // not be `Send`.
        quote_spanned! { Span::mixed_site() =>
            match #run {
                ::core::result::Result::Ok(__loaded) => __loaded,
                ::core::result::Result::Err(__error) => {
                    #failed
                }
            }
        }
    }

    pub(super) fn entry_names(&self, value_type: &TokenStream) -> EntryNames {
        let (names, value) = (Ident::new("__names", Span::mixed_site()), Ident::new("__value", Span::mixed_site()));
        let evaluator = self.evaluator().in_cache(self.plan.options.cache.as_ref(), self.plan.context.as_ref());
        let (items, private) = (self.items(), &self.private);
        let wanted = Ident::new("__fills", Span::mixed_site());
        let wanted = self.plan.batch.is_none().then_some(&wanted);
        let (kept, known) = (evaluator.kept(&items, wanted), evaluator.known(&names, &items));
        let cacheability = wrapper::cacheability(value_type, private);
        let after = evaluator.after(&names, &value, &items);
        EntryNames {
            are_known_before: !known.is_empty(),
            kept,
            known: quote_spanned! { Span::mixed_site() =>
                #[allow(unused_mut)]
                let mut #names = #private::Names::new();
                #known
            },
            of_value: quote_spanned! { Span::mixed_site() =>
                #cacheability.own_names::<#value_type>(#value, &mut #names);
                #after
            },
            keep: self.keep(value_type, &value),
        }
    }
}

/// The names of an entry, as statements that collect them in the local `__names`.
pub(super) struct EntryNames {
    /// Whether any need only parameters.
    pub(super) are_known_before: bool,
    /// Keeps in locals what `of_value` needs of the parameters, so these statements must not be
    /// hidden in a block. Of a function of one key it encodes nothing unless `__fills`.
    pub(super) kept: TokenStream,
    /// Declares `__names` with those that need only parameters.
    pub(super) known: TokenStream,
    /// Adds those that need the value, which is behind the reference `__value`.
    pub(super) of_value: TokenStream,
    /// Whether the value is to be stored: an expression that may use `__value`.
    pub(super) keep: TokenStream,
}
