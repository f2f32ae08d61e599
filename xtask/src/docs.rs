//! `cargo xtask docs`: rustdoc, and the pages that the binary writes about itself.

use anyhow::Result;

use crate::process;
use crate::schema::{ask, json, write};
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    process::run(&mut process::cargo(["doc", "--workspace", "--no-deps"]))?;
    let metrics = ask(&["catalogue", "metrics"])?;
    write(&workspace.docs("metrics.md"), &metrics)?;
    let openapi = json(&ask(&["catalogue", "openapi"])?)?;
    write(&workspace.docs("openapi.json"), &openapi)
}
