//! The names of alerts, as they are written in the configuration and in queries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_guard::alert::Kind;

/// The kind of an alert.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// A pool is filling up.
    PoolFilling,
    /// A compartment is filling up.
    CompartmentFilling,
    /// A service nears its cap.
    CapFilling,
    /// Requests wait too long for seats.
    QueueWait,
    /// Calls are refused because their target is broken.
    BreakerOpen,
    /// Callers near a limit, or are beyond it.
    LimitNear,
    /// Others have sat on seats of a compartment for too long.
    SeatsBorrowed,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::PoolFilling => Self::PoolFilling,
            KindName::CompartmentFilling => Self::CompartmentFilling,
            KindName::CapFilling => Self::CapFilling,
            KindName::QueueWait => Self::QueueWait,
            KindName::BreakerOpen => Self::BreakerOpen,
            KindName::LimitNear => Self::LimitNear,
            KindName::SeatsBorrowed => Self::SeatsBorrowed,
        }
    }
}
