//! `#[cacheable(…)]` as written.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{DeriveInput, Meta, Path};

use crate::duration::{LIFETIME_OF_ZERO, Lifetime, NEAR_OF_ZERO};
use crate::errors::Errors;
use crate::names::{Item, Kind, read_items};
use crate::options;
use crate::packing::Packing;

const KNOWN: &[&str] = &["ttl", "tags", "near", "verify", "version", "codec", "compress", "crate"];

#[derive(Default)]
pub(crate) struct CacheableOptions {
    pub(crate) ttl: Option<Lifetime>,
    /// Its own error is enough.
    pub(crate) ttl_was_wrong: bool,
    pub(crate) tags: Vec<Item>,
    pub(crate) near: Option<Lifetime>,
    pub(crate) verify: Option<f64>,
    pub(crate) version: u32,
    pub(crate) codec: Option<Packing>,
    pub(crate) compression: Option<Packing>,
    pub(crate) krate: Option<Path>,
}

impl CacheableOptions {
    pub(crate) fn parse(input: &DeriveInput, errors: &mut Errors) -> Self {
        let mut tokens = TokenStream::new();
        for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("cacheable")) {
            match &attr.meta {
                // Several attributes are one: a repeated option is found across them.
                Meta::List(list) => {
                    let list = &list.tokens;
                    tokens.extend(quote!(#list,));
                }
                other => errors.at(other, "`#[cacheable]` lists options in parentheses: `#[cacheable(ttl = \"1h\")]`"),
            }
        }
        let mut found = Self::default();
        options::read_options(without_doubled_commas(tokens), KNOWN, errors, |name, input, errors| {
            match name.to_string().as_str() {
                "ttl" => {
                    found.ttl_was_wrong = true;
                    found.ttl = Some(Lifetime::read(name, input, LIFETIME_OF_ZERO)?);
                }
                "tags" => found.tags = read_items(name, Kind::Tag, input, errors)?,
                "near" => found.near = Some(Lifetime::read(name, input, NEAR_OF_ZERO)?),
                "verify" => found.verify = Some(options::share_of_hits(name, input)?),
                "version" => found.version = options::version(name, input)?,
                "codec" => found.codec = Some(Packing::read_codec(name, input)?),
                "compress" => found.compression = Some(Packing::read_compression(name, input)?),
                _ => found.krate = Some(options::value(name, input)?),
            }
            Ok(())
        });
        found
    }
}

/// The attributes may have had trailing commas of their own.
fn without_doubled_commas(tokens: TokenStream) -> TokenStream {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let mut after_comma = true;
    let keep = |token: &TokenTree| {
        let doubled = after_comma && is_comma(token);
        after_comma = is_comma(token);
        !doubled
    };
    tokens.into_iter().filter(keep).collect()
}
