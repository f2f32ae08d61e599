//! Just enough Rust to know code from comments and literals.
//!
//! Blanking keeps every byte in its place, so that an offset in the blanked text is the same offset
//! in the file. A parser would know more, and would be the dearest dependency of this package.

use std::ops::Range;

/// The text with comments and the insides of literals blanked.
pub(super) fn code(text: &str) -> String {
    blank(text, true)
}

/// The text with the insides of literals blanked, comments kept.
pub(super) fn without_literals(text: &str) -> String {
    blank(text, false)
}

/// The line, counted from one, on which the byte stands.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// Where the word stands by itself, not as a part of a longer one.
pub(super) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(offset, _)| offset)
        .filter(move |offset| {
            let before = text[..*offset].bytes().next_back();
            let after = text[offset + word.len()..].bytes().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

/// A function with a body, or the declaration of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// From `fn` to the closing brace.
    pub(super) span: Range<usize>,
}

/// Every function in code whose comments and literals are blanked.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    words(code, "fn")
        .filter_map(|start| {
            let rest = code[start + 2..].trim_start();
            let name_start = code.len() - rest.len();
            let length = rest
                .bytes()
                .position(|byte| !is_word(byte))
                .unwrap_or(rest.len());
            (length > 0).then(|| Function {
                name: &code[name_start..name_start + length],
                span: start..item_end(code, name_start + length),
            })
        })
        .collect()
}

/// The items behind `#[cfg(test)]` and its like.
pub(super) fn test_regions(code: &str) -> Vec<Range<usize>> {
    ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"]
        .iter()
        .flat_map(|attribute| code.match_indices(attribute))
        .map(|(start, attribute)| start..item_end(code, start + attribute.len()))
        .collect()
}

/// The end of the item that goes on at `from`: its closing brace, or its semicolon.
fn item_end(code: &str, from: usize) -> usize {
    let mut round = 0_i32;
    let mut curly = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' => {
                curly -= 1;
                if curly <= 0 && round <= 0 {
                    return offset + 1;
                }
            }
            b';' if curly == 0 && round <= 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank(text: &str, comments: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let piece = piece(bytes, at);
        let hidden = match piece.kind {
            Kind::Code => 0..0,
            Kind::Comment if !comments => 0..0,
            Kind::Comment => at..piece.end,
            // The quotes stay: a literal is still seen to be there.
            Kind::Literal => at + 1..(piece.end - 1).max(at + 1),
        };
        for byte in &mut out[hidden] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = piece.end;
    }
    // Whole comments and literals are replaced by ASCII, so what is left is still UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

struct Piece {
    kind: Kind,
    end: usize,
}

/// What starts at this byte, and where it ends.
fn piece(bytes: &[u8], at: usize) -> Piece {
    let rest = &bytes[at..];
    let (kind, length) = match rest {
        [b'/', b'/', ..] => (Kind::Comment, until(rest, b'\n')),
        [b'/', b'*', ..] => (Kind::Comment, block_comment(rest)),
        [b'"', ..] => (Kind::Literal, string(rest)),
        [b'\'', ..] => match character(rest) {
            Some(length) => (Kind::Literal, length),
            None => (Kind::Code, 1),
        },
        [b'r', ..] if starts_raw(bytes, at) => match raw_string(rest) {
            Some(length) => (Kind::Literal, length),
            None => (Kind::Code, 1),
        },
        _ => (Kind::Code, 1),
    };
    Piece {
        kind,
        end: at + length,
    }
}

fn until(rest: &[u8], stop: u8) -> usize {
    rest.iter()
        .position(|byte| *byte == stop)
        .unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; none for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        let end = rest.get(3..)?.iter().position(|byte| *byte == b'\'')?;
        return Some(end + 4);
    }
    // One character is at most four bytes; a lifetime has no quote behind its first one.
    let text = rest.get(1..rest.len().min(6))?;
    let length = match text.first()? {
        byte if byte.is_ascii() => 1,
        byte if byte & 0b1110_0000 == 0b1100_0000 => 2,
        byte if byte & 0b1111_0000 == 0b1110_0000 => 3,
        _ => 4,
    };
    (text.get(length) == Some(&b'\'')).then_some(length + 2)
}

/// Whether this `r` is the prefix of a literal and not the end of a word.
fn starts_raw(bytes: &[u8], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map(|at| bytes[at]);
    match before(1) {
        Some(b'b' | b'c') => !before(2).is_some_and(is_word),
        Some(byte) => !is_word(byte),
        None => true,
    }
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    let end = rest[body..]
        .windows(close.len())
        .position(|window| window == close);
    Some(end.map_or(rest.len(), |end| body + end + close.len()))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_moves() {
        for (text, want) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"}\\\"{\") g", "f(\"    \") g"),
            ("x('{') y", "x(' ') y"),
            ("x('\\'') y", "x('  ') y"),
            ("x('\\u{7b}') y", "x('      ') y"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("'ü' b", "'  ' b"),
            ("br#\"{\"}\"# x", "br      # x"),
            ("r\"{\\\" x", "r   \" x"),
            ("r#type { for\"}\" }", "r#type { for\" \" }"),
        ] {
            let got = code(text);
            assert_eq!(got.len(), text.len(), "{text}");
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn comments_stay_when_only_literals_are_blanked() {
        assert_eq!(without_literals("\"b\" // \"b\""), "\" \" // \"b\"");
    }

    #[test]
    fn broken_code_is_survived() {
        for text in [
            "\"", "'", "'\\", "'\\'", "r#\"", "/*", "/", "fn", "fn a", "\"\\", "'ü",
        ] {
            let _ = functions(&code(text));
        }
    }

    #[test]
    fn functions_are_found_with_their_whole_body() {
        let text = "trait A { fn b(x: [u8; 2]) -> u8; }\npub fn c<T>() where T: D {\n {}\n}\nlet e: fn(u8);";
        let found = functions(text);
        let shown: Vec<_> = found
            .iter()
            .map(|function| (function.name, &text[function.span.clone()]))
            .collect();
        assert_eq!(
            shown,
            [
                ("b", "fn b(x: [u8; 2]) -> u8;"),
                ("c", "fn c<T>() where T: D {\n {}\n}"),
            ]
        );
    }

    #[test]
    fn test_modules_are_found() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}";
        let regions = test_regions(text);
        assert_eq!(regions.len(), 1);
        assert_eq!(
            &text[regions[0].clone()],
            "#[cfg(test)]\nmod tests { fn b() {} }"
        );
        assert_eq!(line_of(text, regions[0].start), 2);
    }

    #[test]
    fn a_word_is_not_a_part_of_another() {
        assert_eq!(words("fn fna _fn fn", "fn").collect::<Vec<_>>(), [0, 11]);
    }
}
