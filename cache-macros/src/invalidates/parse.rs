//! `#[invalidates(…)]` as written.

use proc_macro2::TokenStream;
use syn::parse::ParseStream;
use syn::{Expr, Ident, Path};

use crate::context;
use crate::errors::Errors;
use crate::names::{Item, Kind, read_items};
use crate::options;

const KNOWN: &[&str] =
    &["keys", "tags", "patterns", "when", "background", "after", "around", "cache", "context", "crate"];

#[derive(Default)]
pub(crate) struct InvalidatesOptions {
    pub(crate) keys: Vec<Item>,
    pub(crate) tags: Vec<Item>,
    pub(crate) patterns: Vec<Item>,
    pub(crate) when: When,
    /// Do not wait.
    pub(crate) background: bool,
    /// The parameter that collects what is invalidated after it has ended.
    pub(crate) after: Option<Ident>,
    /// Close what is known before the body until after it.
    pub(crate) around: Option<Ident>,
    pub(crate) cache: Option<Expr>,
    /// The parameter that brings the cache.
    pub(crate) context: Option<Ident>,
    pub(crate) krate: Option<Path>,
    /// The names of what was given and read.
    pub(crate) given: Vec<Ident>,
    /// The errors are enough: what seems missing may have been meant.
    pub(crate) had_errors: bool,
}

/// After which outcome of the function.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum When {
    /// `Ok`, `Some`, or anything plain.
    #[default]
    Ok,
    Always,
}

impl InvalidatesOptions {
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        let before = errors.count();
        options::read_options(tokens, KNOWN, errors, |name, input, errors| found.read(name, input, errors));
        found.had_errors = errors.count() > before;
        found
    }

    fn read(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match name.to_string().as_str() {
            "keys" => self.keys = read_items(name, Kind::Key, input, errors)?,
            "tags" => self.tags = read_items(name, Kind::Tag, input, errors)?,
            "patterns" => self.patterns = read_items(name, Kind::Pattern, input, errors)?,
            "when" => self.when = read_when(name, input)?,
            "background" => {
                options::flag(name, input)?;
                self.background = true;
            }
            "after" => self.after = Some(read_after(name, input)?),
            "around" => self.around = Some(options::flag(name, input)?),
            "cache" => self.cache = Some(options::value(name, input)?),
            "context" => self.context = Some(context::read(name, input)?),
            _ => self.krate = Some(options::value(name, input)?),
        }
        self.given.push(name.clone());
        Ok(())
    }
}

fn read_when(name: &Ident, input: ParseStream<'_>) -> syn::Result<When> {
    let when: Expr = options::value(name, input)?;
    match options::peel(&when) {
        Expr::Path(path) if path.path.is_ident("ok") => Ok(When::Ok),
        Expr::Path(path) if path.path.is_ident("always") => Ok(When::Always),
        other => Err(syn::Error::new_spanned(
            other,
            "`when` is `ok` (only if the function succeeded) or `always`: `when = always`",
        )),
    }
}

fn read_after(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let value: Expr = options::value(name, input)?;
    let ident = match options::peel(&value) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    ident.ok_or_else(|| {
        syn::Error::new_spanned(&value, "`after` names the parameter that is the transaction: `after = tx`")
    })
}
