//! `after = tx` as a parameter of the function.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Pat, Type};

use super::parse::InvalidatesOptions;
use crate::errors::{Errors, listed, nearest};
use crate::signature::{Function, peel_type};

/// The parameter that collects: `tx: &mut Transaction<'_, Postgres>`.
pub(crate) struct Collector {
    pub(super) name: Ident,
    /// It was declared `mut tx`.
    pub(super) is_rebindable: bool,
}

impl Collector {
    /// `None`: there is none, or an error was reported.
    pub(crate) fn of(function: &Function, options: &InvalidatesOptions, errors: &mut Errors) -> Option<Self> {
        let after = options.after.as_ref()?;
        for given in &options.given {
            let reason = match given.to_string().as_str() {
                "cache" | "context" => "it has a cache of its own",
                "background" => "there is nothing to wait for",
                "around" => "the transaction closes the names around its commit",
                "when" => "what the parameters tell is collected in any case, for only it knows whether it was written",
                _ => continue,
            };
            errors.at(given, format!("`{given}` means nothing with `after = {after}`, because {reason}: remove it"));
        }
        let Some(param) = function.params.iter().find(|param| param.name() == Some(after)) else {
            let params = function.params.iter().filter_map(|param| param.name());
            let names: Vec<String> = params.map(|name| name.unraw().to_string()).collect();
            let meant = nearest(&after.to_string(), names.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
            errors.at(after, format!("`{after}` is not a parameter: {meant}known here: {}", listed(&names)));
            return None;
        };
        if !matches!(peel_type(&param.ty), Type::Reference(reference) if reference.mutability.is_some()) {
            errors.at(
                &param.ty,
                format!(
                    "`after = {after}` adds to the transaction and leaves the commit to the caller: take it by \
                     reference, `{after}: &mut …`"
                ),
            );
            return None;
        }
        let is_rebindable = matches!(&param.pat, Pat::Ident(pat) if pat.mutability.is_some());
        Some(Self { name: param.name()?.clone(), is_rebindable })
    }
}
