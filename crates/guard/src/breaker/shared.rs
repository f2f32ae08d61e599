//! The breaker that all tenants of a service share.
//!
//! It does not open by the share of failed calls, which one busy tenant can drive, but when enough
//! distinct tenants fail ([`Tally`]): at least `rollup_minimum_tenants`, at least the failure threshold's
//! share of those who call, and of the calls too. So it also opens when each of many tenants calls
//! too seldom for a breaker of its own.
//!
//! When it is half-open, probes are tenants' calls too. A tenant has one probe at a time, and when
//! it fails no other before the next turn (`wait_duration_in_open_state`); there are at least as many
//! probes as tenants that it takes to open; and only failures of so many distinct tenants open it again.
//! A tenant whose calls always fail, or hang, can neither hold it open nor take all probes.

use std::time::Duration;

use watertight_base::Tick;

use super::{
    Breaker, Opening, Outcome, Pass, State,
    settings::{Mode, Settings},
    votes::{Tally, Votes},
    window::Call,
};

/// The shared breaker of one service.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    breaker: Breaker,
    votes: Option<Votes>,
    /// What it counted when it opened, until it is closed again.
    opened_by: Option<Tally>,
    /// Who failed as a probe in this turn: not many, since a few are enough to open it.
    failed: Vec<usize>,
    /// When the next turn of probes begins.
    turn_ends: Tick,
}

/// What a shared breaker looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedView {
    /// What it is doing.
    pub state: State,
    /// What it counts; of one that is not closed, what opened it.
    pub tally: Tally,
    /// What opened it, while it is not closed again.
    pub opening: Option<Opening>,
    /// The share of calls that it lets through when closed.
    pub share: f64,
    /// How long it will refuse, if it does.
    pub open_for: Option<Duration>,
}

impl SharedView {
    /// Of a service that does well.
    pub const WELL: Self = Self {
        state: State::Closed,
        tally: Tally {
            counts: super::Counts {
                calls: 0,
                failures: 0,
                slow: 0,
            },
            tenants: 0,
            failing: 0,
            slowed: 0,
        },
        opening: None,
        share: 1.0,
        open_for: None,
    };
}

impl Shared {
    pub(super) fn born(seed: u64, epoch: u64) -> Self {
        Self {
            breaker: Breaker::born(seed, epoch),
            votes: None,
            opened_by: None,
            failed: Vec::new(),
            turn_ends: Tick::ZERO,
        }
    }

    /// The pass of a call that began before anything was counted. None: it says nothing now.
    pub(super) fn pass(&self) -> Option<Pass> {
        self.breaker.pass_if_closed()
    }

    pub(super) fn acquire(
        &mut self,
        now: Tick,
        settings: &Settings,
        voter: usize,
    ) -> Result<Pass, Duration> {
        if settings.rollup_minimum_tenants == 0 {
            return Ok(Pass::UNCOUNTED);
        }
        let settings = &own(settings);
        if let Some(wait) = self.bars(now, settings, voter) {
            return match settings.mode {
                Mode::Automatic => Err(wait),
                _ => Ok(Pass::UNCOUNTED),
            };
        }
        let before = self.breaker.state();
        let pass = self.breaker.acquire_for(now, settings, voter)?;
        let is_half_open = self.breaker.state() == State::HalfOpen;
        if is_half_open && (before == State::Open || now >= self.turn_ends) {
            self.failed.clear();
            self.turn_ends = now + settings.wait_duration_in_open_state;
        }
        Ok(pass)
    }

    pub(super) fn refuses(&self, now: Tick, settings: &Settings, voter: usize) -> Option<Duration> {
        if settings.rollup_minimum_tenants == 0 || settings.mode != Mode::Automatic {
            return None;
        }
        let settings = &own(settings);
        let barred = self.bars(now, settings, voter);
        barred.or_else(|| self.breaker.refuses(now, settings))
    }

    pub(super) fn record(
        &mut self,
        now: Tick,
        settings: &Settings,
        voter: usize,
        pass: Pass,
        (outcome, took): (Outcome, Duration),
    ) -> Option<State> {
        let is_ours = pass.epoch == self.breaker.epoch && settings.rollup_minimum_tenants > 0;
        if !is_ours || !settings.mode.counts() {
            return None;
        }
        let settings = &own(settings);
        let call = Call {
            failed: outcome == Outcome::Failure,
            slow: settings.is_slow(took),
        };
        match self.breaker.state() {
            State::Closed if outcome != Outcome::Ignored => {
                self.breaker.heard = now;
                let length = settings.rollup_window();
                let votes = self.votes.get_or_insert_with(|| Votes::new(now, length));
                votes.count(now, settings, voter, call);
                let tally = votes.tally();
                tally
                    .tips(settings)
                    .then(|| self.open(now, settings, tally))
            }
            State::HalfOpen => {
                let is_bad = outcome != Outcome::Ignored && (call.failed || call.slow);
                if !is_bad {
                    let changed = self.breaker.record(now, settings, pass, outcome, took);
                    return self.forget_if(changed);
                }
                if !self.breaker.probes.end(now, pass.probe) {
                    return None;
                }
                self.breaker.heard = now;
                if !self.failed.contains(&voter) {
                    self.failed.push(voter);
                }
                let distinct = settings.rollup_minimum_tenants as usize;
                let relapses = self.failed.len() >= distinct;
                relapses.then(|| self.open(now, settings, Tally::default()))
            }
            State::Closed | State::Open => None,
        }
    }

    pub(super) fn is_well(&self, now: Tick, settings: &Settings) -> bool {
        let counts = self.tally(now, settings).counts;
        let is_good = counts.failures == 0 && counts.slow == 0;
        let is_silent = now - self.breaker.heard >= Breaker::SILENCE_MAX;
        (is_good || is_silent) && self.breaker.is_well(now, settings)
    }

    pub(super) fn view(&self, now: Tick, settings: &Settings) -> SharedView {
        SharedView {
            state: self.breaker.state_shown(now, settings),
            tally: self.opened_by.unwrap_or_else(|| self.tally(now, settings)),
            opening: self.breaker.opening(now),
            share: self.breaker.share(now, settings),
            open_for: self.breaker.refuses(now, &own(settings)),
        }
    }

    fn tally(&self, now: Tick, settings: &Settings) -> Tally {
        let votes = self.votes.as_ref();
        votes.map_or_else(Tally::default, |votes| votes.tally_at(now, settings))
    }

    /// Why this voter in particular may not probe: it failed, or it probes already.
    fn bars(&self, now: Tick, settings: &Settings, voter: usize) -> Option<Duration> {
        let breaker = &self.breaker;
        if breaker.state() != State::HalfOpen {
            return None;
        }
        let has_failed = now < self.turn_ends && self.failed.contains(&voter);
        let wait = settings.wait_duration_in_open_state;
        (has_failed || breaker.probes.is_held_by(now, voter)).then(|| match has_failed {
            true => self.turn_ends - now,
            false => breaker
                .probes
                .next_end(now)
                .map_or(wait, |end| wait.min(end - now)),
        })
    }

    fn open(&mut self, now: Tick, settings: &Settings, tally: Tally) -> State {
        self.votes = None;
        self.failed.clear();
        if self.breaker.state() == State::Closed {
            self.opened_by = Some(tally);
        }
        self.breaker.open(now, settings, tally.counts)
    }

    fn forget_if(&mut self, changed: Option<State>) -> Option<State> {
        if changed.is_some() {
            self.failed.clear();
            self.opened_by = None;
        }
        changed
    }
}

/// Settings in which one tenant too few to open it cannot take all probes.
fn own(settings: &Settings) -> Settings {
    let distinct = settings.rollup_minimum_tenants.max(2);
    Settings {
        rollup_minimum_tenants: distinct,
        permitted_number_of_calls_in_half_open_state: settings.probes_max().max(distinct),
        ..*settings
    }
}
