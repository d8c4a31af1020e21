//! The layers of cache-http as middleware of actix-web, whose requests, headers and bodies are
//! types of its own.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header as actix_header;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest, HttpResponse};
use cache_http::{CacheHeaders, RequestFacts, ResponseBody, ResponseCache};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body::{Body, Frame, SizeHint};

/// What [`CacheHeaders`] does, as `.wrap(from_fn(cache_headers))`.
pub(crate) async fn cache_headers(
    headers: Data<CacheHeaders>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Served>, Error> {
    let facts = RequestFacts::of(&method_of(&request), &headers_of(request.headers()));
    let exchange = Exchange::of(request);
    let response = headers.around(&facts, exchange.ask(&next)).await?;
    exchange.answer(response)
}

/// What [`ResponseCache`] does, as `.wrap(from_fn(response_cache))`.
pub(crate) async fn response_cache(
    responses: Data<ResponseCache>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Served>, Error> {
    let uri = request.uri().to_string().parse().unwrap_or_default();
    let query = responses.query(&method_of(&request), &uri, &headers_of(request.headers()));
    if query.is_some() {
        // The handler is asked for the whole response.
        for name in [actix_header::IF_NONE_MATCH, actix_header::IF_MODIFIED_SINCE] {
            request.headers_mut().remove(name);
        }
    }
    let exchange = Exchange::of(request);
    let response = responses.around(query, || exchange.ask(&next)).await?;
    exchange.answer(response)
}

/// A request and its response. actix needs the request again for the response, and the handler is
/// given it alone.
struct Exchange(RefCell<Stage>);

enum Stage {
    Asked(ServiceRequest),
    Handled(HttpRequest),
    Over,
}

impl Exchange {
    fn of(request: ServiceRequest) -> Self {
        Self(RefCell::new(Stage::Asked(request)))
    }

    async fn ask(&self, next: &Next<impl MessageBody + 'static>) -> Result<Response<Handled>, Error> {
        let Stage::Asked(request) = self.0.replace(Stage::Over) else { return Err(over()) };
        let (request, response) = next.call(request).await?.into_parts();
        self.0.replace(Stage::Handled(request));
        let (head, body) = response.into_parts();
        let mut response = Response::new(Handled(Box::pin(body.boxed())));
        *response.status_mut() = http::StatusCode::from_u16(head.status().as_u16()).unwrap_or_default();
        *response.headers_mut() = headers_of(head.headers());
        Ok(response)
    }

    fn answer(&self, response: Response<ResponseBody<Handled>>) -> Result<ServiceResponse<Served>, Error> {
        let (parts, body) = response.into_parts();
        let status = actix_web::http::StatusCode::from_u16(parts.status.as_u16()).unwrap_or_default();
        let mut answer = HttpResponse::build(status);
        // Its length is that of the body.
        let headers = parts.headers.iter().filter(|(name, _)| *name != http::header::CONTENT_LENGTH);
        headers.for_each(|(name, value)| _ = answer.append_header((name.as_str(), value.as_bytes())));
        let answer = answer.message_body(Served(body))?;
        match self.0.replace(Stage::Over) {
            Stage::Asked(request) => Ok(request.into_response(answer)),
            Stage::Handled(request) => Ok(ServiceResponse::new(request, answer)),
            Stage::Over => Err(over()),
        }
    }
}

fn over() -> Error {
    actix_web::error::ErrorInternalServerError("a request is answered once")
}

fn method_of(request: &ServiceRequest) -> Method {
    Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default()
}

/// A header that is one there is one here.
fn headers_of(headers: &actix_header::HeaderMap) -> HeaderMap {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    let mut headers = HeaderMap::new();
    pairs.for_each(|(name, value)| _ = headers.append(name, value));
    headers
}

/// The body of a handler, for cache-http.
pub(crate) struct Handled(Pin<Box<BoxBody>>);

impl Body for Handled {
    type Data = Bytes;
    type Error = Box<dyn StdError>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.as_mut().poll_next(context).map(|chunk| Some(chunk?.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.size() {
            BodySize::None => SizeHint::with_exact(0),
            BodySize::Sized(bytes) => SizeHint::with_exact(bytes),
            BodySize::Stream => SizeHint::default(),
        }
    }
}

/// The body that cache-http serves, for actix.
pub(crate) struct Served(ResponseBody<Handled>);

impl MessageBody for Served {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.0.size_hint().exact().map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        // actix has no trailers.
        let frame = Pin::new(&mut self.0).poll_frame(context);
        frame.map(|frame| Some(frame?.map(|frame| frame.into_data().unwrap_or_default())))
    }
}
