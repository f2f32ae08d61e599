//! `[pools.NAME.compartments.NAME]`: the walls in a pool.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{Seats, ServiceId};
use watertight_guard::pool::CompartmentSpec;

use super::{
    duration::{self, DurationText, HOUR},
    findings::Findings,
    located::{Located, Name},
};

/// A walled part of a pool.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Compartment {
    /// The services whose requests sit here.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) services: Vec<Located<String>>,
    /// Hard seats: nobody else takes them, and these services take no others.
    #[schemars(range(min = 1, max = 1_000_000))]
    seats: Located<u64>,
    /// The most seats that one service may hold of these. Default: all.
    #[serde(default)]
    pub(super) caps: BTreeMap<Located<Name>, Cap>,
    /// The address of each service: whoever connects to it is that service. For a pool of kind
    /// "tcp", which needs one for each. Default: none.
    #[serde(default)]
    pub(super) binds: BTreeMap<Located<Name>, Located<String>>,
    /// Requests of one tenant (connections of one client address, in a pool of kind "tcp") that may
    /// wait for one service. Default: 128.
    #[schemars(range(min = 0, max = 1_000_000))]
    queue: Option<u32>,
    /// Requests that may wait here in all. Default: 16384.
    #[schemars(range(min = 0, max = 1_000_000))]
    queue_total: Option<u32>,
    /// The longest time a request waits for a seat, 0s to 1h. Default: 1s.
    max_wait: Option<Located<DurationText>>,
}

/// The most seats that a service may hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Cap(#[schemars(range(min = 1, max = 1_000_000))] Located<u64>);

impl Cap {
    pub(super) fn number(&self) -> &Located<u64> {
        &self.0
    }
}

impl Compartment {
    pub(super) fn read(
        &self,
        name: &Located<Name>,
        findings: &mut Findings<'_>,
    ) -> Option<CompartmentSpec> {
        let id = findings.parse(name);
        let services: Vec<ServiceId> = self
            .services
            .iter()
            .filter_map(|service| findings.parse(service))
            .collect();
        let caps: Vec<(ServiceId, Seats)> = self
            .caps
            .iter()
            .filter_map(|(service, cap)| {
                let service = findings.parse(service);
                let cap = findings.number(cap.number());
                Some((service?, cap?))
            })
            .collect();
        let seats = findings.number(&self.seats);
        let max_wait = duration::or_default(
            self.max_wait.as_ref(),
            CompartmentSpec::MAX_WAIT_DEFAULT,
            Duration::ZERO..=HOUR,
            findings,
        );
        Some(CompartmentSpec {
            id: id?,
            services,
            seats: seats?,
            caps,
            queue: self.queue.unwrap_or(CompartmentSpec::QUEUE_DEFAULT),
            queue_total: self
                .queue_total
                .unwrap_or(CompartmentSpec::QUEUE_TOTAL_DEFAULT),
            max_wait: max_wait?,
        })
    }
}
