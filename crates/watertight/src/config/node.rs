//! `[node]`: the node's name, its place, its data, and how it stops.

use std::{num::NonZeroUsize, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::{Log, Metrics};

use super::{
    duration::{self, DurationText, HOUR},
    files::Files,
    findings::Findings,
    located::{Located, if_written},
};

/// The node itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    /// Its name, in logs and metrics. Default: watertight.
    id: Option<Located<String>>,
    /// Its region: a label on metrics and logs. Default: none.
    region: Option<Located<String>>,
    /// The directory that is this node's alone; created, and locked against a second node.
    /// Default: none.
    data: Option<Located<String>>,
    /// How many threads work for a tier when it is busy: half of them in front, where all tiers come in,
    /// and half for the tier alone; or all for the tier alone, if it has a listener of its own. At
    /// least one each. Default: as many as there are cores.
    #[schemars(range(min = 1, max = 1_024))]
    threads: Option<u32>,
    /// How long requests may take to finish when the node is told to stop, 0s to 1h.
    /// Default: 30s.
    drain_timeout: Option<Located<DurationText>>,
}

impl Node {
    const ID_DEFAULT: &'static str = "watertight";

    pub(super) fn read(
        &self,
        log: Log,
        metrics: Metrics,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Node> {
        let id = match &self.id {
            Some(id) => findings.parse(id),
            None => Self::ID_DEFAULT.parse().ok(),
        };
        let region = if_written(self.region.as_ref(), |region| findings.parse(region));
        let drain_timeout = duration::or_default(
            self.drain_timeout.as_ref(),
            watertight_plan::Node::DRAIN_TIMEOUT_DEFAULT,
            Duration::ZERO..=HOUR,
            findings,
        );
        Some(watertight_plan::Node {
            id: id?,
            region: region?,
            data: self.data.as_ref().map(|path| files.locate(path)),
            threads: self.threads(),
            drain_timeout: drain_timeout?,
            log,
            metrics,
        })
    }

    fn threads(&self) -> Option<NonZeroUsize> {
        let threads = usize::try_from(self.threads?).ok()?;
        NonZeroUsize::new(threads)
    }
}
