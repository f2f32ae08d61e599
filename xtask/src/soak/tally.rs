//! How many seeds each test searched: lines that the tests leave in a file, added up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Seeds by test.
pub(super) type Sums = BTreeMap<String, u64>;

/// The sums so far.
pub(super) struct Tally {
    path: PathBuf,
    sums: Sums,
}

impl Tally {
    /// Nothing yet; the tests' file will be in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("soak-tally.tsv"),
            sums: Sums::new(),
        }
    }

    /// Where tests leave their lines.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties the file.
    pub(super) fn begin(&self) -> Result<()> {
        fs::write(&self.path, "").with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// What tests left since then.
    pub(super) fn read(&self) -> Result<Sums> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        count(&text)
    }

    pub(super) fn add(&mut self, found: Sums) {
        for (test, seeds) in found {
            *self.sums.entry(test).or_default() += seeds;
        }
    }

    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }
}

fn count(text: &str) -> Result<Sums> {
    let mut found = Sums::new();
    for line in text.lines() {
        let (test, seeds) = line
            .split_once('\t')
            .with_context(|| format!("`{line}` is no test, a tab and a number"))?;
        let seeds: u64 = seeds
            .parse()
            .with_context(|| format!("`{line}` does not end with a number"))?;
        *found.entry(test.to_owned()).or_default() += seeds;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_test_are_added_up_and_a_broken_line_is_an_error() {
        let found = count("pools::laws\t1000\nleaks::ends\t1\npools::laws\t5\n").unwrap();
        let found: Vec<_> = found.into_iter().collect();
        assert_eq!(
            found,
            [
                ("leaks::ends".to_owned(), 1),
                ("pools::laws".to_owned(), 1_005)
            ]
        );
        assert!(count("pools::laws 7\n").is_err());
        assert!(count("pools::laws\tmany\n").is_err());
    }
}
