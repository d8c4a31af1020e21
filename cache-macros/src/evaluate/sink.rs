//! Where names go, and how they are added.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use crate::names::Kind;

/// The collection that names go to.
#[derive(Clone, Copy)]
pub(crate) enum Sink {
    /// `Names`, for an entry.
    Names,
    /// `Invalidation`, a builder by value.
    Invalidation,
    /// `Vec<Tag>`, for a type's own tags.
    Tags,
}

impl Sink {
    pub(super) fn add(
        self,
        private: &TokenStream,
        target: &Ident,
        kind: Kind,
        value: &TokenStream,
        span: Span,
    ) -> TokenStream {
        let method = match kind {
            Kind::Key => quote!(key),
            Kind::Tag => quote!(tag),
            Kind::Pattern => quote!(pattern),
        };
        // Errors belong to the user's text; lints must know that the statement is not theirs.
        let span = Span::mixed_site().located_at(span);
        match self {
            Self::Names => quote_spanned!(span => #target.#method(#value);),
            Self::Invalidation => quote_spanned!(span => #target = #target.#method(#value);),
            Self::Tags => quote_spanned!(span => #target.extend(#private::declared_tag(#value));),
        }
    }

    /// Everything that the iterator yields. Without a loop of ours: of an `Option` that would be
    /// one which lints want to be an `if let`.
    pub(super) fn add_all(self, private: &TokenStream, target: &Ident, kind: Kind, iterator: &Expr) -> TokenStream {
        let span = Span::mixed_site().located_at(iterator.span());
        let items = quote_spanned!(span => ::core::iter::IntoIterator::into_iter(#iterator));
        match (self, kind) {
            (Self::Names, Kind::Key) => quote_spanned!(span => #target.keys(#iterator);),
            (Self::Names, _) => quote_spanned!(span => #target.tags(#iterator);),
            (Self::Invalidation, Kind::Key) => quote_spanned!(span => #target = #target.keys(#iterator);),
            (Self::Invalidation, Kind::Tag) => quote_spanned!(span => #target = #target.tags(#iterator);),
            (Self::Invalidation, Kind::Pattern) => {
                let add =
                    quote_spanned!(span => |__names, __pattern| #private::Invalidation::pattern(__names, __pattern));
                quote_spanned!(span => #target = ::core::iter::Iterator::fold(#items, #target, #add);)
            }
            (Self::Tags, _) => quote_spanned! { span =>
                #target.extend(::core::iter::Iterator::filter_map(#items, #private::declared_tag));
            },
        }
    }
}
