//! How long a server asks its client to stay away.
//!
//! `Retry-After` (RFC 9110, section 10.2.3) says it in seconds or as a date. Of several the longest
//! counts, since coming early is what they ask not to do. A date is compared with the `Date` of the
//! same answer, if it has one, because then the two clocks are one; else with the clock passed in.
//!
//! Where there is none that can be read, `RateLimit` may say it: the longest `t` of the limits of
//! which nothing is left. What cannot be read is as if it were not there.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::rate_limit;
use crate::RATE_LIMIT;

/// How long the server asks to wait, by its answer's headers; zero for a date that is past. `wall`
/// is the time of day, for dates in answers without `Date`. A number of seconds too large for 64
/// bits is the largest: nobody waits that long, and it must not look short.
pub fn asked_wait(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let now = || date(headers, header::DATE).unwrap_or(wall);
    headers
        .get_all(header::RETRY_AFTER)
        .iter()
        .filter_map(|value| retry_after(value.to_str().ok()?, now))
        .max()
        .or_else(|| spent_quota(headers))
}

fn retry_after(text: &str, now: impl Fn() -> SystemTime) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now()).unwrap_or_default())
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

/// The lines of a field are one list (RFC 9651, section 4.2).
fn spent_quota(headers: &HeaderMap) -> Option<Duration> {
    let mut lines = headers.get_all(RATE_LIMIT).iter();
    let mut list = lines.next()?.as_bytes().to_vec();
    for line in lines {
        list.extend_from_slice(b", ");
        list.extend_from_slice(line.as_bytes());
    }
    rate_limit::longest_reset(&list)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Sun, 06 Nov 1994 08:49:37 GMT
    const WALL: Duration = Duration::from_secs(784_111_777);

    fn asked(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        asked_wait(&map, UNIX_EPOCH + WALL)
    }

    #[test]
    fn seconds_are_read() {
        assert_eq!(asked(&[("retry-after", "120")]), Some(120 * SECOND));
        assert_eq!(asked(&[("retry-after", "0")]), Some(Duration::ZERO));
        assert_eq!(asked(&[("retry-after", "007")]), Some(7 * SECOND));
    }

    #[test]
    fn dates_are_read_in_all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:47 GMT",
            "Sunday, 06-Nov-94 08:49:47 GMT",
            "Sun Nov  6 08:49:47 1994",
        ] {
            assert_eq!(asked(&[("retry-after", text)]), Some(10 * SECOND), "{text}");
        }
        let past = ("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(asked(&[past]), Some(Duration::ZERO));
    }

    #[test]
    fn a_date_is_compared_with_the_clock_of_the_server_that_wrote_it() {
        let headers = [
            ("retry-after", "Sun, 06 Nov 2044 00:00:30 GMT"),
            ("date", "Sun, 06 Nov 2044 00:00:00 GMT"),
        ];
        assert_eq!(asked(&headers), Some(30 * SECOND));
    }

    #[test]
    fn the_longest_of_several_counts() {
        let headers = [
            ("retry-after", "5"),
            ("retry-after", "soon"),
            ("retry-after", "9"),
        ];
        assert_eq!(asked(&headers), Some(9 * SECOND));
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for text in [
            "", "-1", "+1", "1.5", "soon", "1 2", "ten", "\u{661}", "0x10",
        ] {
            assert_eq!(asked(&[("retry-after", text)]), None, "{text}");
            let with_quota = [("retry-after", text), ("ratelimit", "a;r=0;t=3")];
            assert_eq!(asked(&with_quota), Some(3 * SECOND), "{text}");
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_long_and_not_short() {
        let asked = asked(&[("retry-after", "99999999999999999999999")]);
        assert_eq!(asked, Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn a_quota_speaks_when_retry_after_does_not() {
        assert_eq!(asked(&[("ratelimit", "\"a\";r=0;t=7")]), Some(7 * SECOND));
        let both = [("ratelimit", "\"a\";r=0;t=7"), ("retry-after", "2")];
        assert_eq!(asked(&both), Some(2 * SECOND));
        let lines = [
            ("ratelimit", "\"a\";r=0;t=7"),
            ("ratelimit", "\"b\";r=0;t=8"),
        ];
        assert_eq!(asked(&lines), Some(8 * SECOND));
    }

    proptest! {
        #[test]
        fn a_date_written_is_the_date_read(ahead in 0..4_000_000_000_u64) {
            let then = UNIX_EPOCH + WALL + SECOND * u32::try_from(ahead).unwrap();
            let text = httpdate::fmt_http_date(then);
            prop_assert_eq!(asked(&[("retry-after", &text)]), Some(Duration::from_secs(ahead)));
        }
    }
}
