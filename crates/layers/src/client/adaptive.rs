//! Adaptive client throttling: whoever is refused most of the time asks less often.
//!
//! A request is refused here, before it is sent, with probability
//! `max(0, (requests - K * accepts) / (requests + 1))` over a sliding window: Google's *Site
//! Reliability Engineering*, chapter "Handling Overload". A backend that accepts everything is left
//! alone; one that is over its capacity is offered about `K` times what it accepts, instead of all
//! that there is.
//!
//! Three things are added to the book. Below a floor of traffic nobody is refused, so that two
//! failures out of three say nothing yet. The probability has a ceiling, so that probes go on and an
//! outage of a whole window is noticed to be over. And a request counts when its answer is known:
//! those under way would otherwise look refused, and a slow backend that accepts everything would be
//! throttled by a burst.
//!
//! What it costs: after an outage longer than the window, requests that were refused here still
//! count against the backend, and the last of them is refused about 2.3 windows after its end (270 s
//! with the defaults). A shorter window forgives sooner, and judges by less.

use std::time::Duration;

use watertight_base::Tick;

use super::{SettingsError, unit, window::Window};

/// When [`AdaptiveThrottle`] refuses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThrottleSettings {
    /// `K`: how many times what it accepts a backend is offered. Default 2; at least 1. Less saves
    /// the backend more work, more notices sooner that it has recovered.
    pub multiplier: f64,
    /// How far back requests count. Default 2 min; more than zero.
    pub window: Duration,
    /// Requests in the window below which none is refused. Default 20.
    pub floor: u32,
    /// The highest probability of refusal. Default 0.95, which holds the offer at `K` times the
    /// capacity up to 40-fold overload; from 0 to below 1.
    pub ceiling_ratio: f64,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            multiplier: 2.0,
            window: Duration::from_secs(120),
            floor: 20,
            ceiling_ratio: 0.95,
        }
    }
}

impl ThrottleSettings {
    /// Whether the numbers are within their limits.
    ///
    /// # Errors
    /// [`SettingsError`] names the first that is not.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(self.multiplier.is_finite() && self.multiplier >= 1.0) {
            return Err(SettingsError::Multiplier(self.multiplier));
        }
        if self.window.is_zero() {
            return Err(SettingsError::Window);
        }
        if !(0.0..1.0).contains(&self.ceiling_ratio) {
            return Err(SettingsError::Ceiling(self.ceiling_ratio));
        }
        Ok(())
    }
}

/// The throttle of one target: 21 slots of a ring, half a kilobyte, whatever the traffic.
#[derive(Clone, Debug)]
pub struct AdaptiveThrottle {
    settings: ThrottleSettings,
    /// Requests that were answered or refused here, and those that the backend accepted.
    window: Window,
}

impl AdaptiveThrottle {
    /// A throttle that has seen nothing.
    ///
    /// # Errors
    /// [`SettingsError`], if a number is outside its limits.
    pub fn new(settings: ThrottleSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            settings,
            window: Window::new(settings.window),
        })
    }

    /// The probability with which a request is refused at `now`: 0 to the ceiling.
    pub fn probability(&self, now: Tick) -> f64 {
        let [requests, accepts] = self.window.inner(now);
        if requests < u64::from(self.settings.floor) {
            return 0.0;
        }
        let (requests, accepts) = (requests as f64, accepts as f64);
        let excess = requests - self.settings.multiplier * accepts;
        (excess / (requests + 1.0)).clamp(0.0, self.settings.ceiling_ratio)
    }

    /// Whether a request may be sent at `now`; `dice` is random in [0, 1). One that is refused is
    /// counted; of one that may be sent the outcome is due, to [`answered`](Self::answered).
    ///
    /// # Errors
    /// The probability of refusal, if the dice fell below it.
    pub fn ask(&mut self, now: Tick, dice: f64) -> Result<(), f64> {
        let probability = self.probability(now);
        if unit(dice) < probability {
            self.window.add(now, [1, 0]);
            return Err(probability);
        }
        Ok(())
    }

    /// Counts a request that was sent, and whether the backend accepted it.
    pub fn answered(&mut self, now: Tick, accepted: bool) {
        self.window.add(now, [1, accepted.into()]);
    }

    /// Whether the window is empty: forgetting this throttle forgets nothing.
    pub fn is_idle(&self, now: Tick) -> bool {
        self.window.inner(now) == [0, 0]
    }
}

#[cfg(test)]
mod tests;
