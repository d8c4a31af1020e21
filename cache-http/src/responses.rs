//! The layer that stores whole responses.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Cache, IntoKey, Key};
use http::header::{CONTENT_LENGTH, EXPIRES, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::cdn::short_hex;
use crate::directives::{Directives, matches_none};
use crate::headers::{Answer, may_be_kept, not_modified};
use crate::keeping::{Keeping, keeping_setters};
use crate::limits::SHOWN_PATH_CHARS_MAX;
use crate::request::RequestFacts;
use crate::stored::StoredResponse;

/// Stores whole responses, as a cached function stores values: one load per key in all processes,
/// and never a response that was made before an invalidation that has returned. What the handler
/// calls is recorded, so a response falls with whatever it was made from. See [the
/// crate](crate#whole-responses).
#[derive(Clone, Debug)]
pub struct ResponseCache(Arc<Settings>);

#[derive(Clone, Debug)]
struct Settings {
    keeping: Keeping,
    prefix: String,
    ttl: Duration,
    varies_by: Vec<HeaderName>,
    tags: Vec<String>,
    keeps_cookies: bool,
}

/// A request that may be answered from the cache.
#[derive(Debug)]
pub struct ResponseQuery {
    facts: RequestFacts,
    key: Key<Option<StoredResponse>>,
}

impl ResponseCache {
    /// Stores responses for `ttl`, under keys with this prefix.
    ///
    /// # Panics
    /// If the prefix is empty, longer than 64 characters, or has others than ASCII letters, digits,
    /// `-`, `_` and `.`.
    pub fn new(cache: &Cache, prefix: &str, ttl: Duration) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(
            !prefix.is_empty() && prefix.len() <= 64 && prefix.chars().all(is_plain),
            "a prefix has 1 to 64 ASCII letters, digits, `-`, `_` and `.`"
        );
        Self(Arc::new(Settings {
            keeping: Keeping::of(cache),
            prefix: prefix.to_owned(),
            ttl,
            varies_by: Vec::new(),
            tags: Vec::new(),
            keeps_cookies: false,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The request headers that a response depends on: they are part of the key, beside the
    /// authority, the path and the query. A response whose `Vary` names another one is not stored.
    #[must_use]
    pub fn vary_by(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| {
            settings.varies_by.extend(names);
            settings.varies_by.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            settings.varies_by.dedup();
        })
    }

    /// Tags of every response, beside those of what it is made from.
    #[must_use]
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|settings| settings.tags.extend(tags.into_iter().map(Into::into)))
    }

    /// Stores responses with `Set-Cookie` too, and sets the same cookie for everybody.
    #[must_use]
    pub fn keep_cookies(self) -> Self {
        self.with(|settings| settings.keeps_cookies = true)
    }

    keeping_setters! {
        /// Stores responses to requests with `Authorization` too. If they depend on who asks, the
        /// header must be one that [responses vary by](Self::vary_by).
        keep_authorized;
        /// Bytes of a body that is stored; default: 1 MiB. A longer body, or one of unknown length,
        /// is passed on as it comes.
        body_bytes_max;
    }

    /// What the cache is asked for a request; `None`: the request goes to the handler. That is one
    /// that is neither `GET` nor `HEAD`, has `Range`, has `Authorization` without
    /// [being told](Self::keep_authorized), or says `no-store`.
    pub fn query(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<ResponseQuery> {
        let facts = RequestFacts::of(method, headers);
        let is_meant = facts.is_read()
            && !headers.contains_key(RANGE)
            && (!facts.is_authorized || self.0.keeping.keeps_authorized)
            && !Directives::of(headers).forbids_storing;
        let key = self.0.key(uri, headers)?;
        is_meant.then_some(ResponseQuery { facts, key })
    }

    /// Answers a [query](Self::query) from the cache, or runs the handler and stores what may be
    /// stored. What the layer does, for frameworks without tower.
    ///
    /// The handler is to be asked for the whole response: without `If-None-Match` and
    /// `If-Modified-Since`.
    ///
    /// # Errors
    /// Those of the handler.
    pub async fn around<B, E, F>(
        &self,
        query: Option<ResponseQuery>,
        respond: impl FnOnce() -> F,
    ) -> Result<Response<ResponseBody<B>>, E>
    where
        B: Body<Data = Bytes>,
        F: Future<Output = Result<Response<B>, E>>,
    {
        let Some(ResponseQuery { facts, key }) = query else { return Ok(respond().await?.map(ResponseBody::passed)) };
        let response =
            if facts.method == Method::HEAD { self.head(key, respond).await? } else { self.get(key, respond).await? };
        if may_be_kept(response.status()) && matches_none(&facts.none_match, response.headers()) {
            return Ok(Response::from_parts(not_modified(response.into_parts().0), ResponseBody::empty()));
        }
        Ok(response)
    }

    async fn get<B, E, F>(
        &self,
        key: Key<Option<StoredResponse>>,
        respond: impl FnOnce() -> F,
    ) -> Result<Response<ResponseBody<B>>, E>
    where
        B: Body<Data = Bytes>,
        F: Future<Output = Result<Response<B>, E>>,
    {
        // What the handler answers here goes to its own caller as it is, stored or not.
        let (made, mut respond) = (Mutex::new(None), Some(respond));
        let load = || {
            let respond = respond.take();
            async {
                let Some(respond) = respond else { return Ok(None) };
                let (parts, body) = respond().await?.into_parts();
                let body = ResponseBody::read(body, self.0.keeping.body_bytes_max).await;
                // `None` is not stored, and calls that waited for it load at once.
                let stored =
                    body.data().filter(|_| self.0.stores(&parts)).map(|data| StoredResponse::new(&parts, data));
                *made.lock().unwrap_or_else(PoisonError::into_inner) = Some(Response::from_parts(parts, body));
                Ok(stored)
            }
        };
        let stored = self.0.keeping.cache.get_or_load(key, load).await?;
        if let Some(made) = made.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Ok(made);
        }
        match (stored.and_then(StoredResponse::response), respond) {
            (Some(response), _) => Ok(response),
            // Something else is stored under the key.
            (None, Some(respond)) => Ok(respond().await?.map(ResponseBody::passed)),
            (None, None) => Ok(Response::new(ResponseBody::empty())),
        }
    }

    /// A response that is stored has the headers. One to `HEAD` has no body to store.
    async fn head<B, E, F>(
        &self,
        key: Key<Option<StoredResponse>>,
        respond: impl FnOnce() -> F,
    ) -> Result<Response<ResponseBody<B>>, E>
    where
        B: Body<Data = Bytes>,
        F: Future<Output = Result<Response<B>, E>>,
    {
        let stored = self.0.keeping.cache.peek(key).await.ok().flatten().flatten();
        let Some(stored) = stored.and_then(StoredResponse::response::<B>) else {
            return Ok(respond().await?.map(ResponseBody::passed));
        };
        let (mut parts, body) = stored.into_parts();
        let bytes = body.data().map_or(0, Bytes::len);
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        Ok(Response::from_parts(parts, ResponseBody::empty()))
    }
}

impl Settings {
    /// The path to read, and a hash of everything that the response depends on.
    fn key(&self, uri: &Uri, headers: &HeaderMap) -> Option<Key<Option<StoredResponse>>> {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        part(&authority.or(host).unwrap_or_default().to_ascii_lowercase());
        part(uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
        for name in &self.varies_by {
            part(name.as_str().as_bytes());
            headers.get_all(name).iter().for_each(|value| part(value.as_bytes()));
        }
        let path: String = uri.path().chars().filter(char::is_ascii_graphic).take(SHOWN_PATH_CHARS_MAX).collect();
        let key = format!("{}:{path}#{}", self.prefix, short_hex(&hasher.finalize()));
        let key: Key<Option<StoredResponse>> = key.into_key().ok()?;
        Some(key.with_ttl(self.ttl).with_tags(&self.tags))
    }

    /// Whether a response, but for its body, may be stored: for all of the TTL.
    fn stores(&self, parts: &response::Parts) -> bool {
        let said = Directives::of(&parts.headers);
        let lasts = match said.fresh_for {
            Some(fresh_for) => fresh_for >= self.ttl,
            None => !parts.headers.contains_key(EXPIRES),
        };
        let sets_cookie = parts.headers.contains_key(SET_COOKIE) && !self.keeps_cookies;
        may_be_kept(parts.status) && said.may_share() && lasts && !sets_cookie && self.knows_all_of(&parts.headers)
    }

    /// Whether all that the response says to depend on is part of the key.
    fn knows_all_of(&self, headers: &HeaderMap) -> bool {
        let is_known = |name: &str| self.varies_by.iter().any(|known| known.as_str().eq_ignore_ascii_case(name.trim()));
        headers.get_all(VARY).iter().all(|names| names.to_str().is_ok_and(|names| names.split(',').all(is_known)))
    }
}

impl<S> Layer<S> for ResponseCache {
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResponseCacheService { inner, responses: self.clone() }
    }
}

/// A service whose responses are stored by a [`ResponseCache`].
#[derive(Clone, Debug)]
pub struct ResponseCacheService<S> {
    inner: S,
    responses: ResponseCache,
}

impl<S, A, B> Service<Request<A>> for ResponseCacheService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    A: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Answer<B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // The service that was found ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let query = self.responses.query(request.method(), request.uri(), request.headers());
        if query.is_some() {
            for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
                request.headers_mut().remove(name);
            }
        }
        let responses = self.responses.clone();
        Box::pin(async move { responses.around(query, move || inner.call(request)).await })
    }
}
