//! A client's connection that can be asked whether the client hung up, beside whoever reads it.
//!
//! An end of what a client sends is seen by reading up to it, and whoever has enough unread reads no
//! further. The kernel tells of the end also when there are bytes before it (`EPOLLRDHUP`), and the
//! runtime keeps what it was told: asking is no system call. For that the connection is held in two
//! halves, the reading one shared behind a lock. Both who read and who ask belong to one task, so
//! nobody ever waits for it, and reads and writes are those of the runtime.
//!
//! It stands below TLS, whose connections end with it.

use std::{
    io::IoSlice,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A client's connection.
#[derive(Debug)]
pub(super) struct Wire {
    line: Line,
    write: OwnedWriteHalf,
}

/// What its client sends, for asking whether there is an end to it.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Mutex<OwnedReadHalf>>);

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let line = Line(Arc::new(Mutex::new(read)));
        Self { line, write }
    }

    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }
}

impl Line {
    /// Whether the client has stopped sending, or is gone, whatever it sent before that is unread.
    pub(super) fn is_hung_up(&self) -> bool {
        let half = self.half();
        let mut ready = pin!(half.ready(Interest::READABLE));
        // Asked once: what comes later is for the next time.
        let asked = ready.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match asked {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            // Its runtime is gone.
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    fn half(&self) -> MutexGuard<'_, OwnedReadHalf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.line.half()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn wired() -> (TcpStream, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, served) = tokio::join!(client, listener.accept());
        (client.unwrap(), Wire::new(served.unwrap().0))
    }

    /// Until the line says so.
    async fn hung_up(line: &Line) {
        while !line.is_hung_up() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_hangs_up_behind_unread_bytes_is_seen_and_the_bytes_can_still_be_read() {
        let (mut client, mut wire) = wired().await;
        let line = wire.line();
        client.write_all(b"first").await.unwrap();
        let mut five = [0; 5];
        wire.read_exact(&mut five).await.unwrap();
        client.write_all(b"second").await.unwrap();
        wire.write.ready(Interest::READABLE).await.unwrap();
        assert!(!line.is_hung_up(), "it only sends");
        client.shutdown().await.unwrap();
        hung_up(&line).await;
        let mut rest = Vec::new();
        wire.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"second");
        assert!(line.is_hung_up());
    }

    #[tokio::test]
    async fn who_breaks_off_is_seen() {
        let (client, wire) = wired().await;
        crate::socket::break_off(&client);
        drop(client);
        hung_up(&wire.line()).await;
    }
}
