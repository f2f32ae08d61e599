//! What changes, one line each.

use std::{collections::BTreeMap, process::ExitCode, time::SystemTime};

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{Arguments, Known, accused, ago, phi};
use crate::{
    cli::{NOT_PRINTED, Output, print, say},
    client::Client,
};

/// What was seen last, and what has changed since.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    lives: BTreeMap<(Way, String), (String, u64)>,
    is_begun: bool,
    is_away: bool,
}

/// How a node is known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Gossip,
    Beats,
}

/// A change.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    at: String,
    way: Way,
    node: String,
    /// What it was; none if it was not known, or at the beginning.
    from: Option<String>,
    /// What it is; none if it is not known any more.
    to: Option<String>,
    generation: u64,
    /// For how long it was silent, in seconds.
    silent_s: Option<f64>,
    phi: Option<f64>,
    accuser: Option<String>,
}

impl Timeline {
    /// Prints changes until nobody reads them.
    pub(super) async fn watch(
        mut self,
        client: &Client,
        arguments: &Arguments,
    ) -> anyhow::Result<ExitCode> {
        let mut ticks = interval(arguments.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match Known::ask(client).await {
                Ok(known) => {
                    if self.is_away {
                        say(&format!("{} answers again", client.node()));
                    }
                    self.is_away = false;
                    for change in self.changes(&known, now()) {
                        match arguments.output {
                            Output::Json => print(&serde_json::to_string(&change)?),
                            Output::Table => print(&change.text()),
                        }
                    }
                }
                // Who watches wants to see it come back; who never saw it was wrong about it.
                Err(error) if !self.is_begun => return Err(error.into()),
                Err(error) => {
                    if !self.is_away {
                        say(&format!("{}: {error}", now()));
                    }
                    self.is_away = true;
                }
            }
            if NOT_PRINTED.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok(ExitCode::FAILURE);
            }
        }
    }

    fn changes(&mut self, known: &Known, at: String) -> Vec<Change> {
        let mut seen = BTreeMap::new();
        let members = known.cluster.iter().flat_map(|cluster| &cluster.members);
        for member in members {
            let change = Change {
                at: at.clone(),
                way: Way::Gossip,
                node: member.node.clone(),
                from: None,
                to: Some(member.life.clone()),
                generation: member.generation,
                silent_s: member.heard_s,
                phi: member.phi,
                accuser: member.accuser.as_ref().map(|_| accused(member)),
            };
            seen.insert((Way::Gossip, member.node.clone()), change);
        }
        for node in known.beats.iter().flat_map(|beats| &beats.nodes) {
            let change = Change {
                at: at.clone(),
                way: Way::Beats,
                node: node.node_id.clone(),
                from: None,
                to: Some(node.life.clone()),
                generation: node.generation,
                silent_s: Some(node.age),
                phi: node.phi,
                accuser: None,
            };
            seen.insert((Way::Beats, node.node_id.clone()), change);
        }
        self.is_begun = true;
        let mut changes = Vec::new();
        let gone = self.lives.extract_if(.., |key, _| !seen.contains_key(key));
        for ((way, node), (life, generation)) in gone {
            changes.push(Change {
                at: at.clone(),
                way,
                node,
                from: Some(life),
                to: None,
                generation,
                silent_s: None,
                phi: None,
                accuser: None,
            });
        }
        for (key, mut change) in seen {
            let life = (change.to.clone().unwrap_or_default(), change.generation);
            let before = self.lives.insert(key, life.clone());
            if before.as_ref() != Some(&life) {
                change.from = before.map(|(life, _)| life);
                changes.push(change);
            }
        }
        changes
    }
}

impl Change {
    fn text(&self) -> String {
        let word = |life: &Option<String>| life.clone().unwrap_or("unknown".to_owned());
        let mut text = format!(
            "{}  {:<6}  {:<16}  {} → {}",
            self.at,
            match self.way {
                Way::Gossip => "gossip",
                Way::Beats => "beats",
            },
            self.node,
            word(&self.from),
            word(&self.to),
        );
        text.push_str(&format!("  generation {}", self.generation));
        if let Some(silent) = self
            .silent_s
            .filter(|_| self.to.as_deref() != Some("alive"))
        {
            text.push_str(&format!("  silent for {}", ago(silent)));
        }
        if self.phi.is_some() && self.to.as_deref() != Some("alive") {
            text.push_str(&format!("  φ {}", phi(self.phi)));
        }
        if let Some(accuser) = &self.accuser {
            text.push_str(&format!("  accused by {accuser}"));
        }
        text
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a timeline tells the time of day"
)]
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
