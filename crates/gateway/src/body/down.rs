//! An answer's body: what is all there at once, or what a relay brings.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use watertight_layers::{Buffer, HeldBytes};

use super::{BodyError, relay::RelayReader, taken::Counted};

/// An answer's body, on its way down.
#[derive(Debug)]
pub(crate) struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(VecDeque<Frame<Bytes>>, Option<HeldBytes>),
    Relay(RelayReader),
}

impl ResponseBody {
    /// A body of no bytes.
    pub(crate) fn empty() -> Self {
        Self(Kind::Whole(VecDeque::new(), None))
    }

    /// Frames that are all there is, and that count for their tenant until they are read.
    pub(crate) fn held(frames: Vec<Frame<Bytes>>, buffer: &Buffer) -> Self {
        let lengths = frames
            .iter()
            .filter_map(|frame| Some(frame.data_ref()?.len()));
        let held = buffer.hold(lengths.sum::<usize>() as u64);
        Self(Kind::Whole(frames.into(), Some(held)))
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::empty();
        }
        Self::from(vec![Frame::data(bytes)])
    }
}

/// Frames that are all there is.
impl From<Vec<Frame<Bytes>>> for ResponseBody {
    fn from(frames: Vec<Frame<Bytes>>) -> Self {
        Self(Kind::Whole(frames.into(), None))
    }
}

impl From<RelayReader> for ResponseBody {
    fn from(reader: RelayReader) -> Self {
        Self(Kind::Relay(reader))
    }
}

impl Body for ResponseBody {
    type Data = Counted;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Counted>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(frames, held) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    *held = None;
                }
                Poll::Ready(frame.map(|frame| Ok(frame.map_data(Counted::from))))
            }
            Kind::Relay(reader) => reader.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(frames, _) => frames.is_empty(),
            Kind::Relay(reader) => reader.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(frames, _) => {
                let lengths = frames
                    .iter()
                    .filter_map(|frame| Some(frame.data_ref()?.len()));
                SizeHint::with_exact(lengths.sum::<usize>() as u64)
            }
            Kind::Relay(reader) => reader.size(),
        }
    }
}
