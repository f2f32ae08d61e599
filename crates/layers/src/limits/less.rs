//! The fields by which services are told to do less.
//!
//! A client must not say so itself: the service would take it for a decision of ours, and the answer
//! would not be marked. So the fields are known by service, and taken out of what clients send.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use http::HeaderName;
use watertight_base::ServiceId;
use watertight_plan::{Excess, Fallback, Limit, Plan};

/// The fields, by service.
#[derive(Debug, Default)]
pub(crate) struct LessFields(HashMap<ServiceId, Arc<[HeaderName]>>);

impl LessFields {
    /// Those of all limits that can apply to requests for each service.
    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let plans = plan.plans().values().flat_map(|terms| &terms.throttle);
        let tenants = plan.tenants().values().flat_map(|tenant| &tenant.throttle);
        let shared: Vec<_> = plan
            .limits()
            .iter()
            .chain(plans)
            .chain(tenants)
            .filter_map(|limit| Some((limit, field(limit)?)))
            .collect();
        let services = plan.services().iter().filter_map(|(id, service)| {
            let applies = |limit: &Limit| limit.services.is_empty() || limit.services.contains(id);
            let shared = shared
                .iter()
                .filter(|(limit, _)| applies(limit))
                .map(|(_, name)| name.clone());
            let fields: BTreeSet<String> = shared
                .chain(service.throttle.iter().filter_map(field))
                .map(|name| name.as_str().to_owned())
                .collect();
            let fields: Arc<[HeaderName]> =
                fields.iter().filter_map(|name| name.parse().ok()).collect();
            (!fields.is_empty()).then(|| (id.clone(), fields))
        });
        Self(services.collect())
    }

    pub(crate) fn of(&self, service: &ServiceId) -> Arc<[HeaderName]> {
        self.0.get(service).cloned().unwrap_or_default()
    }
}

fn field(limit: &Limit) -> Option<HeaderName> {
    match &limit.excess {
        Excess::Degrade(Fallback::Less { header, .. }) => header.parse().ok(),
        _ => None,
    }
}
