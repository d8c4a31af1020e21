//! What this interface costs the process that it runs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

/// Counters since the router was made.
pub(crate) struct Cost {
    began: Instant,
    requests: AtomicU64,
    bytes: AtomicU64,
    busy_us: AtomicU64,
}

impl Default for Cost {
    fn default() -> Self {
        let [requests, bytes, busy_us] = Default::default();
        Self { began: Instant::now(), requests, bytes, busy_us }
    }
}

impl Cost {
    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Bytes that a stream has sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn told(&self, streams: usize) -> Value {
        json!({
            "requests": self.requests.load(Ordering::Relaxed),
            "bytes": self.bytes.load(Ordering::Relaxed),
            "busy_us": self.busy_us.load(Ordering::Relaxed),
            "streams": streams,
        })
    }
}

/// Counts one request, the time until its answer stands, and the bytes of an answer that is no
/// stream.
pub(crate) async fn count(State(cost): State<Arc<Cost>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    cost.requests.fetch_add(1, Ordering::Relaxed);
    cost.busy_us.fetch_add(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    cost.sent(usize::try_from(response.body().size_hint().exact().unwrap_or(0)).unwrap_or(usize::MAX));
    response
}
