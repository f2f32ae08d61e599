//! Which limits apply to whom, worked out when the plan changes rather than when a request comes.
//!
//! A counter goes on where the one before it stopped, as the same if it counts alike for the same callers.
//! If its limit counts in another way from now on, or tenants no longer share it, it takes over what was
//! used when the book was written. What is charged to the one before after that, by those who asked before the
//! book was in force, it does not know of: that is no more than the limit of before allows in the time
//! that a reload takes. Another `by` or another home begins a new counter of a rate, unless it is
//! that of a tenant. Requests in flight are counted anew by [`places`](super::places).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use watertight_base::{PlanId, SegmentId, ServiceId, TenantId, Tick};
use watertight_plan::{By, Limit, Plan, Tenant, TenantPlan};

use super::{Applied, Counts, Home, Placing, Rule, Tally};

/// The limits of a plan of the node.
#[derive(Debug, Default)]
pub(crate) struct Book {
    plans: BTreeMap<PlanId, Arc<Terms>>,
    pinned: HashMap<Pin, (Arc<Rule>, Arc<Tally>)>,
    rules: HashMap<Home, Vec<Arc<Rule>>>,
}

/// What holds for those on a plan, or for one tenant that has limits of its own.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) id: PlanId,
    pub(crate) plan: Arc<TenantPlan>,
    /// The rules whose counters are in lanes, in the order of the counters there.
    pub(crate) in_lane: Vec<Arc<Rule>>,
    /// The rules that apply, the more specific first, by service; services without any are left out.
    by_service: BTreeMap<ServiceId, Vec<Applicable>>,
}

/// A rule that applies unless it is hidden.
#[derive(Debug)]
struct Applicable {
    applied: Applied,
    /// Places of more specific rules of the same name that cover some paths.
    hidden_by: Vec<usize>,
}

/// Whose a pinned counter is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Pin {
    home: Home,
    limit: watertight_base::LimitId,
    plan: Option<PlanId>,
    segment: Option<SegmentId>,
    service: Option<ServiceId>,
}

/// Makes a book of a plan, with what the book before it counted.
pub(crate) struct Writer<'a> {
    plan: &'a Plan,
    before: &'a Book,
    /// How long after 1970 the clock began.
    origin: Duration,
    counts: &'a Counts,
    now: Tick,
    book: Book,
}

impl Book {
    /// Begins the book of `plan`, which follows `before`.
    pub(crate) fn writer<'a>(
        plan: &'a Plan,
        before: &'a Self,
        origin: Duration,
        counts: &'a Counts,
        now: Tick,
    ) -> Writer<'a> {
        let mut writer = Writer {
            plan,
            before,
            origin,
            counts,
            now,
            book: Self::default(),
        };
        writer.write_rules();
        for (id, terms) in plan.plans() {
            let terms = writer.terms(id, terms, None);
            let kept = before.plans.get(id).filter(|old| old.is_like(&terms));
            let terms = kept.map_or_else(|| Arc::new(terms), Arc::clone);
            writer.book.plans.insert(id.clone(), terms);
        }
        writer
    }
}

impl Writer<'_> {
    /// What holds for those on `plan`.
    pub(crate) fn terms_of_plan(&self, plan: &PlanId) -> Option<Arc<Terms>> {
        self.book.plans.get(plan).cloned()
    }

    /// What holds for `tenant`, which had `before`.
    pub(crate) fn terms_of(
        &mut self,
        id: &TenantId,
        tenant: &Tenant,
        before: Option<&Arc<Terms>>,
    ) -> Option<Arc<Terms>> {
        if tenant.throttle.is_empty() {
            return self.terms_of_plan(&tenant.plan);
        }
        let home = Home::Tenant(id.clone());
        self.write_home(&home, &tenant.throttle);
        let plan = self.plan.plans().get(&tenant.plan)?;
        let terms = self.terms(&tenant.plan, plan, Some(&home));
        let kept = before.filter(|old| old.is_like(&terms));
        Some(kept.map_or_else(|| Arc::new(terms), Arc::clone))
    }

    /// Keeps the counters of a lane that stays as it is for those who share them.
    pub(crate) fn keep(
        &mut self,
        terms: &Terms,
        segment: Option<&SegmentId>,
        tallies: &[Arc<Tally>],
    ) {
        for (rule, tally) in terms.in_lane.iter().zip(tallies) {
            if !rule.is_by(By::Tenant) {
                let pin = Pin::of(rule, &terms.id, segment, None);
                let kept = (Arc::clone(rule), Arc::clone(tally));
                self.book.pinned.entry(pin).or_insert(kept);
            }
        }
    }

    /// The counters of a lane on `terms`, which had `before`.
    pub(crate) fn tallies(
        &mut self,
        terms: &Terms,
        segment: Option<&SegmentId>,
        before: Option<(&Terms, &[Arc<Tally>])>,
    ) -> Box<[Arc<Tally>]> {
        let rules = terms.in_lane.iter();
        rules
            .map(|rule| {
                if !rule.is_by(By::Tenant) {
                    return self.pinned(rule, &terms.id, segment, None);
                }
                let old = before.and_then(|(terms, tallies)| {
                    let same = |old: &Arc<Rule>| old.home == rule.home && old.id() == rule.id();
                    // A limit that moved, say from a plan to a tenant, is still the one of its name.
                    let named = |old: &Arc<Rule>| old.id() == rule.id();
                    let mut rules = terms.in_lane.iter();
                    let at = rules.position(same);
                    let at = at.or_else(|| terms.in_lane.iter().position(named))?;
                    Some((&terms.in_lane[at], &tallies[at]))
                });
                Tally::carried_on(rule, old, self.now)
            })
            .collect()
    }

    /// The finished book.
    pub(crate) fn finish(self) -> Book {
        self.book
    }

    fn write_rules(&mut self) {
        self.write_home(&Home::Everybody, self.plan.limits());
        for (id, plan) in self.plan.plans() {
            self.write_home(&Home::Plan(id.clone()), &plan.throttle);
        }
        for (id, service) in self.plan.services() {
            self.write_home(&Home::Service(id.clone()), &service.throttle);
        }
    }

    fn write_home(&mut self, home: &Home, limits: &[Limit]) {
        let known = self.before.rules.get(home).map_or(&[][..], Vec::as_slice);
        let rule = |limit: &Limit| {
            let counts = self.counts.of(home, &limit.id);
            let rule = Rule::new(home, limit, self.origin, counts);
            let before = known.iter().find(|old| old.id() == rule.id());
            Arc::new(rule.after(before.map(|old| &**old), self.now))
        };
        let rules = limits.iter().map(rule).collect();
        self.book.rules.insert(home.clone(), rules);
    }

    fn terms(&mut self, id: &PlanId, plan: &Arc<TenantPlan>, tenant: Option<&Home>) -> Terms {
        let mut terms = Terms {
            id: id.clone(),
            plan: Arc::clone(plan),
            in_lane: Vec::new(),
            by_service: BTreeMap::new(),
        };
        for service in self.plan.services().keys() {
            let homes = [
                tenant.cloned(),
                Some(Home::Service(service.clone())),
                Some(Home::Plan(id.clone())),
                Some(Home::Everybody),
            ];
            let homes = homes.into_iter().flatten();
            let rules: Vec<_> = homes
                .filter_map(|home| self.book.rules.get(&home))
                .flatten()
                .filter(|rule| {
                    rule.limit.services.is_empty() || rule.limit.services.contains(service)
                })
                .cloned()
                .collect();
            for rule in rules {
                self.apply(&mut terms, service, rule);
            }
        }
        terms
    }

    fn apply(&mut self, terms: &mut Terms, service: &ServiceId, rule: Arc<Rule>) {
        let known = terms.by_service.entry(service.clone()).or_default();
        let namesakes = known.iter().enumerate();
        let namesakes = namesakes.filter(|(_, other)| other.applied.rule.id() == rule.id());
        let (places, hides_all): (Vec<_>, Vec<_>) = namesakes
            .map(|(at, other)| (at, other.applied.rule.limit.routes.is_empty()))
            .unzip();
        if hides_all.contains(&true) {
            return;
        }
        let placing = if rule.is_by_lane() {
            let at = terms
                .in_lane
                .iter()
                .position(|other| Arc::ptr_eq(other, &rule));
            Placing::Lane(at.unwrap_or_else(|| {
                terms.in_lane.push(Arc::clone(&rule));
                terms.in_lane.len() - 1
            }))
        } else if rule.is_by_configuration() {
            Placing::Pinned(self.pinned(&rule, &terms.id, None, Some(service)))
        } else {
            Placing::Keyed
        };
        known.push(Applicable {
            applied: Applied { rule, placing },
            hidden_by: places,
        });
    }

    /// A counter that those share who agree in what the rule counts by.
    fn pinned(
        &mut self,
        rule: &Arc<Rule>,
        plan: &PlanId,
        segment: Option<&SegmentId>,
        service: Option<&ServiceId>,
    ) -> Arc<Tally> {
        let pin = Pin::of(rule, plan, segment, service);
        if let Some((_, tally)) = self.book.pinned.get(&pin) {
            return Arc::clone(tally);
        }
        let old = self
            .before
            .pinned
            .get(&pin)
            .map(|(old, tally)| (old, tally));
        let tally = Tally::carried_on(rule, old, self.now);
        let kept = (Arc::clone(rule), Arc::clone(&tally));
        self.book.pinned.insert(pin, kept);
        tally
    }
}

impl Pin {
    fn of(
        rule: &Rule,
        plan: &PlanId,
        segment: Option<&SegmentId>,
        service: Option<&ServiceId>,
    ) -> Self {
        Self {
            home: rule.home.clone(),
            limit: rule.id().clone(),
            plan: rule.is_by(By::Plan).then(|| plan.clone()),
            segment: segment.filter(|_| rule.is_by(By::Segment)).cloned(),
            service: service.filter(|_| rule.is_by(By::Service)).cloned(),
        }
    }
}

impl Tally {
    /// A counter for `rule` that goes on where `old` stopped.
    fn carried_on(rule: &Rule, old: Option<(&Arc<Rule>, &Arc<Self>)>, now: Tick) -> Arc<Self> {
        let Some((before, tally)) = old else {
            return Arc::new(Self::new(rule));
        };
        // What tenants shared becomes a counter of each, and not one that they go on sharing.
        let is_whose_it_was = before.is_by(By::Tenant) == rule.is_by(By::Tenant);
        if is_whose_it_was && before.counts_like(rule) {
            return Arc::clone(tally);
        }
        let converted = match (&**tally, &before.quota, &rule.quota) {
            (Self::Used(counter), Some(old), Some(new)) => {
                Self::Used(counter.converted(now, old, new))
            }
            _ => Self::new(rule),
        };
        Arc::new(converted)
    }
}

impl Terms {
    /// Whether any rule applies to a service.
    pub(crate) fn limits(&self, service: &ServiceId) -> bool {
        self.by_service.contains_key(service)
    }

    /// The rules that apply to a request for `path` of `service`, the more specific first.
    pub(crate) fn rules(&self, service: &ServiceId, path: &str) -> impl Iterator<Item = &Applied> {
        let all = self.by_service.get(service).map_or(&[][..], Vec::as_slice);
        let covers = |one: &Applicable| one.applied.rule.limit.covers(path);
        all.iter()
            .filter(move |one| {
                covers(one) && !one.hidden_by.iter().any(|other| covers(&all[*other]))
            })
            .map(|one| &one.applied)
    }

    fn is_like(&self, other: &Self) -> bool {
        let rules = |terms: &Self| -> Vec<_> {
            let applicable = terms.by_service.iter();
            applicable
                .flat_map(|(service, all)| {
                    all.iter().map(|one| {
                        let Applied { rule, placing } = &one.applied;
                        let pinned = match placing {
                            Placing::Pinned(tally) => Some(Arc::as_ptr(tally)),
                            Placing::Lane(_) | Placing::Keyed => None,
                        };
                        (
                            service.clone(),
                            rule.home.clone(),
                            rule.limit.clone(),
                            pinned,
                        )
                    })
                })
                .collect()
        };
        self.plan == other.plan && rules(self) == rules(other)
    }
}
