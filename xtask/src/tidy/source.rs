//! The files that tidy reads.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::scan;

/// One text file of the project.
#[derive(Debug)]
pub(super) struct Source {
    /// From the workspace's root, with `/` between its parts.
    pub(super) path: String,
    pub(super) text: String,
    /// Rust with comments and the insides of literals blanked; empty for other files.
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = match path.ends_with(".rs") {
            true => scan::code(text),
            false => String::new(),
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// Every text file below the root that a person wrote, in the order of their paths.
    pub(super) fn load(root: &Path) -> Result<Vec<Self>> {
        let mut sources = Vec::new();
        visit(root, root, &mut sources)?;
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(super) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.name()
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    pub(super) fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    /// Whether the whole file is about testing.
    pub(super) fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.split('/').any(|part| part == "tests")
    }
}

fn visit(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_ref()) {
                visit(root, &path, sources)?;
            }
        } else if is_read(&name) {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            sources.push(Source::new(&relative.to_string_lossy(), &text));
        }
    }
    Ok(())
}

fn is_read(name: &str) -> bool {
    name == "Cargo.lock"
        || name
            .rsplit_once('.')
            .is_some_and(|(_, extension)| READ.contains(&extension))
}

const READ: [&str; 5] = ["css", "js", "md", "rs", "toml"];
/// Build output, history, and what package managers fetch.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_read_and_build_output_is_not() {
        let root = std::env::temp_dir().join(format!("xtask-source-{}", std::process::id()));
        for (path, text) in [
            ("crates/a/src/lib.rs", "//! a\n"),
            ("target/debug/b.rs", "b"),
            (".git/c.md", "c"),
            ("picture.bin", "d"),
            ("Cargo.lock", "e"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = Source::load(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
        assert_eq!(paths, ["Cargo.lock", "crates/a/src/lib.rs"]);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        assert!(Source::new("crates/a/tests/it/main.rs", "").is_test());
        assert!(Source::new("crates/a/src/pool/tests.rs", "").is_test());
        assert!(!Source::new("crates/a/src/contests.rs", "").is_test());
    }
}
