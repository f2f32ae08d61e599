//! `[plans.NAME]`: what tenants get.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::Weight;

use super::{
    class::Class,
    findings::Findings,
    located::{Located, Name},
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
        Some(watertight_plan::TenantPlan {
            weight: weight?,
            max_in_flight: self.max_in_flight,
            throttle,
            class: self.class.unwrap_or_default().into(),
        })
    }
}
