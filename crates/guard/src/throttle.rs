//! How much a caller may ask for: rate and concurrency.
//!
//! A throttle protects nobody but the caller's own contract: what it refuses is the caller's quota
//! and is answered 429. A [`Quota`] says how a limit counts; what was used of it is kept in a
//! [`Counter`] where the callers are known beforehand, and in [`Tables`] of fixed memory where they
//! are not. The quota is passed in with every decision, so a reload that changes one keeps what was
//! used of it and never hands out a second burst.
//!
//! # One operation
//!
//! Every algorithm answers one question: *from when on* may a request of this cost pass? If that
//! is now, or within the caller's patience, it is charged; otherwise nothing is. Patience of
//! zero rejects, a longer one delays, so there is no second code path for waiting. [`all`] charges
//! several limits, or none of them.
//!
//! | algorithm | state | what a textbook says of it | error |
//! |---|---|---|---|
//! | [`Algorithm::FixedWindow`] | a word | up to `limit` in each window by the calendar; twice that around a boundary | none |
//! | [`Algorithm::SlidingLog`] | the time of each unit | never more than `limit` in any span of a period | none |
//! | [`Algorithm::SlidingBuckets`] | 11 counts | the same, forgotten a tenth of a period at a time | remembers up to a tenth of a period too long |
//! | [`Algorithm::TokenBucket`] | a word | a burst after idleness, the rate in the long run | rate low by less than 1 in 64 × the nanoseconds between units |
//! | [`Algorithm::LeakyBucket`] | a word | evenly spaced, never two at once | the same |
//!
//! # Laws
//!
//! 1. No algorithm admits more than its definition, by one thread or by many.
//! 2. It admits less than its definition by no more than the error in the table above.
//! 3. Of several limits, all are charged or none.
//! 4. A key whose state is given away is as good as new, so giving it away forgets nothing.
//! 5. Memory is fixed when a table is made. A key without room of its own shares a counter with
//!    others: it may get less, never more.

pub mod all;
mod carried;
mod concurrency;
mod counter;
mod fixed_window;
mod in_flight;
mod keyed;
mod leaky_bucket;
pub mod lease;
mod lines;
mod point;
mod quota;
mod sliding_buckets;
mod sliding_log;
mod step;
mod token_bucket;
mod word;

pub use concurrency::InFlightCount;
pub use counter::Counter;
pub use in_flight::InFlightTable;
pub use keyed::{Key, Occupancy, Tables};
pub use lines::{Behind, Due, Eased, Lines, Stand, Turn};
pub use quota::{Algorithm, Quota};
pub use step::{Decision, Step};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
