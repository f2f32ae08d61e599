//! Starting other programs, cargo above all.
//!
//! `cargo xtask` is itself run by cargo, which hands its child variables that describe the xtask
//! package. Build scripts that watch such variables would be run again each time a developer
//! changes between `cargo xtask test` and `cargo test`, so a cargo started here never sees them.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A cargo with the environment that a shell would give it.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end with the terminal as its own; a failure is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs to the end and returns what it wrote on stdout.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not write UTF-8"))
}

/// The command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let mut words = vec![name];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

fn describes_package(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    const NAMES: [&str; 2] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/local/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(show(&command), "cargo test --workspace");
    }

    #[test]
    fn variables_that_describe_the_xtask_package_are_withheld() {
        assert!(describes_package("CARGO_MANIFEST_DIR"));
        assert!(describes_package("CARGO_PKG_NAME"));
        assert!(!describes_package("CARGO_TARGET_DIR"));
        assert!(!describes_package("CARGO_HOME"));
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
        let error = read(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(error.to_string().contains("cannot start"), "{error}");
    }
}
