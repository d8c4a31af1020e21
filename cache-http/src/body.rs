//! Bodies that are read whole, and those that are passed on.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// The body of a response that went through a layer of this crate.
pub struct ResponseBody<B: Body>(Inner<B>);

enum Inner<B: Body> {
    Whole {
        data: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
    /// As it comes.
    Passed(Pin<Box<B>>),
    /// It failed while it was read.
    Failed(Option<Box<B::Error>>),
}

impl<B: Body<Data = Bytes>> ResponseBody<B> {
    pub(crate) fn whole(data: Bytes) -> Self {
        Self(Inner::Whole { data: Some(data), trailers: None })
    }

    pub(crate) fn empty() -> Self {
        Self(Inner::Whole { data: None, trailers: None })
    }

    pub(crate) fn passed(body: B) -> Self {
        Self(Inner::Passed(Box::pin(body)))
    }

    /// The body, read whole if it says that it has at most so many bytes. One of unknown length may
    /// never end.
    pub(crate) async fn read(body: B, bytes_max: usize) -> Self {
        let is_short = body.size_hint().exact().is_some_and(|bytes| bytes <= bytes_max as u64);
        if !is_short {
            return Self::passed(body);
        }
        let mut body = pin!(body);
        let (mut data, mut trailers) = (BytesMut::new(), None);
        while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            match frame.map(Frame::into_data) {
                Ok(Ok(chunk)) => data.extend_from_slice(&chunk),
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(error) => return Self(Inner::Failed(Some(Box::new(error)))),
            }
        }
        Self(Inner::Whole { data: Some(data.freeze()), trailers })
    }

    /// All of it, if it was read whole and has no trailers.
    pub(crate) fn data(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Whole { data, trailers: None } => data.as_ref(),
            _ => None,
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match &mut self.0 {
            Inner::Whole { data, trailers } => match data.take().filter(|data| !data.is_empty()) {
                Some(data) => Some(Ok(Frame::data(data))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            },
            Inner::Passed(body) => return body.as_mut().poll_frame(context),
            Inner::Failed(error) => error.take().map(|error| Err(*error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole { data, trailers } => data.as_ref().is_none_or(Bytes::is_empty) && trailers.is_none(),
            Inner::Passed(body) => body.is_end_stream(),
            Inner::Failed(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Inner::Passed(body) => body.size_hint(),
            Inner::Failed(_) => SizeHint::default(),
        }
    }
}
