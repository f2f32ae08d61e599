//! Debian packages that tests and benches need.
//!
//! A missing program is never a reason to skip a test: a suite that passes because it did not run
//! proves nothing. As root it is installed; otherwise the exact command is printed and the task
//! fails.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Makes sure that every program is there.
pub(crate) fn ensure(programs: &[&str]) -> Result<()> {
    let needed = missing(programs, installed)?;
    if needed.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!(
            "programs that this task needs are missing. Install them with:\n  \
             sudo apt-get install --yes --no-install-recommends {}",
            needed.join(" ")
        );
    }
    install(&needed)?;
    let still = missing(programs, installed)?;
    if !still.is_empty() {
        bail!(
            "installed, but still not found on PATH: programs of {}",
            still.join(" ")
        );
    }
    Ok(())
}

/// The packages of those programs that are not there, each once.
fn missing(programs: &[&str], there: impl Fn(&str) -> bool) -> Result<Vec<&'static str>> {
    let mut packages = Vec::new();
    for program in programs {
        let Some((_, package)) = PACKAGES.iter().find(|(name, _)| name == program) else {
            bail!("no package is known for `{program}`: add it to the table in packages.rs");
        };
        if !there(program) && !packages.contains(package) {
            packages.push(*package);
        }
    }
    Ok(packages)
}

fn install(packages: &[&str]) -> Result<()> {
    // Old package lists may still do, so a failed update is not yet the end.
    if let Err(error) = process::run(apt_get().arg("update")) {
        eprintln!("warning: {error:#}");
    }
    process::run(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    on_path(program, &path)
        || SYSTEM_DIRS.iter().any(|dir| is_file(dir, program))
        || versions(POSTGRESQL).any(|dir| dir.join("bin").join(program).is_file())
}

fn on_path(program: &str, path: &OsStr) -> bool {
    env::split_paths(path).any(|dir| dir.join(program).is_file())
}

fn is_file(dir: &str, program: &str) -> bool {
    Path::new(dir).join(program).is_file()
}

/// The directories in one that has a directory for each version.
fn versions(dir: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

/// Program → Debian package.
const PACKAGES: [(&str, &str); 10] = [
    ("curl", "curl"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("nginx", "nginx"),
    // The package starts a cluster on port 5432, which no test touches.
    ("postgres", "postgresql"),
    // Its service is not needed: `policy-rc.d` or no service manager at all are both fine.
    ("promtool", "prometheus"),
    ("python3", "python3"),
    ("redis-server", "redis-server"),
    ("valgrind", "valgrind"),
];

/// Daemons live where a plain user's PATH does not look.
const SYSTEM_DIRS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Servers of PostgreSQL are on nobody's PATH: each version has a place of its own.
const POSTGRESQL: &str = "/usr/lib/postgresql";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_by_its_package() {
        let found = missing(&["curl", "h2load"], |program| program == "curl").unwrap();
        assert_eq!(found, ["nghttp2-client"]);
    }

    #[test]
    fn nothing_is_missing_when_all_are_there() {
        assert!(missing(&["curl", "python3"], |_| true).unwrap().is_empty());
    }

    #[test]
    fn a_program_outside_the_table_is_an_error_and_no_skip() {
        let error = missing(&["unheard-of"], |_| true).unwrap_err();
        assert!(error.to_string().contains("unheard-of"), "{error}");
    }

    #[test]
    fn a_program_is_found_on_the_path() {
        assert!(on_path("sh", OsStr::new("/nowhere:/bin")));
        assert!(!on_path("sh", OsStr::new("/nowhere")));
    }
}
