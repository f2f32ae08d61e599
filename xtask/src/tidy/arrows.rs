//! The arrows between rooms point one way.
//!
//! The table is the architecture: a room may use the rooms listed for it and no other. Dependencies
//! for tests only are no arrows, and the packages outside `crates/` (e2e, benches, fuzz, xtask,
//! examples) may use any room.

use serde_json::Value;

use super::Violation;
use super::source::Source;
use crate::workspace::array;

pub(super) fn check(metadata: &Value, sources: &[Source]) -> Vec<Violation> {
    let members: Vec<&str> = array(metadata, "packages")
        .filter_map(|package| package["name"].as_str())
        .collect();
    array(metadata, "packages")
        .filter_map(|package| Some((room_manifest(package)?, package)))
        .flat_map(|(manifest, package)| check_room(manifest, package, &members, sources))
        .collect()
}

/// The rooms that a room may use; none for a room that the table does not know.
pub(super) fn allowed(room: &str) -> Option<Vec<&'static str>> {
    if let Some((_, uses)) = CORES.iter().find(|(name, _)| *name == room) {
        return Some(uses.to_vec());
    }
    let floor = FLOORS.iter().position(|floor| floor.contains(&room))?;
    let cores = CORES.iter().map(|(name, _)| *name);
    Some(cores.chain(FLOORS[..floor].concat()).collect())
}

/// The name of a room without the project's: `watertight-guard` is `guard`.
pub(super) fn room(package: &str) -> &str {
    package.strip_prefix("watertight-").unwrap_or(package)
}

fn check_room(
    manifest: &str,
    package: &Value,
    members: &[&str],
    sources: &[Source],
) -> Vec<Violation> {
    let from = room(package["name"].as_str().unwrap_or_default());
    let Some(allowed) = allowed(from) else {
        let what = format!("`{from}` is no room: give it a place in the table of tidy/arrows.rs");
        return vec![Violation::new(manifest, 1, what)];
    };
    array(package, "dependencies")
        .filter(|dependency| dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str())
        .filter(|name| members.contains(name) && !allowed.contains(&room(name)))
        .map(|name| {
            let what = format!(
                "`{from}` uses `{}`, but may use only [{}]: turn the arrow round, or join the two \
                 in a room above both",
                room(name),
                allowed.join(", ")
            );
            Violation::new(manifest, line_of(manifest, name, sources), what)
        })
        .collect()
}

/// The manifest's path from the workspace's root, if the package is a room.
fn room_manifest(package: &Value) -> Option<&str> {
    let manifest = package["manifest_path"].as_str()?;
    let start = manifest.rfind("/crates/")?;
    Some(&manifest[start + 1..])
}

fn line_of(manifest: &str, dependency: &str, sources: &[Source]) -> usize {
    sources
        .iter()
        .find(|source| source.path == manifest)
        .and_then(|source| {
            source.text.lines().position(|line| {
                let rest = line.trim_start().strip_prefix(dependency);
                rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            })
        })
        .map_or(1, |index| index + 1)
}

/// Rooms without I/O, each with the rooms that it may use.
pub(super) const CORES: [(&str, &[&str]); 8] = [
    ("base", &[]),
    ("guard", &["base"]),
    ("heartbeat", &["base"]),
    ("stamps", &["base"]),
    ("geode", &["base"]),
    ("log", &["base"]),
    // The one arrow between cores: a paced, fair queue has throttles inside its dispatch.
    ("queue", &["base", "guard"]),
    ("plan", &["base", "guard", "heartbeat", "stamps"]),
];

/// The rooms above. A room may use every core, and every floor below its own.
const FLOORS: [&[&str]; 3] = [
    &["layers", "stores", "sim", "sqs"],
    &["gateway", "gatekeeper", "cluster", "workers", "proof"],
    &["watertight"],
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(from: &str, to: &str, kind: Option<&str>) -> Value {
        json!({"packages": [
            {
                "name": from,
                "manifest_path": format!("/src/crates/{}/Cargo.toml", room(from)),
                "dependencies": [{"name": to, "kind": kind}, {"name": "outside", "kind": null}],
            },
            {"name": to, "manifest_path": "/src/elsewhere/Cargo.toml", "dependencies": []},
        ]})
    }

    #[test]
    fn an_arrow_that_points_the_wrong_way_is_caught_with_its_line() {
        for (from, to) in [
            ("watertight-base", "watertight-guard"),
            ("watertight-guard", "watertight-queue"),
            ("watertight-heartbeat", "watertight-guard"),
            ("watertight-plan", "watertight-queue"),
            ("watertight-guard", "watertight-log"),
            ("watertight-layers", "watertight-gateway"),
            ("watertight-gateway", "watertight-proof"),
            ("watertight-gateway", "watertight"),
            ("watertight", "watertight-e2e"),
        ] {
            let path = format!("crates/{}/Cargo.toml", room(from));
            let manifest = format!("[package]\n\n[dependencies]\n{to}.workspace = true\n");
            for kind in [None, Some("build")] {
                let sources = [Source::new(&path, &manifest)];
                let found = check(&metadata(from, to, kind), &sources);
                assert_eq!(found.len(), 1, "{from} → {to}");
                assert_eq!((found[0].file.as_str(), found[0].line), (path.as_str(), 4));
            }
        }
    }

    #[test]
    fn arrows_of_the_table_pass() {
        for (from, to) in [
            ("watertight-guard", "watertight-base"),
            ("watertight-queue", "watertight-guard"),
            ("watertight-plan", "watertight-stamps"),
            ("watertight-layers", "watertight-plan"),
            ("watertight-gateway", "watertight-layers"),
            ("watertight-gateway", "watertight-base"),
            ("watertight", "watertight-proof"),
        ] {
            assert_eq!(check(&metadata(from, to, None), &[]), [], "{from} → {to}");
        }
    }

    #[test]
    fn dependencies_of_tests_are_no_arrows() {
        let found = check(
            &metadata("watertight-guard", "watertight-sim", Some("dev")),
            &[],
        );
        assert_eq!(found, []);
    }

    #[test]
    fn a_room_that_the_table_does_not_know_is_caught() {
        let found = check(&metadata("watertight-attic", "watertight-base", None), &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`attic` is no room"), "{found:?}");
    }
}
