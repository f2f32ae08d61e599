//! The normal form of a path, so that the walls and the service behind them see the same one.
//!
//! Escapes of unreserved characters are decoded, empty and `.` segments fall away, `..` takes its
//! segment away (RFC 3986, sections 6.2.2 and 5.2.4). The normal form is what is routed and what is
//! forwarded: a path that could mean one service here and another there does not get through.

use std::borrow::Cow;

/// A path that has no normal form: relative, above the root, with a broken escape, a backslash, a
/// space or a control character, or with a `.` or `..` that only some servers would see (behind an
/// escaped slash, before parameters).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the path has no normal form")]
pub struct BadPath;

/// The normal form of `path`.
///
/// # Errors
/// [`BadPath`], when there is none.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let unprintable = |byte: u8| byte <= b' ' || byte == 0x7f;
    if !path.starts_with('/') || path.bytes().any(unprintable) {
        return Err(BadPath);
    }
    if !path.contains(['%', '\\']) && !path.contains("//") && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(path)?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(BadPath)?;
            }
            segment if hides_a_step(segment) => return Err(BadPath),
            segment => segments.push(segment),
        }
    }
    let is_directory = matches!(decoded.rsplit('/').next(), Some("" | "." | ".."));
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if is_directory || segments.is_empty() {
        normal.push('/');
    }
    Ok(Cow::Owned(normal))
}

/// Whether a server that decodes escaped slashes, or cuts off parameters, finds a `.` or `..` here.
fn hides_a_step(segment: &str) -> bool {
    let pieces = segment.split("%2F").flat_map(|piece| piece.split("%5C"));
    pieces
        .map(|piece| piece.split(';').next())
        .any(|piece| matches!(piece, Some("." | "..")))
}

fn decode_unreserved(path: &str) -> Result<String, BadPath> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '\\']) {
        decoded.push_str(&rest[..at]);
        if rest[at..].starts_with('\\') {
            // Some servers take it for a slash.
            return Err(BadPath);
        }
        let digits = rest.get(at + 1..at + 3).ok_or(BadPath)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadPath);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| BadPath)?;
        match byte {
            0 => return Err(BadPath),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                decoded.push(char::from(byte));
            }
            _ => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_one_normal_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/%63art", "/cart"),
            ("/a%2fb", "/a%2Fb"),
            ("/a/..", "/"),
            ("/.well-known", "/.well-known"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normalise(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn a_path_without_a_normal_form_is_refused() {
        for path in [
            "",
            "*",
            "a",
            "/..",
            "/a/../..",
            "/%2e%2e/x",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/a\\b",
            "/a/..;/b",
            "/a/%2e%2e%2fb",
            "/a/x%5c..%5cb",
            "/%00",
            "/a b",
            "/\0",
        ] {
            assert_eq!(normalise(path), Err(BadPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-c./%2eE5c]{0,24}") {
            if let Ok(normal) = normalise(&path) {
                prop_assert_eq!(normalise(&normal), Ok(Cow::Borrowed(&*normal)), "{}", path);
                prop_assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")));
            }
        }
    }
}
