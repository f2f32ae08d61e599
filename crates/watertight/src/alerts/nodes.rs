//! Nodes that are dead, as samples of the alert `node-dead`: one for those that beat here, one for
//! members of the cluster. Nodes have names that nobody configured, so the first of them stand in the
//! sentence and none in a label.

use watertight_guard::alert::{Key, Kind, Sample};
use watertight_heartbeat::Life;

use crate::heartbeat::Heartbeat;

/// How many are dead, where it is known at all.
pub(super) fn samples(heartbeat: &Heartbeat) -> Vec<Sample> {
    let beats = heartbeat.beats().map(|beats| {
        let count = beats.view().dead;
        let mut names = Vec::new();
        let mut from = Some(0).filter(|_| count > 0);
        while let Some(place) = from.filter(|_| names.len() < NAMES) {
            let (page, next) = beats.page(place, PAGE);
            let dead = page.iter().filter(|node| node.life == Life::Dead);
            names.extend(dead.map(|node| node.id.to_string()));
            from = next;
        }
        sample("beats", count, names)
    });
    let gossip = heartbeat.gossip().map(|gossip| {
        let members = gossip.members();
        let dead = members.iter().filter(|member| member.life == Life::Dead);
        let names: Vec<String> = dead.map(|member| member.id.to_string()).collect();
        sample("gossip", names.len(), names)
    });
    beats.into_iter().chain(gossip).collect()
}

fn sample(watch: &'static str, count: usize, mut names: Vec<String>) -> Sample {
    names.sort_unstable();
    names.truncate(NAMES);
    let named = names.join(", ");
    let says = match (count, count.saturating_sub(names.len())) {
        (1, _) => format!("node {named} is dead, by {watch}"),
        (_, 0) => format!("{count} nodes are dead, by {watch}: {named}"),
        (_, more) => format!("{count} nodes are dead, by {watch}: {named} and {more} more"),
    };
    Sample {
        key: Key::new(Kind::NodeDead).with("watch", watch),
        value: u32::try_from(count).map_or(f64::from(u32::MAX), f64::from),
        fires: 1.0,
        clears: 1.0,
        says,
    }
}

/// Nodes that are named.
const NAMES: usize = 5;
/// Nodes that are looked at in one go.
const PAGE: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_dead_are_named_and_the_rest_counted() {
        let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect();
        let says = |count| sample("beats", count, names(count)).says;
        assert_eq!(says(1), "node n0 is dead, by beats");
        assert_eq!(says(2), "2 nodes are dead, by beats: n0, n1");
        assert_eq!(
            says(7),
            "7 nodes are dead, by beats: n0, n1, n2, n3, n4 and 2 more"
        );
        assert!(sample("beats", 0, Vec::new()).value < 1.0);
    }
}
