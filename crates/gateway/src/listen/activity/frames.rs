//! What goes over HTTP/2, either way: requests and answers, or the small talk of the protocol.
//!
//! Only the heads of frames are read (RFC 9113, section 4.1), wherever writes cut them.

/// Where in a frame the next byte belongs.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// Bytes of the next head that were written.
    begun: usize,
    /// Bytes of the frame that were not written.
    left: usize,
    is_message: bool,
}

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

impl Frames {
    /// Those of a client, which begin with the preface of a connection (RFC 9113, section 3.4).
    pub(super) fn behind_preface() -> Self {
        Self {
            left: PREFACE_BYTES,
            ..Self::default()
        }
    }

    /// Whether some of the `bytes` that come next belong to a request or an answer. A frame that
    /// carries nothing does not.
    pub(super) fn has_message(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_message = false;
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.begun));
                self.head[self.begun..][..head.len()].copy_from_slice(head);
                self.begun += head.len();
                bytes = rest;
                if self.begun == HEAD_BYTES {
                    self.begin();
                    has_message |= self.is_message && self.left > 0;
                }
            } else {
                let passed = bytes.len().min(self.left);
                self.left -= passed;
                bytes = &bytes[passed..];
                has_message |= self.is_message;
            }
        }
        has_message
    }

    fn begin(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.begun = 0;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.is_message = matches!(kind, DATA | HEADERS | CONTINUATION);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = (u8, usize)> {
        (0..11_u8, prop_oneof![Just(0), 1..40_usize, Just(70_000)])
    }

    proptest! {
        #[test]
        fn a_message_is_seen_wherever_writes_cut_it(
            frames in prop::collection::vec(frame(), 1..8),
            cuts in prop::collection::vec(1..50_usize, 1..20),
        ) {
            // Each byte, and whether it is of a message; a head is known with its last byte.
            let mut written = Vec::new();
            for (kind, length) in frames {
                let is_message = [DATA, HEADERS, CONTINUATION].contains(&kind);
                let [.., a, b, c] = length.to_be_bytes();
                let head = [a, b, c, kind, 0, 0, 0, 0, 1];
                written.extend(head.iter().enumerate().map(|(at, &byte)| (byte, is_message && at == 8 && length > 0)));
                written.extend(std::iter::repeat_n((0, is_message), length));
            }
            let mut reader = Frames::default();
            let mut rest = &written[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                let bytes: Vec<u8> = now.iter().map(|(byte, _)| *byte).collect();
                let expected = now.iter().any(|(_, is_message)| *is_message);
                prop_assert_eq!(reader.has_message(&bytes), expected);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}
