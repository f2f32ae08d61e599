//! The lockfile names one registry and nothing else: no mirror, no git, no local copy.

use super::Violation;
use super::source::Source;

pub(super) fn check(source: &Source) -> Vec<Violation> {
    if source.name() != "Cargo.lock" {
        return Vec::new();
    }
    source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("source = ") && line.trim() != ALLOWED)
        .map(|(index, line)| {
            let what = format!(
                "{}: a dependency comes from elsewhere than crates.io; take it from there, and \
                 write the lockfile without a mirror",
                line.trim()
            );
            Violation::new(&source.path, index + 1, what)
        })
        .collect()
}

const ALLOWED: &str = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_registry_is_caught() {
        for other in [
            "registry+https://mirror.example/index",
            "git+https://git.example/a#1",
        ] {
            let text = format!("[[package]]\nname = \"a\"\nsource = \"{other}\"\n");
            let found = check(&Source::new("Cargo.lock", &text));
            assert_eq!((found.len(), found[0].line), (1, 3), "{other}");
            assert!(found[0].what.contains(other));
        }
    }

    #[test]
    fn crates_io_passes() {
        let text = format!("[[package]]\nname = \"a\"\n{ALLOWED}\n\n[[package]]\nname = \"b\"\n");
        assert!(check(&Source::new("Cargo.lock", &text)).is_empty());
        let other = "source = \"elsewhere\"\n";
        assert!(check(&Source::new("rustfmt.toml", other)).is_empty());
    }
}
