//! The page: its files, and the headers that protect it.

use axum::extract::{OriginalUri, Path, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::answer::Failure;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Of everything else nothing is loaded, framed or sent anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const PROTECTION: [(HeaderName, HeaderValue); 6] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// The files, by their names.
const FILES: [(&str, &str, &str); 8] = [
    ("page.css", CSS, include_str!("page/page.css")),
    ("page.js", JS, include_str!("page/page.js")),
    ("dom.js", JS, include_str!("page/dom.js")),
    ("charts.js", JS, include_str!("page/charts.js")),
    ("live.js", JS, include_str!("page/live.js")),
    ("feed.js", JS, include_str!("page/feed.js")),
    ("look.js", JS, include_str!("page/look.js")),
    ("icon.svg", SVG, include_str!("page/icon.svg")),
];

/// The page. Its links are relative, and it lies beside what they lead to.
pub(crate) async fn index() -> Response {
    ([(CONTENT_TYPE, HTML)], include_str!("page/index.html")).into_response()
}

/// Whoever opens the path of the router is sent to the page. By a relative path: a proxy may have
/// taken something off ours.
pub(crate) async fn entrance(OriginalUri(uri): OriginalUri) -> Result<Response, Failure> {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    // `./`: a segment with a colon would be read as a scheme.
    let there = if last.is_empty() { "./page".to_owned() } else { format!("./{last}/page") };
    let there = HeaderValue::try_from(there).map_err(|_| Failure::not_found("there is no such path"))?;
    Ok((StatusCode::TEMPORARY_REDIRECT, HeaderMap::from_iter([(LOCATION, there)])).into_response())
}

pub(crate) async fn file(Path(file): Path<String>) -> Result<Response, Failure> {
    match FILES.iter().find(|(name, ..)| *name == file) {
        Some((_, kind, text)) => Ok(([(CONTENT_TYPE, *kind)], *text).into_response()),
        None => Err(Failure::not_found("there is no such file")),
    }
}

/// Adds the headers to every answer.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(PROTECTION);
    response
}
