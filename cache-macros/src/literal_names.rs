//! `key!("user:{id}")` and `tag!("vendor:{name}")`: the same templates over whatever is in scope.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprLit, Lit, LitStr, Path, Token};

use crate::errors::Errors;
use crate::evaluate::template_pieces;
use crate::names::Kind;
use crate::options::peel;
use crate::runtime_path::private_path;
use crate::template::Template;

/// Gets the path of the runtime and what the user wrote.
pub(crate) fn literal_name(kind: Kind, input: TokenStream) -> TokenStream {
    let parse = |input: ParseStream<'_>| {
        let krate: Path = input.call(Path::parse_mod_style)?;
        input.parse::<Token![,]>()?;
        read_literal(input).map(|literal| (krate, literal))
    };
    let (krate, literal) = match parse.parse2(input) {
        Ok(parsed) => parsed,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::default();
    let template = Template::parse(&literal, &mut errors);
    if kind == Kind::Key {
        template.check_injective(&mut errors);
    }
    if let Err(errors) = errors.finish() {
        return errors;
    }
    let private = private_path(Some(&krate));
    let pieces = template_pieces(&template, &mut |_| None);
    let span = Span::mixed_site();
    match kind {
        Kind::Key => quote_spanned!(span => #private::Template::of_key() #pieces .finish_key()),
        _ => quote_spanned!(span => #private::Template::of_tag() #pieces .finish_tag()),
    }
}

fn read_literal(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let expected = |span| syn::Error::new(span, "expected one string template: `tag!(\"vendor:{name}\")`");
    let expr: Expr = input.parse().map_err(|error| expected(error.span()))?;
    input.parse::<Option<Token![,]>>()?;
    if !input.is_empty() {
        return Err(syn::Error::new(
            input.span(),
            "values are named inside the braces: write `{name}`, and no arguments",
        ));
    }
    match peel(&expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Ok(literal.clone()),
        other => Err(syn::Error::new_spanned(other, "expected one string template: `tag!(\"vendor:{name}\")`")),
    }
}
