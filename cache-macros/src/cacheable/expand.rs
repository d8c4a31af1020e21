//! The implementation of `Cacheable`: lifetime, tags, and the type's fields for the fingerprint.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Fields};

use super::parse::CacheableOptions;
use crate::evaluate::Evaluator;
use crate::names::Kind;
use crate::runtime_path::private_path;

pub(crate) fn expand(input: &DeriveInput, options: &CacheableOptions) -> TokenStream {
    let private = private_path(options.krate.as_ref());
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let ttl = options.ttl.as_ref().map(|ttl| ttl.tokens(&private));
    let version = options.version;
    let overrides = overrides(options, &private);
    let items: Vec<_> = options.tags.iter().map(|item| (Kind::Tag, item)).collect();
    let tags = Ident::new("__tags", Span::mixed_site());
    let statements = Evaluator::of_type(&private).before(&tags, &items);
    // `self` in the user's items has the span of the derive.
    let this = quote!(&self);
    let fields = shape(&input.data, &private);
    quote_spanned! { Span::mixed_site() =>
        #[automatically_derived]
        impl #impl_generics #private::Cacheable for #name #type_generics #where_clause {
            const VERSION: u32 = #version;

            fn ttl() -> #private::Duration {
                #ttl
            }

            fn tags(#this) -> #private::Vec<#private::Tag> {
                #[allow(unused_mut)]
                let mut #tags = #private::Vec::new();
                #statements
                #tags
            }

            #overrides

            #[allow(unused_variables)]
            fn shape(__shape: &mut #private::Shape) {
                #[allow(unused_imports)]
                use #private::OpaqueField as _;
                #fields
            }
        }
    }
}

/// The methods of the options that the type need not have.
fn overrides(options: &CacheableOptions, private: &TokenStream) -> TokenStream {
    let near = options.near.as_ref().map(|near| {
        let near = near.tokens(private);
        quote_spanned! { Span::mixed_site() =>
            fn near() -> ::core::option::Option<#private::Duration> {
                ::core::option::Option::Some(#near)
            }
        }
    });
    let verify = options.verify.map(|share| {
        quote_spanned! { Span::mixed_site() =>
            fn verify() -> ::core::option::Option<f64> {
                ::core::option::Option::Some(#share)
            }
        }
    });
    let codec = options.codec.as_ref().map(|codec| {
        let codec = codec.tokens(private);
        quote_spanned! { Span::mixed_site() =>
            fn codec() -> ::core::option::Option<#private::Format> {
                ::core::option::Option::Some(#codec)
            }
        }
    });
    let compression = options.compression.as_ref().map(|compression| {
        let compression = compression.tokens(private);
        quote_spanned! { Span::mixed_site() =>
            fn compression() -> ::core::option::Option<#private::Compression> {
                ::core::option::Option::Some(#compression)
            }
        }
    });
    quote!(#near #verify #codec #compression)
}

fn shape(data: &Data, private: &TokenStream) -> TokenStream {
    match data {
        Data::Struct(data) => fields(&data.fields, private),
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| {
                let name = variant.ident.unraw().to_string();
                let fields = fields(&variant.fields, private);
                quote_spanned!(Span::mixed_site() => __shape.within(#name, |__shape| { #fields });)
            });
            variants.collect()
        }
        Data::Union(_) => TokenStream::new(),
    }
}

fn fields(fields: &Fields, private: &TokenStream) -> TokenStream {
    let fields = fields.iter().enumerate().map(|(at, field)| {
        let name = field.ident.as_ref().map_or_else(|| at.to_string(), |ident| ident.unraw().to_string());
        let ty = &field.ty;
        quote_spanned! { Span::mixed_site() =>
            __shape.within(#name, |__shape| #private::ShapeOf::<#ty>::new().record(__shape));
        }
    });
    fields.collect()
}
