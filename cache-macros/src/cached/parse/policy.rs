//! The options that are setters of the runtime's `Policy`, each under its own name.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::ParseStream;
use syn::{Expr, Ident, LitStr, Token};

use crate::duration::{self, Lifetime};
use crate::options::{self, number};
use crate::packing::Packing;

/// An option as written.
pub(crate) struct PolicySetting {
    /// Of the option and of the setter.
    pub(crate) name: Ident,
    pub(crate) value: PolicyValue,
    pub(crate) roles: &'static [Role],
}

impl PolicySetting {
    /// The user's expression, if it is one: it may use parameters.
    pub(crate) fn computed(&self) -> Option<&Expr> {
        match &self.value {
            PolicyValue::Duration(lifetime) => lifetime.computed(),
            _ => None,
        }
    }

    /// `.ttl(…)`.
    pub(crate) fn setter(&self, private: &TokenStream) -> TokenStream {
        let name = Ident::new(&self.name.to_string(), proc_macro2::Span::mixed_site());
        let arguments = match &self.value {
            PolicyValue::Duration(lifetime) => lifetime.tokens(private),
            PolicyValue::Text(text) => text.to_token_stream(),
            PolicyValue::Integer(number) => number.to_token_stream(),
            PolicyValue::Number(number) => number.to_token_stream(),
            PolicyValue::Range(min_ms, max_ms) => quote!(#min_ms, #max_ms),
            PolicyValue::Packing(packing) => packing.tokens(private),
        };
        quote!(.#name(#arguments))
    }
}

/// What a setter takes.
pub(crate) enum PolicyValue {
    Duration(Lifetime),
    Text(LitStr),
    Integer(u32),
    Number(f64),
    /// The bounds, in ms.
    Range(u64, u64),
    Packing(Packing),
}

/// What the checks want to know of an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Says how long a value lives.
    Lifetime,
    /// Decides by the age of one value.
    Age,
    /// Has values refreshed in the background.
    Background,
    /// Gives every load a task of its own.
    OwnTask,
}

/// Reads what follows the name.
pub(crate) type PolicyReader = fn(&Ident, ParseStream<'_>) -> syn::Result<PolicyValue>;

pub(crate) fn lifetime(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    Lifetime::read(name, input, duration::LIFETIME_OF_ZERO).map(PolicyValue::Duration)
}

pub(crate) fn near(name: &Ident, input: ParseStream<'_>) -> syn::Result<Lifetime> {
    Lifetime::read(name, input, duration::NEAR_OF_ZERO)
}

pub(crate) fn stale_window(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    let zero = "a stale window of zero does nothing: remove the option";
    Lifetime::read(name, input, zero).map(PolicyValue::Duration)
}

pub(crate) fn wait(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    let zero = "nobody waits for less than a lease: remove the option, or set `lease` on the cache";
    Lifetime::read(name, input, zero).map(PolicyValue::Duration)
}

pub(crate) fn load_timeout(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    let zero = "a timeout of zero would serve every value past its ttl: write `stale_while_revalidate` for that";
    Lifetime::read(name, input, zero).map(PolicyValue::Duration)
}

pub(crate) fn range(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    duration::read_range(name, input).map(|(min_ms, max_ms)| PolicyValue::Range(min_ms, max_ms))
}

pub(crate) fn class(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    let class = options::string(name, input)?;
    if class.value().is_empty() {
        let message = "a class must not be empty: name a row of the cache's TTL table";
        return Err(syn::Error::new_spanned(class, message));
    }
    Ok(PolicyValue::Text(class))
}

pub(crate) fn codec(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    Packing::read_codec(name, input).map(PolicyValue::Packing)
}

pub(crate) fn compression(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    Packing::read_compression(name, input).map(PolicyValue::Packing)
}

pub(crate) fn version(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    options::version(name, input).map(PolicyValue::Integer)
}

/// Nothing, or `= 1.5`.
pub(crate) fn beta(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    if !input.peek(Token![=]) {
        return Ok(PolicyValue::Number(1.0));
    }
    let value: Expr = options::value(name, input)?;
    let beta = number(&value).filter(|beta| *beta > 0.0 && beta.is_finite());
    beta.map(PolicyValue::Number).ok_or_else(|| {
        syn::Error::new_spanned(
            &value,
            "`early_refresh` takes a number above zero, more for earlier: `early_refresh = 2.0`, or \
             `early_refresh` alone for 1.0",
        )
    })
}

pub(crate) fn jitter(name: &Ident, input: ParseStream<'_>) -> syn::Result<PolicyValue> {
    let value: Expr = options::value(name, input)?;
    let share = number(&value).filter(|share| (0.0..1.0).contains(share));
    share.map(PolicyValue::Number).ok_or_else(|| {
        syn::Error::new_spanned(
            &value,
            "`jitter` is the share of the ttl that chance may take off, from 0.0 to below 1.0: `jitter = 0.1`",
        )
    })
}
