//! `cargo xtask tidy`: house rules that a compiler does not know.
//!
//! Each check is a function from text to violations and touches no disk, so that its tests can plant
//! what it must catch. All violations of all checks are listed in one run.

mod arrows;
mod docs;
mod lockfile;
mod names;
mod patterns;
mod purity;
mod scan;
mod sizes;
mod sleeps;
mod source;
mod words;

use std::fmt;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use source::Source;

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let sources = Source::load(&workspace.root)?;
    let mut found: Vec<Violation> = sources.iter().flat_map(of_one).collect();
    found.extend(patterns::check(&sources));
    found.extend(arrows::check(&workspace.metadata, &sources));
    found.extend(purity::check(&workspace)?);
    for violation in &found {
        println!("{violation}");
    }
    match found.len() {
        0 => {
            println!("tidy: {} files, nothing to do", sources.len());
            Ok(())
        }
        1 => bail!("tidy: 1 violation"),
        many => bail!("tidy: {many} violations"),
    }
}

/// The checks that look at one file by itself.
fn of_one(source: &Source) -> Vec<Violation> {
    const CHECKS: [fn(&Source) -> Vec<Violation>; 6] = [
        docs::check,
        lockfile::check,
        names::check,
        sizes::check,
        sleeps::check,
        words::check,
    ];
    CHECKS.iter().flat_map(|check| check(source)).collect()
}

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

impl Violation {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_file_and_line_first() {
        let violation = Violation::new("a/b.rs", 7, "too long: split it");
        assert_eq!(violation.to_string(), "a/b.rs:7: too long: split it");
    }

    #[test]
    fn every_check_of_one_file_is_asked() {
        let planted = "fn a() { todo!() } \n";
        let found = of_one(&Source::new("crates/a/src/utils/mod.rs", planted));
        for part in ["//!", "mod.rs", "todo!", "white space"] {
            assert!(
                found.iter().any(|violation| violation.what.contains(part)),
                "{part}: {found:?}"
            );
        }
    }
}
