//! Asks over real HTTP, and keeps what the headers said.

use axum::body::Bytes;
use axum::http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::api::{DATABASE_QUERIES, SERVED_FROM};

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    server: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// 200 and its like.
    pub(crate) status: u16,
    /// `cache`, `database` or `none`.
    pub(crate) served_from: String,
    /// How many the request ran.
    pub(crate) database_queries: u64,
    /// JSON in every case; `null` if it was not.
    pub(crate) body: Value,
}

impl Reply {
    /// Answered, and without any database query.
    pub(crate) fn is_cached(&self) -> bool {
        self.served_from == "cache" && self.database_queries == 0
    }
}

impl Client {
    /// Of a server at `host:port`.
    pub(crate) fn new(server: impl ToString) -> Self {
        Self { http: HttpClient::builder(TokioExecutor::new()).build_http(), server: server.to_string() }
    }

    /// Sends one request and reads all of its answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.server));
        let request = match body {
            Some(_) => request.header(header::CONTENT_TYPE, "application/json"),
            None => request,
        };
        let request = request
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
            .expect("the tour's paths are valid");
        let response = self.http.request(request).await?;
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (status, served_from, queries) =
            (response.status().as_u16(), header(SERVED_FROM), header(DATABASE_QUERIES));
        // A body that breaks off reads as `null`, and fails the claim about it.
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Reply {
            status,
            served_from,
            database_queries: queries.parse().unwrap_or_default(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }
}
