//! `"airport:{result.origin}"`: text and placeholders.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr};

use crate::errors::{Errors, listed, nearest};

/// A name with placeholders. Placeholders are encoded like key parameters, so that no value can
/// forge a separator.
#[derive(Clone)]
pub(crate) struct Template {
    pub(crate) literal: LitStr,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone)]
pub(crate) enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

/// A name followed by fields and method calls.
#[derive(Clone)]
pub(crate) struct Placeholder {
    /// What it starts with: a parameter, `self` or `result`.
    pub(crate) root: Ident,
    pub(crate) expr: Expr,
}

impl Template {
    /// Splits the literal; reports all its mistakes and goes on with what is right.
    pub(crate) fn parse(literal: &LitStr, errors: &mut Errors) -> Self {
        let value = literal.value();
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = value.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                errors.at(literal, "`}` closes nothing: write `}}` for a brace that is text");
                continue;
            }
            let Some(end) = closing_brace(rest) else {
                errors.at(literal, "`{` is never closed: write `{{` for a brace that is text");
                rest = "";
                break;
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            if let Some(placeholder) = errors.keep(Placeholder::parse(&rest[..end], literal)) {
                pieces.push(Piece::Placeholder(placeholder));
            }
            rest = &rest[end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if value.is_empty() {
            errors.at(literal, "a name must not be empty: write text, placeholders or both");
        } else if value.starts_with('~') {
            errors.at(literal, "a name must not start with `~`, which is reserved: start it with a letter");
        } else if value.chars().any(char::is_control) {
            errors.at(literal, "a name must not contain control characters: remove them");
        }
        Self { literal: literal.clone(), pieces }
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Placeholder(placeholder) => Some(placeholder),
        })
    }

    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.placeholders().any(|placeholder| placeholder.root == name)
    }

    /// Every placeholder starts with one of these; each then resolves like the parameter it names,
    /// whatever macro the literal came from.
    pub(crate) fn resolve(&mut self, known: &[Ident], errors: &mut Errors) {
        for piece in &mut self.pieces {
            let Piece::Placeholder(placeholder) = piece else { continue };
            match known.iter().find(|known| **known == placeholder.root) {
                Some(known) => placeholder.resolve_at(known.span()),
                None => errors.at(&self.literal, unknown_placeholder(&placeholder.root, known)),
            }
        }
    }

    /// In a key, two neighbouring placeholders need a `:` between them, which no encoded part can
    /// contain.
    pub(crate) fn check_injective(&self, errors: &mut Errors) {
        let mut separated = true;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => separated |= text.contains(':'),
                Piece::Placeholder(_) if !separated => {
                    errors.at(
                        &self.literal,
                        "two placeholders of a key need a `:` between them, for (\"a-b\", \"c\") and (\"a\", \
                         \"b-c\") would share an entry: write `{a}:{b}`",
                    );
                    return;
                }
                Piece::Placeholder(_) => separated = false,
            }
        }
    }
}

fn unknown_placeholder(root: &Ident, known: &[Ident]) -> String {
    let names: Vec<String> = known.iter().map(Ident::to_string).collect();
    if names == ["self"] {
        return format!("unknown placeholder `{{{root}}}`: write `{{self.{root}}}`");
    }
    let meant = nearest(&root.to_string(), names.iter().map(String::as_str));
    let meant = meant.map_or(String::new(), |meant| format!("did you mean `{{{meant}}}`? "));
    if names.is_empty() {
        format!("unknown placeholder `{{{root}}}`: the function has no parameters to name")
    } else {
        format!("unknown placeholder `{{{root}}}`: {meant}known here: {}", listed(names))
    }
}

/// The end of a placeholder: braces cannot nest, for blocks are not allowed inside.
fn closing_brace(rest: &str) -> Option<usize> {
    rest.find(['{', '}']).filter(|at| rest[*at..].starts_with('}'))
}

impl Placeholder {
    fn parse(source: &str, literal: &LitStr) -> syn::Result<Self> {
        let fail = |message: String| syn::Error::new_spanned(literal, message);
        if source.trim().is_empty() {
            return Err(fail("an empty placeholder names nothing: write `{parameter}`".to_owned()));
        }
        if has_format_spec(source) {
            return Err(fail(format!(
                "`{{{source}}}` has a format, but placeholders are encoded like key parameters: remove what \
                 follows the `:`"
            )));
        }
        let located = LitStr::new(source, literal.span());
        let form = || {
            fail(format!(
                "`{{{source}}}` is not a placeholder: write a parameter with fields and method calls, `{{user.id}}`"
            ))
        };
        let expr: Expr = located.parse().map_err(|_| form())?;
        let root = root_of(&expr).ok_or_else(form)?.clone();
        Ok(Self { root, expr })
    }

    fn resolve_at(&mut self, span: Span) {
        if let Some(root) = root_of_mut(&mut self.expr) {
            root.set_span(root.span().resolved_at(span));
            self.root = root.clone();
        }
    }

    /// Whether it is a name, with neither fields nor calls.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.expr, Expr::Path(_))
    }

    pub(crate) fn span(&self) -> Span {
        self.expr.span()
    }
}

/// A single `:` (paths are not placeholders either, but get the other message).
fn has_format_spec(source: &str) -> bool {
    source.replace("::", "").contains(':')
}

fn root_of(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
        Expr::Field(field) => root_of(&field.base),
        Expr::MethodCall(call) if call.args.iter().all(|arg| matches!(arg, Expr::Lit(_))) => root_of(&call.receiver),
        _ => None,
    }
}

fn root_of_mut(expr: &mut Expr) -> Option<&mut Ident> {
    match expr {
        Expr::Path(path) => path.path.segments.first_mut().map(|segment| &mut segment.ident),
        Expr::Field(field) => root_of_mut(&mut field.base),
        Expr::MethodCall(call) => root_of_mut(&mut call.receiver),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let mut errors = Errors::default();
        let template = Template::parse(&LitStr::new(text, Span::call_site()), &mut errors);
        template.check_injective(&mut errors);
        errors.finish().map_err(|errors| errors.to_string())?;
        let shown = template.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => format!("[{text}]"),
            Piece::Placeholder(placeholder) => format!("<{}>", placeholder.root),
        });
        Ok(shown.collect())
    }

    #[test]
    fn text_and_placeholders_alternate_and_doubled_braces_are_text() {
        assert_eq!(parse("a:{b}:{c.d}:{e.f(1).g}").unwrap(), "[a:]<b>[:]<c>[:]<e>");
        assert_eq!(parse("{{x}}:{y}").unwrap(), "[{x}:]<y>");
        assert_eq!(parse("{self.0}").unwrap(), "<self>");
        assert_eq!(parse("all").unwrap(), "[all]");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "", "~a", "a\n", "{", "}", "{}", "{a:?}", "{a + b}", "{a::b}", "{f(a)}", "{a}{b}", "{a}-{b}", "{{a}",
            "{a.b(c)}",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
