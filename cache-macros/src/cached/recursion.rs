//! Whether a body calls the function that it is the body of.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

/// Where it does so by its own name: `name(…)`, or for an associated function `self.name(…)` and `Self::name(…)`. A call by
/// another path is left to the compiler.
pub(super) fn call_of_itself(body: &TokenStream, name: &Ident, is_associated: bool) -> Option<Span> {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut calls = tokens.iter().enumerate().filter_map(|(at, token)| match token {
        TokenTree::Group(group) => call_of_itself(&group.stream(), name, is_associated),
        TokenTree::Ident(ident) if ident == name && is_called(&tokens[at + 1..]) => {
            let is_it = match &tokens[..at] {
                [.., this, dot] if is_punct(dot, '.') => is_associated && is_ident(this, "self"),
                [.., path, colon, another] if is_punct(colon, ':') && is_punct(another, ':') => {
                    is_associated && is_ident(path, "Self")
                }
                [.., keyword] if is_ident(keyword, "fn") => false,
                _ => !is_associated,
            };
            is_it.then(|| ident.span())
        }
        _ => None,
    });
    calls.next()
}

fn is_called(rest: &[TokenTree]) -> bool {
    matches!(rest.first(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(token) if token.as_char() == punct)
}

#[cfg(test)]
mod tests {
    use quote::{format_ident, quote};

    use super::*;

    #[track_caller]
    fn check(body: TokenStream, of_a_function: bool, of_a_method: bool) {
        let calls = |is_associated| call_of_itself(&body, &format_ident!("depth"), is_associated).is_some();
        assert_eq!((calls(false), calls(true)), (of_a_function, of_a_method), "{body}");
    }

    #[test]
    fn a_call_by_its_own_name_is_one() {
        check(quote!(depth(1)), true, false);
        check(
            quote!(if id > 0 {
                Box::pin(depth(id - 1)).await
            }),
            true,
            false,
        );
        check(quote!(Leaf { depth: depth(1) }), true, false);
        check(quote!(self.depth(1)), false, true);
        check(quote!(join!(Self::depth(self, 1))), false, true);
    }

    #[test]
    fn calls_of_others_and_mentions_are_none() {
        check(quote!(tree.depth(1) + trees::depth(1)), false, false);
        check(
            quote!(
                fn depth(id: u64) {}
            ),
            false,
            false,
        );
        check(quote!(let depth = self.depth + (1);), false, false);
        check(quote!(Self::depths(1) + self.depth_of(1)), false, false);
    }
}
