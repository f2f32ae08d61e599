//! A client of HTTP/2 that sends what it is told and answers nothing: no ping, no farewell.

use std::{net::SocketAddr, time::Duration};

use crate::{raw::Raw, wait::SOON};

/// A connection on which requests are sent, and frames are only read.
#[derive(Debug)]
pub struct Frames {
    raw: Raw,
    /// The next request's stream.
    stream: u32,
    /// How much of what was read is parsed.
    parsed: usize,
}

/// What came, of a frame (RFC 9113, section 4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Its type, as [`GOAWAY`].
    pub kind: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The head of an answer.
pub const HEADERS: u8 = 1;
/// The other end takes no further streams.
pub const GOAWAY: u8 = 7;

const SETTINGS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Connects and begins to speak HTTP/2.
    ///
    /// # Panics
    /// When nobody accepts.
    pub fn connect(to: SocketAddr) -> Self {
        Self::begin(to, &[])
    }

    /// The same, and nothing of a body may be sent to it: its streams have no window.
    ///
    /// # Panics
    /// When nobody accepts.
    pub fn connect_without_window(to: SocketAddr) -> Self {
        let [a, b] = INITIAL_WINDOW_SIZE.to_be_bytes();
        Self::begin(to, &[a, b, 0, 0, 0, 0])
    }

    fn begin(to: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Raw::connect(to);
        raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(frame(SETTINGS, 0, 0, settings));
        Self {
            raw,
            stream: 1,
            parsed: 0,
        }
    }

    /// Asks for `path` on behalf of `tenant`. False: the other end is gone.
    ///
    /// # Panics
    /// When one of them is longer than 126 bytes.
    pub fn ask(&mut self, path: &str, tenant: &str) -> bool {
        // HPACK (RFC 7541): GET and http are in the static table, the names :authority and :path as
        // well, and the rest is literal.
        let mut head = vec![0x82, 0x86];
        for (name, texts) in [
            (1, &["shop.example"][..]),
            (4, &[path]),
            (0, &["x-tenant-id", tenant]),
        ] {
            head.push(name);
            for text in texts {
                let length = u8::try_from(text.len()).expect("a short text");
                assert!(length < 127, "a short text");
                head.push(length);
                head.extend(text.as_bytes());
            }
        }
        let request = frame(HEADERS, END_STREAM | END_HEADERS, self.stream, &head);
        self.stream += 2;
        self.raw.send(request)
    }

    /// Asks whether anybody is there. False: the other end is gone.
    pub fn ping(&mut self) -> bool {
        self.raw.send(frame(PING, 0, 0, &[0; 8]))
    }

    /// The next frame of this type; those before it are passed over.
    ///
    /// # Panics
    /// When none comes.
    pub fn next(&mut self, kind: u8) -> Frame {
        loop {
            match self.take() {
                Some(frame) if frame.kind == kind => return frame,
                Some(_) => {}
                None => {
                    let read = self.raw.read_some(SOON);
                    assert!(read.is_some_and(|count| count > 0), "no frame {kind}");
                }
            }
        }
    }

    /// Whether the other end closes within `limit`.
    pub fn closes(&mut self, limit: Duration) -> bool {
        self.raw.closes(limit)
    }

    fn take(&mut self) -> Option<Frame> {
        let (head, rest) = self.raw.rest()[self.parsed..].split_at_checked(HEAD_BYTES)?;
        let &[a, b, c, kind, _, d, e, f, g] = head else {
            return None;
        };
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let payload = rest.get(..length)?.to_vec();
        self.parsed += HEAD_BYTES + length;
        Some(Frame {
            kind,
            stream: u32::from_be_bytes([d, e, f, g]),
            payload,
        })
    }
}

const HEAD_BYTES: usize = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
