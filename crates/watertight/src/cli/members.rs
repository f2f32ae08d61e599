//! `watertight members`: who is alive, as a node sees it.
//!
//! What the node's cluster says by gossip, and the nodes that beat to it. With `--watch` one line is
//! printed for each change, with φ and who accused: a timeline that can be kept.

mod timeline;

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use clap::Args;
use serde::Serialize;
use watertight_cluster::{MetadataWords, NodesWords};
use watertight_heartbeat::Metadata;

use self::timeline::Timeline;
use super::{
    Output,
    access::{NodeArguments, runtime},
    columns, counted, print,
};
use crate::{
    admin::view::{Member, Members},
    client::{Client, ClientError},
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// Go on, and print a line for each change.
    #[arg(long)]
    watch: bool,
    /// How often the node is asked while it is watched.
    #[arg(long, value_name = "SPAN", default_value = "500ms", value_parser = interval)]
    interval: Duration,
    /// How it is printed; with `--watch` JSON is one object a line.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// All that a node knows of who is alive.
#[derive(Debug, Serialize)]
struct Known {
    /// The cluster; none if the node is no member of one.
    cluster: Option<Members>,
    /// The nodes that beat to it; none if none can.
    beats: Option<NodesWords>,
}

const PAGE: usize = 1_000;
const INTERVAL_MIN: Duration = Duration::from_millis(50);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let client = arguments.node.client()?;
    runtime()?.block_on(async {
        if arguments.watch {
            return Timeline::default().watch(&client, arguments).await;
        }
        let known = Known::ask(&client).await?;
        match arguments.output {
            Output::Json => print(&serde_json::to_string_pretty(&known)?),
            Output::Table => print(&known.text()),
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&span) {
        return Ok(span);
    }
    Err("it lies between 50ms and 1h".to_owned())
}

impl Known {
    async fn ask(client: &Client) -> Result<Self, ClientError> {
        let mut cluster: Members = client.get(&format!("/v1/members?limit={PAGE}")).await?;
        while let Some(after) = cluster.next.take() {
            let path = format!("/v1/members?limit={PAGE}&after={after}");
            let page: Members = client.get(&path).await?;
            cluster.members.extend(page.members);
            cluster.next = page.next;
        }
        let path = format!("/v1/heartbeats?limit={PAGE}");
        let beats = match client.get::<NodesWords>(&path).await {
            Ok(mut beats) => {
                while let Some(from) = beats.next.take() {
                    let path = format!("/v1/heartbeats?limit={PAGE}&from={from}");
                    let page: NodesWords = client.get(&path).await?;
                    beats.nodes.extend(page.nodes);
                    beats.next = page.next;
                }
                beats
                    .nodes
                    .sort_by(|one, other| one.node_id.cmp(&other.node_id));
                Some(beats)
            }
            Err(ClientError::Problem { status: 404, .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            cluster: cluster.own.is_some().then_some(cluster),
            beats,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(cluster) = &self.cluster {
            text.push_str(&of_cluster(cluster));
        }
        if let Some(beats) = &self.beats {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&of_beats(beats));
        }
        if text.is_empty() {
            text.push_str(
                "this node is no member of a cluster, and nobody beats to it: \
                 [listen.gossip] and [listen.heartbeat] open the ways for that",
            );
        }
        text
    }
}

fn of_cluster(cluster: &Members) -> String {
    let mut text = String::new();
    if let Some(own) = &cluster.own {
        let _ = write!(
            text,
            "cluster: {} present of {} known, {} suspected; the view is {}",
            own.present, own.known, own.suspected, own.digest
        );
        if own.awareness > 0 {
            let _ = write!(text, "; this member hears badly ({} of 8)", own.awareness);
        }
        text.push('\n');
        if own.deaf {
            text.push_str("this member hears NOBODY, and so judges nobody\n");
        }
        if own.superseded {
            text.push_str(
                "another process with this name has STARTED SINCE: this one should end\n",
            );
        }
    }
    let mut table = columns([
        "member",
        "address",
        "life",
        "since",
        "heard",
        "φ",
        "accused by",
        "version",
        "says",
    ]);
    for member in &cluster.members {
        table.add_row([
            member.node.clone(),
            member.address.clone(),
            member.life.clone(),
            ago(member.since_s),
            member.heard_s.map_or("–".to_owned(), ago),
            phi(member.phi),
            accused(member),
            format!("{}.{}", member.generation, member.incarnation),
            says(member.metadata.as_ref()),
        ]);
    }
    let _ = writeln!(text, "{table}");
    text
}

fn of_beats(beats: &NodesWords) -> String {
    let mut text = format!(
        "beats: {} present of {} known",
        counted(beats.present, "node"),
        beats.known
    );
    if beats.suspended {
        text.push_str("; NOBODY is heard, so nobody is judged");
    } else if beats.judges_in_s > 0.0 {
        let _ = write!(text, "; nobody is judged for {}", ago(beats.judges_in_s));
    }
    text.push('\n');
    let mut table = columns([
        "node",
        "alive",
        "life",
        "since",
        "age",
        "φ",
        "missed by",
        "version",
        "says",
    ]);
    for node in &beats.nodes {
        let life = match node.damped {
            true => format!("{} (flaps)", node.life),
            false => node.life.clone(),
        };
        table.add_row([
            node.node_id.clone(),
            if node.alive { "yes" } else { "no" }.to_owned(),
            life,
            ago(node.since_s),
            ago(node.age),
            phi(node.phi),
            node.missed_by.to_string(),
            format!("{}.{}", node.generation, node.sequence),
            says(node.metadata.as_ref()),
        ]);
    }
    let _ = writeln!(text, "{table}");
    text
}

fn accused(member: &Member) -> String {
    match (&member.accuser, member.accusers) {
        (Some(accuser), 0 | 1) => accuser.clone(),
        (Some(accuser), several) => format!("{accuser} and {} more", several - 1),
        (None, _) => "–".to_owned(),
    }
}

fn says(metadata: Option<&MetadataWords>) -> String {
    metadata.map_or("?".to_owned(), |words| {
        Metadata::from(words.clone()).to_string()
    })
}

fn phi(phi: Option<f64>) -> String {
    phi.map_or("–".to_owned(), |phi| format!("{phi:.1}"))
}

/// Seconds as people read them.
fn ago(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    match span.as_secs() {
        0..60 => format!("{:.1}s", span.as_secs_f64()),
        whole => humantime::format_duration(Duration::from_secs(whole)).to_string(),
    }
}
