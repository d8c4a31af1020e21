//! Fields that serde leaves out: they come back from the cache as their default, and nothing shows
//! it when the program runs.

use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Field, Fields, Ident, Meta, Token, Type};

use crate::errors::Errors;

/// What leaves a field out, on the way in, out, or both.
const SKIPS: &[&str] = &["skip", "skip_serializing", "skip_deserializing"];

/// Refuses what is skipped, unless it is declared to be lost.
pub(crate) fn check(input: &DeriveInput, errors: &mut Errors) {
    let fields: Vec<&Fields> = match &input.data {
        Data::Struct(data) => vec![&data.fields],
        Data::Enum(data) => data.variants.iter().map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    for (at, field) in fields.into_iter().flat_map(|fields| fields.iter().enumerate()) {
        let name = field.ident.as_ref().map_or_else(|| at.to_string(), |name| name.unraw().to_string());
        match (skip(field), lost(field, errors)) {
            (Some(skip), None) if !holds_nothing(&field.ty) => errors.at(
                &skip,
                format!(
                    "serde skips `{name}`, so it comes back from the cache as its default: \
                     remove the `{skip}`, or write `#[cacheable(lost)]` above the field if nothing rests on it"
                ),
            ),
            (None, Some(lost)) => {
                errors.at(&lost, format!("serde skips nothing of `{name}`, which comes back: remove the `lost`"));
            }
            _ => {}
        }
    }
}

/// The word that has serde leave the field out. A list that cannot be read is serde's to report.
fn skip(field: &Field) -> Option<Ident> {
    let words = field.attrs.iter().filter(|attr| attr.path().is_ident("serde")).filter_map(words);
    words
        .flatten()
        .find_map(|word| word.path().get_ident().filter(|word| SKIPS.iter().any(|skip| word == skip)).cloned())
}

/// The declaration that the field is lost. Nothing else of `#[cacheable]` stands at a field.
fn lost(field: &Field, errors: &mut Errors) -> Option<Ident> {
    let mut lost = None;
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("cacheable")) {
        for word in words(attr).into_iter().flatten() {
            match &word {
                Meta::Path(path) if path.is_ident("lost") => lost = path.get_ident().cloned(),
                other => errors.at(other, "a field has one option, `#[cacheable(lost)]`: all others stand at the type"),
            }
        }
    }
    lost
}

fn words(attr: &Attribute) -> Option<Punctuated<Meta, Token![,]>> {
    attr.parse_args_with(Punctuated::parse_terminated).ok()
}

/// There is nothing to lose.
fn holds_nothing(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "PhantomData"))
}
