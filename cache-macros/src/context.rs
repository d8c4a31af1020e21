//! The option `context`: the parameter that brings the cache of a call.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, ReceiverKind, Type};

use crate::errors::{Errors, listed, nearest};
use crate::options::{self, peel};
use crate::signature::{Function, first_type_argument, last_segment, peel_type};
use crate::wrapper::located;

/// A parameter, or `self`, that brings a cache.
pub(crate) struct Context {
    pub(crate) name: Ident,
    /// `None`: it is a binding of a pattern.
    ty: Option<Type>,
}

/// Reads `= ctx`.
pub(crate) fn read(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let value: Expr = options::value(name, input)?;
    let ident = match peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    ident.ok_or_else(|| {
        syn::Error::new_spanned(&value, "`context` names a parameter that brings its cache: `context = app`")
    })
}

/// The compiler's proof that no parameter brings a cache, for an attribute that names none: the
/// function would use another one. Asks for types where they are spelled, so that a parameter that
/// the user does not use is still reported as such.
pub(crate) fn none_unused(function: &Function, private: &TokenStream) -> TokenStream {
    let this = function.receiver().map(|receiver| {
        let span = receiver.self_token.span;
        check(&[], span, private, &quote_spanned!(span => ::<Self>::of_type()))
    });
    let params = function.params.iter().flat_map(|param| {
        let ty = param.name().filter(|_| !param.is_impl_trait()).map(|_| behind_references(&param.ty));
        param.bindings.iter().map(move |binding| {
            let of = match ty {
                Some(ty) => quote_spanned!(binding.span() => ::<#ty>::of_type()),
                None => quote_spanned!(binding.span() => ::of(&#binding)),
            };
            check(&param.cfgs, binding.span(), private, &of)
        })
    });
    let checks = this.into_iter().chain(params);
    quote_spanned! { Span::mixed_site() => {
        #[allow(unused_imports)]
        use #private::NoContextKind as _;
        #(#checks)*
    } }
}

fn check(cfgs: &[Attribute], at: Span, private: &TokenStream, of: &TokenStream) -> TokenStream {
    let private = located(private, at);
    quote_spanned! { Span::mixed_site().located_at(at) =>
        #(#cfgs)*
        #private::is_no_context(#private::ContextProbe #of.kind());
    }
}

fn behind_references(ty: &Type) -> &Type {
    match peel_type(ty) {
        Type::Reference(reference) => behind_references(&reference.elem),
        ty => ty,
    }
}

impl Context {
    /// The context of a function. `None`: it has none, or an error was reported.
    pub(crate) fn of(
        name: Option<&Ident>,
        cache: Option<&Expr>,
        function: &Function,
        errors: &mut Errors,
    ) -> Option<Self> {
        let name = name?;
        if cache.is_some() {
            errors.at(name, "`context` and `cache` both say which cache to use: keep one");
        }
        let names: Vec<String> = function.names().iter().map(|name| name.unraw().to_string()).collect();
        if !names.iter().any(|known| name.unraw() == known) {
            let meant = nearest(&name.to_string(), names.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
            errors.at(name, format!("`{name}` is not a parameter: {meant}known here: {}", listed(&names)));
            return None;
        }
        let ty = match function.receiver().filter(|_| name == "self") {
            Some(receiver) => Some(match &receiver.kind {
                ReceiverKind::Typed(_, ty) => (**ty).clone(),
                ReceiverKind::Reference(..) => syn::parse_quote!(&Self),
                _ => syn::parse_quote!(Self),
            }),
            None => function.params.iter().find(|param| param.name() == Some(name)).map(|param| param.ty.clone()),
        };
        Some(Self { name: name.clone(), ty })
    }

    /// A reference to it.
    fn borrowed(&self) -> TokenStream {
        let name = &self.name;
        match self.ty.as_ref().map(peel_type) {
            Some(Type::Reference(_)) => quote_spanned!(name.span() => #name),
            _ => quote_spanned!(name.span() => &#name),
        }
    }

    /// The cache that it brings. What is wrong with it is said at its name.
    pub(crate) fn cache(&self, private: &TokenStream) -> Expr {
        let (private, borrowed) = (located(private, self.name.span()), self.borrowed());
        syn::parse_quote_spanned!(Span::mixed_site().located_at(self.name.span()) => #private::cache_of(#borrowed))
    }

    /// A value that stands for its type. Where the type is spelled, nothing is asked of it: a type
    /// that brings no cache is reported once.
    pub(crate) fn type_value(&self, private: &TokenStream) -> TokenStream {
        match self.ty().filter(|ty| !matches!(ty, Type::ImplTrait(_))) {
            Some(ty) => quote_spanned!(Span::mixed_site() => #private::ContextType::<#ty>::spelled()),
            None => {
                let (private, borrowed) = (located(private, self.name.span()), self.borrowed());
                quote_spanned!(Span::mixed_site().located_at(self.name.span()) => #private::context_type(#borrowed))
            }
        }
    }

    /// Its type, without the references and shared pointers around it.
    pub(crate) fn ty(&self) -> Option<&Type> {
        let mut ty = peel_type(self.ty.as_ref()?);
        loop {
            let pointer = last_segment(ty).filter(|segment| segment.ident == "Arc" || segment.ident == "Rc");
            let inner = match ty {
                Type::Reference(reference) => Some(&*reference.elem),
                _ => pointer.and_then(|_| first_type_argument(ty)),
            };
            match inner {
                Some(inner) => ty = peel_type(inner),
                None => return Some(ty),
            }
        }
    }
}
