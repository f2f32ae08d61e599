//! The last arrivals, as how late each was, with their sums.
//!
//! Lateness is kept in whole nanoseconds and summed in 128 bits: what leaves the window leaves the
//! sums exactly as it came, for ever. Nothing counts as more than two years late or early, so that
//! ten thousand squares fit.

use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    late: VecDeque<i64>,
    most: usize,
    sum: i128,
    squares: u128,
}

impl Arrivals {
    pub(super) fn new(most: usize) -> Self {
        Self {
            late: VecDeque::new(),
            most,
            sum: 0,
            squares: 0,
        }
    }

    /// Remembers one, and forgets the oldest if there are too many. In nanoseconds.
    pub(super) fn push(&mut self, late: i64) {
        let late = late.clamp(-LATE_MAX, LATE_MAX);
        if self.late.len() >= self.most
            && let Some(oldest) = self.late.pop_front()
        {
            self.sum -= i128::from(oldest);
            self.squares -= square(oldest);
        }
        self.late.push_back(late);
        self.sum += i128::from(late);
        self.squares += square(late);
    }

    /// The mean in nanoseconds; zero if there are none.
    pub(super) fn mean(&self) -> i64 {
        let count = i128::try_from(self.late.len()).unwrap_or(i128::MAX).max(1);
        i64::try_from(self.sum / count).unwrap_or(i64::MAX)
    }

    /// The standard deviation in nanoseconds; zero if there are none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a deviation is good to a few digits"
    )]
    pub(super) fn deviation(&self) -> f64 {
        if self.late.is_empty() {
            return 0.0;
        }
        let count = self.late.len() as f64;
        let mean = self.sum as f64 / count;
        (self.squares as f64 / count - mean * mean).max(0.0).sqrt()
    }
}

fn square(late: i64) -> u128 {
    u128::from(late.unsigned_abs()).pow(2)
}

const LATE_MAX: i64 = 1 << 56;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_is_what_its_last_arrivals_are(
            late in prop::collection::vec(-1_000_000_000_000_i64..1_000_000_000_000, 1..40),
            most in 1..20_usize,
        ) {
            let mut arrivals = Arrivals::new(most);
            late.iter().for_each(|late| arrivals.push(*late));
            let kept = &late[late.len().saturating_sub(most)..];
            let count = i64::try_from(kept.len()).unwrap();
            let mean = kept.iter().sum::<i64>() / count;
            prop_assert_eq!(arrivals.mean(), mean);
            let off = |late: &i64| ((late - mean) as f64).powi(2);
            let deviation = (kept.iter().map(off).sum::<f64>() / count as f64).sqrt();
            prop_assert!((arrivals.deviation() - deviation).abs() <= deviation * 1e-3 + 1_000.0);
        }
    }
}
