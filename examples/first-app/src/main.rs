//! Articles over HTTP, cached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use cache_core::{Cache, CacheContext, cached, invalidates};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Article {
    title: String,
}

#[derive(Clone, CacheContext)]
struct App {
    cache: Cache,
    articles: Arc<Mutex<BTreeMap<u64, Article>>>, // imagine a pool of database connections
}

impl App {
    fn new(cache: Cache) -> Self {
        Self { cache, articles: Arc::default() }
    }
}

#[cached(prefix = "article", ttl = "60s", context = app)]
async fn get_article(app: &App, id: u64) -> Result<Article, StatusCode> {
    app.articles.lock().unwrap().get(&id).cloned().ok_or(StatusCode::NOT_FOUND) // SELECT
}

#[invalidates(keys = [get_article(id)], context = app)]
async fn set_article(app: &App, id: u64, article: Article) -> Result<(), StatusCode> {
    app.articles.lock().unwrap().insert(id, article); // UPDATE
    Ok(())
}

async fn read(State(app): State<App>, Path(id): Path<u64>) -> Result<Json<Article>, StatusCode> {
    get_article(&app, id).await.map(Json)
}

async fn write(State(app): State<App>, Path(id): Path<u64>, Json(article): Json<Article>) -> Result<(), StatusCode> {
    set_article(&app, id, article).await
}

fn router(app: App) -> Router {
    Router::new().route("/articles/{id}", get(read).put(write)).with_state(app)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CACHE_URL").unwrap_or_else(|_| "memory://".to_owned());
    let cache = Cache::builder().url(url).namespace("first-app").build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, router(App::new(cache))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn send(app: &App, method: &str, body: &'static str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri("/articles/7").header("content-type", "application/json");
        let response = router(app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_change_is_what_the_next_request_reads() {
        let app = App::new(Cache::in_memory());
        assert_eq!(send(&app, "GET", "").await.0, StatusCode::NOT_FOUND);
        send(&app, "PUT", r#"{"title":"First"}"#).await;
        for _ in 0..2 {
            assert_eq!(send(&app, "GET", "").await.1, r#"{"title":"First"}"#);
        }
        let loads = app.cache.stats().prefix("article").loads;
        assert_eq!(loads, 2); // nothing, which is an error and is not stored; and once the article
        send(&app, "PUT", r#"{"title":"Second"}"#).await;
        assert_eq!(send(&app, "GET", "").await.1, r#"{"title":"Second"}"#);
    }
}
