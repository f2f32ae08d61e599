//! A limit of the plan, ready to be held against requests.

use std::{fmt, sync::Arc, time::Duration};

use watertight_base::{LimitId, PlanId, ServiceId, TenantId, Tick};
use watertight_guard::throttle::{Counter, InFlightCount, Quota};
use watertight_plan::{Across, By, Count, Excess, Fallback, Limit, Measure};

use super::{Asked, asked::Caller, counts::RuleCounts};

/// Where a limit stands. Of several with one name, the first in this order holds.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Home {
    /// With a tenant.
    Tenant(TenantId),
    /// With a service.
    Service(ServiceId),
    /// With a plan.
    Plan(PlanId),
    /// For everybody.
    Everybody,
}

impl Home {
    /// What sort of place it is. Tenants are many, so their names are no labels.
    pub(crate) const fn place(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Service(_) => "service",
            Self::Plan(_) => "plan",
            Self::Everybody => "everybody",
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(id) => write!(f, "tenant {id}"),
            Self::Service(id) => write!(f, "service {id}"),
            Self::Plan(id) => write!(f, "plan {id}"),
            Self::Everybody => f.write_str("everybody"),
        }
    }
}

/// Ways in which a limit counted that are remembered: more than anybody tries in one period.
const WAYS_MAX: usize = 8;

/// A limit, where it stands, and what it counted.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) home: Home,
    pub(crate) limit: Limit,
    /// How it counts; none for requests in flight.
    pub(crate) quota: Option<Quota>,
    /// Units left from which on it is near.
    pub(crate) near_left: u64,
    pub(crate) counts: RuleCounts,
    /// The other ways in which it counted before reloads.
    pub(crate) before: Vec<Before>,
}

/// A way in which a limit counted.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) quota: Quota,
    /// From then on nothing that it counted counts.
    pub(crate) until: Tick,
}

/// A rule as it applies to those on some terms who call some service.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) rule: Arc<Rule>,
    pub(crate) placing: Placing,
}

/// Where it is kept what was used.
#[derive(Clone, Debug)]
pub(crate) enum Placing {
    /// In the lane, at this place.
    Lane(usize),
    /// In a counter that is known from the configuration.
    Pinned(Arc<Tally>),
    /// Under a key of what the request says.
    Keyed,
}

/// What was used of a limit, pinned.
#[derive(Debug)]
pub(crate) enum Tally {
    Used(Counter),
    InFlight(InFlightCount),
}

impl Rule {
    pub(crate) fn new(home: &Home, limit: &Limit, origin: Duration, counts: RuleCounts) -> Self {
        let quota = match limit.count {
            Count::Rate(quota) => {
                let quota = quota.from_origin(origin);
                let is_waited_for = !limit.excess.patience().is_zero();
                Some(if is_waited_for { quota.timed() } else { quota })
            }
            Count::InFlight(_) => None,
        };
        let capacity = quota.map_or(0, |quota| quota.capacity());
        let left = 100.0 - limit.near.get();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number is no more"
        )]
        let near_left = (capacity as f64 * left / 100.0).ceil() as u64;
        Self {
            home: home.clone(),
            limit: limit.clone(),
            quota,
            near_left,
            counts,
            before: Vec::new(),
        }
    }

    /// The same, which was `before` until `now`.
    pub(crate) fn after(self, before: Option<&Self>, now: Tick) -> Self {
        let (Some(before), Some(quota)) = (before, &self.quota) else {
            return self;
        };
        let last = before.quota.map(|quota| Before {
            until: now + quota.window() * 2 + before.limit.excess.patience(),
            quota,
        });
        let mut ways: Vec<Before> = Vec::new();
        for way in last.iter().chain(&before.before) {
            let is_known = |quota: &Quota| quota.counts_like(&way.quota);
            let is_other = !is_known(quota) && !ways.iter().any(|way| is_known(&way.quota));
            if is_other && now < way.until {
                ways.push(way.clone());
            }
        }
        ways.truncate(WAYS_MAX);
        Self {
            before: ways,
            ..self
        }
    }

    /// Who asks, as it tells callers apart.
    pub(super) fn caller<'a>(&'a self, asked: &'a Asked<'a>) -> Caller<'a> {
        Caller {
            rule: self,
            quota: self.quota.as_ref(),
            asked,
        }
    }

    pub(crate) fn id(&self) -> &LimitId {
        &self.limit.id
    }

    /// Whether its refusal keeps a request out.
    pub(crate) fn binds(&self) -> bool {
        let serves_less = matches!(self.limit.excess, Excess::Degrade(Fallback::Less { .. }));
        !self.limit.is_shadow && !serves_less
    }

    /// What is served instead of a request that it refuses.
    pub(crate) fn fallback(&self) -> Option<Fallback> {
        match &self.limit.excess {
            Excess::Degrade(fallback) => Some(fallback.clone()),
            Excess::Delay { .. } | Excess::Reject => None,
        }
    }

    /// How old the last good answer may be, if that is what it serves instead.
    pub(crate) fn stale_max_age(&self) -> Option<Duration> {
        match self.limit.excess {
            Excess::Degrade(Fallback::Stale { max_age }) => Some(max_age),
            _ => None,
        }
    }

    /// How many may wait for their turn at once, if it makes them wait.
    pub(crate) fn queue(&self) -> Option<u32> {
        match self.limit.excess {
            Excess::Delay { queue, .. } if !self.limit.is_shadow => Some(queue),
            _ => None,
        }
    }

    /// How many requests may be in flight, if it counts these.
    pub(crate) fn in_flight_max(&self) -> Option<u32> {
        match self.limit.count {
            Count::InFlight(most) => Some(most),
            Count::Rate(_) => None,
        }
    }

    /// What a request costs in its units.
    pub(crate) fn cost(&self, asked: &Asked<'_>) -> u64 {
        match self.limit.measure {
            Measure::Requests => 1,
            Measure::Cost => asked.cost(),
            Measure::Bytes => 0,
        }
    }

    /// Counts a request that it let pass.
    pub(crate) fn count_allowed(&self, is_near: bool) {
        self.counts.allowed.inc();
        if is_near {
            self.counts.near.inc();
        }
    }

    /// Counts a request that passed although it was beyond the limit, as that does not bind.
    pub(crate) fn count_exceeded(&self) {
        if self.limit.is_shadow {
            self.counts.shadow_refused.inc();
        } else {
            self.counts.degraded.inc();
        }
    }

    /// Counts a request that it kept out: refused, or to be answered with something else instead.
    pub(super) fn count_kept_out(&self, serves_instead: bool) {
        if serves_instead {
            self.counts.degraded.inc();
        } else {
            self.counts.refused.inc();
        }
    }

    /// Whether all nodes count it together.
    pub(crate) fn is_of_cluster(&self) -> bool {
        self.limit.across != Across::Node
    }

    /// Whether it is asked when a request arrives.
    pub(crate) fn is_asked(&self) -> bool {
        self.limit.measure != Measure::Bytes
    }

    /// Whether a counter for it can be known beforehand, for each tenant.
    pub(crate) fn is_by_lane(&self) -> bool {
        let settled = [By::Global, By::Plan, By::Region, By::Segment, By::Tenant];
        self.limit.by.iter().all(|by| settled.contains(by))
    }

    /// Whether everything that it counts by is known from the configuration.
    pub(crate) fn is_by_configuration(&self) -> bool {
        let settled = [By::Global, By::Plan, By::Region, By::Service];
        self.limit.by.iter().all(|by| settled.contains(by))
    }

    pub(crate) fn is_by(&self, by: By) -> bool {
        self.limit.by.contains(&by)
    }

    /// Whether counters of the two count alike, so that one can go on for the other.
    pub(crate) fn counts_like(&self, other: &Self) -> bool {
        match (&self.quota, &other.quota) {
            (Some(one), Some(other)) => one.counts_like(other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Tally {
    pub(crate) fn new(rule: &Rule) -> Self {
        match &rule.quota {
            Some(quota) => Self::Used(Counter::new(quota)),
            None => Self::InFlight(InFlightCount::default()),
        }
    }
}
