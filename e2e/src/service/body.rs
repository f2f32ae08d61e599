//! The bodies that an upstream answers with.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

use super::Broken;

/// A body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, Broken>;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A body that is there at once.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Answer {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// `count` bytes, a chunk at a time.
pub(super) fn zeros(count: u64) -> Answer {
    let chunks = stream::unfold(count, |left| async move {
        let (chunk, left) = chunk(left)?;
        Some((Ok(Frame::data(chunk)), left))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// `count` bytes, each after `ms` milliseconds.
pub(super) fn drip(count: u64, ms: u64) -> Answer {
    let bytes = stream::unfold(count, move |left| async move {
        let left = left.checked_sub(1)?;
        let span = Duration::from_millis(ms);
        tokio::time::sleep(span).await; // sleep: dripping is what this body is for
        Some((Ok(Frame::data(Bytes::from_static(b"."))), left))
    });
    StreamBody::new(bytes).boxed_unsync()
}

/// `count` bytes, a pause in which they arrive, and then no end.
pub(super) fn broken(count: u64) -> Answer {
    let chunks = stream::unfold(Some(count), |left| async move {
        match chunk(left?) {
            Some((chunk, left)) => Some((Ok(Frame::data(chunk)), Some(left))),
            None => {
                let span = Duration::from_millis(50);
                tokio::time::sleep(span).await; // sleep: what was written has to leave first
                Some((Err(Broken), None))
            }
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// A body with trailers after it.
pub(super) fn with_trailers(bytes: &'static str, trailers: HeaderMap) -> Answer {
    let trailers = async move { Some(Ok(trailers)) };
    whole(bytes).with_trailers(trailers).boxed_unsync()
}

fn chunk(left: u64) -> Option<(Bytes, u64)> {
    let length = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
    let chunk = Bytes::from_static(&ZEROS[..length]);
    (length > 0).then(|| (chunk, left - length as u64))
}
