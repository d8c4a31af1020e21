//! The wrapper of a function of one key: look up, or load and fill.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::phases::EntryNames;
use crate::cached::generator::{Bindings, Generator};
use crate::wrapper;

/// The body of a wrapper with the user's body in it.
pub(super) fn body(generator: &Generator<'_>) -> TokenStream {
    let private = &generator.private;
    let (call, lookup, load) = (call(generator), lookup(generator), load(generator));
    let found = returned(generator, &quote_spanned!(Span::mixed_site() => found));
    quote_spanned! { Span::mixed_site() =>
        #call
        let mut load = match #lookup {
            #private::Step::Return(found) | #private::Step::ReturnAndRefresh(found, _) => return #found,
            #private::Step::Load(load) => load,
        };
        #load
    }
}

/// What is checked by the compiler alone, and `call`.
pub(super) fn call(generator: &Generator<'_>) -> TokenStream {
    let (private, value_type) = (&generator.private, generator.value_type());
    let checks = generator.checks(&value_type);
    let key = generator.key(Bindings::Owned);
    let policy = generator.policy(&quote_spanned!(Span::mixed_site() => prefix), &value_type);
    let new = quote_spanned!(Span::mixed_site() => #private::Call::<#value_type>::new(cache, key, policy));
    let call = generator.call(&quote_spanned!(Span::mixed_site() => #key.finish()), &policy, &new);
    quote!(#checks #call)
}

/// How the call goes on: a `Step`.
pub(super) fn lookup(generator: &Generator<'_>) -> TokenStream {
    // At the type, all of it: what cannot be stored is then reported once.
    let span = generator.value_type().span();
    let private = wrapper::located(&generator.private, span);
    quote_spanned!(Span::mixed_site().located_at(span) => #private::lookup(call).await)
}

/// Everything from `load` on.
pub(super) fn load(generator: &Generator<'_>) -> TokenStream {
    let names = generator.entry_names(&generator.value_type());
    let known = names.are_known_before.then(|| {
        let before = &names.before;
        quote_spanned!(Span::mixed_site() => #before load.known(names);)
    });
    let body = wrapper::typed_body(&generator.plan.function);
    let run = quote_spanned!(Span::mixed_site() => load.run(#body));
    let loaded = generator.loaded(&run, &failed(generator));
    let fill = fill(generator, &names);
    let answer = returned(generator, &quote_spanned!(Span::mixed_site() => loaded));
    quote_spanned! { Span::mixed_site() =>
        #known
        let loaded = #loaded;
        #fill
        #answer
    }
}

fn fill(generator: &Generator<'_>, names: &EntryNames) -> TokenStream {
    let (private, value_type) = (&generator.private, generator.value_type());
    let EntryNames { of_value, keep, .. } = names;
    let located = wrapper::located(private, value_type.span());
    let at_type = Span::mixed_site().located_at(value_type.span());
    let fill = quote_spanned!(at_type => #located::fill(load, value, names));
    quote_spanned! { Span::mixed_site() =>
        let filling = {
            let value = &loaded;
            let keep: bool = #keep;
            let mut names = #private::Names::new();
            #of_value
            if keep {
                ::core::option::Option::Some(#fill)
            } else {
                load.unstored_value(names);
                ::core::option::Option::None
            }
        };
        if let ::core::option::Option::Some(filling) = filling {
            filling.await;
        }
    }
}

/// What becomes of `error`; leaves the function.
fn failed(generator: &Generator<'_>) -> TokenStream {
    let (private, options) = (&generator.private, &generator.plan.options);
    if options.setting("stale_if_error").is_none() && options.background().is_none() {
        return quote_spanned! { Span::mixed_site() =>
            load.unstored();
            return ::core::result::Result::Err(error);
        };
    }
    quote_spanned! { Span::mixed_site() =>
        let said = {
            #[allow(unused_imports)]
            use #private::UnsaidKind as _;
            #private::Said(&error).said()
        };
        return load.failed(&said).ok_or(error);
    }
}

/// The value as the function returns it.
pub(super) fn returned(generator: &Generator<'_>, value: &TokenStream) -> TokenStream {
    match generator.plan.function.returns_result() {
        true => quote_spanned!(Span::mixed_site() => ::core::result::Result::Ok(#value)),
        false => value.clone(),
    }
}
