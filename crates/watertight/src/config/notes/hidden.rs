//! Limits that more specific ones of the same name hide wherever they would apply.
//!
//! A limit applies where somebody on a plan calls a service. It is hidden there if each tenant on
//! the plan has one of that name, or the service has, or (from everybody's) the plan. Only limits
//! that hold on all routes are taken to hide others: it is a note, and no proof is attempted.

use std::collections::HashMap;

use watertight_base::{LimitId, PlanId, ServiceId};
use watertight_plan::{Limit, Plan};

use super::{super::throttle::Place, is_for_unlisted};

/// Who hides what.
pub(super) struct Hidden<'p> {
    plan: &'p Plan,
    /// How many are on each plan: its listed tenants, and one for those that nobody listed.
    on_plan: HashMap<&'p PlanId, usize>,
    /// How many of them have a limit of that name of their own, for all services.
    with_own: HashMap<(&'p PlanId, &'p LimitId), usize>,
}

impl<'p> Hidden<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let mut on_plan: HashMap<&PlanId, usize> = HashMap::new();
        let mut with_own: HashMap<(&PlanId, &LimitId), usize> = HashMap::new();
        for tenant in plan.tenants().values() {
            *on_plan.entry(&tenant.plan).or_default() += 1;
            for limit in &tenant.throttle {
                if limit.routes.is_empty() && limit.services.is_empty() {
                    *with_own.entry((&tenant.plan, &limit.id)).or_default() += 1;
                }
            }
        }
        for id in plan.plans().keys() {
            if is_for_unlisted(plan, id.as_str()) {
                *on_plan.entry(id).or_default() += 1;
            }
        }
        Self {
            plan,
            on_plan,
            with_own,
        }
    }

    /// What hides `limit` of `place` everywhere, if it is hidden and would apply to anybody.
    pub(super) fn by(&self, place: Place<'_>, limit: &Limit) -> Option<&'static str> {
        let plans = self.on_plan.keys().filter(|id| match place {
            Place::Plan(name) => id.as_str() == name,
            _ => true,
        });
        let services: Vec<&ServiceId> = self
            .plan
            .services()
            .keys()
            .filter(|id| match place {
                Place::Service(name) => id.as_str() == name,
                _ => limit.services.is_empty() || limit.services.contains(id),
            })
            .collect();
        let mut pairs = plans
            .flat_map(|plan| services.iter().map(move |service| (*plan, *service)))
            .peekable();
        pairs.peek()?;
        pairs
            .all(|(plan, service)| self.is_hidden(place, &limit.id, plan, service))
            .then_some("where it would, a more specific limit has its name")
    }

    fn is_hidden(
        &self,
        place: Place<'_>,
        id: &LimitId,
        plan: &PlanId,
        service: &ServiceId,
    ) -> bool {
        let own = self.with_own.get(&(plan, id)).copied().unwrap_or(0);
        let in_service = || match self.plan.services().get(service) {
            Some(found) => hides(&found.throttle, id, service),
            None => false,
        };
        let in_plan = || match self.plan.plans().get(plan) {
            Some(found) => hides(&found.throttle, id, service),
            None => false,
        };
        let has_all_own = self.on_plan.get(plan).is_some_and(|all| own == *all);
        match place {
            Place::Everybody => has_all_own || in_service() || in_plan(),
            Place::Plan(_) => has_all_own || in_service(),
            Place::Service(_) => has_all_own,
            Place::Tenant(_) => false,
        }
    }
}

/// Whether one of `limits` is called `id` and holds for all requests for `service`.
fn hides(limits: &[Limit], id: &LimitId, service: &ServiceId) -> bool {
    limits.iter().any(|limit| {
        limit.id == *id
            && limit.routes.is_empty()
            && (limit.services.is_empty() || limit.services.contains(service))
    })
}
