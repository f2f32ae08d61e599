//! `[plans.NAME]`: what tenants get.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::Weight;

use super::{
    class::Class,
    findings::Findings,
    located::{Located, Name},
    size::{GIB, KIB, Size},
    throttle::{self, Known, Place, Throttle},
};

/// What a tenant gets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantPlan {
    /// Its share among tenants that wait for the same service. Default: 1.
    #[schemars(range(min = 1, max = 1_000))]
    weight: Option<Located<u64>>,
    /// Requests that a tenant may have in flight, waiting ones included. Default: as many as it
    /// finds seats and queue places for.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_in_flight: Option<u32>,
    /// Client connections that may count for a tenant at once; a request on one more is answered 429
    /// and the connection closed. A connection counts for the tenant of its requests. One that
    /// carries requests of several tenants, as a balancer's does, counts for each of them while it
    /// has a request under way there; in between it counts for nobody when it comes from a peer in
    /// `identity.trusted`, and otherwise for the tenant of its latest request. Default: as many as
    /// the listeners take.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_connections: Option<u32>,
    /// Bytes of answers that may be buffered on a tenant's behalf while its clients read more slowly
    /// than its services write, 64KiB to 64GiB. Beyond them nothing is read ahead for it, and its
    /// answers hold their seats for as long as its clients take; only one frame of each answer is
    /// held all the same (about 128KiB at most from a service that speaks HTTP/1.1, 16KiB over HTTP/2), so
    /// that every client gets on. Default: 64MiB.
    max_buffered: Option<Located<Size>>,
    /// The class of its requests. Default: ordinary.
    class: Option<Class>,
    /// Its limits; a request passes all of them or is charged by none. Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub(super) throttle: Throttle,
}

impl TenantPlan {
    pub(super) fn read(
        &self,
        name: &Located<Name>,
        known: &Known,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::TenantPlan> {
        let weight = match &self.weight {
            Some(weight) => findings.number(weight),
            None => Some(Weight::ONE),
        };
        let place = Place::Plan((**name).as_ref());
        let throttle = throttle::read(&self.throttle, place, known, findings);
        let max_buffered_bytes = match &self.max_buffered {
            Some(size) => size.read(64 * KIB..=64 * GIB, findings),
            None => Some(watertight_plan::TenantPlan::MAX_BUFFERED_DEFAULT),
        };
        Some(watertight_plan::TenantPlan {
            weight: weight?,
            max_in_flight: self.max_in_flight,
            max_connections: self.max_connections,
            max_buffered_bytes: max_buffered_bytes?,
            throttle,
            class: self.class.unwrap_or_default().into(),
        })
    }
}
