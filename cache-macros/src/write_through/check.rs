//! WriteThroughOptions and signature together make a plan.

use syn::{Expr, Path, Type};

use super::parse::{Target, WriteThroughOptions};
use crate::context::Context;
use crate::errors::Errors;
use crate::mentions::spans_of;
use crate::runtime_path::private_path;
use crate::signature::{Function, peel_type};

/// What to generate.
pub(crate) struct WritePlan {
    pub(crate) function: Function,
    pub(crate) target: Target,
    pub(crate) around: bool,
    pub(crate) cache: Option<Expr>,
    /// What brings the cache, which `cache` then names.
    pub(crate) context: Option<Context>,
    pub(crate) krate: Option<Path>,
}

impl WritePlan {
    /// `None`: there were errors.
    pub(crate) fn check(function: Function, options: WriteThroughOptions, errors: &mut Errors) -> Option<Self> {
        function.check("write_through", errors);
        if let Type::ImplTrait(ty) = peel_type(&function.output) {
            errors.at(ty, "an `impl Trait` is not the value of an entry: name the type that is returned");
        }
        let WriteThroughOptions { target, around, mut cache, context, krate } = options;
        let context = Context::of(context.as_ref(), cache.as_ref(), &function, errors);
        if let Some(context) = &context {
            cache = Some(context.cache(&private_path(krate.as_ref())));
        }
        let target = target?;
        let is_parameter = function.bindings().any(|binding| binding == "result");
        let results = spans_of(&target.written, "result");
        if let Some(&result) = results.first().filter(|_| !is_parameter) {
            errors.at_span(
                result,
                "`result` is not known before the body runs, and the entry must be: make its key of \
                 parameters, or remove it with `#[invalidates(keys = [...])]`",
            );
        }
        Some(Self { function, target, around, cache, context, krate })
    }
}
