//! Sleeps in tests: a test waits for what it waits for, not for a while.
//!
//! A sleep is either too short on a slow machine or too long on a fast one. Where one is right, the
//! reason stands beside it: `// sleep: …`.

use super::source::Source;
use super::{Violation, scan};

pub(super) fn check(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let whole = source.is_test() || source.path.starts_with("e2e/");
    let tests = scan::test_regions(&source.code);
    scan::words(&source.code, "sleep")
        .filter(|offset| whole || tests.iter().any(|region| region.contains(offset)))
        .filter(|offset| is_call(&source.code, *offset))
        .map(|offset| scan::line_of(&source.code, offset))
        .filter(|line| !is_explained(&source.text, *line))
        .map(|line| {
            let what = "a sleep in a test: wait for the condition, or give the reason in a \
                        comment `// sleep: …` on the line";
            Violation::new(&source.path, line, what)
        })
        .collect()
}

/// `sleep(`, `thread::sleep(` or `time::sleep(`, and no method or function of that name.
fn is_call(code: &str, offset: usize) -> bool {
    let before = code[..offset].trim_end();
    let ours = before.ends_with('.') || before.ends_with("fn");
    let elsewhere = before.ends_with("::")
        && !["thread::", "time::"]
            .iter()
            .any(|path| before.ends_with(path));
    code[offset + "sleep".len()..].starts_with('(') && !ours && !elsewhere
}

/// Whether a reason stands on the line or on the one above it.
fn is_explained(text: &str, line: usize) -> bool {
    text.lines()
        .skip(line.saturating_sub(2))
        .take(2.min(line))
        .filter_map(|line| line.split_once("// sleep:"))
        .any(|(_, reason)| !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(line: &str) -> Source {
        let text = format!("fn a() {{ {line} }}\n#[cfg(test)]\nmod tests {{\n    {line}\n}}\n");
        Source::new("crates/a/src/a.rs", &text)
    }

    #[test]
    fn a_sleep_without_a_reason_is_caught_in_tests_only() {
        for line in [
            "std::thread::sleep(wait);",
            "tokio::time::sleep(wait).await;",
            "sleep(wait).await;",
            "thread::sleep(wait); // sleep:",
        ] {
            let found = check(&test(line));
            assert_eq!((found.len(), found[0].line), (1, 4), "{line}");
        }
        let helper = Source::new("e2e/src/node.rs", "fn a() { thread::sleep(wait) }");
        assert_eq!(check(&helper).len(), 1);
    }

    #[test]
    fn a_sleep_with_a_reason_passes() {
        for line in [
            "thread::sleep(wait); // sleep: the system under test measures real time",
            "// sleep: between polls\n    thread::sleep(wait);",
            "world.sleep(wait);",
            "sim::sleep(wait);",
            "let text = \"thread::sleep(1)\"; // sleep(2)",
        ] {
            assert!(check(&test(line)).is_empty(), "{line}");
        }
    }
}
