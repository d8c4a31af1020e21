//! InvalidatesOptions and signature together make a plan.

use super::collector::Collector;
use super::parse::InvalidatesOptions;
use crate::context::Context;
use crate::errors::Errors;
use crate::evaluate::resolve_items;
use crate::names::{Item, Kind};
use crate::runtime_path::private_path;
use crate::signature::Function;

/// What to generate.
pub(crate) struct InvalidationPlan {
    pub(crate) function: Function,
    pub(crate) options: InvalidatesOptions,
    /// What brings the cache, which `options.cache` then names.
    pub(crate) context: Option<Context>,
    /// What collects the names, in place of a cache.
    pub(crate) collector: Option<Collector>,
}

impl InvalidationPlan {
    pub(crate) fn check(function: Function, mut options: InvalidatesOptions, errors: &mut Errors) -> Self {
        function.check("invalidates", errors);
        let InvalidatesOptions { keys, tags, patterns, .. } = &mut options;
        let empty = keys.is_empty() && tags.is_empty() && patterns.is_empty();
        resolve_items(&function, keys.iter_mut().chain(tags).chain(patterns), errors);
        if empty && !options.had_errors {
            let message = "nothing to invalidate: name what the function changes in `keys`, `tags` or `patterns`";
            errors.at_span(proc_macro2::Span::call_site(), message);
        }
        check_around(&options, &function, errors);
        let context = Context::of(options.context.as_ref(), options.cache.as_ref(), &function, errors);
        if let Some(context) = &context {
            options.cache = Some(context.cache(&private_path(options.krate.as_ref())));
        }
        let collector = Collector::of(&function, &options, errors);
        Self { function, options, context, collector }
    }

    pub(crate) fn items(&self) -> Vec<(Kind, &Item)> {
        let keys = self.options.keys.iter().map(|item| (Kind::Key, item));
        let tags = self.options.tags.iter().map(|item| (Kind::Tag, item));
        let patterns = self.options.patterns.iter().map(|item| (Kind::Pattern, item));
        keys.chain(tags).chain(patterns).collect()
    }
}

/// What is closed around the body is known before it, and can be closed.
fn check_around(options: &InvalidatesOptions, function: &Function, errors: &mut Errors) {
    let Some(around) = &options.around else { return };
    if !options.patterns.is_empty() {
        let message = "a pattern cannot be closed around the body: name keys or tags, or give the pattern an \
             `#[invalidates]` of its own";
        errors.at(around, message);
    }
    let is_parameter = function.bindings().any(|binding| binding == "result");
    let mut items = options.keys.iter().chain(&options.tags);
    let is_known = |item: &Item| is_parameter || !item.mentions("result");
    if !options.had_errors && options.patterns.is_empty() && !items.any(is_known) {
        let message = "`around` closes what the parameters name, and all that is named here needs the result: name \
             it by parameters too, or leave `around` out";
        errors.at(around, message);
    }
}
