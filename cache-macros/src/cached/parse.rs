//! `#[cached(…)]` as written: every value beside its name, nothing checked against the function yet.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprClosure, ExprLit, Ident, Lit, LitStr, Path, Token};

use crate::duration::{self, Lifetime};
use crate::errors::Errors;
use crate::names::{Item, Kind, check_prefix, read_items};
use crate::options::{self, Given, peel};
use crate::template::Template;

const KNOWN: &[&str] = &[
    "prefix",
    "ttl",
    "class",
    "key",
    "skip",
    "companion",
    "tags",
    "depends_on",
    "version",
    "when",
    "negative_ttl",
    "cache",
    "jitter",
    "each",
    "stale_while_revalidate",
    "stale_if_error",
    "early_refresh",
    "adaptive_ttl",
    "crate",
];

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) prefix: Option<LitStr>,
    pub(crate) ttl: Option<Given<Lifetime>>,
    pub(crate) class: Option<Given<LitStr>>,
    pub(crate) key: Option<Template>,
    /// Parameters, type parameters, `self`, `Self`.
    pub(crate) skip: Vec<Ident>,
    pub(crate) companion: Option<Companion>,
    pub(crate) tags: Vec<Item>,
    pub(crate) depends_on: Vec<Item>,
    pub(crate) version: u32,
    pub(crate) when: Option<ExprClosure>,
    pub(crate) negative_ttl: Option<Given<Lifetime>>,
    pub(crate) cache: Option<Expr>,
    pub(crate) jitter: Option<f64>,
    /// The parameter that holds the ids of a batch.
    pub(crate) each: Option<Ident>,
    pub(crate) stale_while_revalidate: Option<Given<Lifetime>>,
    pub(crate) stale_if_error: Option<Given<Lifetime>>,
    /// β.
    pub(crate) early_refresh: Option<Given<f64>>,
    /// The bounds, in ms.
    pub(crate) adaptive_ttl: Option<Given<(u64, u64)>>,
    pub(crate) krate: Option<Path>,
}

/// Where `key` and `refresh` live.
pub(crate) enum Companion {
    /// `companion = Self`: associated functions.
    Associated,
    /// `companion = none`.
    None,
    /// `companion = Name`: a type of that name.
    Named(Ident),
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        options::read_options(tokens, KNOWN, errors, |name, input, errors| found.read(name, input, errors));
        found
    }

    fn read(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match name.to_string().as_str() {
            "prefix" => {
                let prefix = options::string(name, input)?;
                check_prefix(&prefix, errors);
                self.prefix = Some(prefix);
            }
            "ttl" => self.ttl = Some(Given { name: name.clone(), value: Lifetime::read(name, input)? }),
            "class" => {
                let class = options::string(name, input)?;
                if class.value().is_empty() {
                    errors.at(&class, "a class must not be empty: name a row of the cache's TTL table");
                }
                self.class = Some(Given { name: name.clone(), value: class });
            }
            "key" => {
                let template = Template::parse(&options::string(name, input)?, errors);
                template.check_injective(errors);
                self.key = Some(template);
            }
            "skip" => self.skip = read_skip(name, input)?,
            "companion" => self.companion = Some(read_companion(name, input)?),
            "tags" => self.tags = read_items(name, Kind::Tag, input, errors)?,
            "depends_on" => self.depends_on = read_items(name, Kind::Key, input, errors)?,
            "version" => self.version = options::version(name, input)?,
            "when" => self.when = Some(read_closure(name, input)?),
            "negative_ttl" => {
                self.negative_ttl = Some(Given { name: name.clone(), value: Lifetime::read(name, input)? });
            }
            "cache" => self.cache = Some(options::value(name, input)?),
            "jitter" => self.jitter = Some(read_jitter(name, input)?),
            "each" => self.each = Some(read_each(name, input)?),
            "stale_while_revalidate" => {
                self.stale_while_revalidate = Some(Given { name: name.clone(), value: Lifetime::read(name, input)? });
            }
            "stale_if_error" => {
                self.stale_if_error = Some(Given { name: name.clone(), value: Lifetime::read(name, input)? });
            }
            "early_refresh" => {
                self.early_refresh = Some(Given { name: name.clone(), value: read_beta(name, input)? });
            }
            "adaptive_ttl" => {
                self.adaptive_ttl = Some(Given { name: name.clone(), value: duration::read_range(name, input)? });
            }
            _ => self.krate = Some(options::value(name, input)?),
        }
        Ok(())
    }
}

fn read_skip(name: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let form = || syn::Error::new_spanned(name, "`skip` lists parameters: `skip(db, trace_id)`");
    if !input.peek(syn::token::Paren) {
        return Err(form());
    }
    let names;
    syn::parenthesized!(names in input);
    let list = Punctuated::<Ident, Token![,]>::parse_terminated_with(&names, Ident::parse_any)?;
    if list.is_empty() {
        return Err(form());
    }
    Ok(list.into_iter().collect())
}

fn read_companion(name: &Ident, input: ParseStream<'_>) -> syn::Result<Companion> {
    let value: Expr = options::value(name, input)?;
    let ident = match peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    let ident = ident.ok_or_else(|| {
        syn::Error::new_spanned(&value, "`companion` is `Self`, `none` or a new type name: `companion = GetFlight`")
    })?;
    Ok(match ident.to_string().as_str() {
        "Self" => Companion::Associated,
        "none" => Companion::None,
        _ => Companion::Named(ident),
    })
}

fn read_each(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let value: Expr = options::value(name, input)?;
    let ident = match peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    ident.ok_or_else(|| syn::Error::new_spanned(&value, "`each` names the parameter that holds the ids: `each = ids`"))
}

fn read_closure(name: &Ident, input: ParseStream<'_>) -> syn::Result<ExprClosure> {
    let value: Expr = options::value(name, input)?;
    match peel(&value) {
        Expr::Closure(closure) if closure.inputs.len() == 1 && closure.asyncness.is_none() => Ok(closure.clone()),
        other => Err(syn::Error::new_spanned(
            other,
            "`when` is a closure of the value: `when = |flight| flight.is_scheduled()`",
        )),
    }
}

/// Nothing, or `= 1.5`.
fn read_beta(name: &Ident, input: ParseStream<'_>) -> syn::Result<f64> {
    if !input.peek(Token![=]) {
        return Ok(1.0);
    }
    let value: Expr = options::value(name, input)?;
    number(&value).filter(|beta| *beta > 0.0 && beta.is_finite()).ok_or_else(|| {
        syn::Error::new_spanned(
            &value,
            "`early_refresh` takes a number above zero, more for earlier: `early_refresh = 2.0`, or `early_refresh` alone for 1.0",
        )
    })
}

fn number(value: &Expr) -> Option<f64> {
    match peel(value) {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    }
}

fn read_jitter(name: &Ident, input: ParseStream<'_>) -> syn::Result<f64> {
    let value: Expr = options::value(name, input)?;
    number(&value).filter(|share| (0.0..1.0).contains(share)).ok_or_else(|| {
        syn::Error::new_spanned(
            &value,
            "`jitter` is the share of the ttl that chance may take off, from 0.0 to below 1.0: `jitter = 0.1`",
        )
    })
}
