//! A client without a library: it sends the bytes that it is given, well formed or not.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use crate::wait::SOON;

/// A connection on which bytes are sent as they are.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer that was read.
#[derive(Debug)]
pub struct RawReply {
    /// Its status; 0 when there was no answer.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// What came after the head.
    pub body: Vec<u8>,
}

impl RawReply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| line.split_once(':').is_some_and(|(given, _)| given == name);
        let line = self.head.lines().find(|line| named(line))?;
        Some(line.split_once(':')?.1.trim())
    }
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When nobody accepts.
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&to, SOON).expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        stream
            .set_read_timeout(Some(SOON))
            .expect("a socket option");
        stream
            .set_write_timeout(Some(SOON))
            .expect("a socket option");
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends bytes. False: the other end is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        // The other end may be gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads once, waiting up to `limit`. None: nothing came; 0: the end.
    pub fn read_some(&mut self, limit: Duration) -> Option<usize> {
        self.stream
            .set_read_timeout(Some(limit))
            .expect("a socket option");
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                Some(count)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(_) => Some(0),
        }
    }

    /// Reads what comes until the other end closes. False: it did not within `limit`.
    pub fn closes(&mut self, limit: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            if self.read_some(left) == Some(0) {
                return true;
            }
        }
    }

    /// Reads one answer with a `content-length`, or without a body.
    ///
    /// # Panics
    /// When none comes, or it is not of that kind.
    pub fn reply(&mut self) -> RawReply {
        loop {
            if let Some(reply) = self.take_reply() {
                return reply;
            }
            let read = self.read_some(SOON);
            let text = String::from_utf8_lossy(&self.read).into_owned();
            assert!(read.is_some_and(|count| count > 0), "no answer: {text:?}");
        }
    }

    /// What was read and not taken by a reply.
    pub fn rest(&self) -> &[u8] {
        &self.read
    }

    fn take_reply(&mut self) -> Option<RawReply> {
        let (mut reply, after) = parse(&self.read)?;
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        if self.read.len() < after + length {
            return None;
        }
        reply.body.truncate(length);
        self.read.drain(..after + length);
        Some(reply)
    }
}

/// Sends `request` on a connection of its own and reads until the other end closes.
///
/// # Panics
/// When it does not close.
pub fn exchange(to: SocketAddr, request: impl AsRef<[u8]>) -> RawReply {
    let mut raw = Raw::connect(to);
    raw.send(request);
    assert!(
        raw.closes(SOON),
        "the connection stays open: {:?}",
        raw.rest()
    );
    let parsed = parse(raw.rest());
    parsed.map_or(
        RawReply {
            status: 0,
            head: String::new(),
            body: Vec::new(),
        },
        |(reply, _)| reply,
    )
}

/// The answer at the beginning of `bytes`, with all that follows, and where its body begins.
fn parse(bytes: &[u8]) -> Option<(RawReply, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    Some((RawReply { status, head, body }, end + 4))
}
