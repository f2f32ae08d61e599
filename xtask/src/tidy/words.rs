//! Words and marks that do not stay in a finished change.

use super::source::Source;
use super::{Violation, scan};

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    if source.has_extension(&["js", "rs", "toml"]) {
        found.extend(leftovers(source));
    }
    if source.is_rust() {
        found.extend(unfinished(source));
    }
    if source.has_extension(&["md", "rs", "toml"]) {
        found.extend(white_space(source));
    }
    found
}

/// Promises to do it later, in comments and in code.
fn leftovers(source: &Source) -> Vec<Violation> {
    let text = match source.is_rust() {
        true => scan::without_literals(&source.text),
        false => source.text.clone(),
    };
    LEFTOVERS
        .iter()
        .flat_map(|word| scan::words(&text, word).map(move |offset| (word, offset)))
        .map(|(word, offset)| {
            let line = scan::line_of(&text, offset);
            let what = format!("{word}: do it now, or write it down where work is planned");
            Violation::new(&source.path, line, what)
        })
        .collect()
}

fn unfinished(source: &Source) -> Vec<Violation> {
    UNFINISHED
        .iter()
        .flat_map(|(mark, what)| {
            source
                .code
                .match_indices(mark)
                .filter(|(offset, _)| is_start(&source.code, *offset))
                .map(move |(offset, _)| (offset, format!("`{mark}`: {what}")))
        })
        .map(|(offset, what)| {
            Violation::new(&source.path, scan::line_of(&source.code, offset), what)
        })
        .collect()
}

/// Whether the mark is not just the end of a longer name.
fn is_start(code: &str, offset: usize) -> bool {
    let before = code[..offset].bytes().next_back();
    !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn white_space(source: &Source) -> Vec<Violation> {
    let mut found: Vec<Violation> = source
        .text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(index, _)| {
            let what = "white space at the end of the line: remove it";
            Violation::new(&source.path, index + 1, what)
        })
        .collect();
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        let last = source.text.lines().count();
        let what = "no newline at the end of the file: add one";
        found.push(Violation::new(&source.path, last, what));
    }
    found
}

const LEFTOVERS: [&str; 4] = ["FIXME", "HACK", "TODO", "XXX"];

const UNFINISHED: [(&str, &str); 4] = [
    ("#[ignore", "a test runs or is deleted"),
    ("dbg!(", "use tracing, or remove it"),
    ("todo!(", "build it, or return an error"),
    ("unimplemented!(", "build it, or return an error"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_caught_in_comments_and_code() {
        for word in LEFTOVERS {
            let text = format!("//! x\n// {word}: later\n");
            let found = check(&Source::new("a.rs", &text));
            assert_eq!((found.len(), found[0].line), (1, 2), "{word}");
            let text = format!("# {word}\n");
            assert_eq!(check(&Source::new("a.toml", &text)).len(), 1, "{word}");
        }
    }

    #[test]
    fn unfinished_code_is_caught() {
        for (mark, _) in UNFINISHED {
            let found = check(&Source::new("a.rs", &format!("//! x\n    {mark}\n")));
            assert_eq!((found.len(), found[0].line), (1, 2), "{mark}");
        }
    }

    #[test]
    fn literals_and_longer_names_pass() {
        let text = "//! XXXX\nfn a() { b(\"TODO\", \"todo!()\"); my_todo!() } // todo!()\n";
        assert_eq!(check(&Source::new("a.rs", text)), []);
    }

    #[test]
    fn white_space_at_the_end_is_caught() {
        for (text, line) in [("a\nb \n", 2), ("a\t\n", 1), ("a\r\n", 1), ("a\nb", 2)] {
            for path in ["a.rs", "a.toml", "a.md"] {
                let found = check(&Source::new(path, text));
                assert_eq!((found.len(), found[0].line), (1, line), "{path} {text:?}");
            }
        }
    }

    #[test]
    fn clean_text_passes() {
        for text in ["", "a\n", "a\n\nb\n"] {
            assert_eq!(check(&Source::new("a.md", text)), []);
        }
    }
}
