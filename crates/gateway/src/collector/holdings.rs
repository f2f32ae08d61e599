//! What tenants hold at the node besides seats: client connections, and bytes that wait for readers.
//!
//! Tenants that have a label value of their own show by name, with what their plans allow; all others,
//! and the lanes of those whom nobody listed, are summed up. Who holds something does not use up the
//! label budget by that: requests do.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use watertight_layers::{Admission, Held};

use super::{Labels, gauges};
use crate::metrics::{Metrics, OTHER};

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    admission: &Admission,
    metrics: &Metrics,
) -> fmt::Result {
    let labelled = metrics.labelled();
    let (named, rest) = admission.holdings(&labelled);
    let rows = |read: fn(&Held) -> u64, max: fn(&Held) -> Option<u64>| {
        let tenants = named.iter().map(|(tenant, held)| (tenant.as_str(), held));
        tenants
            .chain([(OTHER, &rest)])
            .flat_map(move |(tenant, held)| {
                let row = |state: &str, number: u64| {
                    let labels: Labels =
                        vec![("tenant", tenant.to_owned()), ("state", state.to_owned())];
                    (labels, i64::try_from(number).unwrap_or(i64::MAX))
                };
                let limit = max(held).map(|most| row("limit", most));
                [row("in_use", read(held))].into_iter().chain(limit)
            })
            .collect::<Vec<_>>()
    };
    gauges(
        encoder,
        "watertight_tenant_connections",
        "Client connections that count for a tenant, by state: how many, and how many its plan allows; tenants without a label of their own are __other__",
        rows(|held| held.connections, |held| held.connections_max),
    )?;
    gauges(
        encoder,
        "watertight_tenant_buffered_bytes",
        "Bytes of answers that are buffered on behalf of a tenant, by state: how many, and how many its plan allows; tenants without a label of their own are __other__",
        rows(|held| held.buffered_bytes, |held| held.buffered_bytes_max),
    )
}
