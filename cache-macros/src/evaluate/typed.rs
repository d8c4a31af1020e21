//! Typed calls: the keys that companions make.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use super::{Evaluator, Home};
use crate::names::{Item, Kind, TypedCall};
use crate::options::peel;
use crate::wrapper;

impl Evaluator<'_> {
    /// A key made with an `Option` that is a parameter: of what is inside, if the key takes that,
    /// and none of a `None`. What the key takes, only the compiler knows.
    pub(super) fn add_typed(&self, target: &Ident, kind: Kind, call: &TypedCall) -> TokenStream {
        let span = Span::mixed_site().located_at(call.key.span());
        let private = wrapper::located(self.private, call.key.span());
        let checked = call.target.as_ref().filter(|_| !matches!(self.home, Home::Anywhere));
        let mut key = checked.unwrap_or(&call.key).clone();
        let (locals, arguments) = self.take_options(&mut key);
        let key = match (checked, self.home) {
            (Some(_), Home::Installed) => quote_spanned!(span => #private::installed(#key)),
            (Some(_), Home::Context(_)) => quote_spanned!(span => #private::in_context(__context, #key)),
            (Some(_), Home::Anywhere) | (None, _) => key.to_token_stream(),
        };
        let add = self.sink.add(self.private, target, kind, &key, call.key.span());
        if locals.is_empty() {
            return add;
        }
        quote_spanned! { span =>
            if let (#(::core::option::Option::Some(#locals),)*) = (#(#arguments,)*) { #add }
        }
    }

    /// Keeps the type of the context in a local, for the check of typed calls: the body may move
    /// the context.
    pub(super) fn context_before(&self, items: &[(Kind, &Item)]) -> Option<TokenStream> {
        let Home::Context(context) = self.home else { return None };
        let is_checked = |item: &Item| matches!(item, Item::Typed(TypedCall { target: Some(_), .. }));
        items.iter().any(|(_, item)| is_checked(item)).then(|| {
            let value = context.type_value(self.private);
            quote_spanned!(Span::mixed_site() => let __context = #value;)
        })
    }

    /// Puts a local in the place of each argument that is such an `Option`. Returns the locals, and
    /// what is in them if there is something inside.
    ///
    /// A companion has other parameters, too, by reference, and looks through it: what is wrong
    /// with an argument is then said in the same words in both places, and so once.
    fn take_options(&self, call: &mut Expr) -> (Vec<Ident>, Vec<TokenStream>) {
        let (mut locals, mut arguments) = (Vec::new(), Vec::new());
        let args = match call {
            Expr::Call(call) => &mut call.args,
            Expr::MethodCall(call) => &mut call.args,
            _ => return (locals, arguments),
        };
        for arg in args {
            let Expr::Reference(reference) = &*arg else { continue };
            let Expr::Path(path) = peel(&reference.expr) else { continue };
            let Some(name) = path.path.get_ident().cloned() else { continue };
            let at_name = Span::mixed_site().located_at(name.span());
            let is_reference = self.is_by_reference(&name);
            let through = is_reference.then(|| quote_spanned!(at_name => *));
            if !self.options.contains(&name) {
                if is_reference {
                    *arg = syn::parse_quote_spanned!(name.span() => &*#name);
                }
                continue;
            }
            let private = wrapper::located(self.private, name.span());
            arguments.push(quote_spanned!(at_name => #private::argument(&#through #name)));
            let local = format_ident!("__argument_{}", locals.len(), span = at_name);
            *arg = syn::parse_quote!(#local);
            locals.push(local);
        }
        (locals, arguments)
    }
}
