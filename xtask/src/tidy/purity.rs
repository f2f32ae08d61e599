//! The cores stay without I/O: nothing that they pull in, however far down, may bring a runtime, a
//! socket, a clock of its own, a global random source or a wire format.
//!
//! The graph is `cargo tree`'s, core by core. The workspace's joint graph would blame a core for
//! features that only the binary turns on.

use anyhow::Result;

use super::Violation;
use super::arrows::{CORES, room};
use crate::process;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for package in workspace.packages().filter_map(|it| it["name"].as_str()) {
        if CORES.iter().any(|(core, _)| *core == room(package)) {
            found.extend(check_core(room(package), &tree(package)?));
        }
    }
    Ok(found)
}

fn tree(package: &str) -> Result<String> {
    let mut command = process::cargo(["tree", "--edges", "normal", "--prefix", "depth"]);
    process::read(command.args(["--format", " {p}", "--package", package]))
}

/// Reads lines of depth and package, `2 serde v1.0.0`, and reports each way to a banned one.
fn check_core(core: &str, tree: &str) -> Vec<Violation> {
    let mut way: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        way.truncate(depth.parse().unwrap_or(0));
        way.push(name);
        if way.len() > 1 && BANNED.contains(&name) {
            let what = format!(
                "a core without I/O pulls in `{name}`: {}; leave it to the shell",
                way.join(" → ")
            );
            found.push(Violation::new(
                &format!("crates/{core}/Cargo.toml"),
                1,
                what,
            ));
        }
    }
    found
}

const BANNED: [&str; 16] = [
    "async-std",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "rand_core",
    "reqwest",
    "serde",
    "serde_core",
    "smol",
    "socket2",
    "time",
    "tokio",
    "toml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_far_down_is_caught_with_the_way_to_it() {
        let tree = "0 watertight-guard v0.1.0 (/src)\n1 watertight-base v0.1.0 (/src)\n\
                    1 fair v1.0.0\n2 deep v1.0.0\n3 tokio v1.0.0\n1 mio v1.0.0\n";
        let found = check_core("guard", tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].file, "crates/guard/Cargo.toml");
        assert!(
            found[0]
                .what
                .contains("watertight-guard → fair → deep → tokio")
        );
        assert!(found[1].what.contains("watertight-guard → mio"));
    }

    #[test]
    fn every_banned_crate_is_caught() {
        for name in BANNED {
            let tree = format!("0 watertight-plan v0.1.0 (/src)\n1 {name} v1.0.0\n");
            assert_eq!(check_core("plan", &tree).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_core_with_harmless_dependencies_passes() {
        let tree = "0 watertight-guard v0.1.0 (/src)\n1 foldhash v0.2.0\n1 tokio-like v1.0.0\n";
        assert_eq!(check_core("guard", tree), []);
    }
}
