//! The programs that tests run: ours, and those of the system.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The node's program: `$WATERTIGHT_BIN`, or the release build beside the tests.
///
/// # Panics
/// When it is not there.
pub fn watertight() -> PathBuf {
    let path = match std::env::var_os("WATERTIGHT_BIN") {
        Some(path) => PathBuf::from(path),
        None => target_directory().join("release/watertight"),
    };
    assert!(
        path.is_file(),
        "{} is not there: `cargo build --release -p watertight`, or run `cargo xtask test`",
        path.display()
    );
    path
}

/// The upstream's program: beside `$WATERTIGHT_BIN`, where `cargo xtask test` builds it, or else the
/// one built with the tests.
///
/// # Panics
/// When it is not there.
pub fn upstream() -> PathBuf {
    let path = match std::env::var_os("WATERTIGHT_BIN") {
        Some(path) => Path::new(&path).with_file_name("upstream"),
        None => target_directory().join("debug/upstream"),
    };
    assert!(
        path.is_file(),
        "{} is not there: `cargo build --release -p watertight-e2e --bins`, or run `cargo xtask test`",
        path.display()
    );
    path
}

/// Runs a program of the system to its end.
///
/// # Panics
/// When it cannot be started.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    command(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| missing(program, &error))
}

/// A program of the system, to be started.
pub fn command(program: &str) -> Command {
    Command::new(program)
}

/// Says what to do about a program that cannot be started.
///
/// # Panics
/// Always.
pub fn missing(program: &str, error: &std::io::Error) -> ! {
    let package = match program {
        "h2load" => "nghttp2-client",
        other => other,
    };
    panic!("{program} cannot be started ({error}): apt-get install {package}")
}

/// The directory that cargo builds in: tests are in `target/debug/deps`.
fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("a target directory");
    target.to_owned()
}
