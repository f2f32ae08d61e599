//! `cargo xtask schema`: the configuration's JSON Schema, as the binary itself prints it.
//!
//! Generated files are committed, so that editors find them and reviews see what a change does to
//! an interface. Nothing is written when the binary fails or prints something else.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let text = ask(&["check", "--schema"])?;
    write(&workspace.docs("watertight.schema.json"), &json(&text)?)
}

/// What the binary prints when asked.
pub(crate) fn ask(words: &[&str]) -> Result<String> {
    let mut command = process::cargo(["run", "--quiet", "--package", "watertight", "--"]);
    let text = process::read(command.args(words))?;
    if text.trim().is_empty() {
        bail!("`watertight {}` printed nothing", words.join(" "));
    }
    Ok(text)
}

/// The same text, once it is known to be JSON.
pub(crate) fn json(text: &str) -> Result<String> {
    serde_json::from_str::<serde_json::Value>(text)
        .context("what the binary printed is no JSON")?;
    Ok(text.to_owned())
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, format!("{}\n", text.trim_end()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken_for_json() {
        assert!(json("{\"type\": \"object\"}").is_ok());
        assert!(json("error: unknown flag").is_err());
    }

    #[test]
    fn a_generated_file_ends_in_one_newline() {
        let folder = std::env::temp_dir().join(format!("xtask-schema-{}", std::process::id()));
        let path = folder.join("docs").join("a.json");
        write(&path, "{}\n\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
