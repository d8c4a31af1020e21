//! Whether a body calls the function that it is the body of.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

/// Where the body calls its function by name: `name(…)`, or for an associated function
/// `self.name(…)` and `Self::name(…)`. A call by another path is left to the compiler. So is the
/// name of a free function that means something else in the body.
pub(super) fn call_of_itself(body: &TokenStream, name: &Ident, is_associated: bool) -> Option<Span> {
    if !is_associated && means_something_else(body, name) {
        return None;
    }
    find(body, &|before, ident, after| {
        let is_it = match before {
            [.., this, dot] if is_punct(dot, '.') => is_associated && is_ident(this, "self"),
            [.., path, colon, another] if is_punct(colon, ':') && is_punct(another, ':') => {
                is_associated && is_ident(path, "Self")
            }
            [.., keyword] if is_ident(keyword, "fn") => false,
            _ => !is_associated,
        };
        is_it && ident == name && is_called(after)
    })
}

/// Whether the body declares or imports a thing of this name, or handles one as a value.
fn means_something_else(body: &TokenStream, name: &Ident) -> bool {
    let other = find(body, &|before, ident, after| {
        let is_declared = match before {
            [.., word] if ["fn", "let", "mut", "as"].iter().any(|keyword| is_ident(word, keyword)) => true,
            [.., colon, another] if is_punct(colon, ':') && is_punct(another, ':') => !is_called(after),
            [] => is_end(after),
            [.., bar] if is_punct(bar, '|') => !is_called(after),
            [.., token] => is_punct(token, ',') && is_end(after),
        };
        ident == name && is_declared
    });
    other.is_some()
}

/// Whether an identifier is wanted, given what is before and after it in its group.
type Wanted<'a> = dyn Fn(&[TokenTree], &Ident, &[TokenTree]) -> bool + 'a;

fn find(body: &TokenStream, wanted: &Wanted<'_>) -> Option<Span> {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    tokens.iter().enumerate().find_map(|(at, token)| match token {
        TokenTree::Group(group) => find(&group.stream(), wanted),
        TokenTree::Ident(ident) => wanted(&tokens[..at], ident, &tokens[at + 1..]).then(|| ident.span()),
        _ => None,
    })
}

fn is_end(rest: &[TokenTree]) -> bool {
    rest.first().is_none_or(|token| is_punct(token, ','))
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
        check(quote!(self.depth; depth(1)), true, false);
        check(quote!(Self::depths(1) + self.depth_of(1)), false, false);
    }

    #[test]
    fn a_name_that_means_something_else_is_left_to_the_compiler() {
        for body in [
            quote!(use crate::trees::depth;, depth(1)),
            quote!(use crate::trees::{depth, height};, depth(1)),
            quote!(use crate::trees::deep as depth;, depth(1)),
            quote!(let mut depth = |id| id; depth(1)),
            quote!({ fn depth(id: u64) {} } depth(1)),
            quote!(ids.map(|depth| depth(1))),
            quote!(with(ids, depth); depth(1)),
        ] {
            check(body, false, false);
        }
    }
}
