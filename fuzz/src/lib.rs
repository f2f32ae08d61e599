//! Fuzz targets for every parser that reads bytes from outside.
//!
//! A target takes any bytes and panics when a law is broken. `cargo fuzz run --features libfuzzer
//! TARGET` searches with coverage; the plain tests run each target over mutations of its seeds, for
//! as long as `WATERTIGHT_FUZZ_SECONDS` says, so that no change lands without a look.

mod heartbeat;
mod mutate;

use std::{
    borrow::Cow,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Request, header};
use watertight::config;
use watertight_base::{CompartmentId, NodeId, ServiceId, TenantId};
use watertight_gateway::{CacheControl, Identifier, normalise, vary};
use watertight_guard::pool::Class;
use watertight_layers::{
    RATE_LIMIT,
    client::{Backoff, asked_wait},
};
use watertight_plan::{ApiKey, HostPattern, Identity, Jwt, Secret, Source};

pub use heartbeat::{beat, dialogue, gossip, gossip_seeds};
pub use mutate::mutations;

/// Names: what is accepted is printable, has no separators, and reads back as itself.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(tenant) = text.parse::<TenantId>() {
        assert!(tenant.as_str().len() <= TenantId::MAX_LENGTH);
        assert!(tenant.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(
            !tenant
                .as_str()
                .contains(['/', '"', '\\', '{', '}', ',', ';', '='])
        );
        assert_eq!(tenant.to_string(), text);
    }
    let accepted = [
        text.parse::<ServiceId>().is_ok(),
        text.parse::<CompartmentId>().is_ok(),
        text.parse::<NodeId>().is_ok(),
    ];
    assert!(
        accepted.iter().all(|one| *one == accepted[0]),
        "kinds of names differ on {text:?}"
    );
}

/// Paths: the normal form is normal, and is reached in one step.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(normal) = normalise(text) else { return };
    assert_eq!(normalise(&normal), Ok(Cow::Borrowed(&*normal)), "{text:?}");
    assert!(normal.starts_with('/'));
    assert!(!normal.contains("//") && !normal.contains(['\\', '\0']));
    let decoded = normal.replace("%2F", "/").replace("%5C", "/");
    let steps = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(!decoded.split('/').any(steps), "{text:?}");
    assert!(
        normal
            .split('/')
            .all(|segment| !matches!(segment, "." | "..")),
        "{text:?}"
    );
}

/// Identity: any head is answered, and what a stranger says in a header names nobody.
pub fn identity(bytes: &[u8]) {
    let mut fields = bytes.split(|byte| *byte == b'\n');
    let mut request = Request::builder();
    if let Some(uri) = fields.next().and_then(|uri| std::str::from_utf8(uri).ok()) {
        request = request.uri(uri);
    }
    for field in fields {
        let colon = field
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(field.len());
        let (name, value) = field.split_at(colon);
        request = request.header(name, value.get(1..).unwrap_or_default());
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    let head = request.into_parts().0;
    let Ok(normal) = normalise(head.uri.path()) else {
        return;
    };
    let friend = IpAddr::from([127, 0, 0, 1]);
    let stranger = IpAddr::from([203, 0, 113, 9]);
    let Ok(identifier) = Identifier::new(&all_sources()) else {
        unreachable!("it is ours")
    };
    // Whatever it says, it says without a panic.
    let _ = identifier.identify(&head, &normal, friend);
    let Ok(headers_only) = Identifier::new(&Identity::default()) else {
        unreachable!("it is ours")
    };
    assert!(headers_only.identify(&head, &normal, stranger).is_err());
}

fn all_sources() -> Identity {
    let Ok(tenant) = "acme".parse() else {
        unreachable!("a name")
    };
    Identity {
        sources: vec![
            Source::Jwt {
                claim: "tenant".into(),
            },
            Source::ApiKey,
            Source::Header {
                name: "x-tenant-id".into(),
            },
            Source::Host(HostPattern {
                prefix: "t-".into(),
                suffix: ".shop.example".into(),
            }),
            Source::Path {
                prefix: "/t/".into(),
            },
        ],
        api_keys: vec![ApiKey {
            name: "key".into(),
            keys: vec![Secret::new(*b"a key of some bytes")],
            tenant,
            class: Class::Ordinary,
        }],
        jwt: Some(Jwt {
            keys: Secret::new(*b"a secret of thirty-two bytes or so"),
            issuer: None,
            audience: None,
        }),
        ..Identity::default()
    }
}

/// Fields that say whether an answer may be kept: all are read, what forbids is heard however it is
/// split into lines, and what is not understood forbids.
pub fn keeping(bytes: &[u8]) {
    let lines: Vec<HeaderValue> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let control = CacheControl::parse(&lines);
    let is_quoted = lines.iter().any(|line| line.as_bytes().contains(&b'"'));
    let names = |line: &HeaderValue| -> Vec<String> {
        let text = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
        text.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let names: Vec<String> = lines.iter().flat_map(names).collect();
    let says = |what: &str| names.iter().any(|name| name == what);
    if !is_quoted && (says("no-store") || says("private") || says("no-cache")) {
        assert!(control.forbids_store || control.forbids_share, "{lines:?}");
    }
    // One line says what several do.
    let whole: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if !is_quoted && let Ok(whole) = HeaderValue::from_bytes(&whole.join(&b", "[..])) {
        let joined = CacheControl::parse([&whole]);
        assert_eq!(joined.forbids_store, control.forbids_store, "{lines:?}");
        if !joined.forbids_store {
            assert_eq!(joined, control);
        }
        assert_eq!(vary([&whole]), vary(&lines));
    }
    match vary(&lines) {
        Some(names) => {
            assert!(names.is_sorted_by(|one, other| one.as_str() < other.as_str()));
        }
        None => assert!(!names.iter().all(|name| name.is_empty())),
    }
    if says("*") {
        assert_eq!(vary(&lines), None);
    }
}

/// Configurations: any text is answered, and what is wrong with it lies inside it.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let nothing = |_: &str| None;
    if let Err(failure) = config::parse("fuzz.toml", text, Path::new("/nowhere"), &nothing) {
        assert!(!failure.render(false).is_empty());
        for problem in failure.problems() {
            assert!(problem.span.end <= text.len() && problem.span.start <= problem.span.end);
        }
    }
}

/// Waits that a server asks for, by the lines `Retry-After`, `Date` and then `RateLimit`: nobody
/// comes back earlier than asked, seconds are what they say, and a list that can be read can be
/// continued, on the same line or the next.
pub fn waits(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = [header::RETRY_AFTER, header::DATE];
    let names = names.into_iter().chain(std::iter::repeat(RATE_LIMIT));
    for (name, line) in names.zip(bytes.split(|byte| *byte == b'\n')).take(8) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let asked = |headers: &HeaderMap| asked_wait(headers, SystemTime::UNIX_EPOCH);
    let wait = asked(&headers);
    let backoff = Backoff::default();
    for (retry, dice) in [(0, 0.0), (2, 0.5), (u32::MAX, 0.999)] {
        let waited = backoff.wait(retry, wait, dice);
        assert!(waited.is_none_or(|waited| waited <= backoff.longest_wait()));
        assert!(waited.is_none() || waited >= wait, "{waited:?} {wait:?}");
    }
    let text = headers.remove(header::RETRY_AFTER);
    let text = text.as_ref().and_then(|text| text.to_str().ok());
    if let Some(text) = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())) {
        let seconds = text.bytes().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add((digit - b'0').into())
        });
        let said = (!text.is_empty()).then(|| Duration::from_secs(seconds));
        assert_eq!(wait, said.or_else(|| asked(&headers)), "{text:?}");
    }
    let Some(reset) = asked(&headers) else { return };
    let longer = Some(reset.max(Duration::from_secs(7)));
    let lines = headers.get_all(RATE_LIMIT).iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    // With a comma and one space, because a string may have begun on one line and end on the next.
    let one = [&lines.join(&b", "[..])[..], b" \t,\t\"x\";r=0;t=7"].concat();
    headers.append(RATE_LIMIT, HeaderValue::from_static("\"x\";r=0;t=7"));
    assert_eq!(asked(&headers), longer);
    if let Ok(one) = HeaderValue::from_bytes(&one) {
        headers.insert(RATE_LIMIT, one);
        assert_eq!(asked(&headers), longer);
    }
}
