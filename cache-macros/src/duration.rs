//! `"250ms" "60s" "5m" "1h" "1d"`, or a `Duration` expression.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit};

use crate::options::{self, peel};

/// Times are added to a clock in ms: a century leaves room. `DURATION_MAX` of the runtime is the
/// same.
const MILLIS_MAX: u64 = 36_525 * 86_400_000;

/// What is wrong with a lifetime of zero.
pub(crate) const LIFETIME_OF_ZERO: &str =
    "a lifetime of zero would store nothing: remove the attribute, or use `Cache::disabled()` in tests";

/// What is wrong with copies that are kept for no time.
pub(crate) const NEAR_OF_ZERO: &str = "a copy that is never served does nothing: remove the option";

/// A lifetime as written.
pub(crate) enum Lifetime {
    Millis(u64),
    /// Computed by the user's expression.
    Computed(Box<Expr>),
}

impl Lifetime {
    /// Reads `= "60s"` or `= expression`. `zero` says what is wrong with a duration of zero.
    pub(crate) fn read(name: &Ident, input: ParseStream<'_>, zero: &str) -> syn::Result<Self> {
        let expr: Expr = options::value(name, input)?;
        match peel(&expr) {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                let millis = parse_millis(&text.value(), zero);
                millis.map(Self::Millis).map_err(|message| syn::Error::new_spanned(text, message))
            }
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
                let digits = number.base10_digits();
                Err(syn::Error::new_spanned(
                    number,
                    format!("a duration needs its unit: write `{name} = \"{digits}s\"`"),
                ))
            }
            literal @ (Expr::Lit(_) | Expr::Unary(_)) => Err(syn::Error::new_spanned(literal, expected())),
            _ => Ok(Self::Computed(Box::new(expr))),
        }
    }

    /// The duration, if it is written out.
    pub(crate) fn millis(&self) -> Option<u64> {
        match self {
            Self::Millis(millis) => Some(*millis),
            Self::Computed(_) => None,
        }
    }

    /// The user's expression, if it is one: it may use parameters.
    pub(crate) fn computed(&self) -> Option<&Expr> {
        match self {
            Self::Millis(_) => None,
            Self::Computed(expr) => Some(expr),
        }
    }

    /// An expression of type `Duration`.
    pub(crate) fn tokens(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Millis(millis) => quote!(#private::Duration::from_millis(#millis)),
            // The ascription puts a wrong type on the user's expression.
            Self::Computed(expr) => quote_spanned! { Span::mixed_site().located_at(expr.span()) =>
                { let __ttl: #private::Duration = #expr; __ttl }
            },
        }
    }
}

/// Reads `= "10s..1h"`, as milliseconds.
pub(crate) fn read_range(name: &Ident, input: ParseStream<'_>) -> syn::Result<(u64, u64)> {
    let text = options::string(name, input)?;
    let error = |message: String| syn::Error::new_spanned(&text, message);
    let value = text.value();
    let no_range = || format!("`{name}` is the shortest and the longest ttl: `{name} = \"10s..1h\"`");
    let (min, max) = value.split_once("..").ok_or_else(|| error(no_range()))?;
    let bound = |bound: &str| {
        let millis = parse_millis(bound.trim(), LIFETIME_OF_ZERO);
        millis.map_err(|message| error(if message == expected() { no_range() } else { message }))
    };
    let (min_ms, max_ms) = (bound(min)?, bound(max)?);
    if min_ms > max_ms {
        return Err(error(format!("`{name}` begins with the shorter ttl: write \"{max}..{min}\"")));
    }
    Ok((min_ms, max_ms))
}

fn expected() -> String {
    "a duration is a whole number and a unit, such as \"250ms\", \"60s\", \"5m\", \"1h\" or \"1d\", or a `Duration` \
     expression"
        .to_owned()
}

fn parse_millis(text: &str, zero: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if !number.is_empty() => return Err(format!("a duration needs its unit: write \"{number}s\"")),
        _ => return Err(expected()),
    };
    if number.is_empty() {
        return Err(expected());
    }
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_millis));
    match millis {
        Some(millis) if millis <= MILLIS_MAX => match millis {
            0 => Err(zero.to_owned()),
            millis => Ok(millis),
        },
        _ => Err("a duration is at most a hundred years, \"36525d\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_millis;

    /// The runtime has the same test.
    #[test]
    fn a_duration_is_read_as_a_configuration_file_has_it() {
        for line in include_str!("../../tests/durations.txt").lines().filter(|line| !line.starts_with('#')) {
            let (text, meant) = line.split_once(' ').unwrap();
            let found = parse_millis(text, "zero").map_or("refused".to_owned(), |millis| millis.to_string());
            assert_eq!(found, meant.trim(), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_whole_number_and_a_unit_is_refused() {
        for text in ["", " ", "60 s", " 60s", "60s "] {
            assert!(parse_millis(text, "zero").is_err(), "{text:?} was accepted");
        }
    }
}
