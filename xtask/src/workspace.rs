//! What cargo says about the workspace: its root, its target directory, its packages.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{process, test::ENGINES};

/// The workspace as `cargo metadata` describes it, without its outside dependencies.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) metadata: Value,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let mut command = process::cargo(["metadata", "--no-deps", "--format-version", "1"]);
        Self::parse(&process::read(&mut command)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(text).context("cargo metadata is not JSON")?;
        Ok(Self {
            root: path(&metadata, "workspace_root")?,
            target: path(&metadata, "target_directory")?,
            metadata,
        })
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        array(&self.metadata, "packages")
    }

    /// Whether the package exists and has a program to build.
    pub(crate) fn has_bins(&self, package: &str) -> bool {
        self.packages()
            .filter(|found| found["name"] == package)
            .flat_map(|found| array(found, "targets"))
            .flat_map(|target| array(target, "kind"))
            .any(|kind| kind == "bin")
    }

    /// Builds the binary as packages ship it, engines included, and says where it is.
    pub(crate) fn build_binary(&self) -> Result<PathBuf> {
        let arguments = [
            "build",
            "--release",
            "-p",
            "watertight",
            "--features",
            ENGINES,
        ];
        process::run(&mut process::cargo(arguments))?;
        Ok(self.binary())
    }

    fn binary(&self) -> PathBuf {
        self.target.join("release").join("watertight")
    }

    pub(crate) fn docs(&self, file: &str) -> PathBuf {
        self.root.join("docs").join(file)
    }
}

/// The elements of an array field; none if the field is missing.
pub(crate) fn array<'a>(
    value: &'a Value,
    field: &str,
) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[field].as_array().into_iter().flatten()
}

fn path(metadata: &Value, field: &str) -> Result<PathBuf> {
    let text = metadata[field]
        .as_str()
        .with_context(|| format!("cargo metadata has no `{field}`"))?;
    Ok(Path::new(text).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "workspace_root": "/src", "target_directory": "/cache",
        "packages": [
            {"name": "watertight-e2e", "targets": [{"kind": ["lib"]}, {"kind": ["bin"]}]},
            {"name": "watertight-base", "targets": [{"kind": ["lib"]}]}
        ]
    }"#;

    #[test]
    fn the_binary_is_looked_for_in_cargos_own_target_directory() {
        let workspace = Workspace::parse(METADATA).unwrap();
        assert_eq!(workspace.binary(), Path::new("/cache/release/watertight"));
        assert_eq!(workspace.docs("a.md"), Path::new("/src/docs/a.md"));
    }

    #[test]
    fn only_a_package_with_programs_has_bins() {
        let workspace = Workspace::parse(METADATA).unwrap();
        assert!(workspace.has_bins("watertight-e2e"));
        assert!(!workspace.has_bins("watertight-base"));
        assert!(!workspace.has_bins("unheard-of"));
    }

    #[test]
    fn metadata_without_a_root_is_refused() {
        assert!(Workspace::parse("{}").is_err());
        assert!(Workspace::parse("no JSON").is_err());
    }
}
