//! Looks into a cache that change nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cache_core::{Invalidation, Listing, escape_glob};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure, Parameters};
use crate::desk::Desk;
use crate::limits::{LISTED, LISTED_MAX, LISTED_PAGES_MAX, NAMES_MAX, PREVIEW_ENTRIES_MAX};

pub(crate) async fn explain(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let explanation = watched.cache.explain(parameters.required("key")?).await?;
    with_cache(&watched.name, json!(explanation))
}

pub(crate) async fn preview(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let limit = parameters.count("limit", PREVIEW_ENTRIES_MAX, PREVIEW_ENTRIES_MAX)?;
    let named = named(parameters.all("key"), parameters.all("tag"), parameters.all("pattern"))?;
    let Ok(_turn) = desk.previews.try_acquire() else {
        return Err(Failure::busy("too many previews are under way"));
    };
    let mut preview = watched.cache.preview(named).await?;
    let total = preview.entries.len();
    preview.entries.truncate(limit);
    let mut told = json!(preview);
    told["total"] = total.into();
    with_cache(&watched.name, told)
}

pub(crate) async fn keys(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Answer {
    let watched = desk.of(&parameters)?;
    let limit = parameters.count("limit", LISTED, LISTED_MAX)?;
    let pattern = format!("{}*", escape_glob(parameters.one("text").unwrap_or_default()));
    let (keys, tags) = tokio::try_join!(
        begun_with(watched.cache.keys(pattern.as_str()), limit),
        begun_with(watched.cache.tags(pattern.as_str()), limit),
    )?;
    let complete = keys.1 && tags.1;
    Ok(Json(json!({ "cache": watched.name, "keys": keys.0, "tags": tags.0, "complete": complete })))
}

/// The first names that some pages of a listing hold, and whether there are no others.
async fn begun_with(mut listing: Listing, limit: usize) -> Result<(Vec<String>, bool), Failure> {
    let mut names = BTreeSet::new();
    for _ in 0..LISTED_PAGES_MAX {
        match listing.next_page().await? {
            Some(page) => names.extend(page),
            None => break,
        }
        if names.len() > limit {
            break;
        }
    }
    let complete = listing.cursor().is_none() && names.len() <= limit;
    Ok((names.into_iter().take(limit).collect(), complete))
}

/// The invalidation of these names.
pub(crate) fn named<'a>(
    keys: impl Iterator<Item = &'a str>,
    tags: impl Iterator<Item = &'a str>,
    patterns: impl Iterator<Item = &'a str>,
) -> Result<Invalidation, Failure> {
    let (mut invalidation, mut count) = (Invalidation::new(), 0);
    let mut add = |add: &dyn Fn(Invalidation) -> Invalidation| {
        count += 1;
        if count <= NAMES_MAX {
            invalidation = add(std::mem::take(&mut invalidation));
        }
    };
    keys.for_each(|key| add(&|named| named.key(key)));
    tags.for_each(|tag| add(&|named| named.tag(tag)));
    patterns.for_each(|pattern| add(&|named| named.pattern(pattern)));
    match count {
        0 => Err(Failure::bad_request("name a key, a tag or a pattern")),
        1..=NAMES_MAX => Ok(invalidation),
        _ => Err(Failure::bad_request(format!("at most {NAMES_MAX} names are taken at once"))),
    }
}

fn with_cache(cache: &str, mut told: Value) -> Answer {
    told["cache"] = cache.into();
    Ok(Json(told))
}
