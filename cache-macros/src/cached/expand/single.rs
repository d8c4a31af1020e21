//! The wrapper of a function of one key: look up, or load and fill.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::phases::EntryNames;
use crate::cached::generator::{Bindings, Generator};
use crate::wrapper;

/// The body of a wrapper with the user's body in it.
pub(super) fn body(generator: &Generator<'_>) -> TokenStream {
    let private = &generator.private;
    let found = returned(generator, &quote_spanned!(Span::mixed_site() => __found));
    let looked = quote_spanned! { Span::mixed_site() =>
        match __call.lookup().await {
            #private::Step::Return(__found) | #private::Step::ReturnAndRefresh(__found, _) => return #found,
            #private::Step::Load(__load) => __load,
        }
    };
    let (start, load) = (start(generator, &looked), load(generator));
    quote_spanned! { Span::mixed_site() =>
        #start
        let mut __load = __started;
        #load
    }
}

/// What the compiler alone can check; then `__started`, the load that is to run. It is that of
/// `looked`, which may use `__call` and leave the function, or that of a disabled cache, which
/// needs neither a key nor a policy.
pub(super) fn start(generator: &Generator<'_>, looked: &TokenStream) -> TokenStream {
    let (private, value_type) = (&generator.private, generator.value_type());
    let checks = generator.checks(&value_type);
    let (prefix, function, key) = (generator.prefix(), generator.function(), generator.key(Bindings::Owned));
    let policy = generator.policy(&quote_spanned!(Span::mixed_site() => __prefix), &value_type);
    let (coding, copying, place) = (generator.coding(&value_type), generator.copying(&value_type), generator.place());
    let copied = returned(generator, &quote_spanned!(Span::mixed_site() => __copied));
    let (new, sampling) = match generator.sampling(&value_type) {
        None => (quote!(new), None),
        Some(sampling) => (quote!(sampled), Some(quote!(#sampling,))),
    };
    let new = quote_spanned! { Span::mixed_site() =>
        #private::Start::<#value_type>::#new(#sampling __cache, __function, &__prefix, __coding, #copying, #place)
    };
    let start = wrapper::with_cache(generator.plan.options.cache.as_ref(), private, &new);
    quote_spanned! { Span::mixed_site() =>
        #checks
        #private::Turn.await;
        let __started = {
            let __coding = #coding;
            let __function = #function;
            let __prefix = #prefix;
            match #start {
                #private::Start::Return(__copied) => return #copied,
                #private::Start::Load(__load) => __load,
                #private::Start::Look(__home) => {
                    let __call = {
                        let __key = #key.finish();
                        let __policy = #policy;
                        __home.call(__key, __policy, __coding)
                    };
                    #looked
                }
            }
        };
    }
}

/// Everything from `__load` on.
pub(super) fn load(generator: &Generator<'_>) -> TokenStream {
    let names = generator.entry_names(&generator.value_type());
    let known = names.are_known_before.then(|| {
        let known = &names.known;
        quote_spanned!(Span::mixed_site() => if __fills { #known __load.known(__names); })
    });
    let body = wrapper::typed_body(&generator.plan.function);
    // In place where the cache has nothing to do with the load: it costs what the body costs.
    let run = quote_spanned! { Span::mixed_site() => {
        let __body = #body;
        if __fills { __load.body(__body).await } else { __body.await }
    } };
    let loaded = generator.loaded(&run, &failed(generator));
    let (kept, fill) = (&names.kept, fill(generator, &names));
    let answer = returned(generator, &quote_spanned!(Span::mixed_site() => __loaded));
    quote_spanned! { Span::mixed_site() =>
        let __fills = __load.fills();
        #kept
        #known
        let __loaded = #loaded;
        if __fills {
            #fill
        }
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
