//! The phases that a call for one key and a call for many have in common.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use crate::cached::generator::Generator;
use crate::wrapper;

impl Generator<'_> {
    /// Makes `call` of `new`, an expression that has `cache`, `key` and `policy` at hand. `key` has
    /// `prefix` at hand, and so has `policy`, which is what the policy takes it from.
    pub(super) fn call(&self, key: &TokenStream, policy: &TokenStream, new: &TokenStream) -> TokenStream {
        let prefix = self.prefix();
        let call = wrapper::with_cache(self.plan.options.cache.as_ref(), &self.private, new);
        quote_spanned! { Span::mixed_site() =>
            let call = {
                let prefix = #prefix;
                let key = #key;
                let policy = #policy;
                #call
            };
        }
    }

    /// The value that the body returns, from `run`, which is `load.run(…)`; if it fails, `failed`
    /// leaves.
    pub(super) fn loaded(&self, run: &TokenStream, failed: &TokenStream) -> TokenStream {
        let output = &self.plan.function.output;
        let run = quote_spanned!(Span::mixed_site() => { let loaded: #output = #run.await; loaded });
        if !self.plan.function.returns_result() {
            return run;
        }
        // The error leaves before the next await, and no variable of ours ever held it, so it need
        // not be `Send`.
        quote_spanned! { Span::mixed_site() =>
            match #run {
                ::core::result::Result::Ok(loaded) => loaded,
                ::core::result::Result::Err(error) => {
                    #failed
                }
            }
        }
    }

    pub(super) fn entry_names(&self, value_type: &TokenStream) -> EntryNames {
        let (names, value) = (Ident::new("names", Span::mixed_site()), Ident::new("value", Span::mixed_site()));
        let (evaluator, items, private) = (self.evaluator(), self.items(), &self.private);
        let before = evaluator.before(&names, &items);
        let cacheability = wrapper::cacheability(value_type, private);
        let after = evaluator.after(&names, &value, &items);
        EntryNames {
            are_known_before: !before.is_empty(),
            before: quote_spanned! { Span::mixed_site() =>
                #[allow(unused_mut)]
                let mut #names = #private::Names::new();
                #before
            },
            of_value: quote_spanned! { Span::mixed_site() =>
                #cacheability.own_names::<#value_type>(#value, &mut #names);
                #after
            },
            keep: self.keep(value_type, &value),
        }
    }
}

/// The names of an entry, as statements that collect them in the local `names`.
pub(super) struct EntryNames {
    /// Whether any need only parameters.
    pub(super) are_known_before: bool,
    /// Declares `names` with those. What `of_value` needs of the parameters is in further locals,
    /// so the statements must not be hidden in a block.
    pub(super) before: TokenStream,
    /// Adds those that need the value, which is behind the reference `value`.
    pub(super) of_value: TokenStream,
    /// Whether the value is to be stored: an expression, with the same `value`.
    pub(super) keep: TokenStream,
}
