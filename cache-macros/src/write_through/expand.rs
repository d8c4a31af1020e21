//! A plan becomes the wrapper: read the clock, run the body, write. Nothing fails here.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use super::check::WritePlan;
use crate::context;
use crate::options::peel;
use crate::outcome;
use crate::runtime_path::private_path;
use crate::signature::Function;
use crate::wrapper::{self, located};

pub(crate) fn expand(plan: &WritePlan) -> TokenStream {
    let private = private_path(plan.krate.as_ref());
    wrapper::function(&plan.function, &body(plan, &private), None)
}

fn body(plan: &WritePlan, private: &TokenStream) -> TokenStream {
    let WritePlan { function, target, cache, context: given, .. } = plan;
    let span = Span::mixed_site();
    let output = &function.output;
    let call = with_whole_options(&target.call, function, private);
    // What the target cannot do is said at its name, what the function returns at its type: all
    // tokens of a call are there.
    let at_target = span.located_at(target.written.span());
    let private_at_target = located(private, target.written.span());
    let mut checks = quote_spanned!(at_target => #private_at_target::writable(&__target););
    if cache.is_none() {
        checks.extend(quote_spanned!(at_target => #private_at_target::located(&__target);));
        checks.extend(context::none_unused(function, private));
    }
    if let Some(given) = given {
        let given = given.type_value(private);
        checks.extend(quote_spanned!(at_target => #private_at_target::is_in_context(#given, &__target);));
    }
    let around = if plan.around { quote!(Closed) } else { quote!(Open) };
    let begin = quote_spanned!(span => #private::write_through(__cache, __target, #private::Around::#around));
    let begin = wrapper::with_cache(cache.as_ref(), private, &begin);
    let run = wrapper::typed_body(function);
    let run = quote_spanned!(span => { let __outcome: #output = __writing.body(#run).await; __outcome });
    let at_output = span.located_at(output.span());
    let private_at_output = located(private, output.span());
    let value = quote_spanned!(at_output => #private_at_output::written(&__writing, &__outcome));
    // In several statements: a reference that lives through the await would ask the value to be
    // `Sync`.
    let write = quote_spanned! { span =>
        let __write = {
            let __value = #value;
            __writing.finish(__value)
        };
        __write.await;
    };
    let begin = quote_spanned! { span =>
        let __writing = {
            let __target = #call;
            #checks
            #begin
        }
        .await;
    };
    let disarm = quote_spanned!(span => __writing.disarm(););
    let end = outcome::on_success(function, private, &run, &disarm, &write);
    let check = (!function.returns_result()).then(|| wrapper::plain_check(output, private));
    quote_spanned! { span =>
        #check
        #begin
        #end
    }
}

/// The call, with a check that what its key takes is the whole of a parameter that is an `Option`:
/// of what is inside there may be none, and then there would be no entry to write.
fn with_whole_options(call: &Expr, function: &Function, private: &TokenStream) -> Expr {
    let mut call = call.clone();
    let args = match &mut call {
        Expr::Call(call) => &mut call.args,
        Expr::MethodCall(call) => &mut call.args,
        _ => return call,
    };
    for arg in args {
        let Expr::Reference(reference) = &*arg else { continue };
        let Expr::Path(path) = peel(&reference.expr) else { continue };
        let Some(name) = path.path.get_ident().cloned() else { continue };
        if function.params.iter().any(|param| param.is_option() && param.name() == Some(&name)) {
            let private = located(private, name.span());
            let span = Span::mixed_site().located_at(name.span());
            *arg = syn::parse_quote_spanned!(span => #private::whole(&#name));
        }
    }
    call
}
