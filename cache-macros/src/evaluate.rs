//! When and how the items of a list become names.
//!
//! What needs only parameters is evaluated before the body, which may move them. What needs the
//! result comes after it; parameters that it also needs are encoded or cloned before.

mod sink;
mod typed;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Expr};

pub(crate) use self::sink::Sink;
use crate::context::Context;
use crate::errors::Errors;
use crate::names::{Item, Kind};
use crate::signature::{Function, Param};
use crate::template::{Piece, Placeholder, Template};
use crate::wrapper;

/// Gives the placeholders of all templates the hygiene of what they name: a parameter, `self`, or
/// `result`.
pub(crate) fn resolve_items<'a>(function: &Function, items: impl Iterator<Item = &'a mut Item>, errors: &mut Errors) {
    let mut known = function.names();
    known.retain(|name| name != "result");
    known.push(Ident::new("result", Span::mixed_site()));
    for item in items {
        if let Item::Template(template) = item {
            template.resolve(&known, errors);
        }
    }
}

/// What an item needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Parameters,
    Result,
    Both,
}

/// Where the names of the lists go, and what typed calls name has to be as well.
#[derive(Clone, Copy)]
enum Home<'a> {
    /// Of the cache nothing is known.
    Anywhere,
    /// The cache of functions that name none.
    Installed,
    /// The cache that this brings.
    Context(&'a Context),
}

/// Generates the statements for lists of names.
pub(crate) struct Evaluator<'a> {
    private: &'a TokenStream,
    sink: Sink,
    /// Everything but `result` that items may mention.
    names: Vec<String>,
    /// What the body may move away, which a shared reference is not: each binding, and the
    /// conditions of its parameter.
    owned: Vec<(Ident, Vec<Attribute>)>,
    value_is_option: bool,
    /// Parameters that are an `Option`.
    options: Vec<Ident>,
    /// Parameters are at hand by reference.
    is_borrowed: bool,
    home: Home<'a>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn of_function(function: &Function, private: &'a TokenStream, sink: Sink) -> Self {
        let owned = function.params.iter().filter(|param| !param.is_shared_reference());
        Self {
            private,
            sink,
            names: function.names().iter().map(Ident::to_string).filter(|name| name != "result").collect(),
            owned: owned
                .flat_map(|param| param.bindings.iter().map(|binding| (binding.clone(), param.cfgs.clone())))
                .collect(),
            value_is_option: function.value_is_option(),
            options: function
                .params
                .iter()
                .filter(|param| param.is_option())
                .filter_map(Param::name)
                .cloned()
                .collect(),
            is_borrowed: false,
            home: Home::Anywhere,
        }
    }

    /// In a companion, which takes parameters by reference.
    pub(crate) fn borrowed(self) -> Self {
        Self { is_borrowed: true, ..self }
    }

    /// With a check that no typed call names an entry of another cache, as far as the attribute
    /// says in which cache it is.
    pub(crate) fn in_cache(self, cache: Option<&Expr>, context: Option<&'a Context>) -> Self {
        let home = match (context, cache) {
            (Some(context), _) => Home::Context(context),
            (None, Some(_)) => Home::Anywhere,
            (None, None) => Home::Installed,
        };
        Self { home, ..self }
    }

    /// Of a type, whose items mention `self` alone.
    pub(crate) fn of_type(private: &'a TokenStream) -> Self {
        Self {
            private,
            sink: Sink::Tags,
            names: Vec::new(),
            owned: Vec::new(),
            value_is_option: false,
            options: Vec::new(),
            is_borrowed: false,
            home: Home::Anywhere,
        }
    }

    /// Whether the item can be evaluated before the body.
    pub(crate) fn is_known_before(&self, item: &Item) -> bool {
        self.needs(item) == Needs::Parameters
    }

    fn needs(&self, item: &Item) -> Needs {
        if !item.mentions("result") {
            return Needs::Parameters;
        }
        if self.names.iter().any(|name| item.mentions(name)) { Needs::Both } else { Needs::Result }
    }

    /// [`kept`](Self::kept), and [`known`](Self::known).
    pub(crate) fn before(&self, target: &Ident, items: &[(Kind, &Item)]) -> TokenStream {
        let (kept, known) = (self.kept(items, None), self.known(target, items));
        quote!(#kept #known)
    }

    /// Adds the items that need only parameters to `target`.
    pub(crate) fn known(&self, target: &Ident, items: &[(Kind, &Item)]) -> TokenStream {
        let known = items.iter().filter(|(_, item)| self.needs(item) == Needs::Parameters);
        known.map(|(kind, item)| self.add(target, *kind, item, &mut |_| None)).collect()
    }

    /// Keeps in locals what the other items need of the parameters. If there is a local `wanted`,
    /// nothing is encoded unless that is true.
    pub(crate) fn kept(&self, items: &[(Kind, &Item)], wanted: Option<&Ident>) -> TokenStream {
        let private = self.private;
        let both = items.iter().enumerate().filter(|(_, (_, item))| self.needs(item) == Needs::Both);
        let statements = both.map(|(at, (kind, item))| match item {
            Item::Template(template) => {
                let parts = self.captured_placeholders(template).enumerate().map(|(n, placeholder)| {
                    let (local, part) = (part_local(at, n), self.part(*kind, placeholder));
                    let part = match wanted {
                        Some(wanted) => quote_spanned! { Span::mixed_site() =>
                            if #wanted { #part } else { #private::Part::none() }
                        },
                        None => part,
                    };
                    quote_spanned!(Span::mixed_site() => let #local = #part;)
                });
                parts.collect::<TokenStream>()
            }
            Item::Typed(_) | Item::Spread(_) => self
                .captured_parameters(item)
                .into_iter()
                .map(|(name, cfgs)| {
                    let local = clone_local(at, name);
                    quote_spanned!(name.span() => #(#cfgs)* let #local = ::core::clone::Clone::clone(&#name);)
                })
                .collect(),
        });
        let context = self.context_before(items);
        context.into_iter().chain(statements).collect()
    }

    /// Adds the items that need the result; `value` is a reference to it.
    pub(crate) fn after(&self, target: &Ident, value: &Ident, items: &[(Kind, &Item)]) -> TokenStream {
        let statements = items.iter().enumerate().map(|(at, (kind, item))| {
            if self.needs(item) == Needs::Parameters {
                return TokenStream::new();
            }
            let mut n = 0;
            let add = self.add(target, *kind, item, &mut |_| {
                n += 1;
                let local = part_local(at, n - 1);
                Some(quote!(&#local))
            });
            let clones = match item {
                Item::Template(_) => Vec::new(),
                Item::Typed(_) | Item::Spread(_) => self.captured_parameters(item),
            };
            let clones = clones.iter().map(|(name, cfgs)| {
                let local = clone_local(at, name);
                let rebound = wrapper::rebound(cfgs, &quote!(#name), &quote!(#local));
                // A closure of the item may have a parameter of this name, and mean that.
                quote!(#[allow(unused_variables)] #rebound)
            });
            self.with_result(item, value, &quote!(#(#clones)* #add))
        });
        statements.collect()
    }

    /// As [`after`](Self::after), for a companion, which has the encoded parameters alone: in
    /// `captured`, in order.
    pub(crate) fn declared(
        &self,
        target: &Ident,
        captured: &Ident,
        value: &Ident,
        items: &[(Kind, &Item)],
    ) -> TokenStream {
        let mut n = 0usize;
        let statements = items.iter().map(|(kind, item)| match (self.needs(item), item) {
            (Needs::Parameters, _) => TokenStream::new(),
            // A function pointer cannot carry values of the user's types. The companion then stores
            // nothing: see `needs_live_parameters`.
            (Needs::Both, Item::Typed(_) | Item::Spread(_)) => TokenStream::new(),
            _ => {
                let add = self.add(target, *kind, item, &mut |_| {
                    n += 1;
                    let at = n - 1;
                    Some(quote_spanned!(Span::mixed_site() => #captured.at(#at)))
                });
                self.with_result(item, value, &add)
            }
        });
        statements.collect()
    }

    /// `.part(…)` for everything that [`declared`](Self::declared) finds in `captured`.
    pub(crate) fn captured_parts(&self, items: &[(Kind, &Item)]) -> TokenStream {
        let both = items.iter().filter(|(_, item)| self.needs(item) == Needs::Both);
        let templates = both.filter_map(|(kind, item)| match item {
            Item::Template(template) => Some((*kind, template)),
            Item::Typed(_) | Item::Spread(_) => None,
        });
        let parts = templates.flat_map(|(kind, template)| {
            self.captured_placeholders(template).map(move |placeholder| {
                let part = self.part(kind, placeholder);
                quote_spanned!(Span::mixed_site() => .part(#part))
            })
        });
        parts.collect()
    }

    /// Whether [`declared`](Self::declared) has to leave the item out.
    pub(crate) fn needs_live_parameters(&self, item: &Item) -> bool {
        !matches!(item, Item::Template(_)) && self.needs(item) == Needs::Both
    }

    /// Names the value `result`, once for each hygiene under which the item spells it. Of an
    /// `Option`, templates and typed calls see the value inside, and `None` adds nothing.
    fn with_result(&self, item: &Item, value: &Ident, add: &TokenStream) -> TokenStream {
        let results = item.spans_of("result").into_iter().map(|span| Ident::new("result", span));
        let body = quote_spanned! { Span::mixed_site() =>
            #( #[allow(unused_variables)] let #results = #value; )*
            #add
        };
        if self.value_is_option && !matches!(item, Item::Spread(_)) {
            quote_spanned!(Span::mixed_site() => if let ::core::option::Option::Some(#value) = #value { #body })
        } else {
            quote_spanned!(Span::mixed_site() => { #body })
        }
    }

    fn add(
        &self,
        target: &Ident,
        kind: Kind,
        item: &Item,
        captured: &mut dyn FnMut(&Placeholder) -> Option<TokenStream>,
    ) -> TokenStream {
        match item {
            Item::Template(template) => {
                let needs_both = self.needs(item) == Needs::Both;
                let text = self.template(kind, template, &mut |placeholder| {
                    (needs_both && placeholder.root != "result").then(|| captured(placeholder)).flatten()
                });
                let span = template.literal.span();
                match kind {
                    Kind::Key => self.sink.add(self.private, target, kind, &quote!(#text.finish_key()), span),
                    Kind::Tag => self.sink.add(self.private, target, kind, &quote!(#text.finish_tag()), span),
                    Kind::Pattern => {
                        let pattern = Ident::new("__pattern", Span::mixed_site());
                        let add = self.sink.add(self.private, target, kind, &quote!(#pattern), span);
                        quote!(if let ::core::option::Option::Some(#pattern) = #text.finish_pattern() { #add })
                    }
                }
            }
            Item::Typed(call) => self.add_typed(target, kind, call),
            Item::Spread(iterator) => self.sink.add_all(self.private, target, kind, iterator),
        }
    }

    /// `Template::of_key().text(…).part(…)`.
    fn template(
        &self,
        kind: Kind,
        template: &Template,
        captured: &mut dyn FnMut(&Placeholder) -> Option<TokenStream>,
    ) -> TokenStream {
        let private = self.private;
        let pieces = template_pieces(template, &mut |placeholder| {
            if let Some(part) = captured(placeholder) {
                return Some(quote_spanned!(Span::mixed_site() => .encoded(#part)));
            }
            let expr = self.at_hand(placeholder)?;
            Some(quote_spanned!(placeholder.span() => .part(#expr)))
        });
        match kind {
            Kind::Tag => quote!(#private::Template::of_tag() #pieces),
            Kind::Key | Kind::Pattern => quote!(#private::Template::of_key() #pieces),
        }
    }

    fn part(&self, kind: Kind, placeholder: &Placeholder) -> TokenStream {
        let (private, expr) = (self.private, &placeholder.expr);
        let at_hand = self.at_hand(placeholder).unwrap_or_else(|| quote_spanned!(placeholder.span() => &#expr));
        match kind {
            Kind::Tag => quote_spanned!(placeholder.span() => #private::tag_part(#at_hand)),
            Kind::Key | Kind::Pattern => quote_spanned!(placeholder.span() => #private::part(#at_hand)),
        }
    }

    /// The parameter itself where it is a reference to what the function takes. So a type that
    /// cannot be spelled is the same type in both places, and is reported once.
    fn at_hand(&self, placeholder: &Placeholder) -> Option<TokenStream> {
        let expr =
            Some(&placeholder.expr).filter(|_| placeholder.is_name() && self.is_by_reference(&placeholder.root))?;
        Some(quote_spanned!(placeholder.span() => #expr))
    }

    /// Whether the parameter is a reference here, and is none in the function.
    fn is_by_reference(&self, name: &Ident) -> bool {
        self.is_borrowed && self.owned.iter().any(|(owned, _)| owned == name)
    }

    fn captured_placeholders<'t>(&self, template: &'t Template) -> impl Iterator<Item = &'t Placeholder> {
        template.placeholders().filter(|placeholder| placeholder.root != "result")
    }

    /// Parameters whose values must outlive the body; a shared reference does so by itself.
    fn captured_parameters(&self, item: &Item) -> Vec<&(Ident, Vec<Attribute>)> {
        self.owned.iter().filter(|(name, _)| item.mentions(&name.to_string())).collect()
    }
}

/// `.text(…)` and `.part(…)`, one after the other. `instead` may say another than
/// `.part(&placeholder)`.
pub(crate) fn template_pieces(
    template: &Template,
    instead: &mut dyn FnMut(&Placeholder) -> Option<TokenStream>,
) -> TokenStream {
    let pieces = template.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => quote_spanned!(Span::mixed_site() => .text(#text)),
        Piece::Placeholder(placeholder) => instead(placeholder).unwrap_or_else(|| {
            let expr = &placeholder.expr;
            quote_spanned!(placeholder.span() => .part(&#expr))
        }),
    });
    pieces.collect()
}

fn part_local(item: usize, n: usize) -> Ident {
    format_ident!("__part_{item}_{n}", span = Span::mixed_site())
}

fn clone_local(item: usize, name: &Ident) -> Ident {
    format_ident!("__clone_{item}_{name}", span = Span::mixed_site())
}
