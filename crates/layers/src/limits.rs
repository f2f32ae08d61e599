//! The limits that apply to a request, and where it is kept what was used of them.
//!
//! [`rule`] says what a limit is here; [`book`] which limits apply to whom, and the counters that are
//! nobody's own; [`charge`] charges all that apply, or none, and [`cluster`] those that all nodes
//! count; [`places`] are those among requests in flight, which [`enter`] takes; [`charged`] holds what was charged; [`wait`] is the line in front of a limit that delays;
//! [`shares`] is what holds of limits while somebody is unwell; [`pace`] is for what is charged while a request runs and after it.
//!
//! # Where counters are
//!
//! A counter that belongs to a tenant as such is in its lane, and one that belongs to a plan, a
//! segment, a service or everybody is pinned as well: both are known from the configuration and are
//! never given away. Callers that only requests name have keys in tables of fixed memory: one table
//! for those who are made of configured names, and another for those whom anybody can invent (an
//! address, a user, a tenant that is not listed), so that inventing cannot crowd out the others.

mod asked;
mod book;
mod charge;
mod charged;
mod cluster;
mod counts;
mod enter;
mod less;
mod pace;
mod places;
mod rule;
mod shares;
mod wait;

pub(crate) use asked::Asked;
pub(crate) use book::{Book, Terms, Writer};
pub(crate) use charge::{Keyed, Refused, Unmet};
pub(crate) use charged::Charged;
pub(crate) use counts::Counts;
pub(crate) use less::LessFields;
pub use pace::Pacer;
pub use rule::Home;
pub(crate) use rule::{Applied, Placing, Rule, Tally};
