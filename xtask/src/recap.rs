//! What failed, told once more at the end.
//!
//! A thousand result lines and the build's own output stand between a failing test and the last
//! line. Whoever reads only the end of a log, as most viewers of CI logs show it, must find there
//! which tests failed and what they said.

use std::fmt;

/// The tests that failed, in the order of their reports.
#[derive(Debug, Default)]
pub(crate) struct Recap {
    failures: Vec<Failure>,
    /// Whether the lines read now are what failed tests printed.
    inside: bool,
}

#[derive(Debug)]
struct Failure {
    /// The heading as libtest prints it.
    heading: String,
    said: Vec<String>,
}

impl Recap {
    /// Keeps the line if a failed test printed it.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if line == "failures:" {
            // The first heading opens the reports, the second the bare list of names.
            self.inside = !self.inside;
        } else if line.starts_with("test result: ") {
            self.inside = false;
        } else if self.inside && line.starts_with("---- ") && line.ends_with(" ----") {
            self.failures.push(Failure {
                heading: line.to_owned(),
                said: Vec::new(),
            });
        } else if self.inside
            && let Some(failure) = self.failures.last_mut()
        {
            failure.said.push(line.to_owned());
        }
    }

    /// Adds what another run of tests found.
    pub(crate) fn extend(&mut self, other: Self) {
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Recap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{}", failure.heading)?;
            let left_out = failure.said.len().saturating_sub(LINES);
            if left_out > 0 {
                writeln!(f, "({left_out} lines before these)")?;
            }
            for line in &failure.said[left_out..] {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

/// How much of a failed test's output is told again: the end, for the panic is there.
const LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Recap {
        let mut recap = Recap::default();
        text.lines().for_each(|line| recap.line(line));
        recap
    }

    #[test]
    fn a_failed_test_is_told_again_with_its_words() {
        let recap = read(
            "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nthe wall fell\n\n\
             failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\nrunning 1 test\n",
        );
        assert_eq!(recap.to_string(), "---- b stdout ----\nthe wall fell\n\n");
    }

    #[test]
    fn tests_that_passed_are_not_told_again() {
        let recap = read("test a ... ok\n---- a stdout ----\ntest result: ok. 1 passed; 0 failed");
        assert_eq!(recap.to_string(), "");
    }

    #[test]
    fn of_a_long_output_the_end_is_told() {
        let said: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let told = read(&format!("failures:\n\n---- a stdout ----\n{said}")).to_string();
        assert!(told.contains("(60 lines before these)"), "{told}");
        assert!(told.contains("line 99"), "{told}");
        assert!(!told.contains("line 59\n"), "{told}");
    }
}
