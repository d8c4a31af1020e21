//! Routers behind a real server, and a client that speaks HTTP to it.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses a part")]

pub mod varnish;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Far longer than an answer takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Serves a router, and returns its port.
pub async fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

/// Who asks a server of this machine.
#[derive(Clone)]
pub struct Visitor {
    port: u16,
    client: Client<HttpConnector, Body>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Visitor {
    pub fn of(port: u16) -> Self {
        Self { port, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub async fn at(app: Router) -> Self {
        Self::of(serve(app).await)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(Body::empty()).unwrap());
        let (parts, body) = timeout(PATIENCE, answer).await.unwrap().unwrap().into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The seconds after this in a header.
    pub fn seconds(&self, name: &str, after: &str) -> Option<u64> {
        let (_, rest) = self.header(name)?.split_once(after)?;
        rest.split(',').next()?.parse().ok()
    }
}
