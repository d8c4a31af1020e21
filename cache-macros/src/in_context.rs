//! `#[in_context]`: has every function of a module, or of an `impl`, use the cache of one context.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, ImplItem, Item, Meta, Token, TraitItem, Type};

use crate::context::Context;
use crate::errors::Errors;
use crate::fallback;
use crate::options;
use crate::signature::{Function, last_segment, peel_type};

/// `tenant: Tenant`.
struct SharedContext {
    name: Ident,
    ty: Type,
}

impl Parse for SharedContext {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let form = |error: syn::Error| {
            let message = "`in_context` names the parameter and its type: `#[in_context(tenant: Tenant)]`";
            syn::Error::new(error.span(), message)
        };
        let name = input.call(Ident::parse_any).map_err(form)?;
        input.parse::<Token![:]>().map_err(form)?;
        let ty = input.parse().map_err(form)?;
        input.parse::<Option<Token![,]>>()?;
        match input.is_empty() {
            true => Ok(Self { name, ty }),
            false => Err(form(input.error(""))),
        }
    }
}

pub(crate) fn in_context(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let (wanted, parsed) = (errors.keep(syn::parse2(options)), errors.keep(syn::parse2(item.clone())));
    let (Some(wanted), Some(mut parsed)) = (wanted, parsed) else { return fallback::unchanged(item, errors) };
    Walk { wanted: &wanted, errors: &mut errors }.outermost(&mut parsed);
    fallback::unchanged(parsed.into_token_stream(), errors)
}

struct Walk<'a> {
    wanted: &'a SharedContext,
    errors: &'a mut Errors,
}

impl Walk<'_> {
    fn outermost(&mut self, item: &mut Item) {
        match item {
            Item::Mod(module) if module.content.is_some() => self.item(item),
            Item::Impl(_) | Item::Trait(_) => self.item(item),
            other => self.errors.at(
                other,
                "`#[in_context]` is for many functions: put it on a `mod` with its body, an `impl` or a `trait`; a \
                 single function says `context = …` itself",
            ),
        }
    }

    fn item(&mut self, item: &mut Item) {
        match item {
            Item::Fn(function) => {
                let tokens = function.to_token_stream();
                self.function(&mut function.attrs, tokens, None);
            }
            Item::Mod(module) => {
                module.content.iter_mut().flat_map(|(_, items)| items).for_each(|item| self.item(item))
            }
            Item::Impl(block) => {
                for item in &mut block.items {
                    if let ImplItem::Fn(function) = item {
                        let tokens = function.to_token_stream();
                        self.function(&mut function.attrs, tokens, Some(&block.self_ty));
                    }
                }
            }
            Item::Trait(block) => {
                for item in &mut block.items {
                    if let TraitItem::Fn(function) = item
                        && function.default.is_some()
                    {
                        let tokens = function.to_token_stream();
                        self.function(&mut function.attrs, tokens, None);
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds the option `context` to the cache's attributes of a function.
    fn function(&mut self, attrs: &mut [Attribute], tokens: TokenStream, this: Option<&Type>) {
        let mut ours: Vec<&mut Attribute> = attrs.iter_mut().filter(|attr| is_ours(attr)).collect();
        if ours.is_empty() {
            return;
        }
        // What is wrong with the function itself, its own attribute says.
        let Ok(function) = syn::parse2::<Function>(tokens) else { return };
        let SharedContext { name, .. } = self.wanted;
        if !function.names().iter().any(|known| known.unraw() == name.unraw()) {
            let message = format!(
                "this function is not given the `{}` of its module, so its entries would be those of all: {way_out}, \
                 or move it out of the module",
                name.unraw(),
                way_out = self.way_out()
            );
            self.errors.at(&function.sig.ident, message);
            return;
        }
        self.check_type(&function, this);
        for attr in &mut ours {
            self.add_to(attr);
        }
    }

    fn check_type(&mut self, function: &Function, this: Option<&Type>) {
        let SharedContext { name, ty } = self.wanted;
        let shown = spelled(ty);
        let context = Context::of(Some(name), None, function, self.errors);
        let of_self = |given: &Type| last_segment(given).is_some_and(|segment| segment.ident == "Self");
        let given = context.as_ref().and_then(Context::ty);
        let given = given.map(|given| this.filter(|_| of_self(given)).map_or(given, peel_type));
        if given.is_some_and(|given| spelled(given) == shown) {
            return;
        }
        let way_out = self.way_out();
        let message = format!("the functions of this module share a context of the type `{shown}`: {way_out}");
        match given.filter(|_| name != "self") {
            Some(given) => self.errors.at(given, message),
            None => self.errors.at(&function.sig.ident, message),
        }
    }

    fn way_out(&self) -> String {
        match &self.wanted.name {
            this if this == "self" => format!("take `&self`, in an `impl` of `{}`", spelled(&self.wanted.ty)),
            name => format!("take `{}: &{}`", name.unraw(), spelled(&self.wanted.ty)),
        }
    }

    fn add_to(&mut self, attr: &mut Attribute) {
        let name = &self.wanted.name;
        let written = match &attr.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => TokenStream::new(),
        };
        let own = ["context", "cache"].into_iter().find(|option| options::give(&written, option));
        if let Some(own) = own {
            let message = format!(
                "every function of this module uses the cache of its `{}`: leave out `{own}`, or move it out of the \
                 module",
                name.unraw()
            );
            self.errors.at(&attr.meta, message);
            return;
        }
        let path = attr.path();
        let comma = written.clone().into_iter().last().filter(|last| !is_comma(last)).map(|_| <Token![,]>::default());
        let meta = quote_spanned!(name.span() => #path(#written #comma context = #name));
        if let Some(meta) = self.errors.keep(syn::parse2(meta)) {
            attr.meta = meta;
        }
    }
}

fn is_comma(token: &proc_macro2::TokenTree) -> bool {
    matches!(token, proc_macro2::TokenTree::Punct(mark) if mark.as_char() == ',')
}

/// One of the attributes that say which cache they use, by the name it has in this crate.
fn is_ours(attr: &Attribute) -> bool {
    let last = attr.path().segments.last();
    last.is_some_and(|last| ["cached", "invalidates", "write_through"].iter().any(|ours| last.ident == ours))
}

/// A type as people write it.
fn spelled(ty: &Type) -> String {
    let tokens = peel_type(ty).to_token_stream().to_string();
    tokens.replace(" :: ", "::").replace(" < ", "<").replace(" >", ">")
}
