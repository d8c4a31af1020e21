//! The wrapper of a function whose body may run without its caller: the body moves to a function of
//! its own beside the wrapper, for a future cannot be spawned from inside itself, and the arguments
//! are copied for it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, Ident, Pat, ReceiverKind, Type, TypeReference};

use super::heading::explicit_argument;
use super::single;
use crate::cached::generator::Generator;
use crate::cached::plan::Place;
use crate::names::{BODY, associated_name};
use crate::signature::{Function, Param, peel_type};
use crate::wrapper;

/// The body of the wrapper, and the function beside it that holds the user's body. `option` is what
/// asks for the background.
pub(super) fn body(generator: &Generator<'_>, option: &Ident) -> (TokenStream, TokenStream) {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let (name, path) = body_name(generator);
    let load = load(generator, &path, option);
    let found = single::returned(generator, &quote_spanned!(Span::mixed_site() => __found));
    let refresh = match plan.options.refreshes() {
        Some(option) => refresh(generator, option, &path),
        None => quote_spanned!(Span::mixed_site() => ::core::mem::drop(__refresh);),
    };
    let looked = quote_spanned! { Span::mixed_site() =>
        match __call.in_background().lookup().await {
            #private::Step::Return(__found) => return #found,
            #private::Step::ReturnAndRefresh(__found, __refresh) => {
                #refresh
                return #found;
            }
            #private::Step::Load(__load) => __load,
        }
    };
    let start = single::start(generator, &looked);
    let wrapper = quote_spanned! { Span::mixed_site() =>
        #start
        let __load = __started;
        #load
    };
    let mut body_function = body_function(generator, &name);
    if let Place::Type(companion) = &plan.place {
        let cfgs = cfgs(function);
        body_function = quote!(#(#cfgs)* impl #companion { #body_function });
    }
    (wrapper, body_function)
}

/// Loads and fills: in a task of its own, or in the caller's.
fn load(generator: &Generator<'_>, path: &TokenStream, option: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let at_option = Span::mixed_site().located_at(option.span());
    if plan.options.own_task().is_some() {
        let (arguments, call) = own_call(generator, path, Values::Moved);
        let task = quote_spanned!(at_option => __load.finish(move |__load| async move { #call.await }).await);
        let found = single::returned(generator, &quote_spanned!(Span::mixed_site() => __found));
        return quote_spanned! { Span::mixed_site() =>
            #arguments
            match #task {
                #private::Finish::Ended(__loaded) => __loaded,
                #private::Finish::Late(__found) => #found,
            }
        };
    }
    let function = &plan.function;
    let this = function.receiver().map(|receiver| receiver.self_token).into_iter();
    let args = function.params.iter().filter_map(argument);
    let call = quote_spanned!(Span::mixed_site() => #path(#(#this,)* __load, #(#args),*));
    // The block keeps the compiler from reporting an argument twice that is not `Send`.
    quote_spanned!(at_option => #private::boxed(async move { #call.await }).await)
}

/// The name of the function that holds the body, and how it is called.
fn body_name(generator: &Generator<'_>) -> (Ident, TokenStream) {
    let sig = &generator.plan.function.sig;
    let (name, path) = match &generator.plan.place {
        Place::Type(companion) => {
            let name = Ident::new(BODY, sig.ident.span());
            let path = quote!(#companion::#name);
            (name, path)
        }
        Place::Associated | Place::None => {
            let name = associated_name(&sig.ident, BODY);
            let path = quote_spanned!(sig.ident.span() => Self::#name);
            (name, path)
        }
    };
    let explicit: Vec<TokenStream> = sig.generics.params.iter().filter_map(explicit_argument).collect();
    let path = if explicit.is_empty() { path } else { quote!(#path::<#(#explicit),*>) };
    (name, path)
}

fn argument(param: &Param) -> Option<TokenStream> {
    let (cfgs, name) = (&param.cfgs, param.name()?);
    Some(quote!(#(#cfgs)* #name))
}

fn cfgs(function: &Function) -> Vec<&syn::Attribute> {
    function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

fn body_function(generator: &Generator<'_>, name: &Ident) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let sig = &function.sig;
    let (generics, where_clause, output) = (&sig.generics, &sig.generics.where_clause, &sig.output);
    let lints = ["cfg", "allow", "expect", "warn", "deny", "forbid"];
    let attrs = function.attrs.iter().filter(|attr| lints.iter().any(|lint| attr.path().is_ident(lint)));
    let inner = wrapper::outer_attrs(function);
    let (value_type, load) = (generator.value_type(), single::load(generator));
    let receiver = sig.inputs.iter().find_map(|arg| match arg {
        FnArg::Receiver(receiver) => Some(quote!(#receiver,)),
        FnArg::Typed(_) => None,
    });
    let params = sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_)));
    // The wrapper has used them all, for the key or to hand them on.
    let used = function.params.iter().filter_map(|param| {
        let (cfgs, name) = (&param.cfgs, param.name()?);
        Some(quote!(#(#cfgs)* let _ = &#name;))
    });
    let body = wrapper::braced(quote!(#(#used)* #load), function);
    quote_spanned! { Span::mixed_site() =>
        #(#attrs)*
        #(#inner)*
        #[doc(hidden)]
        #[allow(clippy::too_many_arguments)]
        async fn #name #generics (#receiver mut __load: #private::Load<#value_type>, #(#params),*) #output #where_clause
        #body
    }
}

/// Copies first, then the task, which copies them once more for each load: to verify a value may
/// take several. Errors are at the option: it is what asks for the copies.
fn refresh(generator: &Generator<'_>, option: &Ident, path: &TokenStream) -> TokenStream {
    let (copies, call) = own_call(generator, path, Values::Copied);
    let succeeded = match generator.plan.function.returns_result() {
        true => quote_spanned!(Span::mixed_site() => #call.await.is_ok()),
        false => quote_spanned!(Span::mixed_site() => { let _ = #call.await; true }),
    };
    let at_option = Span::mixed_site().located_at(option.span());
    let again = again(generator);
    let task = quote_spanned!(at_option => __refresh.spawn(move |__load| { #again async move { #succeeded } }););
    quote!(#copies #task)
}

/// What becomes of arguments that the function takes by value.
#[derive(Clone, Copy)]
enum Values {
    /// The caller is served without them.
    Copied,
    Moved,
}

impl Values {
    fn taken(self, private: &TokenStream, span: Span, value: &TokenStream) -> TokenStream {
        match self {
            Self::Copied => quote_spanned!(span => #private::owned(&#value)),
            Self::Moved => quote_spanned!(span => #private::moved(#value)),
        }
    }
}

/// The task's own arguments, as statements; and a call of the body with them, which uses `__load`.
fn own_call(generator: &Generator<'_>, path: &TokenStream, values: Values) -> (TokenStream, TokenStream) {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let (mut copies, mut args) = (TokenStream::new(), Vec::new());
    let this = Ident::new("__this", Span::mixed_site());
    let receiver = function.receiver().map(|receiver| {
        let self_token = receiver.self_token;
        let span = self_token.span;
        let by_reference = match &receiver.kind {
            ReceiverKind::Reference(..) => true,
            ReceiverKind::Typed(_, ty) => matches!(&**ty, Type::Reference(_)),
            _ => false,
        };
        let copy = match by_reference {
            true => quote_spanned!(span => #private::owned(#self_token)),
            false => values.taken(private, span, &quote!(#self_token)),
        };
        copies.extend(quote_spanned!(Span::mixed_site() => let #this = #copy;));
        if by_reference { quote!(&#this) } else { quote!(#this) }
    });
    for param in &function.params {
        let Some(name) = param.name() else { continue };
        let span = Span::mixed_site().located_at(param.ty.span());
        let located = wrapper::located(private, param.ty.span());
        let (copy, arg) = match peel_type(&param.ty) {
            Type::Reference(reference) if is_static(reference) => (quote!(#name), quote!(#name)),
            Type::Reference(_) => (quote_spanned!(span => #located::owned(#name)), quote!(&#name)),
            _ => (values.taken(&located, span, &quote!(#name)), quote!(#name)),
        };
        let cfgs = &param.cfgs;
        copies.extend(wrapper::rebound(cfgs, &quote!(#name), &copy));
        args.push(quote!(#(#cfgs)* #arg));
    }
    let receiver = receiver.into_iter();
    (copies, quote_spanned!(Span::mixed_site() => #path(#(#receiver,)* __load, #(#args),*)))
}

/// The task's arguments, copied once more. At the types, as the first copies: one error for both.
fn again(generator: &Generator<'_>) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let this = Ident::new("__this", Span::mixed_site());
    let mut copies = TokenStream::new();
    if let Some(receiver) = function.receiver() {
        let copy = quote_spanned!(receiver.self_token.span => #private::owned_again(&#this));
        copies.extend(quote_spanned!(Span::mixed_site() => let #this = #copy;));
    }
    for param in &function.params {
        let Some(name) = param.name() else { continue };
        let copy = match peel_type(&param.ty) {
            Type::Reference(reference) if is_static(reference) => continue,
            _ => {
                let located = wrapper::located(private, param.ty.span());
                quote_spanned!(Span::mixed_site().located_at(param.ty.span()) => #located::owned_again(&#name))
            }
        };
        copies.extend(wrapper::rebound(&param.cfgs, &quote!(#name), &copy));
    }
    copies
}

fn is_static(reference: &TypeReference) -> bool {
    reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static")
}

/// Whether the wrapper takes a parameter as `mut`, which only the body makes use of.
pub(super) fn has_mut_params(function: &Function) -> bool {
    function.params.iter().any(|param| matches!(&param.pat, Pat::Ident(pat) if pat.mutability.is_some()))
}
