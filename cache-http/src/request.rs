//! What a layer has to know of a request, once the request itself is the handler's.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};

use crate::directives::none_match;

/// What a layer has to know of a request.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    pub(crate) method: Method,
    pub(crate) none_match: Vec<HeaderValue>,
    pub(crate) is_authorized: bool,
}

impl RequestFacts {
    /// Reads the method and the headers.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            method: method.clone(),
            none_match: none_match(headers),
            is_authorized: headers.contains_key(AUTHORIZATION),
        }
    }

    /// Whether the response may be kept by anybody: RFC 9111 knows no other methods.
    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}
