//! Invalidations as they happen, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cache_core::{InvalidationFeed, InvalidationRecord};
use futures_util::future::{pending, select_all};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::answer::{Failure, Parameters};
use crate::cost::Cost;
use crate::desk::{Desk, End};
use crate::limits::STREAM_PAUSE_MAX;
use crate::stats::wall_ms;

/// One client that listens.
struct Listener {
    feeds: Vec<Channel>,
    /// Frames that are to be sent before anything else.
    ready: VecDeque<String>,
    end: End,
    cost: Arc<Cost>,
    _turn: OwnedSemaphorePermit,
}

/// What one cache tells.
struct Channel {
    cache: String,
    /// `None`: the cache is gone.
    feed: Option<InvalidationFeed>,
    lost: u64,
}

pub(crate) async fn events(State(desk): State<Arc<Desk>>, parameters: Parameters) -> Result<Response, Failure> {
    let caches = match parameters.one("cache") {
        Some(_) => std::slice::from_ref(desk.of(&parameters)?),
        None => &desk.caches[..],
    };
    let Ok(turn) = desk.streams.clone().try_acquire_owned() else {
        return Err(Failure::busy("too many event streams are open"));
    };
    let names: Vec<&str> = caches.iter().map(|watched| watched.name.as_str()).collect();
    let hello = frame("hello", &json!({ "caches": names, "at_ms": wall_ms() }));
    // Subscribed before the client is told that it is connected: it misses nothing from then on.
    let feeds = caches.iter().map(|watched| Channel {
        cache: watched.name.clone(),
        feed: Some(watched.cache.subscribe_invalidations()),
        lost: 0,
    });
    let listener = Listener {
        feeds: feeds.collect(),
        ready: VecDeque::from([hello]),
        end: desk.end.clone(),
        cost: desk.cost.clone(),
        _turn: turn,
    };
    let frames = stream::unfold(listener, |mut listener| async {
        let frame = listener.next().await?;
        listener.cost.sent(frame.len());
        Some((Ok::<_, Infallible>(frame), listener))
    });
    // nginx would hold events back until its buffer is full.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    Ok(([(CONTENT_TYPE, "text/event-stream"), unbuffered], Body::from_stream(frames)).into_response())
}

impl Listener {
    /// The next frame; `None`: the stream ends.
    async fn next(&mut self) -> Option<String> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(frame);
        }
        let mut end = self.end.clone();
        tokio::select! {
            biased;
            () = &mut end => None,
            told = timeout(STREAM_PAUSE_MAX, any(&mut self.feeds)) => match told {
                Ok((at, record)) => {
                    self.take(at, record.as_deref());
                    self.ready.pop_front().or_else(comment)
                }
                Err(_) => comment(),
            },
        }
    }

    fn take(&mut self, at: usize, record: Option<&InvalidationRecord>) {
        let Some(channel) = self.feeds.get_mut(at) else { return };
        let lost = channel.feed.as_ref().map_or(channel.lost, InvalidationFeed::lost);
        if lost > channel.lost {
            self.ready.push_back(frame("lost", &json!({ "cache": channel.cache, "count": lost - channel.lost })));
            channel.lost = lost;
        }
        match record {
            Some(record) => self.ready.push_back(frame("invalidation", &told(&channel.cache, record))),
            None => channel.feed = None,
        }
    }
}

type Next<'a> = Pin<Box<dyn Future<Output = (usize, Option<Arc<InvalidationRecord>>)> + Send + 'a>>;

/// The next record of any cache, with the number of the cache.
async fn any(feeds: &mut [Channel]) -> (usize, Option<Arc<InvalidationRecord>>) {
    let feeds = feeds.iter_mut().enumerate().filter_map(|(at, channel)| {
        let feed = channel.feed.as_mut()?;
        Some(Box::pin(async move { (at, feed.next().await) }) as Next<'_>)
    });
    let feeds: Vec<_> = feeds.collect();
    match feeds.is_empty() {
        true => pending().await,
        false => select_all(feeds).await.0,
    }
}

fn told(cache: &str, record: &InvalidationRecord) -> Value {
    let mut told = json!(record);
    told["cache"] = cache.into();
    told["outcome"] = if record.error.is_some() { "failed" } else { "ok" }.into();
    told
}

/// JSON is one line: line breaks inside of text are escaped.
fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn comment() -> Option<String> {
    Some(":\n\n".to_owned())
}

#[cfg(test)]
mod tests {
    use cache_core::Cache;
    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_too_slow_is_told_how_many_it_has_lost_and_a_silent_stream_sends_comments() {
        let cache = Cache::in_memory();
        let never: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
        let channel = Channel { cache: "c".to_owned(), feed: Some(cache.subscribe_invalidations()), lost: 0 };
        let mut listener = Listener {
            feeds: vec![channel],
            ready: VecDeque::new(),
            end: never.shared(),
            cost: Arc::default(),
            _turn: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        };
        for key in 0..260 {
            cache.invalidate_key(format!("k:{key}")).await.unwrap();
        }
        assert_eq!(listener.next().await.unwrap(), frame("lost", &json!({ "cache": "c", "count": 4 })));
        for key in 4..260 {
            let told = listener.next().await.unwrap();
            assert!(told.starts_with("event: invalidation\n") && told.contains(&format!("\"k:{key}\"")), "{told}");
        }
        assert_eq!(listener.next().await, comment());
        drop(cache);
        assert_eq!(listener.next().await, comment(), "it goes on for the other caches");
    }
}
