//! Does a seed give the same run twice?
//!
//! What breaks it is a walk over a hash map, a clock or a generator of its own, or state that one
//! run leaves to the next.

use crate::{Difference, Trace};

/// One seed gave two runs.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("seed {seed} gives two different runs: {difference}")]
pub struct Diverged {
    /// The seed.
    pub seed: u64,
    /// Where they part.
    pub difference: Difference,
}

/// Runs twice and compares.
///
/// # Errors
///
/// Names the first event in which the runs differ.
pub fn check(seed: u64, mut run: impl FnMut(u64) -> Trace) -> Result<Trace, Diverged> {
    let (first, second) = (run(seed), run(seed));
    match first.difference(&second) {
        None => Ok(first),
        Some(difference) => Err(Diverged { seed, difference }),
    }
}
