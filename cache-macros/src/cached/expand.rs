//! A plan becomes the wrapper and its companion. Nothing fails here.

pub(super) mod background;
mod batch;
mod companion;
mod heading;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use self::background::Background;
use super::check::{KeyPlan, Place, Plan, SelfPart};
use crate::evaluate::{Evaluator, Sink, template_pieces};
use crate::names::{Item, Kind};
use crate::options::Given;
use crate::runtime_path::private_path;
use crate::signature::{first_type_argument, last_segment};
use crate::wrapper;

pub(crate) fn expand(plan: &Plan) -> TokenStream {
    let generator = Generator { plan, private: private_path(plan.options.krate.as_ref()) };
    let (body, body_function) = match &plan.each {
        Some(each) => (batch::wrapper(&generator, each), None),
        None => generator.wrapper(),
    };
    let function = wrapper::function(&plan.function, &body, companion::docs(plan));
    let moved = body_function.is_some() && background::has_mut_params(&plan.function);
    let moved = moved.then(|| quote!(#[allow(unused_mut)]));
    let companion = companion::expand(&generator);
    quote!(#moved #function #body_function #companion)
}

pub(crate) struct Generator<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) private: TokenStream,
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

    /// The type that is cached. `Result<T, …>` names it; an alias with other parameters needs the compiler's help.
    pub(crate) fn value_type(&self) -> TokenStream {
        let (private, output) = (&self.private, &self.plan.function.output);
        if let Some(each) = &self.plan.each {
            return each.value.to_token_stream();
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

    /// Whether `value`, a variable that holds a reference, is to be stored: what `when` says, at its span.
    pub(crate) fn keep(&self, value_type: &TokenStream, value: &Ident) -> TokenStream {
        let private = &self.private;
        match &self.plan.options.when {
            Some(when) => quote_spanned!(when.span() => #private::when::<#value_type, _>(#when, #value)),
            None => quote!(true),
        }
    }

    /// The body of the wrapper: look up, or load and fill. And the function that loads, if it has to be one of its own.
    fn wrapper(&self) -> (TokenStream, Option<TokenStream>) {
        let Self { plan, private } = self;
        let (output, value_type) = (&plan.function.output, self.value_type());
        let checks = self.checks(&value_type);
        let (prefix, key, policy) = (self.prefix(), self.key(Bindings::Owned), self.policy(&value_type));
        let call = quote_spanned!(Span::mixed_site() => #private::Call::<#value_type>::new(cache, key, policy));
        let call = wrapper::with_cache(plan.options.cache.as_ref(), private, &call);
        let body = wrapper::typed_body(&plan.function);
        let (names, value) = (Ident::new("names", Span::mixed_site()), Ident::new("value", Span::mixed_site()));
        let items = self.items();
        let before = self.evaluator().before(&names, &items);
        let after = self.evaluator().after(&names, &value, &items);
        let known = (!before.is_empty()).then(|| {
            quote_spanned! { Span::mixed_site() =>
                #[allow(unused_mut)]
                let mut #names = #private::Names::new();
                #before
                load.known(#names);
            }
        });
        let keep = self.keep(&value_type, &value);
        let cacheability = wrapper::cacheability(&value_type, private);
        // At the type, all of it: what cannot be stored is then reported once.
        let at_type = Span::mixed_site().located_at(value_type.span());
        let located = wrapper::located(private, value_type.span());
        let lookup = quote_spanned!(at_type => #located::lookup(call).await);
        let fill = quote_spanned!(at_type => #located::fill(load, value, names));
        let run = quote_spanned!(Span::mixed_site() => { let loaded: #output = load.run(#body).await; loaded });
        let Arms { found, loaded, answer } = self.arms(&run);
        let head = quote_spanned! { Span::mixed_site() =>
            #checks
            let call = {
                let prefix = #prefix;
                let key = #key.finish();
                let policy = #policy;
                #call
            };
        };
        let tail = quote_spanned! { Span::mixed_site() =>
            #known
            let loaded = #loaded;
            let filling = {
                let #value = &loaded;
                let keep: bool = #keep;
                let mut #names = #private::Names::new();
                #cacheability.own_names::<#value_type>(#value, &mut #names);
                #after
                if keep {
                    ::core::option::Option::Some(#fill)
                } else {
                    load.unstored_value(#names);
                    ::core::option::Option::None
                }
            };
            if let ::core::option::Option::Some(filling) = filling {
                filling.await;
            }
            #answer
        };
        let Some(option) = plan.options.background() else {
            let wrapper = quote_spanned! { Span::mixed_site() =>
                #head
                let mut load = match #lookup {
                    #private::Step::Return(found) | #private::Step::ReturnAndRefresh(found, _) => return #found,
                    #private::Step::Load(load) => load,
                };
                #tail
            };
            return (wrapper, None);
        };
        let Background { function, refresh, load } = background::expand(self, option, &tail);
        let wrapper = quote_spanned! { Span::mixed_site() =>
            #head
            let call = call.in_background();
            let load = match #lookup {
                #private::Step::Return(found) => return #found,
                #private::Step::ReturnAndRefresh(found, refresh) => {
                    #refresh
                    return #found;
                }
                #private::Step::Load(load) => load,
            };
            #load
        };
        (wrapper, Some(function))
    }

    /// `run` ends as an expression of the body's output.
    fn arms(&self, run: &TokenStream) -> Arms {
        let span = Span::mixed_site();
        if !self.plan.function.returns_result() {
            let (found, answer) = (quote_spanned!(span => found), quote_spanned!(span => loaded));
            return Arms { found, loaded: run.clone(), answer };
        }
        let private = &self.private;
        let options = &self.plan.options;
        let failed = if options.stale_if_error.is_some() || options.background().is_some() {
            quote_spanned! { span =>
                let said = {
                    #[allow(unused_imports)]
                    use #private::UnsaidKind as _;
                    #private::Said(&error).said()
                };
                return load.failed(&said).ok_or(error);
            }
        } else {
            quote_spanned! { span =>
                load.unstored();
                return ::core::result::Result::Err(error);
            }
        };
        Arms {
            found: quote_spanned!(span => ::core::result::Result::Ok(found)),
            // The error leaves before the next await, and no variable of ours ever held it, so it need not be `Send`.
            loaded: quote_spanned! { span =>
                match #run {
                    ::core::result::Result::Ok(loaded) => loaded,
                    ::core::result::Result::Err(error) => {
                        #failed
                    }
                }
            },
            answer: quote_spanned!(span => ::core::result::Result::Ok(loaded)),
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
        // A batch leaves out what there is not.
        if let Some(negative_ttl) = plan.options.negative_ttl.as_ref().filter(|_| plan.each.is_none()) {
            checks.extend(quote_spanned!(negative_ttl.name.span() => #private::nullable::<#value_type>();));
        }
        checks
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
                return quote_spanned!(span => #private::Cow::<'static, str>::Owned(#private::method_path::<Self>(#name)));
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

    /// The key, still to be finished; `prefix` is a local.
    pub(crate) fn key(&self, bindings_are: Bindings) -> TokenStream {
        let Self { plan, private } = self;
        let span = Span::mixed_site();
        let mut key = quote_spanned!(span => #private::KeyText::new(&prefix));
        match &plan.key {
            KeyPlan::Parts(bindings) => {
                key.extend(bindings.iter().map(|binding| {
                    let at_hand = if plan.is_each(binding) { Bindings::Borrowed } else { bindings_are };
                    let borrowed = at_hand == Bindings::Borrowed && !plan.is_reference(binding);
                    let borrow = (!borrowed).then(|| quote_spanned!(binding.span() => &));
                    quote_spanned!(binding.span() => .part(#borrow #binding))
                }));
            }
            KeyPlan::Template(template) => {
                let pieces = template_pieces(template, &mut |_| None);
                key.extend(quote_spanned!(span => .template() #pieces .into_key()));
            }
        }
        for param in &plan.function.sig.generics.params {
            match param {
                syn::GenericParam::Type(param) if plan.generic_parts.contains(&param.ident) => {
                    let ident = &param.ident;
                    key.extend(quote_spanned!(span => .type_part::<#ident>()));
                }
                syn::GenericParam::Const(param) if plan.generic_parts.contains(&param.ident) => {
                    let ident = &param.ident;
                    key.extend(quote_spanned!(span => .part(&#ident)));
                }
                _ => {}
            }
        }
        match plan.self_part {
            SelfPart::Never => key,
            SelfPart::Always => quote_spanned!(span => #key.type_part::<Self>()),
            SelfPart::IfGeneric => quote_spanned!(span => #private::generic_self::<Self>(#key)),
        }
    }

    pub(crate) fn policy(&self, value_type: &TokenStream) -> TokenStream {
        let Self { plan, private } = self;
        let options = &plan.options;
        let mut policy = quote_spanned!(Span::mixed_site() => #private::Policy::new(prefix));
        match (&options.ttl, &options.class) {
            _ if let Some(Given { value: (min_ms, max_ms), .. }) = &options.adaptive_ttl => {
                policy.extend(quote!(.adaptive_ttl(#min_ms, #max_ms)));
            }
            (Some(ttl), _) => {
                let ttl = ttl.value.tokens(private);
                policy.extend(quote!(.ttl(#ttl)));
            }
            (None, Some(class)) => {
                let class = &class.value;
                policy.extend(quote!(.class(#class)));
            }
            (None, None) => {
                let span = plan.function.output.span();
                policy.extend(quote_spanned!(span => .ttl(#private::declared_ttl::<#value_type>())));
            }
        }
        if let Some(ttl) = &options.negative_ttl {
            let ttl = ttl.value.tokens(private);
            policy.extend(quote!(.negative_ttl(#ttl)));
        }
        if let Some(window) = &options.stale_while_revalidate {
            let window = window.value.tokens(private);
            policy.extend(quote!(.stale_while_revalidate(#window)));
        }
        if let Some(window) = &options.stale_if_error {
            let window = window.value.tokens(private);
            policy.extend(quote!(.stale_if_error(#window)));
        }
        if let Some(Given { value: beta, .. }) = &options.early_refresh {
            policy.extend(quote!(.early_refresh(#beta)));
        }
        if let Some(jitter) = options.jitter {
            policy.extend(quote!(.jitter(#jitter)));
        }
        let version = options.version;
        if version != 0 {
            policy.extend(quote!(.version(#version)));
        }
        let cacheability = wrapper::cacheability(value_type, private);
        quote_spanned!(Span::mixed_site() => #cacheability.complete::<#value_type>(#policy))
    }
}

/// How the key's bindings are at hand: as the function takes them, or by reference, as its companion does. Parts are of
/// the same types either way, so that a type that cannot be one is reported once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bindings {
    Owned,
    Borrowed,
}

/// Where a `Result` and a plain value differ.
struct Arms {
    found: TokenStream,
    /// The value, or leaves.
    loaded: TokenStream,
    answer: TokenStream,
}
