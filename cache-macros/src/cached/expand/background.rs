//! Policies that load in the background: the body moves to a function of its own beside the wrapper, for a future cannot be
//! spawned from inside itself, and the arguments are copied for it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{FnArg, Ident, Lifetime, Pat, Receiver, ReceiverKind, Type, TypeReference};

use super::Generator;
use super::heading::explicit_argument;
use crate::cached::check::{Place, call_of_itself};
use crate::cached::parse::Options;
use crate::errors::Errors;
use crate::names::associated_name;
use crate::signature::{Form, Function, Param, peel_type};
use crate::wrapper;

impl Options {
    /// The first option that has values refreshed in the background, as written.
    pub(crate) fn background(&self) -> Option<&Ident> {
        let stale = self.stale_while_revalidate.as_ref().map(|window| &window.name);
        stale.or(self.early_refresh.as_ref().map(|beta| &beta.name))
    }

    /// Every option that decides by the age of one value, as written.
    pub(crate) fn freshness(&self) -> impl Iterator<Item = &Ident> {
        let stand_in = self.stale_if_error.as_ref().map(|window| &window.name);
        let stale = self.stale_while_revalidate.as_ref().map(|window| &window.name);
        let early = self.early_refresh.as_ref().map(|beta| &beta.name);
        let adaptive = self.adaptive_ttl.as_ref().map(|bounds| &bounds.name);
        [stale, stand_in, early, adaptive].into_iter().flatten()
    }
}

pub(crate) fn check(function: &Function, options: &Options, place: &Place, errors: &mut Errors) {
    let Some(option) = options.background().filter(|_| options.each.is_none()) else { return };
    if matches!(place, Place::None) {
        errors.at(
            option,
            format!(
                "`{option}` puts the body into a function of its own, for which `companion = none` leaves no place: put \
                 `#[cached]` on an inherent method or a free function, and call that here"
            ),
        );
    } else if matches!(function.form, Form::Boxed(_)) {
        errors.at(
            option,
            format!("`{option}` needs a plain `async fn`: put `#[cached]` on one that this function calls"),
        );
    }
    let is_associated = matches!(place, Place::Associated);
    if let Some(call) = call_of_itself(&function.body.statements, &function.sig.ident, is_associated) {
        let message = format!(
            "`{option}` cannot refresh a function that calls itself: move the recursion to a function of its own, without \
             `#[cached]`, and call that here"
        );
        errors.at_span(call, message);
    }
    let exclusive = |tokens: &dyn ToTokens, errors: &mut Errors| {
        let message = format!(
            "`{option}` loads in the background, where nothing can be borrowed with `&mut`: take it by value or by `&`"
        );
        errors.push(syn::Error::new_spanned(tokens.to_token_stream(), message));
    };
    if let Some(receiver) = function.receiver()
        && is_exclusive(receiver)
    {
        exclusive(receiver, errors);
    }
    for param in &function.params {
        if param.name().is_none() {
            let message = format!(
                "`{option}` hands arguments to a background load by name: name this parameter, and take it apart in the body"
            );
            errors.at(&param.pat, message);
        }
        match peel_type(&param.ty) {
            Type::Reference(reference) if reference.mutability.is_some() => exclusive(reference, errors),
            Type::Reference(reference) if borrows(&reference.elem) => borrowed_inside(option, param, errors),
            Type::Reference(_) => {}
            ty if borrows(ty) => borrowed_inside(option, param, errors),
            _ => {}
        }
    }
}

fn is_exclusive(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => matches!(&**ty, Type::Reference(ty) if ty.mutability.is_some()),
        _ => false,
    }
}

fn borrowed_inside(option: &Ident, param: &Param, errors: &mut Errors) {
    let message = format!(
        "`{option}` copies arguments for a background load, which cannot copy a borrow inside a type: take an owned value, or a \
         plain `&T`"
    );
    errors.at(&param.ty, message);
}

/// Whether the type shows a borrow that is not `'static`.
fn borrows(ty: &Type) -> bool {
    struct Borrows(bool);
    impl<'ast> Visit<'ast> for Borrows {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            self.0 |= lifetime.ident != "static";
        }
        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            self.0 |= reference.lifetime.is_none();
            syn::visit::visit_type_reference(self, reference);
        }
    }
    let mut finder = Borrows(false);
    finder.visit_type(ty);
    finder.0
}

/// The function that holds the body, and how the wrapper goes on.
pub(crate) struct Background {
    /// Beside the wrapper.
    pub(crate) function: TokenStream,
    /// `Step::ReturnAndRefresh` becomes a spawned load.
    pub(crate) refresh: TokenStream,
    /// `Step::Load`, awaited.
    pub(crate) load: TokenStream,
}

/// `tail` is the wrapper from the load on; `load` its local.
pub(crate) fn expand(generator: &Generator<'_>, option: &Ident, tail: &TokenStream) -> Background {
    let plan = generator.plan;
    let function = &plan.function;
    let sig = &function.sig;
    let (name, path) = match &plan.place {
        Place::Type(companion) => {
            let name = Ident::new("load", sig.ident.span());
            let path = quote!(#companion::#name);
            (name, path)
        }
        Place::Associated | Place::None => {
            let name = associated_name(&sig.ident, "load");
            let path = quote_spanned!(sig.ident.span() => Self::#name);
            (name, path)
        }
    };
    let explicit: Vec<TokenStream> = sig.generics.params.iter().filter_map(explicit_argument).collect();
    let path = if explicit.is_empty() { path } else { quote!(#path::<#(#explicit),*>) };
    let mut body_function = body_function(generator, &name, tail);
    if let Place::Type(companion) = &plan.place {
        let cfgs = cfgs(function);
        body_function = quote!(#(#cfgs)* impl #companion { #body_function });
    }
    Background {
        function: body_function,
        refresh: refresh(generator, option, &path),
        load: {
            let this = function.receiver().map(|receiver| receiver.self_token).into_iter();
            let args = function.params.iter().filter_map(Param::name);
            quote_spanned!(Span::mixed_site() => #path(#(#this,)* load, #(#args),*).await)
        },
    }
}

fn cfgs(function: &Function) -> Vec<&syn::Attribute> {
    function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

fn body_function(generator: &Generator<'_>, name: &Ident, tail: &TokenStream) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let sig = &function.sig;
    let (generics, where_clause, output) = (&sig.generics, &sig.generics.where_clause, &sig.output);
    let lints = ["cfg", "allow", "expect", "warn", "deny", "forbid"];
    let attrs = function.attrs.iter().filter(|attr| lints.iter().any(|lint| attr.path().is_ident(lint)));
    let inner = wrapper::outer_attrs(function);
    let value_type = generator.value_type();
    let receiver = sig.inputs.iter().find_map(|arg| match arg {
        FnArg::Receiver(receiver) => Some(quote!(#receiver,)),
        FnArg::Typed(_) => None,
    });
    let params = sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_)));
    // The wrapper has used them all, for the key or to hand them on.
    let used = function.params.iter().filter_map(Param::name);
    let body = wrapper::braced(quote!(#(let _ = &#used;)* #tail), function);
    quote_spanned! { Span::mixed_site() =>
        #(#attrs)*
        #(#inner)*
        #[doc(hidden)]
        #[allow(clippy::too_many_arguments)]
        async fn #name #generics (#receiver mut load: #private::Load<#value_type>, #(#params),*) #output #where_clause
        #body
    }
}

/// Copies first, then the task. Errors are at the option: it is what asks for the copies.
fn refresh(generator: &Generator<'_>, option: &Ident, path: &TokenStream) -> TokenStream {
    let Generator { plan, private } = generator;
    let function = &plan.function;
    let (mut copies, mut args) = (TokenStream::new(), Vec::new());
    let this = Ident::new("this", Span::mixed_site());
    let receiver = function.receiver().map(|receiver| {
        let self_token = receiver.self_token;
        let span = self_token.span;
        let by_reference = match &receiver.kind {
            ReceiverKind::Reference(..) => true,
            ReceiverKind::Typed(_, ty) => matches!(&**ty, Type::Reference(_)),
            _ => false,
        };
        let borrow = (!by_reference).then(|| quote!(&));
        let copy = quote_spanned!(span => #private::owned(#borrow #self_token));
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
            _ => (quote_spanned!(span => #located::owned(&#name)), quote!(#name)),
        };
        copies.extend(quote_spanned!(Span::mixed_site() => let #name = #copy;));
        args.push(arg);
    }
    let receiver = receiver.into_iter();
    let call = quote_spanned!(Span::mixed_site() => #path(#(#receiver,)* load, #(#args),*).await);
    let succeeded = match function.returns_result() {
        true => quote_spanned!(Span::mixed_site() => #call.is_ok()),
        false => quote_spanned!(Span::mixed_site() => { let _ = #call; true }),
    };
    let at_option = Span::mixed_site().located_at(option.span());
    let task = quote_spanned!(at_option => refresh.spawn(move |load| async move { #succeeded }););
    quote!(#copies #task)
}

fn is_static(reference: &TypeReference) -> bool {
    reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static")
}

/// Whether the wrapper takes a parameter as `mut`, which only the body makes use of.
pub(crate) fn has_mut_params(function: &Function) -> bool {
    function.params.iter().any(|param| matches!(&param.pat, Pat::Ident(pat) if pat.mutability.is_some()))
}
