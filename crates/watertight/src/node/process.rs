//! Metrics of the process, under the names that Prometheus clients share.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

/// The size of a page on every platform that Linux's `/proc/self/statm` is read on here.
const PAGE_BYTES: i64 = 4096;

#[derive(Debug)]
struct Process;

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let resident = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|statm| statm.split(' ').nth(1)?.parse::<i64>().ok());
        if let Some(pages) = resident {
            let gauge = ConstGauge::new(pages * PAGE_BYTES);
            gauge.encode(encoder.encode_descriptor(
                "process_resident_memory_bytes",
                "Memory that the process holds in RAM",
                None,
                MetricType::Gauge,
            )?)?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let gauge = ConstGauge::new(i64::try_from(open.count()).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(
                "process_open_fds",
                "File descriptors that the process has open",
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}
