//! Lists of names: string templates, typed calls, spreads.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprCall, ExprLit, ExprPath, ExprRange, Ident, Lit, LitStr, PathArguments, RangeLimits, Token};

use crate::errors::Errors;
use crate::mentions::{mentions, spans_of};
use crate::options::{self, peel};
use crate::template::Template;

/// What the names in a list are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Key,
    Tag,
    Pattern,
}

/// One item of a list.
pub(crate) enum Item {
    Template(Template),
    /// `get_flight(id)`.
    Typed(TypedCall),
    /// The iterator behind `..`.
    Spread(Expr),
}

/// A call of a cached function that names an entry, as calls of its companion.
pub(crate) struct TypedCall {
    /// Gives the key.
    pub(crate) key: Expr,
    /// Gives the key with what is known of its cache. `None`: the user wrote `get_flight::key(id)`.
    pub(crate) target: Option<Expr>,
}

impl TypedCall {
    /// Whether its arguments mean the same where parameters are at hand by reference: places and
    /// literals, and no arithmetic with them.
    pub(crate) fn takes_references(&self) -> bool {
        let args = match &self.key {
            Expr::Call(call) => &call.args,
            Expr::MethodCall(call) => &call.args,
            _ => return false,
        };
        args.iter().all(|arg| match arg {
            Expr::Reference(reference) => {
                matches!(peel(&reference.expr), Expr::Path(_) | Expr::Field(_) | Expr::Lit(_))
            }
            _ => false,
        })
    }
}

/// Reads `= [item, …]`.
pub(crate) fn read_items(
    name: &Ident,
    kind: Kind,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<Vec<Item>> {
    let expr: Expr = options::value(name, input)?;
    let Expr::Array(array) = peel(&expr) else {
        return Err(syn::Error::new_spanned(&expr, format!("`{name}` is a list: `{name} = [\"…\"]`")));
    };
    let mut items = Vec::new();
    for elem in &array.elems {
        match Item::read(elem, kind, errors) {
            Ok(item) => items.push(item),
            Err(error) => errors.push(error),
        }
    }
    Ok(items)
}

impl Item {
    fn read(expr: &Expr, kind: Kind, errors: &mut Errors) -> syn::Result<Self> {
        match peel(expr) {
            Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Ok(Self::Template(Template::parse(literal, errors))),
            Expr::Range(ExprRange { start: None, limits: RangeLimits::HalfOpen(_), end: Some(iterator), .. }) => {
                Ok(Self::Spread((**iterator).clone()))
            }
            call @ (Expr::Call(_) | Expr::MethodCall(_)) if kind == Kind::Key => {
                let target = (!names_key(call)).then(|| companion_call(call, TARGET)).transpose()?;
                Ok(Self::Typed(TypedCall { key: companion_call(call, "key")?, target }))
            }
            call @ (Expr::Call(_) | Expr::MethodCall(_)) => Err(syn::Error::new_spanned(
                call,
                "a typed call names a key, and this list holds no keys: write it in `keys` or `depends_on`",
            )),
            other => Err(syn::Error::new_spanned(
                other,
                "a list holds string templates, typed calls such as `get_flight(id)`, and `..iterator`: write \
                 one of these",
            )),
        }
    }

    /// Where it mentions a name.
    pub(crate) fn spans_of(&self, name: &str) -> Vec<Span> {
        match self {
            Self::Template(template) => {
                template.placeholders().filter(|found| found.root == name).map(|found| found.root.span()).collect()
            }
            Self::Typed(TypedCall { key: expr, .. }) | Self::Spread(expr) => spans_of(expr, name),
        }
    }

    pub(crate) fn mentions(&self, name: &str) -> bool {
        match self {
            Self::Template(template) => template.mentions(name),
            Self::Typed(TypedCall { key: expr, .. }) | Self::Spread(expr) => mentions(expr, name),
        }
    }
}

/// Turns `f(id)` into the call of a function of its companion, such as `f::key(&id)`; arguments are
/// borrowed for the user.
///
/// Nothing can ask whether a path prefix is a module or a type: UpperCamel decides, and
/// `<T>::f(id)` is the way out.
pub(crate) fn companion_call(call: &Expr, function: &str) -> syn::Result<Expr> {
    match call {
        Expr::MethodCall(call) => {
            let mut call = call.clone();
            call.method = associated_name(&call.method, function);
            call.args = borrowed(&call.args);
            Ok(Expr::MethodCall(call))
        }
        Expr::Call(ExprCall { func, .. }) if !matches!(peel(func), Expr::Path(_)) => Err(syn::Error::new_spanned(
            func,
            "a typed call names a cached function by its path: write `get_flight(id)`, or spread an iterator with `..`",
        )),
        Expr::Call(call) => {
            let mut call = call.clone();
            let Expr::Path(path) = peel(&call.func) else { return Ok(Expr::Call(call)) };
            let mut path = path.clone();
            name_companion(&mut path, function);
            call.func = Box::new(Expr::Path(path));
            call.args = borrowed(&call.args);
            Ok(Expr::Call(call))
        }
        other => Ok(other.clone()),
    }
}

/// Whether the user named the companion's function: `get_flight::key(id)`, or a function of their
/// own.
fn names_key(call: &Expr) -> bool {
    let Expr::Call(call) = call else { return false };
    matches!(peel(&call.func), Expr::Path(path) if is_key_itself(path))
}

fn is_key_itself(path: &ExprPath) -> bool {
    let segments = &path.path.segments;
    path.qself.is_none()
        && !is_of_type(path)
        && segments.len() > 1
        && segments.last().is_some_and(|last| last.ident == "key")
}

/// Whether the path names a function of a type.
fn is_of_type(path: &ExprPath) -> bool {
    path.qself.is_some()
        || path.path.segments.iter().rev().nth(1).is_some_and(|owner| {
            let name = owner.ident.to_string();
            name.starts_with(char::is_uppercase) || !matches!(owner.arguments, PathArguments::None)
        })
}

fn name_companion(path: &mut ExprPath, function: &str) {
    let (is_of_type, is_key_itself) = (is_of_type(path), is_key_itself(path));
    let segments = &mut path.path.segments;
    let Some(last) = segments.last_mut() else { return };
    if is_of_type {
        last.ident = associated_name(&last.ident, function);
    } else if is_key_itself {
        last.ident = Ident::new(function, last.ident.span());
    } else {
        let arguments = std::mem::take(&mut last.arguments);
        let ident = Ident::new(function, last.ident.span());
        segments.push(syn::PathSegment { ident, arguments });
    }
}

/// `get_flight_key`, and of what is hidden `__get_flight_load`.
pub(crate) fn associated_name(function: &Ident, of_companion: &str) -> Ident {
    let name = function.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    let associated = match of_companion.strip_prefix("__") {
        None => format!("{name}_{of_companion}"),
        Some(hidden) => format!("__{name}_{hidden}"),
    };
    Ident::new(&associated, function.span())
}

/// The function of a companion that holds the body of the user's function.
pub(crate) const BODY: &str = "__load";

/// The function of a companion that hands its entry to a function that writes through.
pub(crate) const TARGET: &str = "__target";

fn borrowed(args: &Punctuated<Expr, Token![,]>) -> Punctuated<Expr, Token![,]> {
    let borrow = |arg: &Expr| match peel(arg) {
        Expr::Reference(_) => arg.clone(),
        _ => Expr::Reference(syn::ExprReference {
            attrs: Vec::new(),
            and_token: Token![&](arg.span()),
            mutability: None,
            expr: Box::new(arg.clone()),
        }),
    };
    args.iter().map(borrow).collect()
}

/// The rules for a prefix: it must not be able to reach into bookkeeping, or be mistaken for a
/// part.
pub(crate) fn check_prefix(prefix: &LitStr, errors: &mut Errors) {
    let text = prefix.value();
    let forbidden = text.chars().find(|c| [':', '{', '}'].contains(c) || c.is_whitespace() || c.is_control());
    if text.is_empty() {
        errors
            .at(prefix, "a prefix must not be empty: name the data, or leave `prefix` out to use the function's path");
    } else if text.starts_with('~') {
        errors
            .at(prefix, "a prefix must not start with `~`, which is reserved for bookkeeping: start it with a letter");
    } else if let Some(forbidden) = forbidden {
        let shown = forbidden.escape_debug();
        errors.at(prefix, format!("a prefix must not contain `{shown}`: use letters, digits, `_`, `-`, `.` or `/`"));
    }
}
