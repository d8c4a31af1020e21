//! A plan becomes the wrapper: note what is known, run the body, invalidate. Nothing fails here.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use super::check::InvalidationPlan;
use super::collecting;
use super::parse::When;
use super::statements::{borrowed, collected, of_ok};
use crate::context;
use crate::evaluate::{Evaluator, Sink};
use crate::outcome;
use crate::runtime_path::private_path;
use crate::wrapper;

pub(crate) fn expand(plan: &InvalidationPlan) -> TokenStream {
    let private = private_path(plan.options.krate.as_ref());
    let body = match &plan.collector {
        Some(collector) => collecting::body(plan, collector, &private),
        None => body(plan, &private),
    };
    wrapper::function(&plan.function, &body, None)
}

fn body(plan: &InvalidationPlan, private: &TokenStream) -> TokenStream {
    let InvalidationPlan { function, options, context: given, .. } = plan;
    let (names, value) = (Ident::new("__names", Span::mixed_site()), Ident::new("__value", Span::mixed_site()));
    let evaluator = Evaluator::of_function(function, private, Sink::Invalidation);
    let evaluator = evaluator.in_cache(options.cache.as_ref(), given.as_ref());
    let items = plan.items();
    let known = collected(&evaluator.before(&names, &items), private);
    let of_value = evaluator.after(&names, &value, &items);
    let mode = if options.background { quote!(Background) } else { quote!(Wait) };
    let name = function.sig.ident.unraw().to_string();
    let guard = quote_spanned! { Span::mixed_site() =>
        #private::Invalidating::new(
            __cache,
            ::core::concat!(::core::module_path!(), "::", #name),
            #private::Mode::#mode,
        )
    };
    let guard = wrapper::with_cache(options.cache.as_ref(), private, &guard);
    let is_opaque = function.returns_impl_trait();
    let output = &function.output;
    let checks = (!is_opaque && !function.returns_result()).then(|| wrapper::plain_check(output, private));
    let unused = options.cache.is_none().then(|| context::none_unused(function, private));
    let ascription = (!is_opaque).then(|| quote!(: #output));
    let body = wrapper::typed_body(function);
    let run = quote_spanned!(Span::mixed_site() => { let __outcome #ascription = #body.await; __outcome });
    let end = match options.when {
        When::Ok => {
            let disarm = quote_spanned!(Span::mixed_site() => __guard.disarm(););
            let complete = complete(&borrowed(&value, &of_value), private);
            outcome::on_success(function, private, &run, &disarm, &complete)
        }
        When::Always => {
            let of_value = match function.returns_result() {
                true => of_ok(&value, &of_value),
                false => borrowed(&value, &of_value),
            };
            let complete = complete(&of_value, private);
            quote_spanned!(Span::mixed_site() => let __outcome = #run; #complete __outcome)
        }
    };
    let close = options.around.as_ref().map(|_| quote_spanned!(Span::mixed_site() => __guard.close().await;));
    // What is kept for after the body is declared by `known`, which must not be hidden in a block.
    quote_spanned! { Span::mixed_site() =>
        #checks
        #unused
        #[allow(unused_mut)]
        let mut __guard = #guard;
        #known
        __guard.known(#names);
        #close
        #end
    }
}

/// Everything of the value that is needed is taken before the wait, during which it is only kept.
fn complete(of_value: &TokenStream, private: &TokenStream) -> TokenStream {
    let collected = collected(of_value, private);
    quote_spanned!(Span::mixed_site() => #collected __guard.complete(__names).await;)
}
