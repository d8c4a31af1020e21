//! `each = ids`: one call for many keys. What the signature has to look like, and what it says.

use quote::ToTokens;
use syn::{GenericArgument, Ident, PathArguments, ReceiverKind, Type};

use crate::cached::parse::Options;
use crate::errors::{Errors, listed, nearest};
use crate::signature::{Function, last_segment, peel_type};

/// A batch function, as its signature says it.
pub(crate) struct Each {
    /// The parameter that holds the ids.
    pub(crate) ids: Ident,
    /// What names one value.
    pub(crate) id: Type,
    /// The map that is returned.
    pub(crate) map: Type,
    /// What is stored for each id.
    pub(crate) value: Type,
    /// `Vec<K>`, not `&[K]`.
    pub(crate) by_value: bool,
}

impl Each {
    /// `None`: an error was reported.
    pub(crate) fn check(function: &Function, options: &Options, errors: &mut Errors) -> Option<Self> {
        let name = options.each.as_ref()?;
        let names: Vec<String> =
            function.params.iter().filter_map(|param| param.name()).map(Ident::to_string).collect();
        let Some(param) = function.params.iter().find(|param| param.name() == Some(name)) else {
            if function.bindings().any(|binding| binding == name) {
                errors.at(name, format!("`{name}` is bound by a pattern: make it a parameter, `{name}: &[K]`"));
                return None;
            }
            let meant = nearest(&name.to_string(), names.iter().map(String::as_str));
            let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
            errors.at(
                name,
                format!("`each` names the parameter that holds the ids: {meant}known here: {}", listed(&names)),
            );
            return None;
        };
        if let Some(skipped) = options.skip.iter().find(|skipped| *skipped == name) {
            errors.at(
                skipped,
                format!("`{name}` tells the entries apart, so it cannot be skipped: remove it from `skip`"),
            );
        }
        check_repeatable(function, name, errors);
        let ids = list_item(&param.ty);
        if ids.is_none() {
            errors.at(
                &param.ty,
                format!("`each = {name}` takes a list of ids: write `{name}: &[K]` or `{name}: Vec<K>`"),
            );
        }
        let map = function.value_type().filter(|_| function.returns_result());
        let Some((map, (key, value))) = map.and_then(|map| Some((map, map_arguments(map)?))) else {
            errors.at(
                map.unwrap_or(&function.output),
                "a batch function returns a map, which may leave ids out: spell it as `Result<HashMap<K, V>, E>`, or with a `BTreeMap`",
            );
            return None;
        };
        let (id, by_value) = ids?;
        if last_name(id) != last_name(key) {
            let spelled = |ty: &Type| ty.to_token_stream().to_string().replace("& ", "&");
            let message = format!(
                "the ids are `{}`, and the keys of this map are `{}`: write the same type for both",
                spelled(id),
                spelled(key)
            );
            errors.at(key, message);
        }
        match peel_type(value) {
            reference @ Type::Reference(_) => errors.at(
                reference,
                "a reference cannot be read back from a store: return owned values, such as `String` or `Arc<T>`",
            ),
            other if last_segment(other).is_some_and(|segment| segment.ident == "Option") => errors.at(
                other,
                "an id without a value is left out of the map: return `HashMap<K, V>` without `Option`; `negative_ttl` remembers what was left out",
            ),
            _ => {}
        }
        let (ids, id, map, value) = (name.clone(), id.clone(), map.clone(), value.clone());
        Some(Self { ids, id, map, value, by_value })
    }

    /// Whether an id is a reference itself, which is copied instead of borrowed.
    pub(crate) fn id_is_reference(&self) -> bool {
        matches!(peel_type(&self.id), Type::Reference(_))
    }
}

/// The body may run once more, for ids that another call was loading in vain.
fn check_repeatable(function: &Function, ids: &Ident, errors: &mut Errors) {
    if let Some(receiver) = function.receiver() {
        let is_shared = matches!(&receiver.kind, ReceiverKind::Reference(_, _, None));
        if !is_shared {
            errors.at(receiver, "the body of a batch function may run once more: take `&self`");
        }
    }
    for param in function.params.iter().filter(|param| param.name() != Some(ids)) {
        if matches!(peel_type(&param.ty), Type::Reference(reference) if reference.mutability.is_some()) {
            errors.at(&param.ty, "the body of a batch function may run once more: take a shared reference");
        }
    }
}

/// The `K` of `&[K]` or `Vec<K>`, and whether it is the latter.
fn list_item(ty: &Type) -> Option<(&Type, bool)> {
    match peel_type(ty) {
        Type::Reference(reference) if reference.mutability.is_none() => match peel_type(&reference.elem) {
            Type::Slice(slice) => Some((&slice.elem, false)),
            _ => None,
        },
        list => {
            let segment = last_segment(list).filter(|segment| segment.ident == "Vec")?;
            match type_arguments(&segment.arguments).as_slice() {
                [id] => Some((*id, true)),
                _ => None,
            }
        }
    }
}

/// The `K` and `V` of a map.
fn map_arguments(ty: &Type) -> Option<(&Type, &Type)> {
    let segment = last_segment(ty).filter(|segment| segment.ident == "HashMap" || segment.ident == "BTreeMap")?;
    match type_arguments(&segment.arguments).as_slice() {
        [key, value, ..] => Some((*key, *value)),
        _ => None,
    }
}

fn type_arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}

/// A path may be written in more than one way; its last name tells types apart well enough for a message, and the compiler
/// does the rest.
fn last_name(ty: &Type) -> String {
    match last_segment(ty) {
        Some(segment) => segment.to_token_stream().to_string(),
        None => peel_type(ty).to_token_stream().to_string(),
    }
}
