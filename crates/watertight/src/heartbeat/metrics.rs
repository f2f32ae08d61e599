//! Who is alive, as metrics: read at the moment of a scrape.

use std::{fmt, sync::Weak};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use watertight_cluster::{Beats, Handle};

use super::Heartbeat;

/// Reads what is known when it is asked.
#[derive(Debug)]
pub(super) struct Collected(pub(super) Weak<Heartbeat>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(heartbeat) = self.0.upgrade() else {
            return Ok(());
        };
        let mut sheet = Sheet(&mut encoder);
        if let Some(beats) = heartbeat.beats() {
            sheet.beats(beats)?;
        }
        if let Some(gossip) = heartbeat.gossip() {
            sheet.gossip(gossip)?;
        }
        Ok(())
    }
}

struct Sheet<'s, 'e>(&'s mut DescriptorEncoder<'e>);

impl Sheet<'_, '_> {
    fn beats(&mut self, beats: &Beats) -> fmt::Result {
        let view = beats.view();
        let nodes = [
            ("present", view.present),
            ("dead", view.dead),
            ("left", view.known - view.present - view.dead),
        ];
        self.gauges(
            "watertight_heartbeat_nodes",
            "Nodes that beat here; present are those that are alive or suspected",
            "state",
            &nodes,
        )?;
        self.gauge(
            "watertight_heartbeat_suspended",
            "Whether nobody is heard any more, so that nobody is judged",
            usize::from(view.is_suspended),
        )?;
        let counts = view.counts;
        self.counters(
            "watertight_heartbeat_beats",
            "Beats, by what became of them",
            "result",
            &[
                ("counted", counts.counted),
                ("repeated", counts.repeated),
                ("outdated", counts.outdated),
                ("full", counts.full),
                ("malformed", counts.malformed),
                ("unsealed", counts.unsealed),
            ],
        )
    }

    fn gossip(&mut self, gossip: &Handle) -> fmt::Result {
        let (view, refused) = (gossip.view(), gossip.refused());
        let members = [
            ("alive", view.present - view.suspected),
            ("suspected", view.suspected),
            ("gone", view.members - view.present),
        ];
        self.gauges(
            "watertight_members",
            "Members of the cluster as this one sees them, itself among them; gone are those that are dead or have left",
            "state",
            &members,
        )?;
        self.gauge(
            "watertight_member_awareness",
            "How badly this member hears, from 0 (well) to 8 (Lifeguard's local health)",
            usize::try_from(view.awareness).unwrap_or(usize::MAX),
        )?;
        self.gauge(
            "watertight_member_deaf",
            "Whether this member hears nobody, and so judges nobody",
            usize::from(view.is_deaf),
        )?;
        let counts = view.counts;
        self.counters(
            "watertight_gossip_datagrams",
            "Datagrams of gossip, by what became of them",
            "result",
            &[
                ("received", counts.received),
                ("sent", counts.sent),
                ("unsent", gossip.unsent()),
                ("malformed", counts.malformed),
                ("outdated", counts.outdated),
                ("foreign", refused.foreign),
                ("mismatch", refused.mismatch),
                ("version", refused.version),
                ("unknown_key", refused.unknown_key),
                ("unsealed", refused.unsealed),
                ("replayed", refused.replayed),
            ],
        )?;
        self.counters(
            "watertight_gossip_judgements",
            "What this member held against others, or did not",
            "result",
            &[
                ("accused", counts.accusations),
                ("inconclusive", counts.inconclusive),
            ],
        )
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(whole(value)).encode(encoder)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, usize)],
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, number) in values {
            let labels = [(label, *value)];
            ConstGauge::new(whole(*number)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, number) in values {
            let labels = [(label, *value)];
            ConstCounter::new(*number).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
