//! Limits: how much of what, for whom, and what becomes of the rest.
//!
//! # Which limits apply
//!
//! Limits stand in four places: with a tenant, with a service, with a plan, and for everybody. All
//! that apply to a request are decided as one. Where several have one name, the most specific holds
//! and the others do not: a tenant's before a service's, before a plan's, before everybody's. A
//! limit that is confined to services or routes applies there only, and hides its namesakes there
//! only.

use std::time::Duration;

use watertight_base::{LimitId, Percent, ServiceId};
use watertight_guard::throttle::{Algorithm, Quota, lease::Sharing};

use crate::{Routes, service::starts};

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Its name, in headers and metrics; unique in its place.
    pub id: LimitId,
    /// How it counts, and how far.
    pub count: Count,
    /// What it counts.
    pub measure: Measure,
    /// Who shares it: all that agree in each of these. Sorted, each once, at least one.
    pub by: Vec<By>,
    /// The services that it applies to; empty: to all.
    pub services: Vec<ServiceId>,
    /// The path prefixes that it applies to, on segment boundaries; empty: to all.
    pub routes: Vec<String>,
    /// What becomes of requests beyond it.
    pub excess: Excess,
    /// Whether it only decides and counts, and never acts.
    pub is_shadow: bool,
    /// The share from which on it is said to be near. Default 80 %.
    pub near: Percent,
    /// Whether each node counts for itself.
    pub across: Across,
}

impl Limit {
    /// Default of [`Limit::near`], in percent.
    pub const NEAR_DEFAULT: f64 = 80.0;

    /// A limit on each tenant's requests that rejects what is beyond it.
    pub fn new(id: LimitId, count: Count) -> Self {
        Self {
            id,
            count,
            measure: Measure::Requests,
            by: vec![By::Tenant],
            services: Vec::new(),
            routes: Vec::new(),
            excess: Excess::Reject,
            is_shadow: false,
            near: Percent::try_from(Self::NEAR_DEFAULT).unwrap_or(Percent::HALF),
            across: Across::Node,
        }
    }
}

impl Limit {
    /// Whether it applies to requests for `path`.
    pub fn covers(&self, path: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|route| starts(path, route))
    }

    /// What is asked of it that cannot be, if anything.
    pub fn contradiction(&self) -> Option<&'static str> {
        let is_gauge = matches!(self.count, Count::InFlight(_));
        let is_paced = self.measure == Measure::Bytes;
        let is_delayed = matches!(self.excess, Excess::Delay { .. });
        if self.by.is_empty() {
            Some("says nobody who shares it")
        } else if !self.routes.iter().all(|route| Routes::is_normal(route)) {
            Some("applies to a route that is not an absolute, normal path")
        } else if is_gauge && self.measure != Measure::Requests {
            Some("counts what is in flight, and so counts requests only")
        } else if is_paced && !is_delayed {
            Some("counts bytes, which are paced: its excess is `delay`")
        } else if is_gauge && self.across != Across::Node {
            Some("counts what is in flight, which each node does for itself")
        } else if is_paced && self.across != Across::Node {
            Some("paces bytes, which each node does for itself")
        } else if is_delayed && self.across != Across::Node {
            Some("is counted by all nodes together, which cannot make requests wait in turn")
        } else if self.leases_what_has_no_slack() {
            Some("leases from an algorithm without slack: its sharing is `exact` or `local`")
        } else {
            None
        }
    }

    /// A lease is used a little after it was taken. Where each unit has its moment, that is late.
    fn leases_what_has_no_slack(&self) -> bool {
        let Count::Rate(quota) = self.count else {
            return false;
        };
        let has_none = matches!(
            quota.algorithm(),
            Algorithm::LeakyBucket | Algorithm::SlidingLog
        );
        has_none && self.across == Across::Cluster(Sharing::Leased)
    }
}

/// How a limit counts, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// So many in so long, by one of five algorithms.
    Rate(Quota),
    /// So many at once.
    InFlight(u32),
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Measure {
    /// Bytes of bodies, up and down. They are paced: reading waits until the rate allows more.
    Bytes,
    /// Units of cost: the route's, and what the service says afterwards that it was.
    Cost,
    /// Requests.
    #[default]
    Requests,
}

impl Measure {
    /// The word in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Cost => "cost",
            Self::Requests => "requests",
        }
    }
}

/// Something that callers have in common, or not.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum By {
    /// The address of the client; of an IPv6 address its /64.
    Address,
    /// Nothing: all requests share it.
    Global,
    /// The API key.
    Key,
    /// The plan of the tenant.
    Plan,
    /// The region of the node.
    Region,
    /// The route that the path belongs to.
    Route,
    /// The segment of the tenant.
    Segment,
    /// The service.
    Service,
    /// The tenant.
    Tenant,
    /// The user within the tenant, as its token says.
    User,
}

impl By {
    /// All of them, in the order of their labels.
    pub const ALL: [Self; 10] = [
        Self::Address,
        Self::Global,
        Self::Key,
        Self::Plan,
        Self::Region,
        Self::Route,
        Self::Segment,
        Self::Service,
        Self::Tenant,
        Self::User,
    ];

    /// The word in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Global => "global",
            Self::Key => "key",
            Self::Plan => "plan",
            Self::Region => "region",
            Self::Route => "route",
            Self::Segment => "segment",
            Self::Service => "service",
            Self::Tenant => "tenant",
            Self::User => "user",
        }
    }
}

/// What becomes of requests beyond a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Excess {
    /// They are refused, with the time to come back.
    #[default]
    Reject,
    /// They wait for their turn, if it comes soon enough.
    Delay {
        /// The longest wait.
        max_wait: Duration,
        /// How many may wait at once, for each of those who share the limit.
        queue: u32,
    },
    /// They are served less.
    Degrade(Fallback),
}

impl Excess {
    /// Default of `queue`.
    pub const QUEUE_DEFAULT: u32 = 128;

    /// The word in the configuration.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Delay { .. } => "delay",
            Self::Degrade(_) => "degrade",
        }
    }

    /// How long a request waits for its turn.
    pub const fn patience(&self) -> Duration {
        match self {
            Self::Delay { max_wait, .. } => *max_wait,
            Self::Reject | Self::Degrade(_) => Duration::ZERO,
        }
    }
}

/// What is served instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// An answer that is always the same.
    Answer {
        /// Its status.
        status: u16,
        /// Its `Content-Type`.
        content_type: String,
        /// Its body.
        body: String,
    },
    /// The last good answer that the tenant got, marked as stale. Where there is none, the request
    /// is refused.
    Stale {
        /// How old it may be.
        max_age: Duration,
    },
    /// The service's answer, asked for with a field that tells the service to do less.
    Less {
        /// The field's name.
        header: String,
        /// Its value.
        value: String,
    },
}

/// Whether each node counts for itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Across {
    /// Each node counts for itself.
    #[default]
    Node,
    /// All nodes count together, in a store.
    Cluster(Sharing),
}

#[cfg(test)]
mod tests {
    use watertight_base::Rate;

    use super::*;

    fn limit() -> Limit {
        let rate = Rate::new(10, Duration::from_secs(1)).unwrap();
        let quota = Quota::new(Algorithm::SlidingLog, rate).unwrap();
        Limit::new("a".parse().unwrap(), Count::Rate(quota))
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert_eq!(limit().contradiction(), None);
        let wrong = [
            Limit {
                by: Vec::new(),
                ..limit()
            },
            Limit {
                routes: vec!["/a/../b".to_owned()],
                ..limit()
            },
            Limit {
                measure: Measure::Bytes,
                ..limit()
            },
            Limit {
                measure: Measure::Cost,
                count: Count::InFlight(3),
                ..limit()
            },
            Limit {
                across: Across::Cluster(Sharing::Leased),
                ..limit()
            },
        ];
        for limit in wrong {
            assert!(limit.contradiction().is_some(), "{limit:?}");
        }
    }

    #[test]
    fn a_limit_covers_its_routes_on_segment_boundaries() {
        let confined = Limit {
            routes: vec!["/cart".to_owned()],
            ..limit()
        };
        assert!(limit().covers("/anything"));
        assert!(confined.covers("/cart") && confined.covers("/cart/7"));
        assert!(!confined.covers("/cartography"));
    }
}
