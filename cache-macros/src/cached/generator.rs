//! What the generated functions have in common: the pieces that are made of a plan alone.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::GenericParam;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::parse::Role;
use super::plan::{CachePlan, Place, SelfPart};
use crate::context;
use crate::evaluate::{Evaluator, Sink, template_pieces};
use crate::mentions::mentions;
use crate::names::{Item, Kind};
use crate::runtime_path::private_path;
use crate::signature::{Param, first_type_argument, last_segment};
use crate::template::Piece;
use crate::wrapper;

pub(crate) struct Generator<'a> {
    pub(crate) plan: &'a CachePlan,
    pub(crate) private: TokenStream,
}

/// How the key's bindings are at hand: as the function takes them, or by reference, as its
/// companion does. Parts are of the same types either way, so that a type that cannot be one is
/// reported once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bindings {
    Owned,
    Borrowed,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(plan: &'a CachePlan) -> Self {
        Self { plan, private: private_path(plan.options.krate.as_ref()) }
    }
}

impl Generator<'_> {
    pub(crate) fn evaluator(&self) -> Evaluator<'_> {
        Evaluator::of_function(&self.plan.function, &self.private, Sink::Names)
    }

    pub(crate) fn items(&self) -> Vec<(Kind, &Item)> {
        let options = &self.plan.options;
        let tags = options.tags.iter().map(|item| (Kind::Tag, item));
        tags.chain(options.depends_on.iter().map(|item| (Kind::Key, item))).collect()
    }

    /// The type that is cached. `Result<T, …>` names it; an alias with other parameters needs the
    /// compiler's help.
    pub(crate) fn value_type(&self) -> TokenStream {
        let (private, output) = (&self.private, &self.plan.function.output);
        if let Some(batch) = &self.plan.batch {
            return batch.value.to_token_stream();
        }
        if !self.plan.function.returns_result() {
            return output.to_token_stream();
        }
        let is_result = last_segment(output).is_some_and(|segment| segment.ident == "Result");
        match first_type_argument(output).filter(|_| is_result) {
            Some(value) => value.to_token_stream(),
            None => quote_spanned!(output.span() => <#output as #private::ReturnsResult>::Ok),
        }
    }

    /// How values are stored and read back. At the type, where it is reported if they cannot be.
    pub(crate) fn coding(&self, value_type: &TokenStream) -> TokenStream {
        let private = wrapper::located(&self.private, value_type.span());
        let at_type = Span::mixed_site().located_at(value_type.span());
        quote_spanned!(at_type => #private::coding::<#value_type>())
    }

    /// Whether `value`, a variable that holds a reference, is to be stored: what `when` says, at
    /// its span.
    pub(crate) fn keep(&self, value_type: &TokenStream, value: &Ident) -> TokenStream {
        let private = &self.private;
        match &self.plan.options.when {
            Some(when) => quote_spanned!(when.span() => #private::when::<#value_type, _>(#when, #value)),
            None => quote!(true),
        }
    }

    /// What only the compiler can check, each at the type that it is about.
    pub(crate) fn checks(&self, value_type: &TokenStream) -> TokenStream {
        let Self { plan, private } = self;
        let output = &plan.function.output;
        let span = output.span();
        let mut checks = if plan.function.returns_result() {
            quote_spanned!(span => #private::returns_result::<#output>();)
        } else {
            wrapper::plain_check(output, private)
        };
        if plan.options.cache.is_none() {
            checks.extend(context::none_unused(&plan.function, private));
        }
        // A batch leaves out what there is not.
        if let Some(negative_ttl) = plan.options.setting("negative_ttl").filter(|_| plan.batch.is_none()) {
            checks.extend(quote_spanned!(negative_ttl.name.span() => #private::nullable::<#value_type>();));
        }
        checks
    }

    /// The function in the source, as `&'static CachedFunction`.
    pub(crate) fn function(&self) -> TokenStream {
        let Self { plan, private } = self;
        let name = plan.function.sig.ident.unraw().to_string();
        let shape = self.key_shape();
        let new = if plan.batch.is_some() { quote!(of_many) } else { quote!(of_one) };
        quote_spanned! { Span::mixed_site() => {
            static FUNCTION: #private::CachedFunction = #private::CachedFunction::#new(
                ::core::concat!(
                    ::core::module_path!(), "::", #name,
                    " (", ::core::file!(), ":", ::core::line!(), ":", ::core::column!(), ")",
                ),
                #shape,
            );
            &FUNCTION
        } }
    }

    /// Whose the entries are, as an `Owner`; it uses the local `__function`.
    fn owner(&self) -> TokenStream {
        let private = &self.private;
        let this = match self.plan.self_part {
            SelfPart::Never => quote!(::core::option::Option::None),
            SelfPart::IfGeneric => quote!(#private::generic_self_id::<Self>()),
            SelfPart::Always => quote!(#private::self_id::<Self>()),
        };
        quote_spanned!(Span::mixed_site() => __function.of(#this))
    }

    /// What its keys look like after the prefix, but for the values: two functions whose keys look
    /// alike may have one key.
    fn key_shape(&self) -> String {
        let plan = self.plan;
        let mut shape = String::new();
        match &plan.options.key {
            None => {
                for param in &plan.function.params {
                    let part = if param.cfgs.is_empty() { ":{}" } else { ":{?}" };
                    plan.parts(param).for_each(|_| shape.push_str(part));
                }
            }
            Some(template) => {
                shape.push(':');
                for piece in &template.pieces {
                    match piece {
                        Piece::Text(text) => shape.push_str(&text.replace('{', "{{").replace('}', "}}")),
                        Piece::Placeholder(_) => shape.push_str("{}"),
                    }
                }
            }
        }
        plan.generic_parts.iter().for_each(|_| shape.push_str(":{}"));
        shape
    }

    /// The prefix, as `Cow<'static, str>`.
    pub(crate) fn prefix(&self) -> TokenStream {
        let Self { plan, private } = self;
        let span = Span::mixed_site();
        if let Some(prefix) = &plan.options.prefix {
            return quote_spanned!(span => #private::Cow::<'static, str>::Borrowed(#prefix));
        }
        let name = plan.function.sig.ident.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name);
        let path = match (&plan.place, plan.self_part) {
            // Implementors of a trait share this code, so it cannot be remembered.
            (_, SelfPart::Always) => {
                let path = quote_spanned!(span => #private::method_path::<Self>(#name));
                return quote_spanned!(span => #private::Cow::<'static, str>::Owned(#path));
            }
            (Place::Associated, _) => quote_spanned!(span => #private::method_path::<Self>(#name)),
            (Place::Type(companion), _) => quote_spanned!(span => #private::function_path::<#companion>(#name)),
            (Place::None, _) if plan.function.receiver().is_some() => {
                quote_spanned!(span => #private::method_path::<Self>(#name))
            }
            (Place::None, _) => quote_spanned!(span => { struct Here; #private::function_path::<Here>(#name) }),
        };
        quote_spanned! { span => {
            static PREFIX: #private::OnceLock<#private::String> = #private::OnceLock::new();
            #private::Cow::<'static, str>::Borrowed(PREFIX.get_or_init(|| #path).as_str())
        } }
    }

    /// The key, still to be finished; it uses the local `__prefix`.
    pub(crate) fn key(&self, bindings_are: Bindings) -> TokenStream {
        let private = &self.private;
        let start = quote_spanned!(Span::mixed_site() => #private::KeyText::new(&__prefix));
        self.spelled(start, bindings_are, &quote!(generic_self))
    }

    /// Where a copy of the value stands, as a closure that adds to a place what the key adds to its
    /// prefix.
    pub(crate) fn place(&self) -> TokenStream {
        let start = quote_spanned!(Span::mixed_site() => __place);
        let place = unchecked(self.spelled(start, Bindings::Owned, &quote!(generic_self_place)), &self.private);
        let private = &self.private;
        quote_spanned! { Span::mixed_site() => |__place: #private::NearPlace| {
            #[allow(unused_imports)]
            use #private::NoPartKind as _;
            #place
        } }
    }

    /// How copies of values are kept in the process, as an `Option<Copying>`.
    pub(crate) fn copying(&self, value_type: &TokenStream) -> TokenStream {
        let (private, options) = (&self.private, &self.plan.options);
        let is_shared = quote_spanned! { Span::mixed_site() => {
            #[allow(unused_imports)]
            use #private::NotSharedKind as _;
            #private::Probe::<#value_type>::new().is_shared()
        } };
        if let Some(near) = &options.near {
            let private = wrapper::located(private, value_type.span());
            let at_type = Span::mixed_site().located_at(value_type.span());
            let longest = near.lifetime.tokens(&self.private);
            return quote_spanned!(at_type => #private::copying::<#value_type>(#longest, #is_shared));
        }
        // With `early_refresh` each call is to take its chance.
        if options.setting("early_refresh").is_some() || !self.is_owned_for_good(value_type) {
            return quote!(::core::option::Option::None);
        }
        let cacheability = wrapper::cacheability(value_type, private);
        quote_spanned! { Span::mixed_site() => {
            #[allow(unused_imports)]
            use #private::NotCopyableKind as _;
            #private::Probe::<#value_type>::new().copying(#cacheability.near::<#value_type>(), #is_shared)
        } }
    }

    /// Which hits are verified, as a `Sampling`; `None`: none can be.
    pub(crate) fn sampling(&self, value_type: &TokenStream) -> Option<TokenStream> {
        let (private, options) = (&self.private, &self.plan.options);
        options.refreshes()?;
        if let Some(share) = options.verify.as_ref().and_then(|verify| verify.share) {
            return Some(quote!(#private::Sampling::Share(#share)));
        }
        let cacheability = wrapper::cacheability(value_type, private);
        Some(quote_spanned!(Span::mixed_site() => #cacheability.sampling::<#value_type>()))
    }

    /// Whether the value is certain to be `'static`, without a bound. The compiler cannot be asked
    /// as it is asked for a trait: it chooses by traits, and complains of lifetimes after that.
    /// What is generic about the type of a method is not seen here.
    fn is_owned_for_good(&self, value_type: &TokenStream) -> bool {
        let plan = self.plan;
        let mut generics = plan.function.sig.generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
        });
        let borrows = ["_", "Cow"].iter().any(|name| mentions(value_type, name));
        matches!(plan.place, Place::Type(_)) && !borrows && !generics.any(|name| mentions(value_type, &name))
    }

    /// What the parameters add to the start of a key or of a place.
    fn spelled(&self, mut key: TokenStream, bindings_are: Bindings, generic_self: &TokenStream) -> TokenStream {
        let Self { plan, private } = self;
        let span = Span::mixed_site();
        match &plan.options.key {
            None => {
                for param in &plan.function.params {
                    key = self.with_parts(key, param, bindings_are);
                }
            }
            Some(template) => {
                let pieces = template_pieces(template, &mut |placeholder| {
                    let expr = placeholder.is_name().then_some(&placeholder.expr)?;
                    let mut params = plan.function.params.iter();
                    let param = params.find(|param| param.bindings.contains(&placeholder.root))?;
                    self.is_borrowed(param, bindings_are).then(|| quote_spanned!(placeholder.span() => .part(#expr)))
                });
                key.extend(quote_spanned!(span => .template() #pieces .into_key()));
            }
        }
        for param in &plan.function.sig.generics.params {
            match param {
                GenericParam::Type(param) if plan.generic_parts.contains(&param.ident) => {
                    let ident = &param.ident;
                    key.extend(quote_spanned!(span => .type_part::<#ident>()));
                }
                GenericParam::Const(param) if plan.generic_parts.contains(&param.ident) => {
                    let ident = &param.ident;
                    key.extend(quote_spanned!(span => .part(&#ident)));
                }
                _ => {}
            }
        }
        match plan.self_part {
            SelfPart::Never => key,
            SelfPart::Always => quote_spanned!(span => #key.type_part::<Self>()),
            SelfPart::IfGeneric => quote_spanned!(span => #private::#generic_self::<Self>(#key)),
        }
    }

    /// Whether the parameter's bindings are references to what the function takes.
    fn is_borrowed(&self, param: &Param, bindings_are: Bindings) -> bool {
        let at_hand = if self.plan.is_ids(param) { Bindings::Borrowed } else { bindings_are };
        at_hand == Bindings::Borrowed && !self.plan.is_reference(param)
    }

    /// The key with what a parameter adds to it.
    fn with_parts(&self, key: TokenStream, param: &Param, bindings_are: Bindings) -> TokenStream {
        let is_borrowed = self.is_borrowed(param, bindings_are);
        let parts = self.plan.parts(param).map(|binding| {
            let borrow = (!is_borrowed).then(|| quote_spanned!(binding.span() => &));
            quote_spanned!(binding.span() => .part(#borrow #binding))
        });
        let cfgs = &param.cfgs;
        if cfgs.is_empty() {
            return quote!(#key #(#parts)*);
        }
        quote_spanned!(Span::mixed_site() => ({
            let __key = #key;
            #(#cfgs)*
            let __key = __key #(#parts)*;
            __key
        }))
    }

    /// How the entry is stored; `prefix` is an expression. It uses the local `__function`.
    pub(crate) fn policy(&self, prefix: &TokenStream, value_type: &TokenStream) -> TokenStream {
        let Self { plan, private } = self;
        let mut policy = quote_spanned!(Span::mixed_site() => #private::Policy::new(#prefix));
        if plan.options.settings(Role::Lifetime).next().is_none() {
            let span = plan.function.output.span();
            policy.extend(quote_spanned!(span => .ttl(#private::declared_ttl::<#value_type>())));
        }
        let owner = self.owner();
        policy.extend(quote_spanned!(Span::mixed_site() => .owner(#owner)));
        policy.extend(plan.options.policy.iter().map(|setting| setting.setter(private)));
        let cacheability = wrapper::cacheability(value_type, private);
        quote_spanned!(Span::mixed_site() => #cacheability.complete::<#value_type>(#policy))
    }
}

/// The same chain of calls, with `.part(…)` in a form that takes any type: a type of which no key
/// can be made is reported where the key is made, and once.
fn unchecked(chain: TokenStream, private: &TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut is_part = false;
    for token in chain {
        match token {
            TokenTree::Group(group) if is_part => {
                let value = group.stream();
                let with =
                    quote_spanned!(Span::mixed_site() => |__bytes| #private::Probe::of(#value).push_canonical(__bytes));
                out.extend(quote_spanned!(Span::mixed_site() => with(#with)));
                is_part = false;
            }
            TokenTree::Group(group) => {
                let inner = unchecked(group.stream(), private);
                let mut group_out = Group::new(group.delimiter(), inner);
                group_out.set_span(group.span());
                out.extend([TokenTree::Group(group_out)]);
            }
            TokenTree::Ident(ident) if ident == "part" => is_part = true,
            token => out.extend([token]),
        }
    }
    out
}
