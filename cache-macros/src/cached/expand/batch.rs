//! The wrapper of a batch function: look up all ids, load and fill what is missing.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::{Bindings, Generator};
use crate::cached::check::Each;
use crate::signature::Param;
use crate::wrapper;

/// The body of the wrapper. The user's body is in a loop, and gets parameters of its own each time.
pub(crate) fn wrapper(generator: &Generator<'_>, each: &Each) -> TokenStream {
    let Generator { plan, private } = generator;
    let span = Span::mixed_site();
    let Each { ids, id, map, value: value_type, by_value } = each;
    let value_type = quote!(#value_type);
    let output = &plan.function.output;
    let checks = generator.checks(&value_type);
    let (prefix, key, policy) = (generator.prefix(), generator.key(Bindings::Owned), generator.policy(&value_type));
    // As it is in the companion's `key`: an id is at hand by reference, and what is a reference stays one.
    let one_id = each.id_is_reference().then(|| quote_spanned!(span => let #ids = *#ids;));
    let at_type = span.located_at(map.span());
    let located = wrapper::located(private, map.span());
    let call = quote_spanned!(at_type => #located::ManyCall::<#map>::new(cache, &#ids[..], key, policy));
    let call = wrapper::with_cache(plan.options.cache.as_ref(), private, &call);
    let lookup = quote_spanned!(at_type => #located::lookup_many::<#map>(call).await);

    let (names, value) = (Ident::new("names", span), Ident::new("value", span));
    let items = generator.items();
    let before = generator.evaluator().before(&names, &items);
    let after = generator.evaluator().after(&names, &value, &items);
    let known = (!before.is_empty()).then(|| {
        quote_spanned! { span =>
            #[allow(unused_variables)]
            load.known(|#ids: &#id| {
                #one_id
                #[allow(unused_mut)]
                let mut #names = #private::Names::new();
                #before
                #names
            });
        }
    });
    let keep = generator.keep(&value_type, &value);
    let cacheability = wrapper::cacheability(&value_type, private);

    let missing =
        if *by_value { quote_spanned!(span => missing.clone()) } else { quote_spanned!(span => &missing[..]) };
    let params: TokenStream =
        plan.function.params.iter().map(|param| own_parameter(param, each, &missing, private)).collect();
    let touched = touched(&plan.function.params);
    let body = wrapper::typed_body(&plan.function);
    quote_spanned! { span =>
        #checks
        #touched
        let call = {
            let prefix = #prefix;
            let policy = {
                let prefix = ::core::clone::Clone::clone(&prefix);
                #policy
            };
            let key = |#ids: &#id| {
                #one_id
                #key.finish()
            };
            #call
        };
        let mut load = match #lookup {
            #private::ManyStep::Return(found) => return ::core::result::Result::Ok(found),
            #private::ManyStep::Load(load) => load,
        };
        loop {
            #known
            let missing = load.missing();
            let run = {
                #params
                #body
            };
            // The error leaves before the next await, and no variable of ours ever held it, so it need not be `Send`.
            let loaded = match { let loaded: #output = load.run(run).await; loaded } {
                ::core::result::Result::Ok(loaded) => loaded,
                ::core::result::Result::Err(error) => {
                    load.failed();
                    return ::core::result::Result::Err(error);
                }
            };
            #[allow(unused_variables)]
            let filling = #private::fill_many::<#map>(load, loaded, |#ids: &#id, value| {
                #one_id
                #[allow(unused_mut)]
                let mut #names = #private::Names::new();
                #before
                let mut keep = true;
                if let ::core::option::Option::Some(#value) = value {
                    #cacheability.own_names::<#value_type>(#value, &mut #names);
                    #after
                    keep = #keep;
                }
                (#names, keep)
            });
            match filling.await {
                #private::ManyStep::Return(found) => return ::core::result::Result::Ok(found),
                #private::ManyStep::Load(next) => load = next,
            }
        }
    }
}

/// The missing ids in the place of all; what is owned anew, as the body may move it.
fn own_parameter(param: &Param, each: &Each, missing: &TokenStream, private: &TokenStream) -> TokenStream {
    if param.name() == Some(&each.ids) {
        let (ids, is_mut) = (&each.ids, mutable(param).into_iter().next().map(|_| quote!(mut)));
        return quote_spanned!(Span::mixed_site() => let #is_mut #ids = #missing;);
    }
    if param.is_shared_reference() {
        return TokenStream::new();
    }
    let mutable = mutable(param);
    let at_type = Span::mixed_site().located_at(param.ty.span());
    let located = wrapper::located(private, param.ty.span());
    let repeated = param.bindings.iter().map(|binding| {
        let is_mut = mutable.contains(binding).then(|| quote!(mut));
        quote_spanned!(at_type => let #is_mut #binding = #located::repeat(&#binding);)
    });
    repeated.collect()
}

/// A `mut` of the user's own parameter is used by a copy of it, which must not make the compiler call it needless.
fn touched(params: &[Param]) -> TokenStream {
    let touched =
        params.iter().flat_map(mutable).map(|binding| quote_spanned!(Span::mixed_site() => _ = &mut #binding;));
    touched.collect()
}

fn mutable(param: &Param) -> Vec<Ident> {
    struct Mutable(Vec<Ident>);
    impl<'ast> Visit<'ast> for Mutable {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            if pat.mutability.is_some() && pat.by_ref.is_none() {
                self.0.push(pat.ident.clone());
            }
            syn::visit::visit_pat_ident(self, pat);
        }
    }
    let mut mutable = Mutable(Vec::new());
    mutable.visit_pat(&param.pat);
    mutable.0
}
