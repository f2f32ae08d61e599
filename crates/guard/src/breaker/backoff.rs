//! How long a breaker stays open: longer each time, and not to the moment.
//!
//! The *n*-th time in a row it is `wait × multiplier^(n-1)`, at most the longest, less a part of up to
//! `randomized_wait_factor` that is drawn by a small generator (SplitMix64: Steele, Lea and Flood
//! 2014) from the breaker's seed and the number of its changes. Resilience4j spreads to both sides
//! of the interval; here it only gets shorter, so that the longest time is the longest.

use std::time::Duration;

use super::settings::Settings;

/// The open time when it was open `before` times in a row already.
pub(super) fn open_for(settings: &Settings, before: u32, seed: u64, draw: u64) -> Duration {
    let first = settings.wait_duration_in_open_state;
    let longest = settings
        .exponential_max_wait_duration_in_open_state
        .max(first);
    let multiplier = settings.exponential_backoff_multiplier.max(1.0);
    let grown = multiplier.powf(f64::from(before)) * first.as_secs_f64();
    let whole = if before == 0 {
        first
    } else {
        Duration::try_from_secs_f64(grown).map_or(longest, |grown| grown.min(longest))
    };
    // What is no number is none.
    let factor = f64::max(settings.randomized_wait_factor, 0.0).clamp(0.0, 1.0);
    whole.saturating_sub(whole.mul_f64(factor * unit(seed, draw)))
}

/// A number in [0, 1).
fn unit(seed: u64, draw: u64) -> f64 {
    let mut mixed = seed.wrapping_add(draw.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}
