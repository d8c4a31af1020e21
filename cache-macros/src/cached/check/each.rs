//! What the signature of a batch function (`each = ids`) has to look like, and what it says.

use quote::ToTokens;
use syn::{GenericArgument, Ident, PathArguments, ReceiverKind, Type};

use crate::cached::parse::CachedOptions;
use crate::cached::plan::Batch;
use crate::errors::{Errors, listed, nearest};
use crate::signature::{Function, Param, last_segment, peel_type};

/// `None`: it is none, or an error was reported.
pub(super) fn batch(function: &Function, options: &CachedOptions, errors: &mut Errors) -> Option<Batch> {
    let name = options.each.as_ref()?;
    let param = ids_param(function, name, errors)?;
    if let Some(skipped) = options.skip.iter().find(|skipped| *skipped == name) {
        let message = format!("`{name}` tells the entries apart, so it cannot be skipped: remove it from `skip`");
        errors.at(skipped, message);
    }
    check_repeatable(function, name, errors);
    let ids = list_item(&param.ty);
    if ids.is_none() {
        let message = format!("`each = {name}` takes a list of ids: write `{name}: &[K]` or `{name}: Vec<K>`");
        errors.at(&param.ty, message);
    }
    let map = function.value_type().filter(|_| function.returns_result());
    let Some((map, (key, value))) = map.and_then(|map| Some((map, map_arguments(map)?))) else {
        errors.at(
            map.unwrap_or(&function.output),
            "a batch function returns a map, which may leave ids out: spell it as `Result<HashMap<K, V>, E>`, \
             or with a `BTreeMap`",
        );
        return None;
    };
    let (id, by_value) = ids?;
    check_entry(id, key, value, errors);
    let (ids, id, map, value) = (name.clone(), id.clone(), map.clone(), value.clone());
    Some(Batch { ids, id, map, value, by_value })
}

fn ids_param<'a>(function: &'a Function, name: &Ident, errors: &mut Errors) -> Option<&'a Param> {
    let param = function.params.iter().find(|param| param.name() == Some(name));
    if param.is_some() {
        return param;
    }
    if function.bindings().any(|binding| binding == name) {
        errors.at(name, format!("`{name}` is bound by a pattern: make it a parameter, `{name}: &[K]`"));
        return None;
    }
    let names: Vec<String> = function.params.iter().filter_map(Param::name).map(Ident::to_string).collect();
    let meant = nearest(&name.to_string(), names.iter().map(String::as_str));
    let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
    let message = format!("`each` names the parameter that holds the ids: {meant}known here: {}", listed(&names));
    errors.at(name, message);
    None
}

/// `id` is what the function takes, `key` and `value` are of the map that it returns.
fn check_entry(id: &Type, key: &Type, value: &Type, errors: &mut Errors) {
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
            "an id without a value is left out of the map: return `HashMap<K, V>` without `Option`; \
             `negative_ttl` remembers what was left out",
        ),
        _ => {}
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

/// A path may be written in more than one way; its last name tells types apart well enough for a
/// message, and the compiler does the rest.
fn last_name(ty: &Type) -> String {
    match last_segment(ty) {
        Some(segment) => segment.to_token_stream().to_string(),
        None => peel_type(ty).to_token_stream().to_string(),
    }
}
