//! `[plans.NAME]`: what tenants get.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{LimitId, Weight};

use super::{
    class::Class,
    findings::{Finding, Findings},
    limit::Limit,
    located::{Located, Name},
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
    throttle: Vec<Limit>,
}

impl TenantPlan {
    pub(super) fn read(
        &self,
        name: &Located<Name>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::TenantPlan> {
        let weight = match &self.weight {
            Some(weight) => findings.number(weight),
            None => Some(Weight::ONE),
        };
        let mut names: HashSet<LimitId> = HashSet::new();
        let mut throttle = Vec::new();
        for limit in &self.throttle {
            let Some(read) = limit.read(name, findings) else {
                continue;
            };
            if !names.insert(read.id.clone()) {
                let message = format!("plan {} has two limits called {}", **name, read.id);
                let finding = Finding::new(limit.name_span(), message);
                findings.add(finding.help("give each a `name` of its own".to_owned()));
            }
            throttle.push(read);
        }
        Some(watertight_plan::TenantPlan {
            weight: weight?,
            max_in_flight: self.max_in_flight,
            throttle,
            class: self.class.unwrap_or_default().into(),
        })
    }
}
