//! `[tenants.NAME]`: who is known, and on which plan.
//!
//! There may be very many: the ids of plans and segments are shared, and nothing else is kept.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{PlanId, SegmentId, TenantId};
use watertight_plan::By;

use super::{
    findings::{Finding, Findings, TWICE},
    located::{Located, Name, Named, if_written},
    nearest::did_you_mean,
    throttle::{self, Known, Place, Throttle},
};

/// A listed tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tenant {
    /// The plan that it is on.
    plan: Located<String>,
    /// The segment that it belongs to: tenants of a segment are shown together, and can share
    /// limits. Default: none.
    segment: Option<Located<String>>,
    /// Limits of its own. One with the name of a limit of its plan holds instead of that.
    /// Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    throttle: Throttle,
}

impl Tenant {
    /// Its limits; the most have none, and pay nothing for it.
    fn throttle(
        &self,
        name: &Located<Name>,
        known: &Known,
        findings: &mut Findings<'_>,
    ) -> Vec<watertight_plan::Limit> {
        if self.throttle.is_empty() {
            return Vec::new();
        }
        let place = Place::Tenant((**name).as_ref());
        let limits = throttle::read(&self.throttle, place, known, findings);
        if self.segment.is_none() {
            for limit in &self.throttle {
                if limit.is_by(By::Segment) {
                    findings.note(
                        limit.by_span(By::Segment),
                        &format!("{place} has no segment that it could share this limit with"),
                    );
                }
            }
        }
        limits
    }
}

/// The tenants read so far.
#[derive(Debug)]
pub(super) struct Tenants {
    plans: BTreeSet<PlanId>,
    segments: BTreeSet<SegmentId>,
    by_id: HashMap<TenantId, watertight_plan::Tenant>,
}

impl Tenants {
    /// Begins with the names of `plans`, broken ones included, so that their tenants are not
    /// reported as well.
    pub(super) fn new(plans: &[String]) -> Self {
        Self {
            plans: plans.iter().filter_map(|name| name.parse().ok()).collect(),
            segments: BTreeSet::new(),
            by_id: HashMap::new(),
        }
    }

    /// Adds the tenants of a part of the document.
    pub(super) fn read(
        &mut self,
        named: &Named<Tenant>,
        known: &Known,
        findings: &mut Findings<'_>,
    ) {
        for (name, table) in named {
            let id = findings.parse::<TenantId>(name);
            let plan = self.plan(&table.plan, findings);
            let segment = if_written(table.segment.as_ref(), |segment| {
                self.segment(segment, findings)
            });
            let throttle = table.throttle(name, known, findings);
            let (Some(id), Some(plan), Some(segment)) = (id, plan, segment) else {
                continue;
            };
            let tenant = watertight_plan::Tenant {
                plan,
                segment,
                throttle,
            };
            if self.by_id.insert(id, tenant).is_some() {
                findings.add_syntax(name.span(), TWICE);
            }
        }
    }

    pub(super) fn finish(self) -> HashMap<TenantId, watertight_plan::Tenant> {
        self.by_id
    }

    /// The plan of that name. An unknown one is reported, and kept, so that what refers to its
    /// tenants is not reported as well.
    fn plan(&self, name: &Located<String>, findings: &mut Findings<'_>) -> Option<PlanId> {
        if let Some(known) = self.plans.get(name.as_str()) {
            return Some(known.clone());
        }
        let plan = findings.parse::<PlanId>(name)?;
        let known = self.plans.iter().map(PlanId::as_str);
        let help = did_you_mean(name, known)
            .unwrap_or_else(|| format!("add a table [plans.{}]", name.as_str()));
        let finding = Finding::new(name.span(), format!("there is no plan `{plan}`"));
        findings.add(finding.label("unknown plan").help(help));
        Some(plan)
    }

    fn segment(
        &mut self,
        name: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<SegmentId> {
        if let Some(known) = self.segments.get(name.as_str()) {
            return Some(known.clone());
        }
        let segment = findings.parse::<SegmentId>(name)?;
        self.segments.insert(segment.clone());
        Some(segment)
    }
}
