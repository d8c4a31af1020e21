//! What all wrapped functions share: the user's signature, our body, and the user's body inside it.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{AttrStyle, Attribute, Expr, Type};

use crate::signature::{Boxing, Form, Function};

/// The function as written, with another body.
pub(crate) fn function(function: &Function, body: &TokenStream, docs: Option<String>) -> TokenStream {
    let Function { attrs, vis, sig, .. } = function;
    let inner = outer_attrs(function);
    let docs = docs.map(|docs| quote!(#[doc = #docs]));
    let body = match &function.form {
        Form::Boxed(boxing) => {
            let block = braced(body.clone(), function);
            match &**boxing {
                Boxing::Call(pin) => quote_spanned!(Span::mixed_site() => #pin(async move #block)),
                Boxing::Method(boxed) => quote_spanned!(Span::mixed_site() => (async move #block).#boxed()),
            }
        }
        Form::Async | Form::Sync => body.clone(),
    };
    // The user's span: without it dead_code and clippy fall silent on the function.
    let body = braced(body, function);
    quote!(#(#attrs)* #docs #(#inner)* #vis #sig #body)
}

/// The attributes at the top of the body, as attributes of the function.
pub(crate) fn outer_attrs(function: &Function) -> impl Iterator<Item = Attribute> {
    function.body.inner_attrs.iter().map(|attr| Attribute { style: AttrStyle::Outer, ..attr.clone() })
}

pub(crate) fn braced(tokens: TokenStream, function: &Function) -> Group {
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(function.body.span.join());
    group
}

/// The body as a future. A `return` of the declared type comes first, so that type errors stay on
/// the user's line.
pub(crate) fn typed_body(function: &Function) -> TokenStream {
    let (output, statements) = (&function.output, &function.body.statements);
    let expected = (!function.returns_impl_trait()).then(|| {
        quote_spanned! { output.span() =>
            #[allow(
                unreachable_code,
                clippy::diverging_sub_expression,
                clippy::empty_loop,
                clippy::let_unit_value,
                clippy::needless_return
            )]
            if false {
                let __expected: #output = loop {};
                return __expected;
            }
        }
    });
    let expected = expected.into_iter();
    let block = braced(quote!(#(#expected)* #statements), function);
    quote_spanned!(Span::mixed_site() => async move #block)
}

/// Evaluates `call`, which may use `__cache`: the `cache` option as `Option<&Cache>`.
pub(crate) fn with_cache(cache: Option<&Expr>, private: &TokenStream, call: &TokenStream) -> TokenStream {
    match cache {
        Some(expr) => {
            // Coercion makes `Cache`, `&Cache` and `Arc<Cache>` alike; errors land on the user's
            // expression.
            let borrowed =
                quote_spanned!(Span::mixed_site().located_at(expr.span()) => let __cache: &#private::Cache = &#expr;);
            quote_spanned!(Span::mixed_site() => {
                #borrowed
                let __cache = ::core::option::Option::Some(__cache);
                #call
            })
        }
        None => quote_spanned!(Span::mixed_site() => {
            let __cache: ::core::option::Option<&#private::Cache> = ::core::option::Option::None;
            #call
        }),
    }
}

/// The compiler's proof that a type that is not named `Result` is none.
pub(crate) fn plain_check(output: &Type, private: &TokenStream) -> TokenStream {
    let private = located(private, output.span());
    quote_spanned! { output.span() => {
        #[allow(unused_imports)]
        use #private::PlainKind as _;
        #private::plain(#private::Probe::<#output>::new().kind());
    } }
}

/// A binding that takes the place of a parameter.
pub(crate) fn rebound(cfgs: &[Attribute], binding: &TokenStream, value: &TokenStream) -> TokenStream {
    let may_rebind = may_rebind();
    quote_spanned!(Span::mixed_site() => #(#cfgs)* #may_rebind let #binding = #value;)
}

/// For a statement that binds a parameter's name once more: the user did not write it so.
pub(crate) fn may_rebind() -> TokenStream {
    quote!(#[allow(clippy::shadow_reuse, clippy::shadow_same, clippy::shadow_unrelated)])
}

/// The same tokens at another place: an error is at an expression only if all of its tokens are.
pub(crate) fn located(tokens: &TokenStream, span: Span) -> TokenStream {
    let relocate = |mut token: TokenTree| {
        token.set_span(span.resolved_at(token.span()));
        token
    };
    tokens.clone().into_iter().map(relocate).collect()
}

/// Whether the type is `Cacheable`, found out by the compiler: an inherent method beats a trait's.
pub(crate) fn cacheability(value_type: &TokenStream, private: &TokenStream) -> TokenStream {
    quote_spanned! { Span::mixed_site() => {
        #[allow(unused_imports)]
        use #private::NotCacheableKind as _;
        #private::Probe::<#value_type>::new().cacheability()
    } }
}
