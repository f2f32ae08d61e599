//! Circuit breakers: stop calling what fails, and notice when it is well again.
//!
//! A breaker is *closed* and counts outcomes over a sliding window; when enough calls were made
//! and too many of them failed it *opens* and refuses; after a while it is *half-open* and lets a
//! few probes through: when they all succeed it closes, when one fails it opens again. A probe
//! that never reports is a lease that runs out, so a hung call cannot hold the breaker half-open.
//!
//! [`Breaker`] guards one target. [`Table`] keeps one for each (tenant, service) pair that has
//! failed lately, so that one tenant's errors close the door on that tenant alone; a pair that does
//! well costs no memory.

mod settings;
mod table;
mod window;

use std::time::Duration;

use watertight_base::Tick;

use self::window::Window;

pub use self::{settings::Settings, table::Table};

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// A few calls pass, to see whether the target is well.
    HalfOpen,
    /// Calls are refused.
    Open,
}

impl State {
    /// The state in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// Leave to make one call, to be handed back to [`Breaker::record`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pass {
    /// Counts the changes of state: an outcome of an earlier state says nothing about this one.
    epoch: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The target answered well.
    Success,
    /// The target failed.
    Failure,
    /// The call says nothing about the target: its caller went away, or it was never made.
    Ignored,
}

/// The breaker of one target.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    epoch: u64,
    window: Window,
    /// When an open breaker lets probes through, or the leases of half-open probes run out.
    until: Tick,
    probes: u32,
    successes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            epoch: 0,
            window: Window::default(),
            until: Tick::ZERO,
            probes: 0,
            successes: 0,
        }
    }
}

impl Breaker {
    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// How long to wait, when the call is refused.
    pub fn acquire(&mut self, now: Tick, settings: &Settings) -> Result<Pass, Duration> {
        let pass = Pass { epoch: self.epoch };
        match self.state {
            State::Closed => Ok(pass),
            State::Open if now < self.until => Err(self.until - now),
            State::Open => Ok(self.probe(now, settings)),
            State::HalfOpen if now >= self.until => Ok(self.probe(now, settings)),
            State::HalfOpen
                if self.probes < settings.permitted_number_of_calls_in_half_open_state =>
            {
                self.probes += 1;
                Ok(pass)
            }
            State::HalfOpen => Err(self.until - now),
        }
    }

    /// Whether [`Breaker::acquire`] would refuse now, and for how long. Changes nothing.
    pub fn refuses(&self, now: Tick, settings: &Settings) -> Option<Duration> {
        let full = self.probes >= settings.permitted_number_of_calls_in_half_open_state;
        let refuses = match self.state {
            State::Closed => false,
            State::Open => true,
            State::HalfOpen => full,
        };
        (refuses && now < self.until).then(|| self.until - now)
    }

    /// Says how a call ended. Returns the new state if that changed it.
    pub fn record(
        &mut self,
        now: Tick,
        settings: &Settings,
        pass: Pass,
        outcome: Outcome,
    ) -> Option<State> {
        if pass.epoch != self.epoch {
            return None;
        }
        match (self.state, outcome) {
            (State::Closed, Outcome::Success) => {
                self.window.count(now, settings.sliding_window, false);
                None
            }
            (State::Closed, Outcome::Failure) => {
                self.window.count(now, settings.sliding_window, true);
                let (calls, failures) = self.window.sums(now, settings.sliding_window);
                let enough = calls >= u64::from(settings.minimum_number_of_calls);
                let rate = failures as f64 / calls as f64;
                (enough && rate >= settings.failure_rate_threshold.ratio())
                    .then(|| self.open(now, settings))
            }
            (State::HalfOpen, Outcome::Success) => {
                self.successes += 1;
                (self.successes >= settings.permitted_number_of_calls_in_half_open_state)
                    .then(|| self.change(State::Closed))
            }
            (State::HalfOpen, Outcome::Failure) => Some(self.open(now, settings)),
            (State::HalfOpen, Outcome::Ignored) => {
                self.probes = self.probes.saturating_sub(1);
                None
            }
            (State::Closed | State::Open, Outcome::Ignored) | (State::Open, _) => None,
        }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Calls and failures in the window.
    pub fn counts(&self, now: Tick, settings: &Settings) -> (u64, u64) {
        self.window.sums(now, settings.sliding_window)
    }

    /// Whether nothing is worth remembering: closed, and no failure in the window.
    pub fn is_well(&self, now: Tick, settings: &Settings) -> bool {
        self.state == State::Closed && self.counts(now, settings).1 == 0
    }

    fn open(&mut self, now: Tick, settings: &Settings) -> State {
        self.until = now + settings.wait_duration_in_open_state;
        self.change(State::Open)
    }

    /// The first probe of a half-open spell, whose leases run as long as the breaker was open.
    fn probe(&mut self, now: Tick, settings: &Settings) -> Pass {
        self.until = now + settings.wait_duration_in_open_state;
        self.change(State::HalfOpen);
        self.probes = 1;
        Pass { epoch: self.epoch }
    }

    fn change(&mut self, state: State) -> State {
        self.epoch += 1;
        self.state = state;
        self.window = Window::default();
        self.probes = 0;
        self.successes = 0;
        state
    }
}

#[cfg(test)]
mod tests;
