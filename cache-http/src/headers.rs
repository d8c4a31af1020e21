//! The layer that says in headers what a response was made from, and how long that is fresh.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Cache, CallLog, Trace, observe};
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, SET_COOKIE,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, response};
use http_body::Body;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::cdn::{Cdn, short_hex};
use crate::directives::{Directives, matches_none};
use crate::keeping::{Keeping, keeping_setters};
use crate::purger::Purger;
use crate::request::RequestFacts;

/// Says in the headers of each response what the cached calls behind it were, and for how long they
/// are fresh: `Cache-Status`, `ETag` with conditional requests, `Cache-Control`, and for a
/// [CDN](Cdn) the keys to purge the response by. See [the crate](crate).
#[derive(Clone, Debug)]
pub struct CacheHeaders(Arc<Settings>);

#[derive(Clone, Debug)]
struct Settings {
    keeping: Keeping,
    name: String,
    cdn: Option<Cdn>,
    purger: Option<Purger>,
    browsers_keep: Duration,
    has_server_timing: bool,
    has_strong_tags: bool,
}

/// Whether others may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// For so long, and then while they ask anew.
    Keep { fresh_for: Duration, stale_while_revalidate: Duration },
    /// Nobody who serves it to others.
    Private,
    /// A CDN must not: it could not be told when the response is old.
    NotKept,
    /// The handler has said it, and no cached call was made.
    AsSaid,
}

impl CacheHeaders {
    /// For handlers that call functions cached in this cache. A response that was made from another
    /// cache as well is not to be kept by others.
    pub fn new(cache: &Cache) -> Self {
        Self(Arc::new(Settings {
            keeping: Keeping::of(cache),
            name: "app".to_owned(),
            cdn: None,
            purger: None,
            browsers_keep: Duration::ZERO,
            has_server_timing: false,
            has_strong_tags: false,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// What this cache is called in `Cache-Status`; default: `app`.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.name = name.into())
    }

    /// Tells this CDN for how long it may keep a response, and the keys to purge it by. A response
    /// that cannot be purged in time is marked with `no-store`.
    #[must_use]
    pub fn cdn(self, cdn: &Cdn) -> Self {
        self.with(|settings| settings.cdn = Some(cdn.clone()))
    }

    /// Marks a response whose names were invalidated while it was made with `no-store`, as far as
    /// this process's purger has seen it. Without it such a response is purged when its
    /// [flight](Cdn::flight) is over.
    #[must_use]
    pub fn purger(self, purger: &Purger) -> Self {
        self.with(|settings| settings.purger = Some(purger.clone()))
    }

    /// For how long browsers, and whoever else cannot be purged, may use a response without asking;
    /// default: not at all. They ask with its `ETag`, and are answered 304 while it is the same.
    /// What they keep is served after an invalidation too, for up to this time and the
    /// `stale_while_revalidate` of the functions behind it.
    #[must_use]
    pub fn browsers_keep(self, time: Duration) -> Self {
        self.with(|settings| settings.browsers_keep = time)
    }

    /// Adds `Server-Timing`: it tells everybody the prefixes of the functions that were called, and
    /// how long their loads took.
    #[must_use]
    pub fn server_timing(self) -> Self {
        self.with(|settings| settings.has_server_timing = true)
    }

    /// Makes strong entity tags: equal tags are equal bytes. For services whose bodies nothing
    /// outside of this layer changes. A layer that compresses does.
    #[must_use]
    pub fn strong_tags(self) -> Self {
        self.with(|settings| settings.has_strong_tags = true)
    }

    keeping_setters! {
        /// Lets a CDN keep responses to requests with `Authorization`. For services whose responses
        /// do not depend on who asks.
        keep_authorized;
        /// Bytes of a body that is read whole for its `ETag`; default: 1 MiB. A longer body, or one
        /// of unknown length, is passed on as it comes, without `ETag`, and not kept by a CDN: what
        /// it reads later is not known.
        body_bytes_max;
    }

    /// Runs a handler, and adds the headers. What the layer does, for frameworks without tower.
    ///
    /// Requests other than `GET` and `HEAD` are passed on.
    ///
    /// # Errors
    /// Those of the handler.
    pub async fn around<B, E>(
        &self,
        request: &RequestFacts,
        respond: impl Future<Output = Result<Response<B>, E>>,
    ) -> Result<Response<ResponseBody<B>>, E>
    where
        B: Body<Data = Bytes>,
    {
        if !request.is_read() {
            return Ok(respond.await?.map(ResponseBody::passed));
        }
        let begun = Instant::now();
        let bytes_max = self.0.keeping.body_bytes_max;
        // The body is read inside: what it calls while it is read is part of what it is made from.
        let respond = async {
            let (parts, body) = respond.await?.into_parts();
            Ok((parts, ResponseBody::read(body, bytes_max).await))
        };
        // `observe` looks around when it is called: that has to be inside.
        let ((answer, calls), trace) = self.0.keeping.cache.trace(async { observe(respond).await }).await;
        let (mut parts, body) = answer?;
        self.0.add_tag(&mut parts, request, &body);
        let verdict = self.0.verdict(&parts, request, body.data().is_some(), &trace, begun);
        self.0.say(&mut parts.headers, verdict, &trace, &calls);
        if parts.status == StatusCode::OK && matches_none(&request.none_match, &parts.headers) {
            return Ok(Response::from_parts(not_modified(parts), ResponseBody::empty()));
        }
        Ok(Response::from_parts(parts, body))
    }
}

impl Settings {
    /// An entity tag of the body, unless the handler has made one. The response to `HEAD` has no
    /// body to make one of.
    fn add_tag<B: Body<Data = Bytes>>(
        &self,
        parts: &mut response::Parts,
        request: &RequestFacts,
        body: &ResponseBody<B>,
    ) {
        let Some(data) = body.data() else { return };
        let is_meant = parts.status == StatusCode::OK && request.method == Method::GET;
        if !is_meant || parts.headers.contains_key(ETAG) {
            return;
        }
        let weak = if self.has_strong_tags { "" } else { "W/" };
        insert(&mut parts.headers, ETAG, &format!("{weak}\"{}\"", short_hex(&blake3::hash(data))));
    }

    fn verdict(
        &self,
        parts: &response::Parts,
        request: &RequestFacts,
        is_whole: bool,
        trace: &Trace,
        begun: Instant,
    ) -> Verdict {
        let said = Directives::of(&parts.headers);
        let is_personal =
            parts.headers.contains_key(SET_COOKIE) || request.is_authorized && !self.keeping.keeps_authorized;
        if is_personal || said.is_private {
            return Verdict::Private;
        }
        let varies = parts.headers.get_all(VARY).iter().any(|names| names.as_bytes().contains(&b'*'));
        let is_late = self.cdn.as_ref().is_some_and(|cdn| begun.elapsed() > cdn.flight / 2);
        let is_overtaken = || self.purger.as_ref().is_some_and(|purger| purger.overtook(trace, begun));
        // 304 says that what was kept is what would be sent.
        let is_meant = may_be_kept(parts.status) || parts.status == StatusCode::NOT_MODIFIED;
        if !said.may_share() || !is_whole || varies || !is_meant || is_late || is_overtaken() {
            return Verdict::NotKept;
        }
        let age = age_of(&parts.headers);
        let is_uncached = trace.names().is_empty() && trace.is_complete();
        match trace.fresh_for() {
            Some(fresh_for) => Verdict::Keep {
                // What is said counts from when the response was made.
                fresh_for: said.fresh_for.map_or(fresh_for, |said| said.saturating_sub(age).min(fresh_for)),
                stale_while_revalidate: trace.stale_while_revalidate(),
            },
            None if said.is_said && is_uncached => Verdict::AsSaid,
            None => Verdict::NotKept,
        }
    }

    fn say(&self, headers: &mut HeaderMap, verdict: Verdict, trace: &Trace, calls: &CallLog) {
        if let Some(status) = calls.to_cache_status(&self.name) {
            append(headers, HeaderName::from_static("cache-status"), &status);
        }
        if let Some(timing) = calls.to_server_timing().filter(|_| self.has_server_timing) {
            append(headers, HeaderName::from_static("server-timing"), &timing);
        }
        // A lifetime counts from when the response was made, and is what is left beside the age.
        let age = age_of(headers);
        let control = match verdict {
            Verdict::Keep { fresh_for, stale_while_revalidate } if !self.browsers_keep.is_zero() => {
                kept_for(fresh_for.min(self.browsers_keep) + age, stale_while_revalidate)
            }
            Verdict::Keep { .. } | Verdict::NotKept => "no-cache".to_owned(),
            Verdict::Private => "private, no-cache".to_owned(),
            Verdict::AsSaid => return,
        };
        let was_said = headers.contains_key(CACHE_CONTROL);
        if !was_said || verdict == Verdict::Private && !Directives::of(headers).is_private {
            insert(headers, CACHE_CONTROL, &control);
        }
        let Some(cdn) = &self.cdn else { return };
        if let Verdict::Keep { fresh_for, stale_while_revalidate } = verdict {
            insert(headers, cdn.dialect.control_header(), &kept_for(fresh_for + age, stale_while_revalidate));
            append(headers, cdn.dialect.keys_header(), &cdn.listed(trace.names(), trace.is_complete()));
        } else {
            insert(headers, cdn.dialect.control_header(), "no-store");
        }
    }
}

/// How old the response is, as it says itself.
pub(crate) fn age_of(headers: &HeaderMap) -> Duration {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u32>().ok());
    Duration::from_secs(age.unwrap_or_default().into())
}

/// Whole seconds, rounded down: nobody keeps it for longer than it is fresh.
fn kept_for(fresh_for: Duration, stale_while_revalidate: Duration) -> String {
    let control = format!("max-age={}", fresh_for.as_secs());
    match stale_while_revalidate.as_secs() {
        0 => control,
        stale => format!("{control}, stale-while-revalidate={stale}"),
    }
}

/// Whether a response with this status is one that others may keep. Not part of one.
pub(crate) fn may_be_kept(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410)
}

/// The same without what describes a body (RFC 9110, section 15.4.5).
pub(crate) fn not_modified(mut parts: response::Parts) -> response::Parts {
    parts.status = StatusCode::NOT_MODIFIED;
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    parts
}

// What was made here of ASCII is a value. Anything else is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

impl<S> Layer<S> for CacheHeaders {
    type Service = CacheHeadersService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheHeadersService { inner, headers: self.clone() }
    }
}

/// A service whose responses have the headers of [`CacheHeaders`].
#[derive(Clone, Debug)]
pub struct CacheHeadersService<S> {
    inner: S,
    headers: CacheHeaders,
}

/// The answer of a service of this crate.
pub(crate) type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<B>>, E>> + Send>>;

impl<S, A, B> Service<Request<A>> for CacheHeadersService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Answer<B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let facts = RequestFacts::of(request.method(), request.headers());
        let (headers, respond) = (self.headers.clone(), self.inner.call(request));
        Box::pin(async move { headers.around(&facts, respond).await })
    }
}
