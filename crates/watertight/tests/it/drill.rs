//! Drills that end before anything is done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path, process::Command};

/// What a drill of a node that is not there says, with its report at this path.
fn complaint(report: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_watertight"))
        .args(["drill", "--node", "http://127.0.0.1:1", "--tenant", "acme"])
        .args(["--noisy", "noisy", "--report"])
        .arg(report)
        .env_remove("WATERTIGHT_TOKEN")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_report_that_cannot_be_written_ends_a_drill_before_it_begins() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill");
    fs::create_dir_all(&folder).unwrap();
    for nowhere in [folder.join("nosuch/x.html"), folder.clone()] {
        let says = complaint(&nowhere);
        assert!(says.contains("cannot be written"), "{says}");
    }
    // One that can be is neither made nor lost by looking.
    let (new, old) = (folder.join("new.html"), folder.join("old.html"));
    fs::write(&old, "of yesterday").unwrap();
    for path in [&new, &old] {
        let says = complaint(path);
        assert!(!says.contains("cannot be written"), "{says}");
    }
    assert!(!new.exists());
    assert_eq!(fs::read_to_string(&old).unwrap(), "of yesterday");
}
