//! `cargo xtask docs`: rustdoc, the pages that the binary writes about itself, and the pictures in
//! the pattern pages.
//!
//! A picture stands in a fenced block below a line `<!-- sim: NAME -->`; it is what
//! `watertight sim NAME` prints. A test of the sim crate says when one is stale.

use std::ffi::OsStr;
use std::fs;

use anyhow::{Context as _, Result};

use crate::process;
use crate::schema::{ask, json, write};
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    process::run(&mut process::cargo(["doc", "--workspace", "--no-deps"]))?;
    let metrics = ask(&["catalogue", "metrics"])?;
    write(&workspace.docs("metrics.md"), &metrics)?;
    let openapi = json(&ask(&["catalogue", "openapi"])?)?;
    write(&workspace.docs("openapi.json"), &openapi)?;
    for entry in fs::read_dir(workspace.docs("patterns")).context("docs/patterns")? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("md")) {
            let page = fs::read_to_string(&path)?;
            let drawn = redrawn(&page, |name| ask(&["sim", name]))
                .with_context(|| path.display().to_string())?;
            write(&path, &drawn)?;
        }
    }
    Ok(())
}

/// The page with every picture drawn anew.
fn redrawn(page: &str, draw: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut parts = page.split(BEGIN);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(END).context("a picture without a name")?;
        let block = rest
            .strip_prefix(OPEN)
            .and_then(|rest| rest.split_once(CLOSE));
        let (_, after) = block.with_context(|| format!("no block of text below `{name}`"))?;
        let picture = draw(name)?;
        text.push_str(&[BEGIN, name, END, OPEN, picture.trim_end(), CLOSE, after].concat());
    }
    Ok(text)
}

const BEGIN: &str = "<!-- sim: ";
const END: &str = " -->\n";
const OPEN: &str = "```text\n";
const CLOSE: &str = "\n```\n";

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "a\n\n<!-- sim: one -->\n```text\nold\n```\n\nb\n<!-- sim: two -->\n```text\n\n```\n";

    #[test]
    fn pictures_are_drawn_anew_and_the_rest_stays() {
        let drawn = redrawn(PAGE, |name| Ok(format!("picture of {name}\n"))).unwrap();
        let want = PAGE
            .replace("\nold\n", "\npicture of one\n")
            .replace("text\n\n", "text\npicture of two\n");
        assert_eq!(drawn, want);
        assert_eq!(
            redrawn(&drawn, |name| Ok(format!("picture of {name}"))).unwrap(),
            want
        );
    }

    #[test]
    fn a_marker_without_a_block_is_said() {
        for page in ["<!-- sim: one -->\ntext\n", "<!-- sim: one\n"] {
            assert!(redrawn(page, |_| Ok(String::new())).is_err(), "{page}");
        }
    }
}
