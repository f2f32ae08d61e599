//! One page for each alert: what it means, where to look first, what to change. They are part of the
//! binary, so that whoever can ask the node can read what it means.

use watertight_guard::alert::Kind;

/// The page of an alert, as Markdown.
pub fn page(kind: Kind) -> &'static str {
    match kind {
        Kind::PoolFilling => include_str!("../../../../docs/ops/pool-filling.md"),
        Kind::CompartmentFilling => include_str!("../../../../docs/ops/compartment-filling.md"),
        Kind::CapFilling => include_str!("../../../../docs/ops/cap-filling.md"),
        Kind::QueueWait => include_str!("../../../../docs/ops/queue-wait.md"),
        Kind::BreakerOpen => include_str!("../../../../docs/ops/breaker-open.md"),
        Kind::LimitNear => include_str!("../../../../docs/ops/limit-near.md"),
        Kind::SeatsBorrowed => include_str!("../../../../docs/ops/seats-borrowed.md"),
        Kind::NodeDead => include_str!("../../../../docs/ops/node-dead.md"),
    }
}

/// Where the page is, seen from the admin listener.
pub fn path(kind: Kind) -> String {
    format!("/v1/runbook?alert={}", kind.label())
}
