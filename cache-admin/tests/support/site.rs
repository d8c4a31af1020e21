//! The router behind a real server, and a client that speaks HTTP to it.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use cache_admin::Admin;
use cache_tests::until;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Far longer than an answer takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The headers of an action from the page itself.
pub(crate) const ACTION: [(&str, &str); 3] =
    [("x-cache-admin", "1"), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];

/// A server with the page at `/ops/cache`.
pub(crate) struct Site {
    pub(crate) origin: String,
    client: Client<HttpConnector, Body>,
}

/// An answer whose body is still to come.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Body,
    text: String,
}

impl Site {
    pub(crate) async fn of(admin: Admin) -> Self {
        let app: Router = Router::new().nest("/ops/cache", admin.router());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) fn page(&self) -> String {
        format!("{}/ops/cache", self.origin)
    }

    /// What the path answers at which the router is nested.
    pub(crate) async fn entrance(&self) -> Answer {
        self.ask(Request::builder().uri(self.page()).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// What a path of the interface answers.
    pub(crate) async fn told(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        answer.json().await
    }

    /// Waits until so many event streams are open.
    pub(crate) async fn watched_by(&self, streams: u64) {
        until(async || self.told("api/stats").await["admin"]["streams"] == streams).await;
    }

    pub(crate) async fn act(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &ACTION, body).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}/ops/cache/{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let (parts, body) = timeout(PATIENCE, self.client.request(request)).await.unwrap().unwrap().into_parts();
        Answer { status: parts.status, headers: parts.headers, body: Body::new(body), text: String::new() }
    }
}

impl Answer {
    pub(crate) async fn text(self) -> String {
        let bytes = timeout(PATIENCE, self.body.collect()).await.unwrap().unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The kind of a refusal.
    pub(crate) async fn refusal(self) -> (u16, String) {
        let status = self.status.as_u16();
        let told = self.json().await;
        assert!(told["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{told}");
        (status, told["error"]["kind"].as_str().unwrap().to_owned())
    }

    /// The next event of a stream; `None`: it has ended.
    pub(crate) async fn event(&mut self) -> Option<(String, Value)> {
        let frame = self.until("\n\n").await?;
        let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let (event, data) = (line("event: ")?, line("data: ")?);
        Some((event.to_owned(), serde_json::from_str(data).unwrap()))
    }

    /// The next line of JSON; `None`: there are no others.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        self.until("\n").await.map(|line| serde_json::from_str(&line).unwrap())
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("something comes")?;
            let bytes: Bytes = frame.unwrap().into_data().unwrap_or_default();
            self.text += std::str::from_utf8(&bytes).unwrap();
        }
    }
}
