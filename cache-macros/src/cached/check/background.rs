//! What a function has to be like for its body to run without its caller.

use quote::ToTokens;
use syn::visit::Visit;
use syn::{Ident, Lifetime, Receiver, ReceiverKind, Type, TypeReference};

use super::recursion::call_of_itself;
use crate::cached::parse::CachedOptions;
use crate::cached::plan::Place;
use crate::errors::Errors;
use crate::signature::{Form, Function, Param, peel_type};

pub(super) fn check(function: &Function, options: &CachedOptions, place: &Place, errors: &mut Errors) {
    let Some(option) = options.background().filter(|_| options.each.is_none()) else { return };
    if matches!(place, Place::None) {
        errors.at(
            option,
            format!(
                "`{option}` puts the body into a function of its own, for which `companion = none` leaves no \
                 place: put `#[cached]` on an inherent method or a free function, and call that here"
            ),
        );
    } else if matches!(function.form, Form::Boxed(_)) {
        errors.at(
            option,
            format!("`{option}` needs a plain `async fn`: put `#[cached]` on one that this function calls"),
        );
    }
    let is_associated = matches!(place, Place::Associated);
    if let Some(call) = call_of_itself(&function.body.statements, &function.sig.ident, is_associated) {
        let message = format!(
            "`{option}` loads in a task, which a function that calls itself cannot do: move the recursion to a \
             function of its own, without `#[cached]`, and call that here"
        );
        errors.at_span(call, message);
    }
    let exclusive = |tokens: &dyn ToTokens, errors: &mut Errors| {
        let message = format!(
            "`{option}` loads in the background, where nothing can be borrowed with `&mut`: take it by value or by `&`"
        );
        errors.push(syn::Error::new_spanned(tokens.to_token_stream(), message));
    };
    if let Some(receiver) = function.receiver()
        && is_exclusive(receiver)
    {
        exclusive(receiver, errors);
    }
    for param in &function.params {
        if param.name().is_none() {
            let message = format!(
                "`{option}` hands arguments to a background load by name: name this parameter, and take it \
                 apart in the body"
            );
            errors.at(&param.pat, message);
        }
        match peel_type(&param.ty) {
            Type::Reference(reference) if reference.mutability.is_some() => exclusive(reference, errors),
            Type::Reference(reference) if borrows(&reference.elem) => borrowed_inside(option, param, errors),
            Type::Reference(_) => {}
            ty if borrows(ty) => borrowed_inside(option, param, errors),
            _ => {}
        }
    }
}

fn is_exclusive(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => matches!(&**ty, Type::Reference(ty) if ty.mutability.is_some()),
        _ => false,
    }
}

fn borrowed_inside(option: &Ident, param: &Param, errors: &mut Errors) {
    let message = format!(
        "`{option}` copies arguments for a background load, which cannot copy a borrow inside a type: take an \
         owned value, or a plain `&T`"
    );
    errors.at(&param.ty, message);
}

/// Whether the type shows a borrow that is not `'static`.
fn borrows(ty: &Type) -> bool {
    struct Borrows(bool);
    impl<'ast> Visit<'ast> for Borrows {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            self.0 |= lifetime.ident != "static";
        }
        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            self.0 |= reference.lifetime.is_none();
            syn::visit::visit_type_reference(self, reference);
        }
    }
    let mut finder = Borrows(false);
    finder.visit_type(ty);
    finder.0
}
