//! Between upstream and client: a bounded number of bytes, which count for their tenant.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{Semaphore, mpsc};
use watertight_layers::{Buffer, HeldBytes};

use super::{BodyError, ResponseBody};

/// A relay that holds at most `capacity` bytes, which count in the tenant's `buffer`. `size` is what
/// is known of the length.
pub(crate) fn relay(
    capacity: usize,
    size: SizeHint,
    buffer: Buffer,
) -> (RelaySender, ResponseBody) {
    let (sender, items) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(capacity));
    let reader = RelayReader {
        items,
        room: Arc::clone(&room),
        size,
        capacity,
        ended: false,
    };
    let sender = RelaySender {
        items: sender,
        room,
        capacity,
        buffer,
    };
    (sender, reader.into())
}

/// The upstream's end of a relay.
#[derive(Debug)]
pub(crate) struct RelaySender {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    capacity: usize,
    buffer: Buffer,
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

/// The client's end of a relay.
#[derive(Debug)]
pub(super) struct RelayReader {
    items: mpsc::UnboundedReceiver<Item>,
    room: Arc<Semaphore>,
    size: SizeHint,
    capacity: usize,
    ended: bool,
}

impl RelayReader {
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.items.poll_recv(context)) {
            Some(Item::Frame(frame, held)) => {
                self.room
                    .add_permits(weight(&frame, self.capacity) as usize);
                drop(held);
                Some(Ok(frame))
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
        frame.into_data().unwrap().len()
    }

    async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
