//! A response as it is stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AGE, CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, response};
use http_body::Body;
use serde::{Deserialize, Serialize};

use crate::body::ResponseBody;
use crate::headers::age_of;

/// A whole response. Stored as JSON, as every value is: text stays readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: StoredBody,
    /// When it was made, in ms since 1970.
    made_at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum StoredBody {
    #[serde(rename = "text")]
    Text(String),
    /// Each byte a character from U+0000 to U+00FF.
    #[serde(rename = "bytes")]
    Bytes(String),
}

/// Of one connection, or of one copy: not of the response.
const NOT_STORED: [HeaderName; 7] = [AGE, CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

impl StoredResponse {
    pub(crate) fn new(parts: &response::Parts, body: &Bytes) -> Self {
        let is_stored = |name: &HeaderName| !NOT_STORED.contains(name) && name != "keep-alive";
        let headers = parts.headers.iter().filter(|(name, _)| is_stored(name));
        let made_at = wall_time().saturating_sub(age_of(&parts.headers));
        Self {
            status: parts.status.as_u16(),
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), latin(value.as_bytes()))).collect(),
            body: match str::from_utf8(body) {
                Ok(text) => StoredBody::Text(text.to_owned()),
                Err(_) => StoredBody::Bytes(latin(body)),
            },
            made_at_ms: u64::try_from(made_at.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The response again, with its age. `None`: another program has written it.
    pub(crate) fn response<B: Body<Data = Bytes>>(self) -> Option<Response<ResponseBody<B>>> {
        let body: Bytes = match self.body {
            StoredBody::Text(text) => text.into(),
            StoredBody::Bytes(text) => bytes_of(&text)?.into(),
        };
        let mut response = Response::new(ResponseBody::whole(body));
        *response.status_mut() = StatusCode::from_u16(self.status).ok()?;
        let headers: &mut HeaderMap = response.headers_mut();
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(&bytes_of(&value)?).ok()?);
        }
        let age = wall_time().saturating_sub(Duration::from_millis(self.made_at_ms));
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        Some(response)
    }
}

/// Of this host: the age of a response is for people and CDNs, and no promise rests on it.
fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    type Whole = Box<dyn Body<Data = Bytes, Error = Infallible> + Unpin>;

    fn stored(age: &'static str, body: &'static [u8]) -> StoredResponse {
        let response = Response::builder().status(404).header("age", age).header("x-any", "a").header("x-any", "b");
        let (parts, ()) =
            response.header("connection", "close").header("content-length", "9").body(()).unwrap().into_parts();
        StoredResponse::new(&parts, &Bytes::from_static(body))
    }

    fn served(stored: StoredResponse) -> Response<ResponseBody<Whole>> {
        stored.response().unwrap()
    }

    #[test]
    fn its_age_goes_on() {
        let age = |response: &Response<ResponseBody<Whole>>| age_of(response.headers()).as_secs();
        assert!((30..32).contains(&age(&served(stored("30", b"")))));
        let mut old = stored("30", b"");
        old.made_at_ms -= 60_000;
        assert!((90..92).contains(&age(&served(old))));
    }

    #[test]
    fn what_is_of_one_connection_is_not_stored() {
        let response = served(stored("0", b"text"));
        let any: Vec<&[u8]> = response.headers().get_all("x-any").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!((any, response.status().as_u16()), (vec![&b"a"[..], b"b"], 404));
        assert!(response.headers().get("connection").is_none() && response.headers().get("content-length").is_none());
    }

    #[test]
    fn what_another_program_has_written_is_no_response() {
        let foreign = [
            StoredResponse { status: 1, ..stored("0", b"") },
            StoredResponse { headers: vec![("a b".to_owned(), String::new())], ..stored("0", b"") },
            StoredResponse { headers: vec![("a".to_owned(), "\n".to_owned())], ..stored("0", b"") },
            StoredResponse { body: StoredBody::Bytes("€".to_owned()), ..stored("0", b"") },
        ];
        for foreign in foreign {
            assert!(foreign.response::<Whole>().is_none());
        }
    }
}
