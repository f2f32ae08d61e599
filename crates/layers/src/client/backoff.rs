//! How long to wait before the next attempt.
//!
//! Full jitter: a random time from zero to `min(cap, base * 2^attempt)` (Brooker, *Exponential
//! Backoff and Jitter*, AWS Architecture Blog, 2015), which spreads the attempts of many clients
//! better than any wait that is only partly random.
//!
//! A server that says when to come back is believed: the wait is never shorter than that. Jitter
//! comes on top, because everybody whom it told the same would return at the same moment; it is
//! half of what was asked, or the exponential span where that is longer. Who asks for more patience
//! than there is gets no next attempt at all, rather than one that comes early.

use std::time::Duration;

use super::{SettingsError, unit};

/// Waits between attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    patience: Duration,
}

impl Default for Backoff {
    /// From 100 ms, to 10 s, with 60 s of patience.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            patience: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The longest cap and the longest patience: a day.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// Waits of up to `base` before the first retry, twice as much before each further one, and
    /// never more than `cap` by itself. A server may ask for up to `patience`.
    ///
    /// # Errors
    /// [`SettingsError::Backoff`], unless `0 < base <= cap` and both spans are at most
    /// [`Backoff::MAX`].
    pub fn new(base: Duration, cap: Duration, patience: Duration) -> Result<Self, SettingsError> {
        if base.is_zero() || base > cap || cap > Self::MAX || patience > Self::MAX {
            return Err(SettingsError::Backoff);
        }
        Ok(Self {
            base,
            cap,
            patience,
        })
    }

    /// The wait before retry number `retry`, counted from 0; `dice` is random in [0, 1). `asked` is
    /// what the server asked for. None: it asked for more than there is patience, so give up.
    pub fn wait(&self, retry: u32, asked: Option<Duration>, dice: f64) -> Option<Duration> {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(retry));
        let span = doubled.min(self.cap);
        match asked {
            None => Some(span.mul_f64(unit(dice))),
            Some(asked) if asked > self.patience => None,
            Some(asked) => Some(asked + span.max(asked / 2).mul_f64(unit(dice))),
        }
    }

    /// The longest wait there can be: the patience, and the jitter on top of it.
    pub fn longest_wait(&self) -> Duration {
        self.patience + self.cap.max(self.patience / 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_span_doubles_up_to_the_cap() {
        let backoff = Backoff::default();
        let half = |retry| backoff.wait(retry, None, 0.5);
        assert_eq!(half(0), Some(50 * MILLI));
        assert_eq!(half(1), Some(100 * MILLI));
        assert_eq!(half(6), Some(3_200 * MILLI));
        assert_eq!(half(7), Some(5_000 * MILLI));
        assert_eq!(half(u32::MAX), Some(5_000 * MILLI));
    }

    #[test]
    fn who_asks_for_more_than_the_patience_is_not_asked_again() {
        let minute = Duration::from_secs(60);
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(0, Some(minute), 0.0), Some(minute));
        assert_eq!(backoff.wait(0, Some(minute + MILLI), 0.0), None);
        assert_eq!(backoff.wait(0, Some(Duration::MAX), 0.0), None);
    }

    #[test]
    fn settings_outside_their_limits_are_refused() {
        let new = |base, cap, patience| Backoff::new(base, cap, patience).err();
        let bad = Some(SettingsError::Backoff);
        assert_eq!(new(Duration::ZERO, MILLI, MILLI), bad);
        assert_eq!(new(2 * MILLI, MILLI, MILLI), bad);
        assert_eq!(new(MILLI, Duration::MAX, MILLI), bad);
        assert_eq!(new(MILLI, MILLI, Duration::MAX), bad);
        assert_eq!(new(MILLI, MILLI, Duration::ZERO), None);
    }

    type Wait = fn(&Backoff, u32, Option<Duration>, f64) -> Option<Duration>;

    /// What holds for every wait.
    fn check(wait: Wait, retry: u32, asked: Option<Duration>, dice: f64) -> bool {
        let backoff = Backoff::default();
        match (wait(&backoff, retry, asked, dice), asked) {
            (None, asked) => asked > Some(backoff.patience),
            (Some(wait), None) => wait <= backoff.cap,
            (Some(wait), Some(asked)) => {
                asked <= wait && asked <= backoff.patience && wait <= backoff.longest_wait()
            }
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_asked_and_never_longer_than_the_longest(
            retry in any::<u32>(),
            asked in prop::option::of(0..120_000_u32),
            dice in prop_oneof![0.0..1.0_f64, Just(f64::NAN), any::<f64>()],
        ) {
            prop_assert!(check(Backoff::wait, retry, asked.map(|asked| MILLI * asked), dice));
        }

        #[test]
        fn clients_that_were_told_the_same_return_apart(
            retry in 0..20_u32,
            asked in 1_000..60_000_u32,
            one in 0.0..1.0_f64,
            other in 0.0..1.0_f64,
        ) {
            let wait = |dice| Backoff::default().wait(retry, Some(MILLI * asked), dice).unwrap();
            let apart = wait(one).abs_diff(wait(other)).as_secs_f64();
            let least = f64::from(asked) / 2_000.0 * (one - other).abs();
            prop_assert!(apart >= least - 1e-6, "{apart} < {least}");
        }
    }

    #[test]
    fn the_check_finds_waits_that_come_early_or_too_late() {
        let second = Some(Duration::from_secs(1));
        let deaf: Wait = |backoff, retry, _, dice| backoff.wait(retry, None, dice);
        assert!(!check(deaf, 0, second, 0.5));
        let around: Wait = |_, _, asked, dice| Some(asked?.mul_f64(0.5 + dice));
        assert!(!check(around, 0, second, 0.1));
        let patient: Wait = |_, _, asked, _| asked;
        assert!(!check(patient, 0, Some(Duration::from_secs(61)), 0.5));
        let capped: Wait = |backoff, _, asked, _| Some(asked?.min(backoff.patience));
        assert!(!check(capped, 0, Some(Duration::from_secs(61)), 0.5));
    }
}
