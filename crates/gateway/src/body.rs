//! Bodies on their way: bounded, watched, and streamed under backpressure.
//!
//! *Up*: [`RequestBody`] passes a client's frames on as the upstream takes them and as limits on bytes
//! allow, counts its bytes and its silences, and remembers what was wrong, so that the answer can
//! name it.
//!
//! *Down*: a relay of a bounded number of bytes lies between upstream and client. The upstream end
//! fills it without waiting for the reader until it is full; when the upstream's last byte is in,
//! seat and connection are free, however slow the reader is. An answer that is cut short must not
//! look complete: without [`Item::End`] the reader sees an error and its connection is closed.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, Sleep},
};
use watertight_layers::{Buffer, HeldBytes};

use crate::pace::Pace;

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client went away.
    #[error("the client broke off")]
    BrokeOff,
    /// The client is there, but what it sends is no body.
    #[error("the body is malformed")]
    Malformed,
    /// The body is longer than it may be.
    #[error("the body is too long")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// The upstream broke off.
    #[error("the upstream broke off")]
    Upstream,
}

/// What a request's body came to, seen from outside while it is on its way.
#[derive(Debug, Default)]
pub(crate) struct BodyWatch {
    bytes: AtomicU64,
    error: AtomicU8,
    paced_nanos: AtomicU64,
}

impl BodyWatch {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn error(&self) -> Option<BodyError> {
        match self.error.load(Ordering::Acquire) {
            1 => Some(BodyError::BrokeOff),
            2 => Some(BodyError::TooLarge),
            3 => Some(BodyError::Stalled),
            4 => Some(BodyError::Malformed),
            _ => None,
        }
    }

    /// How long the body was, or is just being, held up by its pace.
    pub(crate) fn paced(&self) -> Duration {
        Duration::from_nanos(self.paced_nanos.load(Ordering::Acquire))
    }

    fn fail(&self, error: BodyError) -> BodyError {
        let code = match error {
            BodyError::BrokeOff | BodyError::Upstream => 1,
            BodyError::TooLarge => 2,
            BodyError::Stalled => 3,
            BodyError::Malformed => 4,
        };
        self.error.store(code, Ordering::Release);
        error
    }
}

/// How patient the front door is with a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pickiness {
    /// The longest silence.
    pub(crate) silence_max: Duration,
    /// Bytes a second, at least, while they are waited for; 0: any.
    pub(crate) min_rate: u64,
}

/// How fast a body comes while it is waited for. Time in which nobody wants more of it, because the
/// service or a limit holds it up, does not count.
#[derive(Debug)]
struct Rate {
    min: u64,
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    /// What is waited for is judged over windows of so long; the first of them is the grace that
    /// every body has.
    const WINDOW: Duration = Duration::from_secs(10);

    fn at_least(min: u64) -> Self {
        Self {
            min,
            since: None,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// More is waited for.
    fn waits(&mut self) {
        if self.min > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// More came. False: too little in too long a time.
    fn came(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let Some(since) = self.since.take() else {
            return true;
        };
        self.waited += since.elapsed();
        if self.waited < Self::WINDOW {
            return true;
        }
        let is_enough = self.bytes >= self.min.saturating_mul(self.waited.as_secs());
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_enough
    }
}

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

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let silence_max = self.silence_max;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(silence_max)));
        silence.as_mut().poll(context)
    }
}

impl RequestBody {
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

/// What travels through a relay.
#[derive(Debug)]
enum Item {
    Frame(Frame<Bytes>, HeldBytes),
    End,
}

/// The upstream's end of a relay.
#[derive(Debug)]
pub(crate) struct RelaySender {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    capacity: usize,
    buffer: Buffer,
}

/// An answer's body, on its way down.
#[derive(Debug)]
pub(crate) struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(VecDeque<Frame<Bytes>>, Option<HeldBytes>),
    Relay {
        items: mpsc::UnboundedReceiver<Item>,
        room: Arc<Semaphore>,
        size: SizeHint,
        capacity: usize,
        ended: bool,
    },
}

/// A relay that holds at most `capacity` bytes, which count in the tenant's `buffer`. `size` is what
/// is known of the length.
pub(crate) fn relay(
    capacity: usize,
    size: SizeHint,
    buffer: Buffer,
) -> (RelaySender, ResponseBody) {
    let (sender, items) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(capacity));
    let body = Kind::Relay {
        items,
        room: Arc::clone(&room),
        size,
        capacity,
        ended: false,
    };
    (
        RelaySender {
            items: sender,
            room,
            capacity,
            buffer,
        },
        ResponseBody(body),
    )
}

impl RelaySender {
    /// Waits for room and passes a frame on. False: the reader is gone.
    pub(crate) async fn send(&self, frame: Frame<Bytes>) -> bool {
        let weight = weight(&frame, self.capacity);
        let room = tokio::select! {
            biased;
            room = self.room.acquire_many(weight) => room,
            () = self.items.closed() => return false,
        };
        let Ok(room) = room else { return false };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        let held = tokio::select! {
            biased;
            held = self.hold(bytes, weight) => held,
            () = self.items.closed() => return false,
        };
        room.forget();
        self.items.send(Item::Frame(frame, held)).is_ok()
    }

    /// Counts a frame's bytes. Where the tenant has buffered all it may, a frame waits until the one
    /// before it was read: nothing is read ahead, and every reader still gets on.
    async fn hold(&self, bytes: u64, weight: u32) -> HeldBytes {
        if let Some(held) = self.buffer.try_hold(bytes) {
            return held;
        }
        loop {
            let freed = self.buffer.freed();
            if let Some(held) = self.buffer.try_hold(bytes) {
                return held;
            }
            if self.room.available_permits() + weight as usize >= self.capacity {
                return self.buffer.hold(bytes);
            }
            freed.await;
        }
    }

    /// Whether the tenant may have no more bytes buffered.
    pub(crate) fn is_full(&self) -> bool {
        !self.buffer.has_room(1)
    }

    /// Until the reader has taken everything. False: it is gone.
    pub(crate) async fn drained(&self) -> bool {
        let all = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            room = self.room.acquire_many(all) => room.is_ok(),
            () = self.items.closed() => false,
        }
    }

    /// Says that the answer is complete.
    pub(crate) fn end(self) {
        // The reader may be gone; then nobody needs to know.
        let _ = self.items.send(Item::End);
    }

    /// Until the reader is gone.
    pub(crate) async fn closed(&self) {
        self.items.closed().await;
    }
}

/// What a frame takes of a relay's room: its bytes, but never more than there can be.
fn weight(frame: &Frame<Bytes>, capacity: usize) -> u32 {
    let bytes = frame.data_ref().map_or(0, Bytes::len).min(capacity);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl ResponseBody {
    /// A body of no bytes.
    pub(crate) fn empty() -> Self {
        Self(Kind::Whole(VecDeque::new(), None))
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

impl ResponseBody {
    /// Frames that are all there is, and that count for their tenant until they are read.
    pub(crate) fn held(frames: Vec<Frame<Bytes>>, buffer: &Buffer) -> Self {
        let lengths = frames
            .iter()
            .filter_map(|frame| Some(frame.data_ref()?.len()));
        let held = buffer.hold(lengths.sum::<usize>() as u64);
        Self(Kind::Whole(frames.into(), Some(held)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(frames, held) => {
                let frame = frames.pop_front();
                if frames.is_empty() {
                    *held = None;
                }
                Poll::Ready(frame.map(Ok))
            }
            Kind::Relay { ended: true, .. } => Poll::Ready(None),
            Kind::Relay {
                items,
                room,
                capacity,
                ended,
                ..
            } => Poll::Ready(match ready!(items.poll_recv(context)) {
                Some(Item::Frame(frame, held)) => {
                    room.add_permits(weight(&frame, *capacity) as usize);
                    drop(held);
                    Some(Ok(frame))
                }
                Some(Item::End) => {
                    *ended = true;
                    None
                }
                None => {
                    *ended = true;
                    Some(Err(BodyError::Upstream))
                }
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(frames, _) => frames.is_empty(),
            Kind::Relay { ended, .. } => *ended,
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
            Kind::Relay { size, .. } => *size,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn frame(length: usize) -> Frame<Bytes> {
        Frame::data(Bytes::from(vec![7; length]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_too_slow_and_one_that_is_held_up_is_not() {
        let mut trickle = Rate::at_least(240);
        let mut seconds = 0;
        loop {
            trickle.waits();
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
            if !trickle.came(100) {
                break;
            }
        }
        assert_eq!(seconds, 10);
        let (mut steady, mut held_up) = (Rate::at_least(240), Rate::at_least(240));
        let mut any = Rate::at_least(0);
        for _ in 0..100 {
            steady.waits();
            any.waits();
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(steady.came(240) && held_up.came(1) && any.came(1));
        }
    }

    #[tokio::test]
    async fn a_relay_holds_no_more_than_its_capacity() {
        let (sender, mut body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        assert!(sender.send(frame(10)).await);
        let mut blocked = Box::pin(sender.send(frame(1)));
        assert!(futures_poll(blocked.as_mut()).await.is_pending());
        assert_eq!(
            body.frame()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap()
                .len(),
            10
        );
        assert!(blocked.await);
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_relay_passes_alone() {
        let (sender, mut body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        assert!(sender.send(frame(100)).await);
        assert_eq!(
            body.frame()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap()
                .len(),
            100
        );
        assert!(sender.send(frame(100)).await);
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_short_is_an_error() {
        let (sender, body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        sender.send(frame(3)).await;
        drop(sender);
        assert_eq!(body.collect().await.unwrap_err(), BodyError::Upstream);

        let (sender, body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        sender.send(frame(3)).await;
        sender.end();
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 3);
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_the_relay() {
        let (sender, body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        drop(body);
        sender.closed().await;
        assert!(!sender.send(frame(3)).await);
    }

    async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
