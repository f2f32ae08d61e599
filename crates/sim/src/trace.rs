//! What happened in a run: a hash of all of it, and the text of some.
//!
//! The hash is FNV-1a (64 bits, Fowler, Noll and Vo) over the text of each event, and the text is
//! made of integers and of the `Debug` of messages and timers. It is the same on every platform as
//! long as that `Debug` is: derive it, and keep hash maps and addresses in memory out of it.
//!
//! The text of the first events is kept for comparing runs, that of the last for reading what led
//! to a failure; both are bounded.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

/// What happened in a run.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    head: Vec<String>,
    head_max: usize,
    tail: VecDeque<String>,
}

/// Where two traces part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The number of the first event that differs, from 0; none if it was not kept.
    pub event: Option<u64>,
    /// What the first trace has there; none if it had ended, or was not kept.
    pub first: Option<String>,
    /// What the second trace has there; none if it had ended, or was not kept.
    pub second: Option<String>,
}

impl Trace {
    /// How many of the first events keep their text by default.
    pub const HEAD_DEFAULT: usize = 65_536;
    /// How many of the last events keep their text.
    pub const TAIL: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            hash: fnv1a(0, &[]),
            events: 0,
            head: Vec::new(),
            head_max: Self::HEAD_DEFAULT,
            tail: VecDeque::new(),
        }
    }

    /// The hash of all events.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The text of the first events.
    #[must_use]
    pub fn head(&self) -> &[String] {
        &self.head
    }

    /// The text of the last events, the oldest first.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }

    /// Where the two part; none if they are the same.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        if (self.hash, self.events) == (other.hash, other.events) {
            return None;
        }
        let kept = self.head.len().max(other.head.len());
        let index = (0..kept).find(|index| self.head.get(*index) != other.head.get(*index));
        // Beyond what one kept, a line of the other tells nothing.
        let index = index.filter(|index| [self, other].iter().all(|it| it.knows(*index)));
        Some(Difference {
            event: index.and_then(|index| u64::try_from(index).ok()),
            first: index.and_then(|index| self.head.get(index).cloned()),
            second: index.and_then(|index| other.head.get(index).cloned()),
        })
    }

    pub(crate) fn keep(&mut self, head_max: usize) {
        self.head_max = head_max;
        self.head.truncate(head_max);
    }

    pub(crate) fn record(&mut self, event: fmt::Arguments<'_>) {
        let mut line = match self.tail.len() == Self::TAIL {
            true => self.tail.pop_front().unwrap_or_default(),
            false => String::new(),
        };
        line.clear();
        // Writing to a string cannot fail; a `Debug` that fails leaves what it wrote.
        let _ = line.write_fmt(event);
        self.hash = fnv1a(fnv1a(self.hash, line.as_bytes()), b"\n");
        self.events += 1;
        if self.head.len() < self.head_max {
            self.head.push(line.clone());
        }
        self.tail.push_back(line);
    }

    /// Whether the event's text was kept, or there was no such event.
    fn knows(&self, index: usize) -> bool {
        index < self.head.len() || u64::try_from(self.head.len()) == Ok(self.events)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(event) = self.event else {
            return write!(f, "they differ after the events that were kept");
        };
        let or_end = |line: &Option<String>| line.clone().unwrap_or_else(|| "the end".to_owned());
        let (first, second) = (or_end(&self.first), or_end(&self.second));
        write!(f, "event {event} was\n  {first}\nand then\n  {second}")
    }
}

/// FNV-1a of the bytes, going on from an earlier hash, or from the start for 0.
pub(crate) fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    let start = match hash {
        0 => 0xcbf2_9ce4_8422_2325,
        hash => hash,
    };
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(lines: &[&str], keep: usize) -> Trace {
        let mut trace = Trace::new();
        trace.keep(keep);
        for line in lines {
            trace.record(format_args!("{line}"));
        }
        trace
    }

    #[test]
    fn the_hash_is_that_of_the_published_vectors() {
        assert_eq!(fnv1a(0, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(0, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(0, b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a(fnv1a(0, b"foo"), b"bar"), fnv1a(0, b"foobar"));
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = trace(&["a", "b", "c"], 9);
        assert_eq!(one.difference(&trace(&["a", "b", "c"], 9)), None);
        let found = one.difference(&trace(&["a", "x", "y"], 9)).unwrap();
        assert_eq!((found.event, found.first.as_deref()), (Some(1), Some("b")));
        let found = one.difference(&trace(&["a"], 9)).unwrap();
        assert_eq!((found.event, found.second), (Some(1), None));
    }

    #[test]
    fn a_difference_after_what_was_kept_is_seen_but_not_named() {
        for (keep, other) in [(1, 1), (1, 9), (9, 1)] {
            let found = trace(&["a", "b"], keep).difference(&trace(&["a", "c"], other));
            assert_eq!(found.unwrap().event, None);
        }
    }

    #[test]
    fn memory_does_not_follow_the_length_of_a_run() {
        let lines: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let trace = trace(&lines.iter().map(String::as_str).collect::<Vec<_>>(), 10);
        assert_eq!(
            (trace.head().len(), trace.tail().count()),
            (10, Trace::TAIL)
        );
        assert_eq!((trace.events(), trace.tail().last()), (1_000, Some("999")));
    }
}
