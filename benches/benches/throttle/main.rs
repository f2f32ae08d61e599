//! What a throttle's decision costs, beside `governor`, `limitador` and Envoy's filter in the same
//! run; what its tables weigh; and what a flood of invented keys does to others: nothing.
//!
//! `governor` is what one would take otherwise: 0.10, keyed by `u64`, with its own hasher, store and
//! clock. Ours is given the time, as its callers do, who read it once for a request; a row with one
//! clock read for each decision stands beside it. Each target is printed with what was measured.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has none if it cannot go on"
)]

mod envoy;
mod instructions;
mod memory;
mod peers;
mod speed;
mod target;

use self::target::Targets;

fn main() {
    if instructions::counted() {
        return;
    }
    let mut targets = Targets::default();
    let decision_ns = speed::measure(&mut targets);
    instructions::measure(&mut targets);
    memory::measure(&mut targets);
    peers::measure(decision_ns);
    targets.print();
}
