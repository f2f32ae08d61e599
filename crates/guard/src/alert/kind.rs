//! What alerts there are. Each has a rule for Prometheus and a page that says what to do.

use std::fmt;

/// What sort of trouble an alert tells of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A pool is filling up. Value: seats held.
    PoolFilling,
    /// A compartment is filling up. Value: seats held.
    CompartmentFilling,
    /// A service nears its cap. Value: seats held.
    CapFilling,
    /// Requests of a service wait longer for seats than they should. Value: seconds.
    QueueWait,
    /// Calls are refused because their target is broken. Value: breakers that are open.
    BreakerOpen,
    /// Callers near a limit, or are beyond it. Value: such requests since the last look.
    LimitNear,
    /// Others have sat on seats of a compartment for too long. Value: seconds.
    SeatsBorrowed,
    /// Nodes are dead that did not say good-bye. Value: such nodes.
    NodeDead,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PoolFilling,
        Self::CompartmentFilling,
        Self::CapFilling,
        Self::QueueWait,
        Self::BreakerOpen,
        Self::LimitNear,
        Self::SeatsBorrowed,
        Self::NodeDead,
    ];

    /// Its name in configuration, metrics and the API; the name of its page, too.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PoolFilling => "pool-filling",
            Self::CompartmentFilling => "compartment-filling",
            Self::CapFilling => "cap-filling",
            Self::QueueWait => "queue-wait",
            Self::BreakerOpen => "breaker-open",
            Self::LimitNear => "limit-near",
            Self::SeatsBorrowed => "seats-borrowed",
            Self::NodeDead => "node-dead",
        }
    }

    /// The kind that is called `label`.
    pub fn called(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// What it tells of, in a sentence.
    pub const fn means(self) -> &'static str {
        match self {
            Self::PoolFilling => "A pool is filling up.",
            Self::CompartmentFilling => "A compartment is filling up.",
            Self::CapFilling => "A service nears its cap.",
            Self::QueueWait => "Requests, or connections, wait too long for seats.",
            Self::BreakerOpen => "Calls are refused because their target is broken.",
            Self::LimitNear => "Callers near a limit, or are beyond it.",
            Self::SeatsBorrowed => "Others have sat on seats of a compartment for too long.",
            Self::NodeDead => "Nodes are dead that did not say good-bye.",
        }
    }

    /// Its name where alerts of many programs meet: in Prometheus and in notifications.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PoolFilling => "WatertightPoolFilling",
            Self::CompartmentFilling => "WatertightCompartmentFilling",
            Self::CapFilling => "WatertightCapFilling",
            Self::QueueWait => "WatertightQueueWait",
            Self::BreakerOpen => "WatertightBreakerOpen",
            Self::LimitNear => "WatertightLimitNear",
            Self::SeatsBorrowed => "WatertightSeatsBorrowed",
            Self::NodeDead => "WatertightNodeDead",
        }
    }

    /// How urgent it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::LimitNear | Self::SeatsBorrowed => Severity::Info,
            Self::PoolFilling
            | Self::CompartmentFilling
            | Self::CapFilling
            | Self::QueueWait
            | Self::BreakerOpen
            | Self::NodeDead => Severity::Warning,
        }
    }

    /// What its values count.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PoolFilling | Self::CompartmentFilling | Self::CapFilling => "seats",
            Self::QueueWait | Self::SeatsBorrowed => "seconds",
            Self::BreakerOpen => "breakers",
            Self::LimitNear => "requests",
            Self::NodeDead => "nodes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Good to know in working hours: somebody's own limit does its work.
    Info,
    /// Somebody should look before users feel it.
    Warning,
}

impl Severity {
    /// Its name in metrics and notifications.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}
