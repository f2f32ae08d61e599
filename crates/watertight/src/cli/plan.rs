//! `watertight plan`: capacity arithmetic, before anything is built.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use watertight_heartbeat::{Cost, Topology, Watch};

use super::{Output, columns, print};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    /// Messages, bytes, detection time and false alarms of watching who is alive.
    Heartbeat(Heartbeat),
}

#[derive(Args, Debug)]
struct Heartbeat {
    /// How many nodes, 2 to 1,000,000.
    #[arg(long)]
    nodes: u32,
    /// Between two beats, or two probes, of a node.
    #[arg(long, value_parser = span, default_value = "1s")]
    interval: Duration,
    /// Who watches whom; without it all are compared.
    #[arg(long, value_enum)]
    topology: Option<Who>,
    /// How many beats must be missing before a node is suspected (central, mesh).
    #[arg(long, default_value_t = 3)]
    misses: u32,
    /// The length of a suspicion (gossip): so many intervals times log₁₀ of the nodes.
    #[arg(long, default_value_t = 4)]
    alpha: u32,
    /// Messages that are lost, in percent.
    #[arg(long, default_value_t = 0.1, value_name = "PERCENT")]
    loss: f64,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    /// Everybody beats to one monitor.
    Central,
    /// Everybody beats to everybody.
    Mesh,
    /// Everybody probes one other in turn, and tells.
    Gossip,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.of {
        Of::Heartbeat(heartbeat) => print(&heartbeat.answer()?),
    }
    Ok(ExitCode::SUCCESS)
}

impl Heartbeat {
    fn answer(&self) -> anyhow::Result<String> {
        let all = [Who::Central, Who::Mesh, Who::Gossip];
        let wanted = all.iter().filter(|who| {
            let asked = self.topology.map(Who::name);
            asked.is_none_or(|asked| asked == who.name())
        });
        let mut costs = Vec::new();
        for who in wanted {
            costs.push((who.name(), self.watch(*who).cost()?));
        }
        Ok(match (self.output, self.topology) {
            (Output::Table, _) => table(&costs),
            (Output::Json, Some(_)) => in_json(&costs[0]).to_string(),
            (Output::Json, None) => {
                json!(costs.iter().map(in_json).collect::<Vec<_>>()).to_string()
            }
        })
    }

    fn watch(&self, who: Who) -> Watch {
        Watch {
            nodes: self.nodes,
            interval: self.interval,
            topology: who.topology(),
            misses: self.misses,
            alpha: self.alpha,
            loss: self.loss / 100.0,
        }
    }
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Mesh => "mesh",
            Self::Gossip => "gossip",
        }
    }

    fn topology(self) -> Topology {
        match self {
            Self::Central => Topology::Central,
            Self::Mesh => Topology::Mesh,
            Self::Gossip => Topology::Gossip,
        }
    }
}

fn table(costs: &[(&str, Cost)]) -> String {
    let mut table = columns([
        "topology",
        "messages/s",
        "kB/s",
        "busiest gets/s",
        "suspected after",
        "dead after",
        "false suspicions/day",
    ]);
    for (name, cost) in costs {
        table.add_row([
            (*name).to_owned(),
            rounded(cost.messages_per_s),
            rounded(cost.bytes_per_s / 1e3),
            rounded(cost.busiest_receives_per_s),
            format!("{:.2} s", cost.suspected_after.as_secs_f64()),
            format!("{:.2} s", cost.dead_after.as_secs_f64()),
            rounded(cost.false_suspicions_per_day),
        ]);
    }
    table.to_string()
}

fn in_json((name, cost): &(&str, Cost)) -> serde_json::Value {
    json!({
        "topology": name,
        "messages_per_s": cost.messages_per_s,
        "bytes_per_s": cost.bytes_per_s,
        "busiest_receives_per_s": cost.busiest_receives_per_s,
        "suspected_after_s": cost.suspected_after.as_secs_f64(),
        "dead_after_s": cost.dead_after.as_secs_f64(),
        "false_suspicions_per_day": cost.false_suspicions_per_day,
    })
}

/// Whole when it is large, else with what tells it from nothing.
fn rounded(number: f64) -> String {
    match number {
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 0.01 || number <= 0.0 => format!("{number:.2}"),
        _ => format!("{number:.1e}"),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn heartbeat(topology: Option<Who>, output: Output) -> Heartbeat {
        Heartbeat {
            nodes: 1_000,
            interval: Duration::from_millis(500),
            topology,
            misses: 3,
            alpha: 4,
            loss: 0.1,
            output,
        }
    }

    #[test]
    fn a_thousand_nodes_at_half_a_second_are_two_thousand_messages_a_second() {
        let answer = heartbeat(Some(Who::Central), Output::Json)
            .answer()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["messages_per_s"], 2_000.0);
        assert_eq!(answer["suspected_after_s"], 1.25);
    }

    #[test]
    fn without_a_topology_all_are_compared() {
        let table = heartbeat(None, Output::Table).answer().unwrap();
        for words in ["central", "mesh", "gossip", "1998000", "1.25 s"] {
            assert!(table.contains(words), "{words}: {table}");
        }
        let all = heartbeat(None, Output::Json).answer().unwrap();
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        assert_eq!(all.as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_number_out_of_its_range_is_named() {
        let mut wrong = heartbeat(None, Output::Table);
        wrong.loss = 100.0;
        let said = wrong.answer().unwrap_err().to_string();
        assert!(said.contains("`loss`"), "{said}");
    }
}
