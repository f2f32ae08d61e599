//! Between upstream and client: a bounded number of bytes, which count for their tenant.
//!
//! The upstream waits for the reader as long as that takes its bytes. Over HTTP/1.1 a connection has
//! one reader, and ends with it: whoever watches the connection is the one judge. Over HTTP/2 others
//! may keep the connection busy while one takes nothing, so there each is held to its [`Patience`].

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use watertight_layers::{Buffer, HeldBytes};

use super::{
    BodyError, ResponseBody,
    taken::{Counted, Taken},
};

/// A relay that holds at most `capacity` bytes, which count in the tenant's `buffer`. `size` is what
/// is known of the length.
pub(crate) fn relay(
    capacity: usize,
    size: SizeHint,
    buffer: Buffer,
) -> (RelaySender, ResponseBody) {
    let (sender, items) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(capacity));
    let taken = Taken::default();
    let reader = RelayReader {
        items,
        room: Arc::clone(&room),
        size,
        capacity,
        taken: taken.clone(),
        ended: false,
    };
    let sender = RelaySender {
        items: sender,
        room,
        capacity,
        buffer,
        taken,
        patience: None,
    };
    (sender, reader.into())
}

/// What a reader must take while it is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The longest time in which it may take less.
    pub(crate) span: Duration,
    /// Bytes a second; 0: any.
    pub(crate) min_rate: u64,
}

impl Patience {
    fn bytes(&self) -> u64 {
        let bytes = self.min_rate.saturating_mul(self.span.as_secs());
        bytes.max(1)
    }
}

/// The upstream's end of a relay.
#[derive(Debug)]
pub(crate) struct RelaySender {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    capacity: usize,
    buffer: Buffer,
    taken: Taken,
    /// None: it lasts as long as the reader is there.
    patience: Option<Patience>,
}

impl RelaySender {
    /// Waits for a reader only while that takes enough. None: as long as it is there.
    pub(crate) fn with_patience(self, patience: Option<Patience>) -> Self {
        Self { patience, ..self }
    }

    /// Waits for room and passes a frame on. False: the reader is gone, or does not read.
    pub(crate) async fn send(&self, frame: Frame<Bytes>) -> bool {
        self.while_it_reads(self.pass(frame)).await
    }

    async fn while_it_reads(&self, waits: impl Future<Output = bool>) -> bool {
        let Some(patience) = self.patience else {
            return waits.await;
        };
        let mut waits = pin!(waits);
        loop {
            let before = self.taken.bytes();
            match timeout(patience.span, waits.as_mut()).await {
                Ok(result) => return result,
                Err(_) if self.taken.bytes() - before < patience.bytes() => return false,
                Err(_) => {}
            }
        }
    }

    async fn pass(&self, frame: Frame<Bytes>) -> bool {
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

    /// Until the reader has taken everything. False: it is gone, or does not read.
    pub(crate) async fn drained(&self) -> bool {
        let all = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        let drained = async {
            tokio::select! {
                biased;
                room = self.room.acquire_many(all) => room.is_ok(),
                () = self.items.closed() => false,
            }
        };
        self.while_it_reads(drained).await
    }

    /// Says that the answer is complete.
    pub(crate) fn end(self) {
        // The reader may be gone; then nobody needs to know.
        let _ = self.items.send(Item::End);
    }

    /// Whether the reader is gone. One that is left for want of patience is still there.
    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    /// Until the reader is gone.
    pub(crate) async fn closed(&self) {
        self.items.closed().await;
    }
}

/// The client's end of a relay.
#[derive(Debug)]
pub(super) struct RelayReader {
    items: mpsc::UnboundedReceiver<Item>,
    room: Arc<Semaphore>,
    size: SizeHint,
    capacity: usize,
    taken: Taken,
    ended: bool,
}

impl RelayReader {
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Counted>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.items.poll_recv(context)) {
            Some(Item::Frame(frame, held)) => {
                self.room
                    .add_permits(weight(&frame, self.capacity) as usize);
                drop(held);
                Some(Ok(frame.map_data(|data| Counted::by(data, &self.taken))))
            }
            Some(Item::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(BodyError::Upstream))
            }
        })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What the upstream said of the length.
    pub(super) fn size(&self) -> SizeHint {
        self.size
    }
}

/// What travels through a relay.
#[derive(Debug)]
enum Item {
    Frame(Frame<Bytes>, HeldBytes),
    End,
}

/// What a frame takes of a relay's room: its bytes, but never more than there can be.
fn weight(frame: &Frame<Bytes>, capacity: usize) -> u32 {
    let bytes = frame.data_ref().map_or(0, Bytes::len).min(capacity);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use bytes::Buf;
    use http_body_util::BodyExt;

    use super::*;

    fn frame(length: usize) -> Frame<Bytes> {
        Frame::data(Bytes::from(vec![7; length]))
    }

    #[tokio::test]
    async fn a_relay_holds_no_more_than_its_capacity() {
        let (sender, mut body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        assert!(sender.send(frame(10)).await);
        let mut blocked = Box::pin(sender.send(frame(1)));
        assert!(futures_poll(blocked.as_mut()).await.is_pending());
        assert_eq!(read(&mut body).await, 10);
        assert!(blocked.await);
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_relay_passes_alone() {
        let (sender, mut body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        assert!(sender.send(frame(100)).await);
        assert_eq!(read(&mut body).await, 100);
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

    /// Reads a frame, and says how many bytes it has.
    async fn read(body: &mut ResponseBody) -> usize {
        let frame = body.frame().await.unwrap().unwrap();
        frame.into_data().unwrap().remaining()
    }

    /// A reader that takes so many bytes of what it was handed each second. Whether it is waited for
    /// through two frames, the relay being full; None: still, after ten minutes.
    async fn waits_for(bytes: usize) -> Option<bool> {
        let (sender, mut body) = relay(10, SizeHint::default(), Buffer::of(u64::MAX));
        let patience = Patience {
            span: Duration::from_secs(4),
            min_rate: 10,
        };
        let sender = sender.with_patience(Some(patience));
        assert!(sender.send(frame(2_000)).await);
        let reader = async {
            loop {
                let Some(Ok(frame)) = body.frame().await else {
                    return;
                };
                let mut data = frame.into_data().unwrap();
                while data.has_remaining() {
                    tokio::time::sleep(Duration::from_secs(1)).await; // sleep: by a paused clock
                    data.advance(data.remaining().min(bytes));
                }
            }
        };
        let sending = async { sender.send(frame(2_000)).await && sender.send(frame(2_000)).await };
        let either = async {
            tokio::select! {
                biased;
                is_sent = sending => is_sent,
                () = reader => false,
            }
        };
        timeout(Duration::from_secs(600), either).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_waited_for_by_the_bytes_that_it_takes_and_not_by_frames() {
        assert_eq!(waits_for(15).await, Some(true), "133 seconds for a frame");
        assert_eq!(waits_for(5).await, Some(false));
        assert_eq!(waits_for(0).await, Some(false));
    }

    async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
