//! The wrapper of a function of one key: look up, or load and fill.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::phases::EntryNames;
use crate::cached::generator::{Bindings, Generator};
use crate::wrapper;

/// The body of a wrapper with the user's body in it.
pub(super) fn body(generator: &Generator<'_>) -> TokenStream {
    let private = &generator.private;
    let (call, load) = (call(generator), load(generator));
    let found = returned(generator, &quote_spanned!(Span::mixed_site() => __found));
    quote_spanned! { Span::mixed_site() =>
        #call
        let mut __load = match __call.lookup().await {
            #private::Step::Return(__found) | #private::Step::ReturnAndRefresh(__found, _) => return #found,
            #private::Step::Load(__load) => __load,
        };
        #load
    }
}

/// What the compiler alone can check, and `__call`.
pub(super) fn call(generator: &Generator<'_>) -> TokenStream {
    let (private, value_type) = (&generator.private, generator.value_type());
    let checks = generator.checks(&value_type);
    let key = generator.key(Bindings::Owned);
    let policy = generator.policy(&quote_spanned!(Span::mixed_site() => __prefix), &value_type);
    let coding = generator.coding(&value_type);
    let new = quote_spanned! { Span::mixed_site() =>
        #private::Call::<#value_type>::new(__cache, __key, __policy, #coding)
    };
    let call = generator.call(&quote_spanned!(Span::mixed_site() => #key.finish()), &policy, &new);
    quote!(#checks #call)
}

/// Everything from `__load` on.
pub(super) fn load(generator: &Generator<'_>) -> TokenStream {
    let names = generator.entry_names(&generator.value_type());
    let known = names.are_known_before.then(|| {
        let before = &names.before;
        quote_spanned!(Span::mixed_site() => #before __load.known(__names);)
    });
    let body = wrapper::typed_body(&generator.plan.function);
    let loaded = generator.loaded(&body, &failed(generator));
    let fill = fill(generator, &names);
    let answer = returned(generator, &quote_spanned!(Span::mixed_site() => __loaded));
    quote_spanned! { Span::mixed_site() =>
        #known
        let __loaded = #loaded;
        #fill
        #answer
    }
}

fn fill(generator: &Generator<'_>, names: &EntryNames) -> TokenStream {
    let private = &generator.private;
    let EntryNames { of_value, keep, .. } = names;
    quote_spanned! { Span::mixed_site() =>
        let __filling = {
            let __value = &__loaded;
            let __keep: bool = #keep;
            let mut __names = #private::Names::new();
            #of_value
            __load.fill(__keep.then_some(__value), __names)
        };
        __filling.await;
    }
}

/// What becomes of `__error`; leaves the function.
fn failed(generator: &Generator<'_>) -> TokenStream {
    let (private, options) = (&generator.private, &generator.plan.options);
    if options.setting("stale_if_error").is_none() && options.background().is_none() {
        return quote_spanned! { Span::mixed_site() =>
            __load.unstored();
            return ::core::result::Result::Err(__error);
        };
    }
    quote_spanned! { Span::mixed_site() =>
        let __said = {
            #[allow(unused_imports)]
            use #private::UnsaidKind as _;
            #private::Said(&__error).said()
        };
        return __load.failed(&__said).ok_or(__error);
    }
}

/// The value as the function returns it.
pub(super) fn returned(generator: &Generator<'_>, value: &TokenStream) -> TokenStream {
    match generator.plan.function.returns_result() {
        true => quote_spanned!(Span::mixed_site() => ::core::result::Result::Ok(#value)),
        false => value.clone(),
    }
}
