//! How many at once? A concurrency limit found from service times.
//!
//! A resource of unknown size is slow when more is asked of it at once than it can do: with `c`
//! slots and `limit` requests in them, each takes `limit / c` times as long. [`Gradient`] watches
//! service times ([`Gradient::on_sample`]) and moves its limit so that they stay a little above
//! the *baseline*, the service time without a queue.
//!
//! # The method
//!
//! Samples are collected into windows; the level of a window is the geometric mean of its service
//! times, which outliers hardly move, and of each caller's requests beside what is usual for that
//! caller (`adaptive/levels.rs`). At each window's end, as in Gradient2 of Netflix's
//! `concurrency-limits`:
//!
//! ```text
//! gradient = clamp(baseline / level, 0.5, 1)
//! limit   += smoothing × (limit × gradient + head_room × limit - limit)
//! ```
//!
//! so that it comes to rest with a queue of `head_room` (4 %) inside the resource. Until the first queue
//! is met, and when a probe has shown that there was none, it grows three times as fast. The level gets
//! the benefit of the doubt, one standard error, so that noise does not wear the limit down. It moves only
//! when at least half of it is used: an idle hour neither raises nor lowers it. A drop (a time-out,
//! a word of overload) takes a tenth off, once per window.
//!
//! **The baseline.** Gradient2 takes a long average for the baseline, which learns a standing queue
//! as normal and lets the limit grow without end. Envoy's adaptive concurrency measures it at a
//! limit of 3, which costs throughput, all at once. Here the limit is lowered a little
//! (`probe_share`, 80 %), for a short spell, rarely, and at random times (Envoy's jitter), and what
//! is seen then is the new baseline (halfway, where the two are so close that it may be noise). Since a probe lowers the limit by more than the
//! head-room that the limit comes to rest with, a baseline that is too high shrinks with every
//! probe: 0.8 × 1.04 is less than 1. That is all there is to it; [`Settings::check`] refuses
//! settings of which it is not true.
//!
//! A probe in which service times fall about as much as the limit did has met a queue: the limit
//! stays where the probe put it, does not grow, and the next probe comes soon, unless what it saw is the
//! baseline: then the queue was the one that is allowed, and is known for what it is. What it saw is learned
//! only if it lies near the baseline; above that it is what the next probes have to drain. While
//! a baseline is young, each probe that meets no queue doubles the pause to the next, up to
//! `probe_interval`. It is young again after the limit was cut by a fifth: the resource may have become
//! slower, not smaller. While service times rise there is none: a queue that builds up would hide what a lower
//! limit does. Between probes the baseline only falls, towards levels that lie below it.
//!
//! # What it cannot do
//!
//! The queue must be of our own making. Where many nodes load one resource, each sees the queue of
//! all, a probe of one of them drains little, and the limits rise together until the resource's own
//! limits bind: give each node a `max` then. A limit below 5 is probed by one whole place, and a
//! limit of 1 not at all.
//!
//! # Laws
//!
//! 1. The limit lies between `min` and `max`, whatever the samples.
//! 2. It does not grow while less than half of it is used.
//! 3. It converges to the slots of a server from above and below, and follows a server that loses
//!    half of them, or becomes half as fast.
//! 4. A standing queue does not become the baseline.
//! 5. Probes that find no queue take at most a tenth of the time, once the baseline is not young any
//!    more. Probes begin at random, and leave `probe_share` of the limit, rounded down.
//! 6. The same samples, ticks and seed give the same limits.

mod jitter;
mod levels;
mod probe;
mod settings;
mod window;

use std::time::Duration;

use watertight_base::Tick;

use self::{
    jitter::Jitter,
    levels::{Baselines, Levels},
    probe::Probe,
    window::Window,
};
use crate::Error;

pub use self::settings::Settings;

/// A limit on concurrency that follows service times. About 17 KB, whatever is sampled.
#[derive(Clone, Debug)]
pub struct Gradient {
    settings: Settings,
    jitter: Jitter,
    limit: f64,
    window: Window,
    /// Natural logarithms of nanoseconds, as all levels are.
    baselines: Baselines,
    /// The mean of those of who was seen last.
    baseline: Option<f64>,
    /// How far levels have risen above the baselines, of late; none before the first window.
    rise: Option<f64>,
    /// Whether levels lay well above those of late in the last window: what builds up has not its height.
    is_rising: bool,
    /// The variance of single samples, as levels.
    variance: f64,
    /// The standard error of the level.
    doubt: f64,
    /// Whether no queue was met since the start, or since a probe has shown that there was none.
    is_starting: bool,
    gradient: f64,
    /// Requests at once, as of the last window.
    in_flight: f64,
    probe: Option<Probe>,
    /// The last probe met a queue: no growth before the next.
    is_falling: bool,
    next_probe: Tick,
    /// The limit when it was last probed: a cut well below it asks for a new probe.
    probed_at: f64,
    last_probe_end: Tick,
    /// Probes in a row that met no queue.
    confirmed: u32,
    next_drop: Tick,
    /// What [`Gradient::on_tick`] reported last.
    reported: u32,
}

/// What a [`Gradient`] sees and does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The limit in force; lower while probing.
    pub limit: u32,
    /// The service time without a queue, as far as it is known.
    pub baseline: Option<Duration>,
    /// The service time of late; none before the first window is full.
    pub level: Option<Duration>,
    /// Baseline over level as of the last window, 0.5 to 1. 1 before that.
    pub gradient: f64,
    /// Whether the limit is lowered to see the baseline.
    pub probing: bool,
}

impl Gradient {
    /// A limit of `initial`. `seed` is for the times of probes alone: give each node and pool its
    /// own, so that they do not probe together.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn new(now: Tick, settings: Settings, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        let mut jitter = Jitter::new(seed);
        let next_probe = now + jitter.around(settings.gap());
        Ok(Self {
            settings,
            jitter,
            limit: f64::from(settings.initial),
            window: Window::default(),
            baselines: Baselines::default(),
            baseline: None,
            rise: None,
            is_rising: false,
            variance: 0.0,
            doubt: 0.0,
            is_starting: true,
            gradient: 1.0,
            in_flight: 0.0,
            probe: None,
            is_falling: false,
            next_probe,
            probed_at: f64::from(settings.initial),
            last_probe_end: now,
            confirmed: 0,
            next_drop: now,
            reported: settings.initial,
        })
    }

    /// A request is done: who asked, how long it was served, its wait for a seat not included, and how
    /// many were in flight with it, itself included. Any number of samples.
    ///
    /// `caller` is any number for those whose requests are alike; 0 for all, if they cannot be told apart.
    pub fn on_sample(&mut self, now: Tick, caller: u64, service_time: Duration, in_flight: u32) {
        let level = window::level(service_time);
        if let Some(probe) = &mut self.probe {
            probe.add(now, caller, level);
        }
        self.window.add(now, (caller, level), in_flight);
        self.turn(now);
    }

    /// A request timed out, or was answered with overload: lowers the limit by a tenth, once per
    /// window. Do not report its service time as well.
    pub fn on_drop(&mut self, now: Tick) {
        if now >= self.next_drop {
            self.next_drop = now + self.settings.window;
            self.set_limit(self.limit * Settings::DROP);
        }
        self.turn(now);
    }

    /// Begins and ends probes that are due, and says what the limit has become, if it is another
    /// than was said before. Call it after every sample, and at [`Gradient::next_wakeup`].
    pub fn on_tick(&mut self, now: Tick) -> Option<u32> {
        self.turn(now);
        let limit = self.limit();
        (limit != self.reported).then(|| {
            self.reported = limit;
            limit
        })
    }

    /// When [`Gradient::on_tick`] is due at the latest. Early calls are harmless.
    pub fn next_wakeup(&self) -> Tick {
        match &self.probe {
            Some(probe) => probe.ends(),
            None => self.next_probe,
        }
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        let whole = self.limit.floor();
        let limit = match &self.probe {
            Some(_) => (whole * self.settings.probe_share.ratio()).floor(),
            None => whole,
        };
        let bounded = limit.clamp(self.settings.min.into(), self.settings.max.into());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two u32"
        )]
        let limit = bounded as u32;
        limit
    }

    /// Between which bounds it lies, and how it is looked for.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it sees and does.
    pub fn view(&self) -> View {
        View {
            limit: self.limit(),
            baseline: self.baseline.map(window::span),
            level: self.level().map(window::span),
            gradient: self.gradient,
            probing: self.probe.is_some(),
        }
    }

    /// Changes the settings; what was learned stays, the limit moves between its new bounds.
    ///
    /// # Errors
    /// As [`Settings::check`]; nothing is changed then.
    pub fn reload(&mut self, now: Tick, settings: Settings) -> Result<(), Error> {
        settings.check()?;
        self.settings = settings;
        self.probe = None;
        self.next_probe = now + self.jitter.around(settings.gap());
        self.set_limit(self.limit);
        Ok(())
    }

    fn turn(&mut self, now: Tick) {
        if let Some(probe) = &self.probe {
            if probe.is_over(now) {
                self.end_probe(now);
            }
        } else if let Some(window) = self.window.close(now, &self.settings) {
            self.in_flight = window.in_flight;
            self.learn(window.began, &window.levels);
            self.adjust();
        }
        if self.probe.is_none() && now >= self.next_probe {
            self.begin_probe(now);
        }
    }

    /// Takes a window's levels into account.
    fn learn(&mut self, began: Tick, levels: &Levels) {
        self.variance = levels.variance();
        // A mean of windows, half of it the last, is surer than one window by this factor.
        self.doubt = levels.doubt() / 3.0_f64.sqrt();
        let seen = self.baselines.rise(levels);
        self.baselines.take_in(began, levels, seen);
        self.is_rising = self.rise.is_some_and(|old| seen - old > Settings::FAR);
        let mut rise = self.rise.map_or(seen, |old| f64::midpoint(old, seen));
        if rise + 2.0 * self.doubt < 0.0 {
            let sink = Settings::SINK * rise;
            self.baselines.shift(sink);
            rise -= sink;
        }
        self.rise = Some(rise);
        self.baseline = self.baselines.mean(levels);
    }

    /// The level of late.
    fn level(&self) -> Option<f64> {
        Some(self.baseline? + self.rise?)
    }

    fn adjust(&mut self) {
        let Some(rise) = self.rise else {
            return;
        };
        self.gradient = (self.doubt - rise).exp().clamp(Settings::STEEPEST, 1.0);
        if !self.is_used(0.5) {
            return;
        }
        let head_room = self.settings.head_room.ratio();
        if rise > 2.0 * head_room {
            self.is_starting = false;
        }
        let mut change = self.gradient + head_room - 1.0;
        if change > 0.0 && self.is_starting {
            change *= Settings::START;
        }
        if change < 0.0 || !self.is_falling {
            self.set_limit(self.limit * (1.0 + Settings::SMOOTHING * change));
        }
    }

    fn begin_probe(&mut self, now: Tick) {
        let share = self.settings.probe_share.ratio();
        // A limit that does not bind, and one that cannot be lower, have nothing to show.
        let is_worth_it = self.is_used(share) && !self.is_rising;
        let (Some(level), Some(rise), true) = (self.level(), self.rise, is_worth_it) else {
            self.next_probe = now + self.jitter.around(self.settings.gap());
            return;
        };
        let shortest = self.jitter.around(self.settings.window);
        self.probe = Some(Probe::begin(
            now,
            (level, rise),
            self.variance,
            shortest,
            &self.settings,
        ));
        self.window = Window::default();
    }

    /// Ends the probe and takes what it saw for the baseline.
    fn end_probe(&mut self, now: Tick) {
        let Some(probe) = self.probe.take() else {
            return;
        };
        self.window = Window::default();
        self.is_falling = false;
        let had_no_queue = probe.before() < self.settings.head_room.ratio() / 2.0;
        if let Some(levels) = probe.seen(&self.settings) {
            let share = self.settings.probe_share.ratio();
            let seen = self.baselines.rise(levels);
            let has_fallen = seen - probe.before() < f64::midpoint(1.0, share).ln();
            self.is_falling = has_fallen && seen.abs() > Settings::NEAR;
            let learned = match seen.abs() > Settings::FAR {
                // What fell with the limit and still lies far above the baseline is queue.
                true if self.is_falling && seen > 0.0 => 0.0,
                true => 1.0,
                false => 0.5,
            };
            self.baselines.learn(levels, seen, learned);
            self.baseline = self.baselines.mean(levels);
            self.rise = Some(seen * (1.0 - learned));
            if self.is_falling {
                self.set_limit(self.limit * share);
            }
        }
        self.probed_at = self.limit;
        self.last_probe_end = now;
        self.confirmed = if self.is_falling {
            0
        } else {
            self.confirmed + 1
        };
        self.is_starting |= had_no_queue && !self.is_falling;
        let pause = self.pause_after(now - probe.began());
        self.next_probe = now + self.jitter.around(pause);
    }

    /// How long to wait for the next probe after one that took so long.
    fn pause_after(&self, spell: Duration) -> Duration {
        let gap = self.settings.gap();
        match self.confirmed {
            0 => gap.max(spell),
            times => {
                let young = gap.max(spell * 4) * 2_u32.saturating_pow(times - 1);
                // Half of 18 spells, by the jitter, make the spell a tenth of the time.
                young.min(self.settings.probe_interval.max(spell * 18))
            }
        }
    }

    fn is_used(&self, share: f64) -> bool {
        self.in_flight >= self.limit.floor() * share
    }

    fn set_limit(&mut self, limit: f64) {
        self.limit = limit.clamp(self.settings.min.into(), self.settings.max.into());
        if self.limit < self.probed_at * self.settings.probe_share.ratio() {
            self.probed_at = self.limit;
            self.confirmed = 0;
            let soon = self.last_probe_end + self.jitter.around(self.settings.gap());
            self.next_probe = self.next_probe.min(soon);
        }
    }
}

#[cfg(test)]
mod tests;
