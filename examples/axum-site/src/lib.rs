//! A site on axum. Its pages are made by cached functions, kept whole, say in headers what they
//! were made from, and are purged from a CDN when that is invalidated.

use std::time::Duration;

use articles::{Articles, set_article};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use cache_http::{CacheHeaders, Cdn, CdnDialect, Purger, ResponseCache};

/// The CDN before the site, which is told keys as Fastly and Varnish are.
pub fn cdn() -> Cdn {
    Cdn::new("axum-site", CdnDialect::Surrogate)
}

/// The routes. The layer that comes last is outermost: its headers say what the stored response was
/// made from.
pub fn router(articles: Articles, purger: &Purger) -> Router {
    let cache = articles.cache();
    let pages = ResponseCache::new(cache, "page", Duration::from_secs(60));
    let headers = CacheHeaders::new(cache).name("axum-site").cdn(&cdn()).purger(purger);
    Router::new().route("/articles/{id}", get(read).put(write)).layer(pages).layer(headers).with_state(articles)
}

async fn read(State(articles): State<Articles>, Path(id): Path<u64>) -> Result<Html<String>, StatusCode> {
    articles.page(id).await.map(Html).ok_or(StatusCode::NOT_FOUND)
}

async fn write(State(articles): State<Articles>, Path(id): Path<u64>, text: String) -> StatusCode {
    set_article(&articles, id, text).await;
    StatusCode::NO_CONTENT
}
