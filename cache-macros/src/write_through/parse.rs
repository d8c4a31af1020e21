//! `#[write_through(get_flight(id), …)]` as written.

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Path, Token};

use crate::context;
use crate::errors::Errors;
use crate::names::{TARGET, companion_call};
use crate::options::{self, peel};

const KNOWN: &[&str] = &["around", "cache", "context", "crate"];

#[derive(Default)]
pub(crate) struct WriteThroughOptions {
    pub(crate) target: Option<Target>,
    /// Close the entry before the body until after it.
    pub(crate) around: bool,
    pub(crate) cache: Option<Expr>,
    /// The parameter that brings the cache.
    pub(crate) context: Option<Ident>,
    pub(crate) krate: Option<Path>,
}

/// The entry that is written.
pub(crate) struct Target {
    /// For errors.
    pub(crate) written: Expr,
    /// The call of its companion.
    pub(crate) call: Expr,
}

impl WriteThroughOptions {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        if tokens.is_empty() {
            let message = "nothing to write: name the entry by its cached function, `#[write_through(get_flight(id))]`";
            errors.at_span(Span::call_site(), message);
            return found;
        }
        let split = |input: ParseStream<'_>| {
            let target: Expr = input.parse()?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
            Ok((target, input.parse::<TokenStream>()?))
        };
        let Some((target, rest)) = errors.keep(split.parse2(tokens)) else { return found };
        found.target = errors.keep(read_target(&target));
        let with_after = [KNOWN, &["after"]].concat();
        let known = if options::give(&rest, "after") { &with_after } else { KNOWN };
        options::read_options(rest, known, errors, |name, input, _| {
            match name.to_string().as_str() {
                "around" => {
                    options::flag(name, input)?;
                    found.around = true;
                }
                "after" => {
                    let message = "a value is written when it is committed, and this function leaves the commit to \
                                   its caller: use `#[invalidates(keys = [get_flight(id)], after = tx)]` here, or \
                                   `#[write_through(get_flight(id), around)]` on the function that commits";
                    return Err(syn::Error::new_spanned(name, message));
                }
                "cache" => found.cache = Some(options::value(name, input)?),
                "context" => found.context = Some(context::read(name, input)?),
                _ => found.krate = Some(options::value(name, input)?),
            }
            Ok(())
        });
        found
    }
}

fn read_target(written: &Expr) -> syn::Result<Target> {
    let message = match peel(written) {
        call @ (Expr::Call(_) | Expr::MethodCall(_)) => {
            return Ok(Target { written: call.clone(), call: companion_call(call, TARGET)? });
        }
        Expr::Lit(_) => {
            "a key in text does not say how its entry is stored: name the cached function, `get_flight(id)`, \
             or remove the entry with `#[invalidates(keys = [\"…\"])]`"
        }
        Expr::Array(_) => {
            "one entry is written: name one call here, and what else falls in `#[invalidates(keys = [...])]`"
        }
        _ => "the first thing here is the entry, by its cached function: `#[write_through(get_flight(id))]`",
    };
    Err(syn::Error::new_spanned(written, message))
}
