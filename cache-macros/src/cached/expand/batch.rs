//! The wrapper of a batch function: look up all ids, load and fill what is missing.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::phases::EntryNames;
use crate::cached::generator::{Bindings, Generator};
use crate::cached::plan::Batch;
use crate::signature::Param;
use crate::wrapper;

/// The body of the wrapper. The user's body is in a loop, and gets parameters of its own each time.
pub(super) fn body(generator: &Generator<'_>, batch: &Batch) -> TokenStream {
    let private = &generator.private;
    let value = &batch.value;
    let (checks, touched) = (generator.checks(&quote!(#value)), touched(&generator.plan.function.params));
    let call = call(generator, batch);
    let names = generator.entry_names(&quote!(#value));
    let (known, filling) = (known(batch, &names), filling(generator, batch, &names));
    let run = run(generator, batch);
    let failed = quote_spanned! { Span::mixed_site() =>
        __load.failed();
        return ::core::result::Result::Err(__error);
    };
    let loaded = generator.loaded(&quote_spanned!(Span::mixed_site() => __load.body(__run).await), &failed);
    quote_spanned! { Span::mixed_site() =>
        #checks
        #touched
        #call
        let mut __load = match #private::lookup_many(__call).await {
            #private::ManyStep::Return(__found) => return ::core::result::Result::Ok(__found),
            #private::ManyStep::Load(__load) => __load,
        };
        loop {
            #known
            #run
            let __loaded = #loaded;
            #filling
            match __filling.await {
                #private::ManyStep::Return(__found) => return ::core::result::Result::Ok(__found),
                #private::ManyStep::Load(__next) => __load = __next,
            }
        }
    }
}

fn call(generator: &Generator<'_>, batch: &Batch) -> TokenStream {
    let Batch { ids, map, value, .. } = batch;
    let key = generator.key(Bindings::Owned);
    let key = of_one_id(batch, &quote!(), &quote_spanned!(Span::mixed_site() => #key.finish()));
    // The key's closure still holds the prefix.
    let prefix = quote_spanned!(Span::mixed_site() => ::core::clone::Clone::clone(&__prefix));
    let (function, policy) = (generator.function(), generator.policy(&prefix, &quote!(#value)));
    let located = wrapper::located(&generator.private, map.span());
    let at_type = Span::mixed_site().located_at(map.span());
    let coding = generator.coding(&quote!(#value));
    let mapping = quote_spanned!(at_type => #located::mapping::<#map>());
    let private = &generator.private;
    let new = quote_spanned! { Span::mixed_site() =>
        #private::ManyCall::new(__cache, &#ids[..], __key, __policy, #coding, #mapping)
    };
    let (prefix, may_rebind) = (generator.prefix(), wrapper::may_rebind());
    let call = wrapper::with_cache(generator.plan.options.cache.as_ref(), private, &new);
    quote_spanned! { Span::mixed_site() =>
        let __call = {
            let __function = #function;
            let __prefix = #prefix;
            // The closure has a parameter that is named like the function's own.
            #may_rebind
            let __key = #key;
            let __policy = #policy;
            #call
        };
    }
}

/// A closure of one id, under the name of all; `further` are its other parameters. As it is in the
/// companion's `key`: an id is at hand by reference, and what is a reference stays one.
fn of_one_id(batch: &Batch, further: &TokenStream, body: &TokenStream) -> TokenStream {
    let Batch { ids, id, .. } = batch;
    let copy = batch.id_is_reference().then(|| wrapper::rebound(&[], &quote!(#ids), &quote!(*#ids)));
    quote_spanned! { Span::mixed_site() =>
        |#ids: &#id, #further| {
            #copy
            #body
        }
    }
}

fn known(batch: &Batch, names: &EntryNames) -> Option<TokenStream> {
    let EntryNames { kept, known, .. } = names;
    let names_of_id = of_one_id(batch, &quote!(), &quote_spanned!(Span::mixed_site() => #kept #known __names));
    names.are_known_before.then(|| {
        let may_rebind = wrapper::may_rebind();
        quote_spanned! { Span::mixed_site() =>
            #may_rebind
            #[allow(unused_variables)]
            __load.known(#names_of_id);
        }
    })
}

/// Makes `__run`, the user's body as a future for the ids in `__missing`.
fn run(generator: &Generator<'_>, batch: &Batch) -> TokenStream {
    let (private, function) = (&generator.private, &generator.plan.function);
    let missing = match batch.by_value {
        true => quote_spanned!(Span::mixed_site() => __missing.clone()),
        false => quote_spanned!(Span::mixed_site() => &__missing[..]),
    };
    let params: TokenStream =
        function.params.iter().map(|param| own_parameter(param, &batch.ids, &missing, private)).collect();
    let body = wrapper::typed_body(function);
    quote_spanned! { Span::mixed_site() =>
        let __missing = __load.missing();
        let __run = {
            #params
            #body
        };
    }
}

/// Makes `__filling` of what was loaded.
fn filling(generator: &Generator<'_>, batch: &Batch, names: &EntryNames) -> TokenStream {
    let private = &generator.private;
    let EntryNames { kept, known, of_value, keep, .. } = names;
    let declared = quote_spanned! { Span::mixed_site() =>
        #kept
        #known
        let __keep: bool = match __value {
            ::core::option::Option::Some(__value) => {
                #of_value
                #keep
            }
            ::core::option::Option::None => true,
        };
        (__names, __keep)
    };
    let declared = of_one_id(batch, &quote_spanned!(Span::mixed_site() => __value), &declared);
    let may_rebind = wrapper::may_rebind();
    quote_spanned! { Span::mixed_site() =>
        #may_rebind
        #[allow(unused_variables)]
        let __filling = #private::fill_many(__load, __loaded, #declared);
    }
}

/// The missing ids in the place of all; what is owned anew, as the body may move it.
fn own_parameter(param: &Param, ids: &Ident, missing: &TokenStream, private: &TokenStream) -> TokenStream {
    if param.name() == Some(ids) {
        let is_mut = mutable(param).into_iter().next().map(|_| quote!(mut));
        return wrapper::rebound(&[], &quote!(#is_mut #ids), missing);
    }
    if param.is_shared_reference() {
        return TokenStream::new();
    }
    let mutable = mutable(param);
    let at_type = Span::mixed_site().located_at(param.ty.span());
    let located = wrapper::located(private, param.ty.span());
    let repeated = param.bindings.iter().map(|binding| {
        let is_mut = mutable.contains(binding).then(|| quote!(mut));
        let value = quote_spanned!(at_type => #located::repeat(&#binding));
        wrapper::rebound(&param.cfgs, &quote!(#is_mut #binding), &value)
    });
    repeated.collect()
}

/// A `mut` of the user's own parameter is used by a copy of it, which must not make the compiler
/// call it needless.
fn touched(params: &[Param]) -> TokenStream {
    let touched = params.iter().flat_map(|param| {
        let touch = |binding| {
            let cfgs = &param.cfgs;
            quote_spanned!(Span::mixed_site() => #(#cfgs)* { _ = &mut #binding; })
        };
        mutable(param).into_iter().map(touch)
    });
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
