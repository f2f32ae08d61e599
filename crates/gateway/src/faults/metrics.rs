//! How many faults there are, and whom they struck.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::FaultsView;
use crate::collector::{counters, gauges};

impl FaultsView {
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let active = i64::try_from(self.faults.len()).unwrap_or(i64::MAX);
        gauges(
            encoder,
            "watertight_injected_faults",
            "Faults that are injected on purpose and in force",
            [(Vec::new(), active)],
        )?;
        let hits = self.hits.iter();
        let rows = hits.map(|(kind, hits)| (vec![("effect", (*kind).to_owned())], *hits as f64));
        counters(
            encoder,
            "watertight_injected_fault_hits",
            "Requests that were struck by faults injected on purpose, by effect",
            rows,
        )
    }
}
