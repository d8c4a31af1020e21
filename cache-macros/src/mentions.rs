//! Which names a piece of user code mentions.
//!
//! Nothing is expanded: a false positive costs a clone or a stricter error, a false negative would
//! be a stale name, so when in doubt a name counts as mentioned.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::ToTokens;

pub(crate) fn mentions(tokens: &impl ToTokens, name: &str) -> bool {
    !spans_of(tokens, name).is_empty()
}

/// Where `name` occurs as an identifier, or inside the braces of a format string.
pub(crate) fn spans_of(tokens: &impl ToTokens, name: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    collect(tokens.to_token_stream(), name, &mut spans);
    spans
}

fn collect(tokens: TokenStream, name: &str, spans: &mut Vec<Span>) {
    let mut after_dot = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => collect(group.stream(), name, spans),
            // `x.name` is a field or a method; `..name` is the name.
            TokenTree::Ident(ident) if !after_dot && ident == name => spans.push(ident.span()),
            TokenTree::Literal(literal) if literal_mentions(&literal, name) => spans.push(literal.span()),
            TokenTree::Punct(punct) if punct.as_char() == '.' => {
                let is_dot =
                    |next: &TokenTree| matches!(next, TokenTree::Punct(next) if ['.', '='].contains(&next.as_char()));
                after_dot = true;
                while tokens.next_if(is_dot).is_some() {
                    after_dot = false;
                }
                continue;
            }
            _ => {}
        }
        after_dot = false;
    }
}

/// `"x:{name}"`, `"{name.field}"`, `"{name:?}"`.
fn literal_mentions(literal: &Literal, name: &str) -> bool {
    let text = literal.to_string();
    text.starts_with(['"', 'r'])
        && text.split('{').skip(1).any(|inside| {
            let rest = inside.trim_start().strip_prefix(name);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
}

#[cfg(test)]
mod tests {
    use super::mentions;
    use quote::quote;

    #[test]
    fn identifiers_and_format_strings_count_and_fields_do_not() {
        assert!(mentions(&quote!(f(&result.origin)), "result"));
        assert!(mentions(&quote!(..result.iter()), "result"));
        assert!(mentions(&quote!(map(|x| tag!("a:{result.x}"))), "result"));
        assert!(mentions(&quote!(format!("{result:?}")), "result"));
        assert!(!mentions(&quote!(self.result), "result"));
        assert!(!mentions(&quote!(tag!("{results}")), "result"));
        assert!(!mentions(&quote!("result"), "result"));
    }
}
