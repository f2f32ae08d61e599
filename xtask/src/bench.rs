//! `cargo xtask bench [name [option…]]`: the benches, with what they measure against.

use anyhow::{Result, bail};

use crate::{packages, process, workspace::Workspace};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (name, options) = match args {
        [] => (None, args),
        [_, second, ..] if !second.starts_with("--") => bail!("one bench at a time: {second}?"),
        [name, options @ ..] => (Some(name.as_str()), options),
    };
    packages::ensure(&needed(name))?;
    let binary = Workspace::load()?.build_binary()?;
    let mut command = process::cargo(["bench", "-p", "watertight-benches"]);
    if let Some(name) = name {
        command.args(["--bench", name, "--"]).args(options);
    }
    process::run(command.env("WATERTIGHT_BIN", binary))
}

fn needed(name: Option<&str>) -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(bench, _)| name.is_none_or(|name| name == *bench))
        .flat_map(|(_, programs)| programs.iter().copied())
        .collect()
}

/// Bench → programs: the peers that a bench runs beside us, and what drives them.
const NEEDED: [(&str, &[&str]); 4] = [
    ("cluster", &["redis-server"]),
    ("isolation", &["haproxy", "nginx", "python3"]),
    ("proxy", &["nginx", "h2load"]),
    ("throttle", &["valgrind", "h2load", "python3"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_needs_its_own_programs_and_all_benches_need_all() {
        assert_eq!(needed(Some("proxy")), ["nginx", "h2load"]);
        assert!(needed(Some("admission")).is_empty());
        assert_eq!(needed(Some("throttle")), ["valgrind", "h2load", "python3"]);
        assert_eq!(needed(None).len(), 9);
    }
}
