//! `[pools.NAME.compartments.NAME]`: the walls in a pool.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{Seats, ServiceId};
use watertight_guard::pool::{CompartmentSpec, Lend};

use super::{
    duration::{self, DurationText, HOUR},
    findings::{Finding, Findings},
    located::{Located, Name, Span},
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
    pub(super) queue: Option<Located<u32>>,
    /// Requests that may wait here in all; those of tenants that nobody listed may take up half of
    /// it. Default: 16384.
    #[schemars(range(min = 0, max = 1_000_000))]
    queue_total: Option<u32>,
    /// The longest time a request waits for a seat, 0s to 1h. Default: 1s.
    pub(super) max_wait: Option<Located<DurationText>>,
    /// How long requests of a tenant wait at most once its queue has not been empty for `max_wait`,
    /// so that those which are served are fresh, 1ms to 1h. Default: 50ms.
    pub(super) wait_target: Option<Located<DurationText>>,
    /// Whether seats that stand idle here may be lent to every other compartment of the pool (true)
    /// or to none (false). Default: tiers 2 and 3 lend to each other, tier 1 lends nothing.
    lend: Option<Located<bool>>,
    /// Seats that are kept: never lent, and never given to a tenant that already sits here and whose
    /// requests are slow. Fewer than `seats`. For a pool of kind "requests". Default: an eighth of the
    /// seats; a pool of connections keeps none.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) head_room: Option<Located<u32>>,
    /// For how long a lent seat may stay away when it is wanted back, 0s to 1h. Default: 1s.
    pub(super) borrow_max: Option<Located<DurationText>>,
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
    /// Where lending is spoken of.
    pub(super) fn lent(&self) -> Option<(&'static str, &Span)> {
        let lend = self.lend.as_ref().filter(|lend| ***lend);
        let borrow_max = self.borrow_max.as_ref();
        let lend = lend.map(|lend| ("lend", lend.span()));
        lend.or_else(|| borrow_max.map(|span| ("borrow_max", span.span())))
    }

    pub(super) fn read(
        &self,
        name: &Located<Name>,
        is_tcp: bool,
        findings: &mut Findings<'_>,
    ) -> Option<CompartmentSpec> {
        let id = findings.parse(name);
        let services = self.read_services(findings);
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
        let wait_target = duration::or_default(
            self.wait_target.as_ref(),
            CompartmentSpec::WAIT_TARGET_DEFAULT,
            Duration::from_millis(1)..=HOUR,
            findings,
        );
        let borrow_max = duration::or_default(
            self.borrow_max.as_ref(),
            CompartmentSpec::BORROW_MAX_DEFAULT,
            Duration::ZERO..=HOUR,
            findings,
        );
        let seats = seats?;
        let lend = match self.lend.as_deref() {
            Some(true) => Lend::Everybody,
            None if !is_tcp => Lend::ByTier,
            None | Some(false) => Lend::Nobody,
        };
        // Connections are all held for long: head-room would only make the walls narrower.
        let head_room_default = match is_tcp {
            true => 0,
            false => CompartmentSpec::head_room_default(seats),
        };
        Some(CompartmentSpec {
            caps,
            queue: self
                .queue
                .as_ref()
                .map_or(CompartmentSpec::QUEUE_DEFAULT, |queue| **queue),
            queue_total: self
                .queue_total
                .unwrap_or(CompartmentSpec::QUEUE_TOTAL_DEFAULT),
            max_wait: max_wait?,
            wait_target: wait_target?,
            lend,
            head_room: self
                .head_room
                .as_ref()
                .map_or(head_room_default, |kept| **kept),
            borrow_max: borrow_max?,
            ..CompartmentSpec::new(id?, seats, services)
        })
    }

    /// Each service once.
    fn read_services(&self, findings: &mut Findings<'_>) -> Vec<ServiceId> {
        let mut services: Vec<ServiceId> = Vec::new();
        for text in &self.services {
            let Some(service) = findings.parse(text) else {
                continue;
            };
            if services.contains(&service) {
                let finding = Finding::new(text.span(), "this service is named twice");
                findings.add(finding.help("leave one of the two out".to_owned()));
            } else {
                services.push(service);
            }
        }
        services
    }
}
