//! Reads `name = value, name(list), flag`, one way for every attribute.
//!
//! So repeats and typos are treated alike.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Token};

use crate::errors::{Errors, listed, nearest};

/// Reads all options, giving each known one, once, to `read`, which takes everything up to the next
/// comma.
pub(crate) fn read_options(
    tokens: TokenStream,
    known: &[&str],
    errors: &mut Errors,
    mut read: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let mut seen: Vec<Ident> = Vec::new();
    let parsed = (|input: ParseStream<'_>| {
        while !input.is_empty() {
            let name = input
                .call(Ident::parse_any)
                .map_err(|error| syn::Error::new(error.span(), "an option starts with its name: `name = value`"))?;
            if !known.iter().any(|known| name == known) {
                errors.at(&name, unknown_option(&name, known));
                skip_value(input)?;
            } else if seen.contains(&name) {
                errors.at(&name, format!("`{name}` is given twice: keep one"));
                skip_value(input)?;
            } else if let Err(error) = read(&name, input, errors) {
                errors.push(error);
                skip_value(input)?;
            }
            seen.push(name);
            if input.is_empty() {
                break;
            }
            if !input.peek(Token![,]) {
                errors.at_span(input.span(), "options are separated by commas");
                skip_value(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    })
    .parse2(tokens);
    if let Err(error) = parsed {
        errors.push(error);
    }
}

/// Whether an option of this name is given.
pub(crate) fn give(options: &TokenStream, option: &str) -> bool {
    let mut is_first = true;
    options.clone().into_iter().any(|token| {
        let is_it = is_first && matches!(&token, TokenTree::Ident(name) if name == option);
        is_first = matches!(&token, TokenTree::Punct(mark) if mark.as_char() == ',');
        is_it
    })
}

fn unknown_option(name: &Ident, known: &[&str]) -> String {
    match nearest(&name.to_string(), known.iter().copied()) {
        Some(meant) => format!("unknown option `{name}`: did you mean `{meant}`?"),
        None => format!("unknown option `{name}`: the options are {}", listed(known)),
    }
}

/// After a mistake: on to the next comma, so that the options behind it are still checked.
fn skip_value(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// `= value`.
pub(crate) fn value<T: Parse>(name: &Ident, input: ParseStream<'_>) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(name, format!("`{name}` needs a value: `{name} = …`")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Nothing: the option is written alone.
pub(crate) fn flag(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    match input.peek(Token![=]) {
        true => {
            let message = format!("`{name}` takes no value: write it alone, or leave it out");
            Err(syn::Error::new_spanned(name, message))
        }
        false => Ok(name.clone()),
    }
}

/// `= "text"`.
pub(crate) fn string(name: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let expr: Expr = value(name, input)?;
    match peel(&expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(syn::Error::new_spanned(other, format!("`{name}` is a string: `{name} = \"…\"`"))),
    }
}

/// `= 3`.
pub(crate) fn version(name: &Ident, input: ParseStream<'_>) -> syn::Result<u32> {
    let expr: Expr = value(name, input)?;
    let number = match peel(&expr) {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    };
    number
        .ok_or_else(|| syn::Error::new_spanned(&expr, format!("`{name}` is an integer that fits `u32`: `{name} = 2`")))
}

/// `= 0.01`.
pub(crate) fn share_of_hits(name: &Ident, input: ParseStream<'_>) -> syn::Result<f64> {
    let value: Expr = value(name, input)?;
    let share = number(&value).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| {
        let message = format!("`{name}` is a share of hits, from 0 to 1: `{name} = 0.01`");
        syn::Error::new_spanned(&value, message)
    })
}

/// A number as written, if it is one.
pub(crate) fn number(value: &Expr) -> Option<f64> {
    match peel(value) {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    }
}

/// The expression inside the invisible group in which `macro_rules` hands fragments over, and
/// inside parentheses.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        other => other,
    }
}
