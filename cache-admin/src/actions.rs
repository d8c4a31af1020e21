//! What changes something: refused, unless the program allows it and it comes from no other site.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use cache_core::{WarmError, WarmProgress, Warmed, Warmer};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::answer::{Answer, Failure, Parameters};
use crate::cost::Cost;
use crate::desk::Desk;
use crate::limits::NAMES_MAX;
use crate::looking::named;

const HEADER: &str = "x-cache-admin";
const SITE: &str = "sec-fetch-site";

/// The right to change something, which a request has or has not.
pub(crate) struct Allowed;

impl FromRequestParts<Arc<Desk>> for Allowed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Failure> {
        if !desk.allows_actions {
            return Err(Failure::forbidden("this page may look, and change nothing: see `Admin::allow_actions`"));
        }
        // A form cannot send it, and a script of another site only if we told its browser so.
        if parts.headers.get(HEADER).is_none_or(|value| value != "1") {
            return Err(Failure::forbidden("the header `X-Cache-Admin: 1` is missing"));
        }
        match parts.headers.get(SITE) {
            Some(site) if site != "same-origin" && site != "none" => {
                Err(Failure::forbidden("the request comes from another site"))
            }
            _ => Ok(Self),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvalidateBody {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarmBody {
    #[serde(default)]
    warmers: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
}

type Given<T> = Result<Json<T>, JsonRejection>;

pub(crate) async fn invalidate(
    State(desk): State<Arc<Desk>>,
    _: Allowed,
    parameters: Parameters,
    body: Given<InvalidateBody>,
) -> Answer {
    let watched = desk.of(&parameters)?;
    let InvalidateBody { keys, tags, patterns } = taken(body)?;
    let [keys, tags, patterns] = [&keys, &tags, &patterns].map(|names| names.iter().map(String::as_str));
    let invalidated = watched.cache.invalidate(named(keys, tags, patterns)?).await?;
    Ok(Json(json!({ "cache": watched.name, "removed": invalidated.entries })))
}

pub(crate) async fn warm(
    State(desk): State<Arc<Desk>>,
    _: Allowed,
    parameters: Parameters,
    body: Given<WarmBody>,
) -> Result<Response, Failure> {
    let watched = desk.of(&parameters)?;
    let Some(warmer) = &watched.warmer else { return Err(Failure::not_found("this cache has no warmer")) };
    let wanted = taken(body)?;
    if wanted.warmers.len() + wanted.keys.len() > NAMES_MAX {
        return Err(Failure::bad_request(format!("at most {NAMES_MAX} names are taken at once")));
    }
    let known = warmer.names();
    if let Some(unknown) = wanted.warmers.iter().find(|name| !known.contains(name)) {
        return Err(Failure::not_found(format!("there is no warmer `{unknown}`")));
    }
    let Ok(turn) = desk.warm_runs.clone().try_acquire_owned() else {
        return Err(Failure::busy("too many warm runs are under way"));
    };
    let run = WarmRun::begin(warmer, wanted, desk.cost.clone(), turn);
    let lines = stream::unfold(run, |mut run| async {
        let line = run.next().await?;
        run.cost.sent(line.len());
        Some((Ok::<_, Infallible>(line), run))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn taken<T>(body: Given<T>) -> Result<T, Failure> {
    body.map(|Json(taken)| taken).map_err(|error| Failure::of_body(error.status(), error.body_text()))
}

/// The two parts of a run: warmers by name, and keys.
type TwoParts = [WarmProgress; 2];

/// A run whose progress is told. Dropped, as when the client hangs up, it stops.
struct WarmRun {
    /// `None`: it has ended.
    work: Option<Pin<Box<dyn Future<Output = [Warmed; 2]> + Send>>>,
    progress: watch::Receiver<TwoParts>,
    cost: Arc<Cost>,
    _turn: OwnedSemaphorePermit,
}

impl WarmRun {
    fn begin(warmer: &Warmer, wanted: WarmBody, cost: Arc<Cost>, turn: OwnedSemaphorePermit) -> Self {
        let (tell, progress) = watch::channel(TwoParts::default());
        let tell = Arc::new(tell);
        let watched = |part: usize| {
            let tell = tell.clone();
            warmer.watched(move |at| tell.send_modify(|parts| parts[part] = at))
        };
        let (named, keyed) = (watched(0), watched(1));
        let WarmBody { warmers, keys } = wanted;
        let work = async move {
            let all = warmers.is_empty() && keys.is_empty();
            let named = async { if all { named.run().await } else { named.run_named(warmers).await } };
            let (named, keyed) = tokio::join!(named, keyed.warm_keys(keys));
            [named, keyed]
        };
        Self { work: Some(Box::pin(work)), progress, cost, _turn: turn }
    }

    /// The next line; `None`: there is none.
    async fn next(&mut self) -> Option<String> {
        let work = self.work.as_mut()?;
        let told = tokio::select! {
            biased;
            warmed = work => {
                self.work = None;
                ended(&warmed)
            }
            Ok(()) = self.progress.changed() => under_way(*self.progress.borrow_and_update()),
        };
        Some(format!("{told}\n"))
    }
}

fn under_way([named, keyed]: TwoParts) -> Value {
    json!({
        "total": named.total + keyed.total,
        "done": named.done + keyed.done,
        "failed": named.failed + keyed.failed,
    })
}

fn ended([named, keyed]: &[Warmed; 2]) -> Value {
    let error = |error: &WarmError| json!({ "name": error.name, "failed": error.failed, "message": error.message });
    let errors: Vec<_> = named.errors().iter().chain(keyed.errors()).map(error).collect();
    json!({
        "total": named.total + keyed.total,
        "done": named.done + keyed.done,
        "failed": named.failed + keyed.failed,
        "ended": true,
        "errors": errors,
    })
}
