//! The load: what readers ask for, and what writers do meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::auth::token;
use crate::seed::{ARTICLES, TOPICS, USERS, author_of};

const CALLERS: usize = 32;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One request of the HTTP interface.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    viewer: Option<u64>,
    body: Option<Value>,
}

/// Few articles, users and topics are popular, and most are not.
fn skewed(of: u64) -> u64 {
    (fastrand::f64().powi(3) * of as f64) as u64 + 1
}

impl Call {
    fn get(path: String) -> Self {
        let viewer = fastrand::bool().then(|| skewed(USERS));
        Self { method: Method::GET, path, viewer, body: None }
    }

    /// What a reader asks for.
    pub fn read() -> Self {
        let offset = [0, 0, 0, 20, 40][fastrand::usize(..5)];
        match fastrand::u32(..100) {
            0..30 => Self::get(format!("/api/articles?offset={offset}")),
            30..40 => Self::get(format!("/api/articles?tag=topic{}&offset={offset}", skewed(TOPICS) - 1)),
            40..45 => Self::get(format!("/api/articles?author=user{}", skewed(USERS))),
            45..48 => Self::get(format!("/api/articles?favorited=user{}", skewed(USERS))),
            48..60 => Self { viewer: Some(skewed(USERS)), ..Self::get(format!("/api/articles/feed?offset={offset}")) },
            60..85 => Self::get(format!("/api/articles/article-{}", skewed(ARTICLES))),
            85..94 => Self::get(format!("/api/articles/article-{}/comments", skewed(ARTICLES))),
            94..98 => Self::get(format!("/api/profiles/user{}", skewed(USERS))),
            _ => Self::get("/api/tags".to_owned()),
        }
    }

    /// What a writer does; `number` makes new titles differ.
    pub fn write(number: u64) -> Self {
        let (article, viewer) = (skewed(ARTICLES), skewed(USERS));
        let by = |viewer, method, path, body| Self { method, path, viewer: Some(viewer), body };
        let either = || if fastrand::bool() { Method::POST } else { Method::DELETE };
        match fastrand::u32(..100) {
            0..40 => by(viewer, either(), format!("/api/articles/article-{article}/favorite"), None),
            40..65 => {
                let body = json!({ "comment": { "body": format!("Comment {number}, and why.") } });
                by(viewer, Method::POST, format!("/api/articles/article-{article}/comments"), Some(body))
            }
            65..75 => by(viewer, either(), format!("/api/profiles/user{}/follow", skewed(USERS)), None),
            75..85 => {
                let body = json!({ "article": { "body": format!("Version {number} of the text. ").repeat(40) } });
                by(author_of(article), Method::PUT, format!("/api/articles/article-{article}"), Some(body))
            }
            85..95 => {
                let topics = [skewed(TOPICS) - 1, skewed(TOPICS) - 1].map(|topic| format!("topic{topic}"));
                let (title, text) = (format!("News {number}"), "What has happened. ".repeat(50));
                let body = json!({ "title": title, "description": "News", "body": text, "tagList": topics });
                by(viewer, Method::POST, "/api/articles".to_owned(), Some(json!({ "article": body })))
            }
            _ => {
                let body = json!({ "user": { "bio": format!("Bio {number}") } });
                by(viewer, Method::PUT, "/api/user".to_owned(), Some(body))
            }
        }
    }

    /// The request goes to the router without a socket: what HTTP costs is the same for all.
    pub async fn send(&self, router: &Router) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        if let Some(viewer) = self.viewer {
            request = request.header(AUTHORIZATION, format!("Token {}", token(viewer as i64)));
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = self.body.as_ref().map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).expect("a valid request");
        let answer = router.clone().oneshot(request).await.expect("infallible");
        let status = answer.status();
        (status, to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.expect("a body"))
    }
}

/// Answers per second, of which this share are to writers. Every one must be a success.
pub async fn run(router: &Router, writes: f64, time: Duration) -> f64 {
    // Not the numbers of an earlier run.
    let number = Arc::new(AtomicU64::new(fastrand::u64(..1 << 52)));
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (router, number) = (router.clone(), Arc::clone(&number));
            tokio::spawn(async move {
                let mut answers = 0u64;
                while begun.elapsed() < time {
                    let call = if fastrand::f64() < writes {
                        Call::write(number.fetch_add(1, Ordering::Relaxed))
                    } else {
                        Call::read()
                    };
                    let (status, body) = call.send(&router).await;
                    assert!(status.is_success(), "{call:?}: {status} {body:?}");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    let mut answers = 0;
    for caller in callers {
        answers += caller.await.expect("no caller panics");
    }
    answers as f64 / begun.elapsed().as_secs_f64()
}

/// Asks both routers the same, once nobody writes any more, and counts what they agree on.
pub async fn compare(router: &Router, truth: &Router, sample: usize) -> usize {
    for _ in 0..sample {
        let call = Call::read();
        let (answer, expected) = (call.send(router).await, call.send(truth).await);
        assert_eq!(answer, expected, "{call:?}: not what the database says");
    }
    sample
}
