//! How much a tenant may ask for: rate and concurrency, on atomics.
//!
//! A throttle protects nobody but the tenant's own contract: what it refuses is the caller's quota
//! and is answered 429. State is one word per limit and tenant; the quota itself is passed in, so
//! a reload that changes a quota keeps what was used of it and never hands out a second burst.

mod concurrency;
mod token_bucket;

pub use concurrency::InFlightCount;
pub use token_bucket::{Decision, Quota, TokenBucket};
