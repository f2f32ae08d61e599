//! Names of files: a module beside its folder, and a name that says what is inside.

use super::Violation;
use super::source::Source;

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let Some(stem) = source.name().strip_suffix(".rs") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if stem == "mod" {
        let what = "mod.rs: move it to `x.rs` beside the folder `x/`";
        found.push(Violation::new(&source.path, 1, what));
    }
    for part in source
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
    {
        if BANNED.contains(&part) {
            let what = format!("`{part}` says nothing: name it for what it decides");
            found.push(Violation::new(&source.path, 1, what));
        }
    }
    found
}

const BANNED: [&str; 6] = ["common", "helpers", "manager", "misc", "util", "utils"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_rs_is_caught() {
        let found = check(&Source::new("crates/a/src/pool/mod.rs", "//! x\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("mod.rs"));
    }

    #[test]
    fn names_that_say_nothing_are_caught() {
        for name in BANNED {
            for path in [format!("e2e/src/{name}.rs"), format!("e2e/src/{name}/a.rs")] {
                assert_eq!(check(&Source::new(&path, "")).len(), 1, "{path}");
            }
        }
    }

    #[test]
    fn names_that_say_something_pass() {
        for path in [
            "crates/a/src/pool.rs",
            "crates/a/src/utilisation.rs",
            "docs/common.md",
        ] {
            assert!(check(&Source::new(path, "")).is_empty(), "{path}");
        }
    }
}
