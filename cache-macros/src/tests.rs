//! Rules that hold for all generated code, shown on functions that make use of every option.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::LitStr;
use syn::visit::Visit;

use crate::cache_context::cache_context;
use crate::cacheable::cacheable;
use crate::cached::cached;
use crate::errors::Errors;
use crate::invalidates::invalidates;
use crate::template::{Piece, Template};
use crate::write_through::write_through;

/// Every name that a pattern binds, parameters included.
fn bound_names(tokens: &TokenStream) -> Vec<String> {
    struct Bound(Vec<String>);
    impl<'ast> Visit<'ast> for Bound {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            self.0.push(pat.ident.to_string());
            syn::visit::visit_pat_ident(self, pat);
        }
    }
    let items: syn::File = syn::parse2(tokens.clone()).unwrap_or_else(|error| panic!("{error}:\n{tokens}"));
    let mut bound = Bound(Vec::new());
    bound.visit_file(&items);
    bound.0
}

/// What is written of the function's names and what is generated.
fn functions() -> Vec<(TokenStream, TokenStream)> {
    let plain = quote!(
        async fn get(db: &Db, id: u64, (a, b): (String, u8)) -> Flight {
            body
        }
    );
    let fallible = quote!(
        async fn get(db: &Db, id: u64, name: String) -> Result<Option<Flight>, Error> {
            body
        }
    );
    let batch = quote!(
        async fn get(db: &Db, ids: &[u64], mut name: String) -> Result<HashMap<u64, Flight>, Error> {
            body
        }
    );
    let names = quote!(
        tags = ["all", "{id}", "{name}:{result.a}", ..result.tags(name)],
        depends_on = [other(id, name), other(result.a, name)]
    );
    let wrapped = |attribute: fn(TokenStream, TokenStream) -> TokenStream, options, function: &TokenStream| {
        (function.clone(), attribute(options, function.clone()))
    };
    vec![
        wrapped(cached, quote!(ttl = "60s", skip(db)), &plain),
        wrapped(cached, quote!(ttl = time(id), when = |name| name.ok(), skip(db), #names), &fallible),
        wrapped(cached, quote!(class = "c", key = "{id}", skip(db, name), cache = db.cache, #names), &fallible),
        wrapped(cached, quote!(ttl = "60s", companion = none, skip(db), stale_if_error = "1h"), &fallible),
        wrapped(cached, quote!(ttl = "60s", skip(db), stale_while_revalidate = "1h", #names), &fallible),
        wrapped(cached, quote!(ttl = "60s", skip(db), each = ids, tags = ["{ids}", "{result.a}"]), &batch),
        wrapped(cached, quote!(ttl = "60s", context = db, #names), &fallible),
        wrapped(cached, quote!(ttl = "60s", context = db, early_refresh, depends_on = [other(result.a)]), &fallible),
        wrapped(invalidates, quote!(keys = [other(id), other(result.a)], context = a), &plain),
        wrapped(write_through, quote!(other(id), context = db), &fallible),
        wrapped(invalidates, quote!(keys = [other(id)], patterns = ["x:{id}"], tags = ["{result.a}"]), &fallible),
        wrapped(invalidates, quote!(keys = [other(result.a, name)], when = always), &fallible),
        wrapped(invalidates, quote!(tags = ["{a}", "{b}:{result.a}"], cache = db.cache), &plain),
        wrapped(write_through, quote!(other(id)), &fallible),
        wrapped(write_through, quote!(other(id), cache = db.cache), &plain),
    ]
}

/// Whatever is in scope where a function is written: a `const load` would make a pattern of `let
/// load`.
#[test]
fn names_of_ours_are_none_that_a_user_gives() {
    let ty = quote!(
        #[cacheable(ttl = "1h", tags = ["{self.a}", ..self.tags()])]
        struct Flight {
            a: u64,
        }
    );
    let derived = (ty.clone(), cacheable(ty));
    let context = quote!(
        struct App(#[cache] Shared, Cache);
    );
    let derived = [derived, (context.clone(), cache_context(context))];
    for (written, generated) in functions().into_iter().chain(derived) {
        let theirs = bound_names(&written);
        let ours = bound_names(&generated).into_iter().filter(|name| !theirs.contains(name) && name != "result");
        let reachable: Vec<String> = ours.filter(|name| !name.starts_with("__")).collect();
        assert!(reachable.is_empty(), "{reachable:?} in\n{generated}");
    }
}

/// The pieces of a template as text again, and whether it has mistakes.
fn pieces_of(text: &str) -> (String, bool) {
    let mut errors = Errors::default();
    let template = Template::parse(&LitStr::new(text, Span::call_site()), &mut errors);
    let pieces = template.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Piece::Placeholder(placeholder) => format!("{{{}}}", placeholder.expr.to_token_stream()),
    });
    (pieces.collect(), errors.finish().is_err())
}

/// Any text is taken for what it says, or refused.
#[test]
fn a_template_of_any_text_is_read_as_it_stands_or_refused() {
    const PARTS: [&str; 19] = [
        "{", "}", "{{", "}}", "{a}", "{a.b}", "{self.c}", "user:", ":", "~", "\n", " ", "{a:?}", "{}", "{(", "\"", "ë",
        "\u{0}", ")",
    ];
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..20_000_u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let text: String = (0..random.usize(..7)).map(|_| PARTS[random.usize(..PARTS.len())]).collect();
        match pieces_of(&text) {
            (_, true) => refused += 1,
            (read, false) => {
                assert_eq!(read.replace(' ', ""), text.replace(' ', ""));
                taken += 1;
            }
        }
    }
    assert!(taken > 1_000 && refused > 1_000, "{taken} taken, {refused} refused");
}
