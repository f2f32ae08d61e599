//! Circuit breakers: stop calling what fails, and notice when it is well again.
//!
//! A [`Breaker`] guards one target. [`Table`] keeps one for each (tenant, service) pair that has
//! failed lately, so that one tenant's errors close the door on that tenant alone, and for each such
//! service one that is shared by all, which opens when distinct tenants fail. What does well costs no
//! memory. [`Classifier`] says which answers are failures.
//!
//! # States
//!
//! - *Closed*: calls pass and are counted over a sliding window, of time or of calls. When there are
//!   enough, and the share of failed or of slow ones reaches its threshold, it opens. After an outage
//!   calls may be let back a tenth first and then evenly more ([`Settings::ramp_duration`]).
//! - *Open*: calls are refused, for longer each time that it opens anew without having been well in
//!   between, and for a little less by chance.
//! - *Half-open*: a few probes pass. When as many succeed as may be under way it closes; when one
//!   fails, or is slow, it opens. A probe that says nothing gives its place to another, and so does
//!   one whose lease has run out.
//!
//! It becomes half-open when the first call asks after the open time, not by a timer
//! (`automaticTransitionFromOpenToHalfOpenEnabled` of Resilience4j): nobody would probe meanwhile,
//! and a core has no timers. Who looks at it is shown half-open once that time is over
//! ([`Breaker::state_shown`]). [`Mode`] forces it open, switches it off, or lets it go through its
//! states without refusing anybody.
//!
//! # Laws
//!
//! 1. A closed breaker opens exactly when the calls in its window reach a threshold, and never with
//!    fewer than the minimum.
//! 2. No more probes than permitted are within their leases.
//! 3. Whatever calls do or leave undone, somebody is let through again after the open time, or a
//!    lease.
//! 4. An open time is never longer than the longest, and never shorter than the first one less its
//!    random part.
//! 5. Of any calls during a ramp, no more than its share pass, and one.
//! 6. What one tenant's calls do never opens the shared breaker, nor keeps it open while other
//!    tenants' calls succeed. Tenants that nobody listed are one.
//! 7. Breakers that count only refuse nobody.

mod backoff;
mod classify;
mod opening;
mod probes;
mod ramp;
mod settings;
mod shared;
mod table;
mod votes;
mod window;

use std::time::Duration;

use watertight_base::Tick;

use self::{
    opening::Opened,
    probes::Probes,
    ramp::Ramp,
    window::{Call, Window},
};

pub use self::{
    classify::{CallError, Classifier, Grpc},
    opening::{Cause, Opening},
    settings::{Mode, Settings, SlidingWindow},
    shared::SharedView,
    table::{By, Caller, Changes, Leave, Refused, Table},
    votes::Tally,
    window::Counts,
};

/// What a breaker is doing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Calls pass and are counted.
    #[default]
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
    /// Which probe this is, if it is one.
    probe: u32,
}

impl Pass {
    /// Of a call whose outcome is not asked for.
    const UNCOUNTED: Self = Self {
        epoch: u64::MAX,
        probe: 0,
    };
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
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    epoch: u64,
    seed: u64,
    window: Window,
    /// Of an open breaker: when it lets probes through. Of a closed one: until when it remembers
    /// how often it was open.
    until: Tick,
    /// How often it has opened in a row, and how long the last time was.
    openings: u32,
    open_for: Duration,
    /// What opened it, while it is not closed again.
    opened: Option<Box<Opened>>,
    probes: Probes,
    successes: u32,
    ramp: Option<Ramp>,
    /// When it was last asked or told anything that counts.
    heard: Tick,
}

impl Breaker {
    /// How long a breaker that hears of no call is remembered: ten minutes.
    const SILENCE_MAX: Duration = Duration::from_secs(600);

    /// A closed breaker. `seed` decides what of its open times is left to chance.
    pub fn new(seed: u64) -> Self {
        Self::born(seed, 0)
    }

    /// The same; passes of breakers born at other epochs, at least 2^16 apart, are not its.
    fn born(seed: u64, epoch: u64) -> Self {
        Self {
            seed,
            epoch,
            ..Self::default()
        }
    }

    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// How long to wait, when the call is refused.
    pub fn acquire(&mut self, now: Tick, settings: &Settings) -> Result<Pass, Duration> {
        self.acquire_for(now, settings, 0)
    }

    fn acquire_for(
        &mut self,
        now: Tick,
        settings: &Settings,
        holder: usize,
    ) -> Result<Pass, Duration> {
        match settings.mode {
            Mode::Automatic => self.decide(now, settings, holder),
            Mode::Disabled => Ok(Pass::UNCOUNTED),
            Mode::ForcedOpen => Err(settings.wait_duration_in_open_state),
            Mode::MetricsOnly => {
                let decided = self.decide(now, settings, holder);
                Ok(decided.unwrap_or(Pass::UNCOUNTED))
            }
        }
    }

    /// Whether [`Breaker::acquire`] would refuse now, and for how long. Changes nothing.
    pub fn refuses(&self, now: Tick, settings: &Settings) -> Option<Duration> {
        match settings.mode {
            Mode::Automatic => self.clone_of_decision().decide(now, settings, 0).err(),
            Mode::Disabled | Mode::MetricsOnly => None,
            Mode::ForcedOpen => Some(settings.wait_duration_in_open_state),
        }
    }

    /// Says how a call ended, and how long it took. Returns the new state if that changed it.
    pub fn record(
        &mut self,
        now: Tick,
        settings: &Settings,
        pass: Pass,
        outcome: Outcome,
        took: Duration,
    ) -> Option<State> {
        if pass.epoch != self.epoch || !settings.mode.counts() {
            return None;
        }
        let call = Call {
            failed: outcome == Outcome::Failure,
            slow: settings.is_slow(took),
        };
        match (self.state, outcome) {
            (State::Closed | State::Open, Outcome::Ignored) | (State::Open, _) => None,
            (State::Closed, _) => {
                self.heard = now;
                self.window.count(now, settings.sliding_window, call);
                let counts = self.counts(now, settings);
                counts
                    .tips(settings)
                    .then(|| self.open(now, settings, counts))
            }
            (State::HalfOpen, _) => {
                if !self.probes.end(now, pass.probe) || outcome == Outcome::Ignored {
                    return None;
                }
                self.heard = now;
                if call.failed || call.slow {
                    return Some(self.open(now, settings, Counts::default()));
                }
                self.successes += 1;
                (self.successes >= settings.probes_max()).then(|| self.close(now, settings))
            }
        }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// What it does to calls, seen from outside: by its mode ([`Mode::shows`]), and half-open as soon
    /// as the open time is over, though it changes only when a call comes. Nobody may ever call.
    pub fn state_shown(&self, now: Tick, settings: &Settings) -> State {
        let state = match self.state {
            State::Open if now >= self.until => State::HalfOpen,
            state => state,
        };
        settings.mode.shows(state)
    }

    /// What is in the window.
    pub fn counts(&self, now: Tick, settings: &Settings) -> Counts {
        self.window.counts(now, settings.sliding_window)
    }

    /// What opened it, until it is closed again: its window is empty meanwhile.
    pub fn opening(&self, now: Tick) -> Option<Opening> {
        Some(self.opened.as_ref()?.seen(now))
    }

    /// What is in the window; of one that is not closed, what opened it.
    pub fn counts_shown(&self, now: Tick, settings: &Settings) -> Counts {
        let opened = self.opened.as_ref().map(|opened| opened.counts);
        opened.unwrap_or_else(|| self.counts(now, settings))
    }

    /// The share of calls that a closed breaker lets through, 0.1 to 1: 1 but for the ramp.
    pub fn share(&self, now: Tick, settings: &Settings) -> f64 {
        let ramp = self.ramp.as_ref();
        ramp.map_or(1.0, |ramp| ramp.share(now, settings.ramp_duration))
    }

    /// Whether nothing is worth remembering: nothing was heard of it for long; or it is closed for
    /// good, with neither a failure nor a slow call in the window.
    pub fn is_well(&self, now: Tick, settings: &Settings) -> bool {
        if now < self.until {
            return false;
        }
        let counts = self.counts(now, settings);
        let is_good = counts.failures == 0 && counts.slow == 0 && self.share(now, settings) >= 1.0;
        now - self.heard >= Self::SILENCE_MAX || (self.state == State::Closed && is_good)
    }

    /// Closes it, and forgets all that was.
    pub fn reset(&mut self) {
        *self = Self::born(self.seed, self.epoch + 1);
    }

    /// The pass of a call that began before this breaker was there. None: it says nothing now.
    fn pass_if_closed(&self) -> Option<Pass> {
        let pass = Pass {
            epoch: self.epoch,
            probe: 0,
        };
        (self.state == State::Closed).then_some(pass)
    }

    fn decide(&mut self, now: Tick, settings: &Settings, holder: usize) -> Result<Pass, Duration> {
        match self.state {
            State::Closed => self.on_the_ramp(now, settings)?,
            State::Open if now < self.until => return Err(self.until - now),
            State::Open => {
                self.heard = now;
                self.change(State::HalfOpen);
                return Ok(self.probe(now, settings, holder));
            }
            State::HalfOpen => {
                let taken = self.probes.under_way(now) + self.successes;
                if taken >= settings.probes_max()
                    && let Some(end) = self.probes.next_end(now)
                {
                    return Err((end - now).min(settings.wait_duration_in_open_state));
                }
                return Ok(self.probe(now, settings, holder));
            }
        }
        Ok(Pass {
            epoch: self.epoch,
            probe: 0,
        })
    }

    /// Whether a closed breaker lets a call through.
    fn on_the_ramp(&mut self, now: Tick, settings: &Settings) -> Result<(), Duration> {
        let Some(ramp) = &mut self.ramp else {
            return Ok(());
        };
        match ramp.admit(now, settings.ramp_duration) {
            ramp::Step::Over => {
                self.ramp = None;
                Ok(())
            }
            ramp::Step::Pass => Ok(()),
            ramp::Step::Refuse(wait) => Err(wait),
        }
    }

    fn probe(&mut self, now: Tick, settings: &Settings, holder: usize) -> Pass {
        self.probes.expire(now);
        let lease = settings.max_wait_duration_in_half_open_state;
        let lease = lease.max(Duration::from_nanos(1));
        Pass {
            epoch: self.epoch,
            probe: self.probes.begin(now, lease, holder),
        }
    }

    /// Opens it. `counts` is what opened it, unless it was half-open: then that stays as it was.
    fn open(&mut self, now: Tick, settings: &Settings, counts: Counts) -> State {
        if self.state == State::Closed && now >= self.until {
            self.openings = 0;
        }
        if self.state == State::Closed {
            self.opened = Some(Box::new(Opened::new(now, settings, counts)));
        }
        self.open_for = backoff::open_for(settings, self.openings, self.seed, self.epoch);
        self.openings = self.openings.saturating_add(1);
        self.until = now + self.open_for;
        self.heard = now;
        self.change(State::Open)
    }

    fn close(&mut self, now: Tick, settings: &Settings) -> State {
        self.until = now + self.open_for;
        self.opened = None;
        self.change(State::Closed);
        self.ramp = (!settings.ramp_duration.is_zero()).then(|| Ramp::new(now));
        State::Closed
    }

    fn change(&mut self, state: State) -> State {
        self.epoch += 1;
        self.state = state;
        self.window = Window::default();
        self.probes.clear();
        self.successes = 0;
        self.ramp = None;
        state
    }

    /// What a decision depends on, without the window.
    fn clone_of_decision(&self) -> Self {
        Self {
            window: Window::Empty,
            opened: None,
            probes: self.probes.clone(),
            ramp: self.ramp.clone(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;
