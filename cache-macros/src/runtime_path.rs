//! How generated code reaches the runtime.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

/// The path of the runtime's private module: the only thing that generated code names.
pub(crate) fn private_path(krate: Option<&syn::Path>) -> TokenStream {
    match krate {
        Some(krate) => {
            let krate = krate.to_token_stream();
            quote!(#krate::__private)
        }
        None => quote_spanned!(Span::mixed_site() => ::cache_core::__private),
    }
}
