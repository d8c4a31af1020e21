//! The annotated function: what it takes, what it returns, and its body as tokens.

use proc_macro2::extra::DelimSpan;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::visit::Visit;
use syn::{
    Attribute, Block, Expr, FnArg, GenericArgument, Ident, Pat, PathArguments, Receiver, ReturnType, Signature, Stmt,
    Type, TypeParamBound, Visibility,
};

use crate::errors::Errors;

/// A function with a body. The statements stay tokens: they are the user's, and parsing them would
/// only cost time.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Body,
    pub(crate) form: Form,
    /// What awaiting the call gives.
    pub(crate) output: Type,
    pub(crate) params: Vec<Param>,
}

pub(crate) struct Body {
    pub(crate) statements: TokenStream,
    /// `#![allow(…)]` at the top of the body; they move up to the function.
    pub(crate) inner_attrs: Vec<Attribute>,
    /// Of the braces. Without it lints fall silent on the user's function.
    pub(crate) span: DelimSpan,
}

/// How the function is asynchronous.
pub(crate) enum Form {
    /// `async fn`.
    Async,
    /// `fn … -> Pin<Box<dyn Future>> { Box::pin(async move { … }) }`, or `-> BoxFuture<'_, T>`: by
    /// hand, or because `#[async_trait]` or `#[async_recursion]` ran first. Holds what is around
    /// the block.
    Boxed(Box<Boxing>),
    /// Neither: an error that `check` reports.
    Sync,
}

/// How a block of code becomes a boxed future.
pub(crate) enum Boxing {
    /// `Box::pin(…)`.
    Call(Expr),
    /// `(…).boxed()`.
    Method(Ident),
}

/// A parameter other than `self`.
pub(crate) struct Param {
    /// `#[cfg(…)]`: what is generated for the parameter is under the same condition.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
    /// The names that its pattern binds: the unit of the key.
    pub(crate) bindings: Vec<Ident>,
}

impl Param {
    /// The name, unless it is a pattern.
    pub(crate) fn name(&self) -> Option<&Ident> {
        match &self.pat {
            Pat::Ident(pat) if pat.subpat.is_none() => Some(&pat.ident),
            _ => None,
        }
    }

    /// An `Option`, by name.
    pub(crate) fn is_option(&self) -> bool {
        last_segment(&self.ty).is_some_and(|segment| segment.ident == "Option")
    }

    /// A shared reference, so that it can still be used after the body.
    pub(crate) fn is_shared_reference(&self) -> bool {
        matches!(peel_type(&self.ty), Type::Reference(reference) if reference.mutability.is_none())
    }

    pub(crate) fn is_impl_trait(&self) -> bool {
        struct Finder(bool);
        impl<'ast> Visit<'ast> for Finder {
            fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
                self.0 = true;
            }
        }
        let mut finder = Finder(false);
        finder.visit_type(&self.ty);
        finder.0
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let not_a_function =
            |error: syn::Error| syn::Error::new(error.span(), "this attribute wraps an `async fn`: put it on one");
        let sig: Signature = input.parse().map_err(not_a_function)?;
        let (statements, inner_attrs, span) = parse_body(input)?;
        let params = sig.inputs.iter().filter_map(param).collect();
        let output = match &sig.output {
            ReturnType::Default => unit_type(sig.ident.span()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        let mut function =
            Self { attrs, vis, body: Body { statements, inner_attrs, span }, form: Form::Sync, output, params, sig };
        if function.sig.asyncness.is_some() {
            function.form = Form::Async;
        } else if let Some((boxing, output, statements)) = see_through_boxed_future(&function) {
            function.form = Form::Boxed(Box::new(boxing));
            function.output = output;
            function.body.statements = statements;
        }
        Ok(function)
    }
}

impl Function {
    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.sig.receiver()
    }

    pub(crate) fn bindings(&self) -> impl Iterator<Item = &Ident> {
        self.params.iter().flat_map(|param| &param.bindings)
    }

    /// Every name a template may start with, `self` included.
    pub(crate) fn names(&self) -> Vec<Ident> {
        let this = self.receiver().map(|receiver| Ident::new("self", receiver.self_token.span));
        self.bindings().cloned().chain(this).collect()
    }

    /// `Result` or an alias of it, by name; the compiler then checks that it is one.
    pub(crate) fn returns_result(&self) -> bool {
        let Some(segment) = last_segment(&self.output) else { return false };
        let name = segment.ident.to_string();
        name == "Result" || (name.ends_with("Result") && matches!(segment.arguments, PathArguments::AngleBracketed(_)))
    }

    /// Returns an `impl Trait`, which has no name.
    pub(crate) fn returns_impl_trait(&self) -> bool {
        matches!(peel_type(&self.output), Type::ImplTrait(_))
    }

    /// Whether `#[async_trait]` made it: a method of a trait or of its implementation.
    pub(crate) fn is_of_async_trait(&self) -> bool {
        self.sig.generics.lifetimes().any(|param| param.lifetime.ident == "async_trait")
    }

    /// What is cached, as far as names tell.
    pub(crate) fn value_type(&self) -> Option<&Type> {
        if self.returns_result() { first_type_argument(&self.output) } else { Some(&self.output) }
    }

    /// What is to be cached is an `Option`, by name.
    pub(crate) fn value_is_option(&self) -> bool {
        self.value_type().and_then(last_segment).is_some_and(|segment| segment.ident == "Option")
    }

    /// Finds what no attribute can wrap.
    pub(crate) fn check(&self, attribute: &str, errors: &mut Errors) {
        if matches!(self.form, Form::Sync) {
            let message = match boxed_output(&self.output) {
                None => format!("`#[{attribute}]` needs an `async fn`: write `async fn {}`", self.sig.ident),
                Some(_) => format!(
                    "`#[{attribute}]` sees through a boxed future only where the body is nothing else: let it be \
                     `Box::pin(async move {{ … }})`, or write `async fn {}`",
                    self.sig.ident
                ),
            };
            errors.at(&self.sig.fn_token, message);
        }
        if !matches!(self.sig.safety, syn::Safety::Default) {
            let message =
                format!("`#[{attribute}]` cannot vouch for an unsafe function: put it on a safe one that calls it");
            errors.at(&self.sig.safety, message);
        }
        let others = ["cached", "invalidates", "write_through"];
        for attr in &self.attrs {
            let Some(last) = attr.path().segments.last() else { continue };
            let other = last.ident.to_string();
            if others.contains(&other.as_str()) && (attribute == "cached" || other == "cached") {
                let message = format!(
                    "`#[{attribute}]` and `#[{other}]` cannot share a function, for it would either read or \
                     write: split it in two"
                );
                errors.at(attr.path(), message);
            }
        }
    }
}

fn parse_body(input: ParseStream<'_>) -> syn::Result<(TokenStream, Vec<Attribute>, DelimSpan)> {
    let expected = |span| syn::Error::new(span, "the attribute wraps a body: put it on the implementation");
    let mut tree = input.parse::<TokenTree>().map_err(|_| expected(input.span()))?;
    loop {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let split =
                    |body: ParseStream<'_>| Ok((body.call(Attribute::parse_inner)?, body.parse::<TokenStream>()?));
                let (attrs, statements) = split.parse2(group.stream())?;
                return Ok((statements, attrs, group.delim_span()));
            }
            // A `$body:block` of `macro_rules` arrives in an invisible group.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                tree = group.stream().into_iter().next().ok_or_else(|| expected(group.span()))?;
            }
            other => return Err(expected(other.span())),
        }
    }
}

fn param(arg: &FnArg) -> Option<Param> {
    let FnArg::Typed(arg) = arg else { return None };
    struct BoundNames(Vec<Ident>);
    impl<'ast> Visit<'ast> for BoundNames {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            self.0.push(pat.ident.clone());
            syn::visit::visit_pat_ident(self, pat);
        }
        fn visit_expr(&mut self, _: &'ast Expr) {}
    }
    let mut bindings = BoundNames(Vec::new());
    bindings.visit_pat(&arg.pat);
    let cfgs = arg.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
    Some(Param { cfgs, pat: (*arg.pat).clone(), ty: (*arg.ty).clone(), bindings: bindings.0 })
}

/// The body and output behind `-> Pin<Box<dyn Future<Output = T>>> { Box::pin(async move { … }) }`.
fn see_through_boxed_future(function: &Function) -> Option<(Boxing, Type, TokenStream)> {
    let output = boxed_output(&function.output)?.clone();
    let body = function.body.statements.clone();
    let statements = Block::parse_within.parse2(body).ok()?;
    let [Stmt::Expr(expr, None)] = statements.as_slice() else { return None };
    let (boxing, future) = match expr {
        Expr::Call(call) if call.args.len() == 1 => (Boxing::Call((*call.func).clone()), call.args.first()?),
        Expr::MethodCall(call) if call.args.is_empty() => (Boxing::Method(call.method.clone()), &*call.receiver),
        _ => return None,
    };
    let Expr::Async(inner) = future else { return None };
    inner.capture?;
    let statements = inner.block.stmts.iter().map(ToTokens::to_token_stream).collect();
    Some((boxing, output, statements))
}

/// What a boxed future gives: the `T` of `Pin<Box<dyn Future<Output = T>>>` or `BoxFuture<'_, T>`.
fn boxed_output(ty: &Type) -> Option<&Type> {
    let name = &last_segment(ty)?.ident;
    if name == "BoxFuture" || name == "LocalBoxFuture" {
        return first_type_argument(ty);
    }
    let boxed = first_type_argument(ty).filter(|_| name == "Pin")?;
    let Type::TraitObject(object) = peel_type(first_type_argument(boxed)?) else { return None };
    object.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let segment = bound.path.segments.last()?;
        let PathArguments::AngleBracketed(args) = &segment.arguments else { return None };
        args.args.iter().find_map(|arg| match arg {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
            _ => None,
        })
    })
}

/// Without the invisible groups of `macro_rules`, and parentheses.
pub(crate) fn peel_type(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel_type(&group.elem),
        Type::Paren(paren) => peel_type(&paren.elem),
        other => other,
    }
}

pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match peel_type(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

pub(crate) fn first_type_argument(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(args) = &last_segment(ty)?.arguments else { return None };
    args.args.iter().find_map(|arg| match arg {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn unit_type(span: Span) -> Type {
    Type::Tuple(syn::TypeTuple { attrs: Vec::new(), paren_token: syn::token::Paren(span), elems: Default::default() })
}
