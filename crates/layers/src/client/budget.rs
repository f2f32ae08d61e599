//! A retry budget: retries are a share of requests, so that they cannot multiply a load.
//!
//! A client that retries each failure three times makes an overload three times as large. With the
//! budget, retries are at most a share of the requests of the last ten seconds, and a few more so
//! that a client with little traffic can retry at all. That is Finagle's `RetryBudget`, with its
//! defaults; as there, the few are pooled over the window.

use std::time::Duration;

use watertight_base::Tick;

use super::{SettingsError, window::Window};

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Retries per request, first attempts counting as requests. Default 0.2; 0 to 1.
    pub budget_ratio: f64,
    /// Retries per second on top. Default 10.
    pub least_per_second: u32,
    /// How far back requests and retries count. Default 10 s; more than zero.
    pub window: Duration,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            budget_ratio: 0.2,
            least_per_second: 10,
            window: Duration::from_secs(10),
        }
    }
}

/// The retries of one client, in half a kilobyte.
///
/// **Law.** Whenever a retry is granted, those of the window that ends there are at most
/// `budget_ratio * requests + least_per_second * seconds` of that window.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    settings: BudgetSettings,
    /// Requests, and retries.
    window: Window,
}

impl RetryBudget {
    /// A budget of which nothing is spent.
    ///
    /// # Errors
    /// [`SettingsError`], if a number is outside its limits.
    pub fn new(settings: BudgetSettings) -> Result<Self, SettingsError> {
        if !(0.0..=1.0).contains(&settings.budget_ratio) {
            return Err(SettingsError::Budget(settings.budget_ratio));
        }
        if settings.window.is_zero() {
            return Err(SettingsError::Window);
        }
        Ok(Self {
            settings,
            window: Window::new(settings.window),
        })
    }

    /// Counts a request: its first attempt, not its retries.
    pub fn requested(&mut self, now: Tick) {
        self.window.add(now, [1, 0]);
    }

    /// Takes one retry out of the budget; false if none is left.
    pub fn try_retry(&mut self, now: Tick) -> bool {
        let ([requests, _], [_, retries]) = (self.window.inner(now), self.window.outer(now));
        let least = f64::from(self.settings.least_per_second) * self.settings.window.as_secs_f64();
        let granted = self.settings.budget_ratio * requests as f64 + least >= retries as f64 + 1.0;
        if granted {
            self.window.add(now, [0, 1]);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING_FREE: BudgetSettings = BudgetSettings {
        budget_ratio: 0.2,
        least_per_second: 0,
        window: Duration::from_secs(10),
    };

    fn granted(budget: &mut RetryBudget, now: Tick) -> usize {
        (0..10_000).take_while(|_| budget.try_retry(now)).count()
    }

    #[test]
    fn retries_are_a_share_of_requests() {
        let mut budget = RetryBudget::new(NOTHING_FREE).unwrap();
        assert_eq!(granted(&mut budget, Tick::ZERO), 0);
        for _ in 0..1_000 {
            budget.requested(Tick::ZERO);
        }
        assert_eq!(granted(&mut budget, Tick::ZERO), 200);
    }

    #[test]
    fn a_client_with_little_traffic_can_retry() {
        let mut budget = RetryBudget::new(BudgetSettings::default()).unwrap();
        budget.requested(Tick::ZERO);
        assert_eq!(granted(&mut budget, Tick::ZERO), 100);
        let later = Tick::ZERO + Duration::from_millis(10_500);
        assert_eq!(granted(&mut budget, later), 100);
    }

    #[test]
    fn settings_outside_their_limits_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN] {
            let settings = BudgetSettings {
                budget_ratio: bad,
                ..NOTHING_FREE
            };
            assert!(matches!(
                RetryBudget::new(settings),
                Err(SettingsError::Budget(_))
            ));
        }
        let settings = BudgetSettings {
            window: Duration::ZERO,
            ..NOTHING_FREE
        };
        assert!(matches!(
            RetryBudget::new(settings),
            Err(SettingsError::Window)
        ));
    }

    /// The law, checked against a log of every event.
    fn check(
        steps: &[(u64, bool)],
        settings: BudgetSettings,
        mut try_retry: impl FnMut(&mut RetryBudget, Tick) -> bool,
    ) -> Result<(), String> {
        let mut budget = RetryBudget::new(settings).unwrap();
        let (mut now, mut log) = (0_u64, [Vec::new(), Vec::new()]);
        for (step, is_retry) in steps {
            now += step;
            let tick = Tick::ZERO + Duration::from_millis(now);
            match is_retry {
                false => budget.requested(tick),
                true if try_retry(&mut budget, tick) => {}
                true => continue,
            }
            log[usize::from(*is_retry)].push(now);
            let [requests, retries] = [0, 1].map(|kind| {
                log[kind]
                    .iter()
                    .filter(|then| **then + 10_000 > now)
                    .count()
            });
            let least = f64::from(settings.least_per_second) * 10.0;
            if *is_retry && retries as f64 > 0.2 * requests as f64 + least {
                return Err(format!("{retries} retries of {requests} requests at {now}"));
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_granted_retry_is_within_the_share_of_its_window(
            steps in prop::collection::vec((0..1_500_u64, any::<bool>()), 1..400),
            least_per_second in 0..2_u32,
        ) {
            let settings = BudgetSettings { least_per_second, ..NOTHING_FREE };
            prop_assert_eq!(check(&steps, settings, RetryBudget::try_retry), Ok(()));
        }
    }

    #[test]
    fn the_check_finds_a_budget_that_rounds_the_window_of_retries_down() {
        let rounds_down = |budget: &mut RetryBudget, now| {
            let [requests, retries] = budget.window.inner(now);
            let granted = budget.settings.budget_ratio * requests as f64 >= retries as f64 + 1.0;
            if granted {
                budget.window.add(now, [0, 1]);
            }
            granted
        };
        let mut steps = vec![(0, false); 5];
        steps.extend([(400, true), (9_900, false)]);
        steps.extend([(0, false); 4]);
        steps.push((0, true));
        assert_eq!(check(&steps, NOTHING_FREE, RetryBudget::try_retry), Ok(()));
        assert!(check(&steps, NOTHING_FREE, rounds_down).is_err());
    }
}
