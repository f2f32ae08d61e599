//! A request's body: passed on frame by frame, or at a pace slice by slice; never more than it may be,
//! never after too long a silence.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{BodyError, BodyWatch, Pickiness, rate::Rate};
use crate::pace::Pace;

/// A request's body, on its way up.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    left: u64,
    silence_max: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    rate: Rate,
    watch: Arc<BodyWatch>,
    /// Fields that are said before the body or not at all.
    not_in_trailers: Vec<HeaderName>,
    paced: Option<Paced>,
}

/// What is in hand of a body that is passed on at a pace.
#[derive(Debug)]
struct Paced {
    pace: Pace,
    /// What came and was not passed on.
    held: Bytes,
    /// How much of that is charged, and passed on after the pause.
    due: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) fn new(
        inner: Incoming,
        bytes_max: u64,
        pickiness: Pickiness,
        watch: Arc<BodyWatch>,
        not_in_trailers: Vec<HeaderName>,
    ) -> Self {
        Self {
            inner,
            left: bytes_max,
            silence_max: pickiness.silence_max,
            silence: None,
            rate: Rate::at_least(pickiness.min_rate),
            watch,
            not_in_trailers,
            paced: None,
        }
    }

    /// Passes on at `pace` from now on.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.paced = Some(Paced {
            pace,
            held: Bytes::new(),
            due: 0,
            pause: None,
        });
    }

    /// What came, as it came.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                let error = if is_malformed(&error) {
                    BodyError::Malformed
                } else {
                    BodyError::BrokeOff
                };
                return Poll::Ready(Some(Err(self.watch.fail(error))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                self.rate.waits();
                ready!(self.poll_silence(context));
                return Poll::Ready(Some(Err(self.watch.fail(BodyError::Stalled))));
            }
        };
        self.end_silence();
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if frame.is_data() && !self.rate.came(length) {
            return Poll::Ready(Some(Err(self.watch.fail(BodyError::Stalled))));
        }
        if let Some(trailers) = frame.trailers_mut() {
            for name in &self.not_in_trailers {
                trailers.remove(name);
            }
        }
        if let Some(data) = frame.data_ref() {
            let length = data.len() as u64;
            self.watch.bytes.fetch_add(length, Ordering::Relaxed);
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(self.watch.fail(BodyError::TooLarge)))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let silence_max = self.silence_max;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(silence_max)));
        silence.as_mut().poll(context)
    }

    fn end_silence(&mut self) {
        let silence_max = self.silence_max;
        if let Some(silence) = &mut self.silence {
            silence.as_mut().reset(Instant::now() + silence_max);
        }
    }

    /// The next slice of what is in hand, after its pause. None: nothing is in hand.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(paced) = self.paced.as_mut().filter(|paced| !paced.held.is_empty()) else {
            return Poll::Ready(None);
        };
        if paced.due == 0 {
            paced.due = paced.held.len().min(paced.pace.slice_bytes());
            let wait = paced.pace.charge(paced.due);
            if !wait.is_zero() {
                let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                self.watch.paced_nanos.fetch_add(nanos, Ordering::AcqRel);
                paced.pause = Some(Box::pin(tokio::time::sleep(wait)));
            }
        }
        if let Some(pause) = &mut paced.pause {
            ready!(pause.as_mut().poll(context));
        }
        paced.pause = None;
        let slice = paced.held.split_to(std::mem::take(&mut paced.due));
        self.end_silence();
        Poll::Ready(Some(slice))
    }

    fn held_bytes(&self) -> u64 {
        let paced = self.paced.as_ref();
        paced.map_or(0, |paced| paced.held.len() as u64)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(slice) = ready!(self.poll_held(context)) {
                return Poll::Ready(Some(Ok(Frame::data(slice))));
            }
            let next = ready!(self.poll_next(context));
            match (next, &mut self.paced) {
                (Some(Ok(frame)), Some(paced)) => match frame.into_data() {
                    Ok(data) => paced.held = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                (next, _) => return Poll::Ready(next),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held_bytes() == 0 && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, held) = (self.inner.size_hint(), self.held_bytes());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(held));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(held));
        }
        whole
    }
}

/// Whether what came could not be decoded, as chunks of a size that is none; otherwise it just ended.
fn is_malformed(error: &hyper::Error) -> bool {
    use std::{error::Error as _, io};
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        )
    })
}
