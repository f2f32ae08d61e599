//! What is written over HTTP/2: answers, or the small talk of the protocol.
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
    is_answer: bool,
}

const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

impl Frames {
    /// Whether some of the `bytes` that come next belong to an answer.
    pub(super) fn has_answer(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_answer = false;
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.begun));
                self.head[self.begun..][..head.len()].copy_from_slice(head);
                self.begun += head.len();
                bytes = rest;
                if self.begun == HEAD_BYTES {
                    self.begin();
                    has_answer |= self.is_answer;
                }
            } else {
                let passed = bytes.len().min(self.left);
                self.left -= passed;
                bytes = &bytes[passed..];
                has_answer |= self.is_answer;
            }
        }
        has_answer
    }

    fn begin(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.begun = 0;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.is_answer = matches!(kind, DATA | HEADERS | CONTINUATION);
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
        fn an_answer_is_seen_wherever_writes_cut_it(
            frames in prop::collection::vec(frame(), 1..8),
            cuts in prop::collection::vec(1..50_usize, 1..20),
        ) {
            // Each byte, and whether it is of an answer; a head is known with its last byte.
            let mut written = Vec::new();
            for (kind, length) in frames {
                let is_answer = [DATA, HEADERS, CONTINUATION].contains(&kind);
                let [.., a, b, c] = length.to_be_bytes();
                let head = [a, b, c, kind, 0, 0, 0, 0, 1];
                written.extend(head.iter().enumerate().map(|(at, &byte)| (byte, is_answer && at == 8)));
                written.extend(std::iter::repeat_n((0, is_answer), length));
            }
            let mut reader = Frames::default();
            let mut rest = &written[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                let bytes: Vec<u8> = now.iter().map(|(byte, _)| *byte).collect();
                let expected = now.iter().any(|(_, is_answer)| *is_answer);
                prop_assert_eq!(reader.has_answer(&bytes), expected);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}
