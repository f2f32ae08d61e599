//! Sizes: what does not fit on a few screens is split before it is read.

use super::source::Source;
use super::{Violation, scan};

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut found = file(source);
    if source.is_rust() {
        found.extend(functions(source));
    }
    found
}

fn file(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    let limit = match source.path.as_str() {
        MAIN => MAIN_LINES_MAX,
        _ if source.has_extension(&["css", "js", "rs"]) => FILE_LINES_MAX,
        _ => return Vec::new(),
    };
    if lines <= limit {
        return Vec::new();
    }
    let what = format!("{lines} lines, at most {limit}: move a part into a module of its own");
    vec![Violation::new(&source.path, limit + 1, what)]
}

fn functions(source: &Source) -> Vec<Violation> {
    let tests = scan::test_regions(&source.code);
    let in_test = |offset| source.is_test() || tests.iter().any(|region| region.contains(&offset));
    scan::functions(&source.code)
        .into_iter()
        .filter_map(|function| {
            let first = scan::line_of(&source.code, function.span.start);
            let lines = scan::line_of(&source.code, function.span.end) - first + 1;
            let limit = match in_test(function.span.start) {
                true => TEST_LINES_MAX,
                false => FUNCTION_LINES_MAX,
            };
            let name = function.name;
            (lines > limit).then(|| {
                let what = format!("fn {name} has {lines} lines, at most {limit}: split it");
                Violation::new(&source.path, first, what)
            })
        })
        .collect()
}

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const MAIN: &str = "crates/watertight/src/main.rs";
/// `main.rs` starts things: it stays under 60 lines.
const MAIN_LINES_MAX: usize = 59;
const TEST_LINES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_file_is_caught() {
        let found = check(&Source::new("crates/a/src/a.rs", &"//! x\n".repeat(801)));
        assert_eq!((found.len(), found[0].line), (1, 801));
        assert!(check(&Source::new("crates/a/src/a.rs", &"//! x\n".repeat(800))).is_empty());
        assert!(check(&Source::new("docs/a.md", &"x\n".repeat(801))).is_empty());
    }

    #[test]
    fn a_long_main_is_caught() {
        assert_eq!(check(&Source::new(MAIN, &"//! x\n".repeat(60))).len(), 1);
        assert!(check(&Source::new(MAIN, &"//! x\n".repeat(59))).is_empty());
    }

    #[test]
    fn a_long_function_is_caught() {
        let found = check(&Source::new("a.rs", &format!("//! x\n\n{}", function(71))));
        assert_eq!((found.len(), found[0].line), (1, 3));
        assert!(found[0].what.contains("fn long has 71 lines"), "{found:?}");
        assert!(check(&Source::new("a.rs", &function(70))).is_empty());
    }

    #[test]
    fn braces_in_text_do_not_lengthen_a_function() {
        let text = format!(
            "fn a() {{\n    b(\"{{\", '{{'); // {{\n}}\n{}",
            "use c;\n".repeat(90)
        );
        assert!(check(&Source::new("a.rs", &text)).is_empty());
    }

    #[test]
    fn a_test_may_be_longer_but_not_endless() {
        let module = |lines| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(lines));
        assert!(check(&Source::new("a.rs", &module(100))).is_empty());
        assert_eq!(check(&Source::new("a.rs", &module(101))).len(), 1);
        assert!(check(&Source::new("crates/a/tests/it/b.rs", &function(100))).is_empty());
        assert_eq!(
            check(&Source::new("crates/a/tests/it/b.rs", &function(101))).len(),
            1
        );
    }
}
