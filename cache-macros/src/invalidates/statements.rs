//! The statements that gather names.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// Declares `__names`, with what the statements add.
pub(super) fn collected(statements: &TokenStream, private: &TokenStream) -> TokenStream {
    quote_spanned! { Span::mixed_site() =>
        #[allow(unused_mut)]
        let mut __names = #private::Invalidation::new();
        #statements
    }
}

pub(super) fn borrowed(value: &Ident, statements: &TokenStream) -> TokenStream {
    match statements.is_empty() {
        true => TokenStream::new(),
        false => quote_spanned!(Span::mixed_site() => { let #value = &__outcome; #statements }),
    }
}

pub(super) fn of_ok(value: &Ident, statements: &TokenStream) -> TokenStream {
    match statements.is_empty() {
        true => TokenStream::new(),
        false => quote_spanned! { Span::mixed_site() =>
            if let ::core::result::Result::Ok(#value) = &__outcome { #statements }
        },
    }
}
