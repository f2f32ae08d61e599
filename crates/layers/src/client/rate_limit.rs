//! Reads the field `RateLimit` of draft-ietf-httpapi-ratelimit-headers, revision 11.
//!
//! The field is a list of structured fields (RFC 9651): a name for each limit, with `r`, what is
//! left of it, and `t`, the seconds until more is. As the RFC says, a field with a mistake anywhere
//! is ignored as a whole. An item whose `r` or `t` is missing, or no whole number of at least zero,
//! is ignored by itself, and so is an inner list, which the draft does not know. Names may be of
//! any type, since some servers write tokens where the draft has strings.
//!
//! It reads in one pass, keeps nothing but two numbers, and does not recurse.

use std::time::Duration;

/// The longest `t` of the limits of which nothing is left. None: there is no such limit, or the
/// field cannot be read.
pub(super) fn longest_reset(field: &[u8]) -> Option<Duration> {
    let mut reader = Reader { rest: field };
    reader.skip(b" ");
    let mut longest = None;
    while !reader.rest.is_empty() {
        if let Some(reset) = reader.member()? {
            longest = longest.max(Some(reset));
        }
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            break;
        }
        reader.expect(b',')?;
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            return None;
        }
    }
    longest.map(Duration::from_secs)
}

/// What is left to read. Each method takes what it reads, and says None to a mistake.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A member of the list: its `t`, if it is an item of which nothing is left.
    fn member(&mut self) -> Option<Option<u64>> {
        let is_item = self.peek()? != b'(';
        if is_item {
            self.bare_item()?;
        } else {
            self.inner_list()?;
        }
        let (remaining, reset) = self.parameters()?;
        Some(reset.filter(|_| is_item && remaining == Some(0)))
    }

    fn inner_list(&mut self) -> Option<()> {
        self.expect(b'(')?;
        loop {
            self.skip(b" ");
            if self.peek()? == b')' {
                return self.expect(b')');
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.peek()?, b' ' | b')') {
                return None;
            }
        }
    }

    /// The last `r` and the last `t`, where they are whole numbers of at least zero.
    fn parameters(&mut self) -> Option<(Option<u64>, Option<u64>)> {
        let (mut remaining, mut reset) = (None, None);
        while self.peek() == Some(b';') {
            self.expect(b';')?;
            self.skip(b" ");
            let key = self.key()?;
            let number = match self.peek() {
                Some(b'=') => {
                    self.expect(b'=')?;
                    self.bare_item()?
                }
                _ => None,
            };
            match key {
                b"r" => remaining = number,
                b"t" => reset = number,
                _ => {}
            }
        }
        Some((remaining, reset))
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        if !matches!(self.peek()?, b'a'..=b'z' | b'*') {
            return None;
        }
        Some(self.take_while(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
        ))
    }

    /// Any bare item; its number, if it is a whole one of at least zero.
    fn bare_item(&mut self) -> Option<Option<u64>> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => return self.number(),
            b'"' => self.string()?,
            b'a'..=b'z' | b'A'..=b'Z' | b'*' => {
                self.take_while(|byte| is_token(byte) || matches!(byte, b':' | b'/'));
            }
            b':' => self.byte_sequence()?,
            b'?' => {
                self.expect(b'?')?;
                if !matches!(self.next()?, b'0' | b'1') {
                    return None;
                }
            }
            b'@' => {
                self.expect(b'@')?;
                let before = self.rest;
                self.number()?;
                let read = &before[..before.len() - self.rest.len()];
                if read.contains(&b'.') {
                    return None;
                }
            }
            b'%' => self.display_string()?,
            _ => return None,
        }
        Some(None)
    }

    /// An integer of up to 15 digits, or a decimal of up to 12 and 3.
    fn number(&mut self) -> Option<Option<u64>> {
        let is_negative = self.peek() == Some(b'-');
        if is_negative {
            self.expect(b'-')?;
        }
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let whole = std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
        let length = digits.len();
        if self.peek() == Some(b'.') {
            self.expect(b'.')?;
            let fraction = self.take_while(|byte| byte.is_ascii_digit()).len();
            let is_decimal = (1..=12).contains(&length) && (1..=3).contains(&fraction);
            return is_decimal.then_some(None);
        }
        let is_integer = (1..=15).contains(&length);
        is_integer.then(|| whole.filter(|whole| !is_negative || *whole == 0))
    }

    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' if matches!(self.next()?, b'"' | b'\\') => {}
                b'\\' => return None,
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    /// Base64 is not decoded: only its alphabet is checked.
    fn byte_sequence(&mut self) -> Option<()> {
        self.expect(b':')?;
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.expect(b':')
    }

    /// That the escaped bytes are UTF-8 is not checked.
    fn display_string(&mut self) -> Option<()> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'%' => {
                    for _ in 0..2 {
                        if !matches!(self.next()?, b'0'..=b'9' | b'a'..=b'f') {
                            return None;
                        }
                    }
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(&byte));
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest;
        let end = rest.iter().position(|byte| !accept(*byte));
        let (taken, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest;
        taken
    }
}

/// `tchar` of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(field: &str) -> Option<u64> {
        longest_reset(field.as_bytes()).map(|span| span.as_secs())
    }

    #[test]
    fn the_longest_wait_of_what_is_spent_is_found() {
        for (field, seconds) in [
            ("\"default\";r=0;t=5", Some(5)),
            ("default;r=0;t=5", Some(5)),
            ("\"a\";r=0;t=5, \"b\";r=0;t=9,\t\"c\";r=1;t=30", Some(9)),
            ("\"a\";r=3;t=5", None),
            ("\"a\";t=5", None),
            ("\"a\";r=0", None),
            ("\"a\";r=0;t=-1", None),
            ("\"a\";r=0;t=1.5", None),
            ("\"a\";r=0;t=?1", None),
            ("\"a\";r=0;r=1;t=5", None),
            ("\"a\";r=1; r=0;t=5", Some(5)),
            ("\"a\";pk=:cHNzc3Q=:;r=0;t=5;x", Some(5)),
            ("\"a, b;r=1\\\"\";r=0;t=5", Some(5)),
            ("(\"a\" b;x);r=0;t=5, c;r=0;t=2", Some(2)),
            ("%\"f%c3%bc\";r=0;t=5", Some(5)),
            ("@12;r=0;t=5", Some(5)),
            ("  \"a\";r=0;t=5  ", Some(5)),
            ("\"a\";r=0;t=999999999999999", Some(999_999_999_999_999)),
            ("", None),
        ] {
            assert_eq!(reset(field), seconds, "{field}");
        }
    }

    #[test]
    fn a_field_with_a_mistake_is_ignored_as_a_whole() {
        for mistake in [
            ",",
            "a;r=0;t=1,",
            "\"a;r=0;t=1",
            "\"a\\x\"",
            "a;R=0",
            "a;r=",
            "a;=0",
            "a; ",
            "a;r=1234567890123456",
            "a;r=1.2345",
            "a;r=1.",
            "a;r=-",
            "a;r==0",
            "a b",
            "a ;r=0",
            "?2",
            "@1.5",
            ":a",
            "%\"%C3\"",
            "(a",
            "(a,b)",
            "(a\"b\")",
            "\u{e4}",
            "a;r=0;t=1;",
        ] {
            assert_eq!(reset(mistake), None, "{mistake}");
            assert_eq!(
                reset(&format!("good;r=0;t=5, {mistake}")),
                None,
                "{mistake}"
            );
        }
    }

    #[test]
    fn what_our_own_refusals_write_is_read() {
        use watertight_base::{Rate, Tick};
        use watertight_guard::throttle::{Algorithm, Counter, Quota};

        use crate::{QuotaState, Quotas};

        let rate = Rate::new(1, Duration::from_secs(60)).unwrap();
        let quota = Quota::new(Algorithm::TokenBucket { burst: 1 }, rate).unwrap();
        let counter = Counter::new(&quota);
        let take = || counter.take(Tick::ZERO, &quota, 1, Duration::ZERO);
        take();
        let state = |name: &str| QuotaState {
            limit: name.parse().unwrap(),
            quota,
            decision: quota.describe(&take()),
        };
        let quotas = Quotas {
            states: vec![state("vip-rate"), state("7days")],
            ..Quotas::default()
        };
        assert_eq!(reset(&quotas.state_header()), Some(60));
    }
}
