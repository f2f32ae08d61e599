//! Every module of the rooms opens with its docs: what it decides, and why.

use super::Violation;
use super::source::Source;

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let ruled = ROOTS.iter().any(|root| source.path.starts_with(root));
    if !ruled || !source.is_rust() || source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![Violation::new(
        &source.path,
        1,
        "no module docs: begin the file with `//!` and say what it decides and why",
    )]
}

const ROOTS: [&str; 2] = ["crates/", "xtask/"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_docs_is_caught() {
        let found = check(&Source::new(
            "crates/a/src/pool.rs",
            "use std::fmt;\n//! late\n",
        ));
        assert_eq!((found.len(), found[0].line), (1, 1));
    }

    #[test]
    fn a_module_with_docs_passes() {
        assert!(check(&Source::new("crates/a/src/pool.rs", "//! Seats.\n")).is_empty());
        assert!(check(&Source::new("examples/a/main.rs", "fn main() {}\n")).is_empty());
        assert!(check(&Source::new("crates/a/Cargo.toml", "[package]\n")).is_empty());
    }
}
