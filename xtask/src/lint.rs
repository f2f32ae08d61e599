//! `cargo xtask lint`: what must be clean before a change is taken.
//!
//! Every check runs even after one has failed, so that one run shows all there is to do.

use std::process::Stdio;

use anyhow::{Result, bail};

use crate::process::{self, cargo};
use crate::test::ENGINES;
use crate::tidy;

pub(crate) fn run() -> Result<()> {
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        ENGINES,
        "--",
        "-D",
        "warnings",
    ];
    let mut checks = vec![
        ("fmt", process::run(&mut cargo(["fmt", "--all", "--check"]))),
        ("clippy", process::run(&mut cargo(clippy))),
        ("tidy", tidy::run()),
        (
            "doc",
            process::run(
                cargo(["doc", "--workspace", "--no-deps", "--features", ENGINES])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            ),
        ),
    ];
    if has_deny() {
        checks.push(("deny", process::run(&mut cargo(["deny", "check"]))));
    } else {
        eprintln!("left out: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
    }
    report(&checks)
}

fn has_deny() -> bool {
    cargo(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn report(checks: &[(&str, Result<()>)]) -> Result<()> {
    let mut failed = Vec::new();
    for (name, outcome) in checks {
        if let Err(error) = outcome {
            eprintln!("{name}: {error:#}");
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("not clean: {}", failed.join(", "));
    }
    let clean: Vec<&str> = checks.iter().map(|(name, _)| *name).collect();
    println!("clean: {}", clean.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn every_failed_check_is_named() {
        let checks = [
            ("fmt", Err(anyhow!("x"))),
            ("doc", Ok(())),
            ("tidy", Err(anyhow!("y"))),
        ];
        let error = report(&checks).unwrap_err();
        assert_eq!(error.to_string(), "not clean: fmt, tidy");
        assert!(report(&[("fmt", Ok(()))]).is_ok());
    }
}
