//! The sum over every test binary's own result line.

use std::fmt;

/// How many tests passed and failed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds what the line reports, if it is a result line.
    pub(crate) fn line(&mut self, line: &str) {
        let plain = without_colour(line);
        let Some(result) = plain.trim().strip_prefix("test result: ") else {
            return;
        };
        self.passed += count(result, "passed");
        self.failed += count(result, "failed");
    }

    /// A test binary that died has no result line. It is a failure all the same.
    pub(crate) fn died(&mut self) {
        self.failed = self.failed.max(1);
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number before the word in `ok. 3 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..start]);
        rest = rest[start..].split_once('m').map_or("", |(_, tail)| tail);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_others_are_not() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out",
            "a test said: 7 passed; 7 failed",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.line(line);
        }
        assert_eq!(tally.to_string(), "7 passed, 2 failed");
    }

    #[test]
    fn colours_do_not_hide_a_result() {
        let mut tally = Tally::default();
        tally.line("test result: \u{1b}[32mok\u{1b}[0m. 5 passed; 1 failed; 0 ignored");
        assert_eq!(
            tally,
            Tally {
                passed: 5,
                failed: 1
            }
        );
    }

    #[test]
    fn a_binary_without_a_result_line_counts_as_failed() {
        let mut tally = Tally {
            passed: 9,
            failed: 0,
        };
        tally.died();
        assert_eq!(tally.to_string(), "9 passed, 1 failed");
        assert!(Tally::default().is_empty());
        assert!(!tally.is_empty());
    }
}
