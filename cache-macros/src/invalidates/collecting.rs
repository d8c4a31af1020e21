//! `after = tx`: the names go to a parameter that collects them, and nothing is invalidated here.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::check::InvalidationPlan;
use super::collector::Collector;
use super::statements::{borrowed, collected};
use crate::evaluate::{Evaluator, Sink};
use crate::outcome;
use crate::wrapper::{self, located};

/// What the parameters tell is collected before the body, so that a caller who drops the future and
/// commits all the same commits that too. What only the result tells is added after it.
pub(super) fn body(plan: &InvalidationPlan, collector: &Collector, private: &TokenStream) -> TokenStream {
    let InvalidationPlan { function, .. } = plan;
    let (names, value) = (Ident::new("__names", Span::mixed_site()), Ident::new("__value", Span::mixed_site()));
    let whole = Ident::new("__collector", Span::mixed_site());
    let evaluator = Evaluator::of_function(function, private, Sink::Invalidation);
    let items = plan.items();
    let known = collected(&evaluator.before(&names, &items), private);
    let of_value = evaluator.after(&names, &value, &items);
    let Collector { name, is_rebindable } = collector;
    let collect = |into: TokenStream| {
        let private = located(private, name.span());
        quote_spanned!(Span::mixed_site().located_at(name.span()) => #private::collect(#into, #names);)
    };
    let (first, is_opaque, output) =
        (collect(quote_spanned!(name.span() => &mut *#name)), function.returns_impl_trait(), &function.output);
    let ascription = (!is_opaque).then(|| quote!(: #output));
    let body = wrapper::typed_body(function);
    if of_value.is_empty() {
        let end = quote_spanned!(Span::mixed_site() => let __outcome #ascription = #body.await; __outcome);
        return quote!(#known #first #end);
    }
    let checks = (!is_opaque && !function.returns_result()).then(|| wrapper::plain_check(output, private));
    let (may_rebind, mutability) = (wrapper::may_rebind(), is_rebindable.then(|| quote!(mut)));
    // The body gets a part of the borrow, and gives it back when it ends.
    let run = quote_spanned! { Span::mixed_site() => {
        #may_rebind
        let #mutability #name = &mut *#whole;
        let __outcome #ascription = #body.await;
        __outcome
    } };
    // Through `mut tx`, or the compiler would say that it need not be `mut`.
    let borrowed_whole = if *is_rebindable { quote!(&mut **&mut #name) } else { quote!(#name) };
    let (of_value, second) = (collected(&borrowed(&value, &of_value), private), collect(quote!(&mut *#whole)));
    let end = outcome::on_success(function, private, &run, &TokenStream::new(), &quote!(#of_value #second));
    quote_spanned! { Span::mixed_site() =>
        #checks
        #known
        #first
        let #whole = #borrowed_whole;
        #end
    }
}
