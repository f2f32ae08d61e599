//! Health first: when a node or a shared resource is unhappy, the limits of lower tiers shrink.
//!
//! A [`Controller`] watches one [`Scope`] by up to four signals and says which share of its limits
//! each tier may use: 100 % in good times. Samples are handed in as they come
//! ([`Controller::on_sample`]); once per interval the controller decides
//! ([`Controller::on_interval`]). A request that touches several scopes gets the smallest share
//! ([`combined`]).
//!
//! # The method
//!
//! - **Unhappy** (a signal at its target or above, by a sample of this interval): the least critical
//!   tier above its floor is cut to 70 %. Tier 3 goes down to its floor, then, a hold later, tier
//!   2, then tier 1.
//! - **Strained** (between recovered level and target): nothing changes.
//! - **Well** (no signal strained now, none unhappy for as long as the hold): the most critical
//!   tier below 100 % grows by a tenth of itself, so tier 1 is whole first and tier 3 last.
//! - **Silent**: a signal that has not been sampled for `stale_after` intervals is no longer
//!   believed. If it was well, it no longer counts. If it was not, shares stand still for as many
//!   intervals again and grow after that: silence never keeps limits down for good, and never
//!   raises them at once.
//!
//! Decisions that come late are not caught up on. Cutting in order of criticality is WeChat's DAGOR
//! (Zhou et al. 2018), multiplicative decrease Chiu and Jain 1989. Growth is multiplicative too,
//! unlike theirs: a step is then a tenth of what the tier sends, however far its limits exceed what
//! the resource can carry, and fits into the band between the levels. Fixed steps of a limit that
//! is three times too large swing for ever. What additive increase is for, fairness between
//! many controllers, is not the matter here: quotas and fair queues see to it.
//!
//! # What it cannot do
//!
//! Latency that stays above its target for another reason than load keeps the shares at their
//! floors: cutting does not help, and what is unhappy is not learned as usual. It is visible
//! ([`View::reason`]), and [`Controller::relearn`] accepts the new latency. Likewise memory that
//! never falls below its recovered level keeps the shares where they are.
//!
//! # Laws
//!
//! 1. A share is never below its floor and never above 100 %.
//! 2. No tier has a smaller share than a less critical one. A tier is cut only when all less
//!    critical ones are at their floors, and grows only when all more critical ones are at 100 %.
//! 3. No share shrinks in an interval whose samples were all well (of errors: with the earlier
//!    ones that were too few to mean something).
//! 4. No share grows while a signal is unhappy.
//! 5. All shares are at 100 % after [`Settings::recovery`] of health, and after twice `stale_after`
//!    intervals more of silence.
//! 6. The same samples and ticks give the same shares.

mod combined;
mod settings;
mod shares;
mod signal;
mod usual;
mod view;

use std::{fmt, time::Duration};

use watertight_base::{Percent, PoolId, ServiceId, Tick, Tier};

use self::{settings::percent, shares::Shares, signal::Gauge, usual::Usual};
use crate::Error;

pub use self::{
    combined::{Combined, combined},
    settings::{Settings, Threshold},
    signal::{Condition, Kind, Signal},
    view::{Cut, Level, Reading, Share, View},
};

/// What a controller watches.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// This process. Every request touches it.
    Node,
    /// A shared resource.
    Pool(PoolId),
    /// What a service runs on, as its calls show it.
    Service(ServiceId),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("the node"),
            Self::Pool(pool) => f.write_str(pool.as_str()),
            Self::Service(service) => f.write_str(service.as_str()),
        }
    }
}

/// Watches one scope and decides on its shares. About 1 KiB, whatever is sampled.
#[derive(Clone, Debug)]
pub struct Controller {
    scope: Scope,
    settings: Settings,
    shares: Shares,
    /// When each share last changed.
    changed: [Tick; 3],
    /// By [`Kind::ALL`].
    gauges: [Gauge; 4],
    usual: Usual,
    last_cut: Option<Cut>,
    next: Tick,
    grow_from: Tick,
}

impl Controller {
    /// A controller of `scope`, all shares at 100 %. Its first interval begins now.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn new(now: Tick, scope: Scope, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self {
            scope,
            settings,
            shares: Shares::FULL,
            changed: [now; 3],
            gauges: Kind::ALL.map(|_| Gauge::new(now)),
            usual: Usual::default(),
            last_cut: None,
            next: now + settings.interval,
            grow_from: now,
        })
    }

    /// Takes a sample into account; nothing is decided before the interval ends. Any number of
    /// samples, at any time.
    pub fn on_sample(&mut self, now: Tick, signal: Signal) {
        let [errors, latency, loop_lag, memory] = &mut self.gauges;
        match signal {
            Signal::Errors { calls: 0, .. } => {}
            Signal::Errors { calls, failed } => {
                let share = f64::from(failed.min(calls)) * 100.0 / f64::from(calls);
                errors.add(now, share, calls.into());
            }
            Signal::Latency(latest) => latency.add(now, nanos(latest), 1.0),
            Signal::LoopLag(lag) => loop_lag.add(now, nanos(lag), 1.0),
            Signal::Memory(used) => memory.add(now, used.get(), 1.0),
        }
    }

    /// Ends the interval, if it is over, and decides. Returns whether a share changed.
    pub fn on_interval(&mut self, now: Tick) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.settings.interval;
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let enough = match kind {
                Kind::Errors => self.settings.minimum_number_of_calls.into(),
                Kind::Latency | Kind::LoopLag | Kind::Memory => 1.0,
            };
            let (threshold, stale_after) = (self.threshold(kind), self.settings.stale_after);
            self.gauges[index].close(now, threshold, enough, stale_after);
        }
        let before = self.shares;
        match self.condition() {
            Condition::Unhappy => {
                self.grow_from = now + self.settings.hold;
                self.cut(now);
            }
            Condition::Unknown | Condition::Well => {
                if now >= self.grow_from {
                    self.shares.grow(&self.settings);
                }
            }
            Condition::Silent | Condition::Strained => {}
        }
        self.learn();
        self.note_changes(now, before)
    }

    /// When [`Controller::on_interval`] is due. Early calls do nothing.
    pub fn next_wakeup(&self) -> Tick {
        self.next
    }

    /// The share of its limits that a tier may use.
    pub fn share(&self, tier: Tier) -> Percent {
        self.shares.of(tier)
    }

    /// What it watches.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// One sentence on why a tier's limits are what they are, as [`View::explain`].
    pub fn explain(&self, tier: Tier) -> String {
        self.view().explain(tier)
    }

    /// What it sees and does, as of the last decision.
    pub fn view(&self) -> View {
        let condition = self.condition();
        let reason = (condition > Condition::Well).then(|| self.worst(|_| true));
        View {
            scope: self.scope.clone(),
            condition,
            reason: reason.flatten(),
            shares: [Tier::One, Tier::Two, Tier::Three].map(|tier| Share {
                tier,
                share: self.shares.of(tier),
                floor: self.settings.floor(tier),
                since: self.changed[usize::from(tier.number()) - 1],
            }),
            readings: Kind::ALL.map(|kind| self.reading(kind)),
            last_cut: self.last_cut,
        }
    }

    /// Changes the settings. Shares and what was learned stay; a share below its new floor is
    /// lifted to it. Returns whether a share changed.
    ///
    /// # Errors
    /// As [`Settings::check`]; nothing is changed then.
    pub fn reload(&mut self, now: Tick, settings: Settings) -> Result<bool, Error> {
        settings.check()?;
        self.settings = settings;
        self.next = self.next.min(now + settings.interval);
        self.grow_from = self.grow_from.min(now + settings.hold);
        let before = self.shares;
        self.shares.lift(&settings);
        Ok(self.note_changes(now, before))
    }

    /// Forgets which latency is usual and learns it anew: for a resource that has become slower for
    /// good. Until then latency counts as unknown.
    pub fn relearn(&mut self) {
        self.usual = Usual::default();
    }

    /// Cuts one tier, if a sample of this interval says so.
    fn cut(&mut self, now: Tick) {
        let fresh = |gauge: &Gauge| gauge.condition == Condition::Unhappy && gauge.is_fresh();
        let Some(reason) = self.worst(fresh) else {
            return;
        };
        let Some(tier) = self.shares.next_cut(&self.settings) else {
            return;
        };
        let too_soon = self
            .last_cut
            .is_some_and(|last| tier < last.tier && now < last.at + self.settings.hold);
        if !too_soon {
            self.shares.cut(tier, &self.settings);
            self.last_cut = Some(Cut {
                at: now,
                tier,
                reason,
            });
        }
    }

    /// Learns the usual latency, from a fresh sample of a good interval while no limit is cut.
    fn learn(&mut self) {
        let [_, latency, ..] = &self.gauges;
        let good = latency.condition <= Condition::Well && self.condition() < Condition::Unhappy;
        if let Some(level) = latency.level
            && good
            && latency.is_fresh()
            && self.shares.are_full()
        {
            self.usual.learn(level, self.settings.interval);
        }
    }

    fn note_changes(&mut self, now: Tick, before: Shares) -> bool {
        for (tier, changed) in Tier::ALL.into_iter().zip(&mut self.changed) {
            if before.of(tier) != self.shares.of(tier) {
                *changed = now;
            }
        }
        if self.shares.are_full() {
            self.last_cut = None;
        }
        before != self.shares
    }

    fn condition(&self) -> Condition {
        let conditions = self.gauges.iter().map(|gauge| gauge.condition);
        conditions.max().unwrap_or(Condition::Unknown)
    }

    /// The signal in the worst condition, the furthest over its target first.
    fn worst(&self, eligible: impl Fn(&Gauge) -> bool) -> Option<Reading> {
        let gauges = Kind::ALL.into_iter().zip(&self.gauges);
        gauges
            .filter(|(_, gauge)| eligible(gauge))
            .map(|(kind, _)| self.reading(kind))
            .max_by(|one, other| {
                let strain = || one.strain().total_cmp(&other.strain());
                one.condition.cmp(&other.condition).then_with(strain)
            })
    }

    fn reading(&self, kind: Kind) -> Reading {
        let [errors, latency, loop_lag, memory] = &self.gauges;
        let gauge = match kind {
            Kind::Errors => errors,
            Kind::Latency => latency,
            Kind::LoopLag => loop_lag,
            Kind::Memory => memory,
        };
        let level = |number: f64| match kind {
            Kind::Errors | Kind::Memory => Level::Share(percent(number)),
            Kind::Latency | Kind::LoopLag => Level::Span(span(number)),
        };
        let threshold = self.threshold(kind);
        Reading {
            kind,
            level: gauge.level.map(level),
            target: threshold.map(|threshold| level(threshold.target)),
            recovered: threshold.map(|threshold| level(threshold.recovered)),
            usual: self.usual.get().filter(|_| kind == Kind::Latency).map(span),
            condition: gauge.condition,
            since: gauge.since,
            heard: gauge.heard,
        }
    }

    /// The levels of a signal; none for latency while the usual one is not known.
    fn threshold(&self, kind: Kind) -> Option<Threshold<f64>> {
        let settings = &self.settings;
        match kind {
            Kind::Errors => Some(settings.errors.map(Percent::get)),
            Kind::LoopLag => Some(settings.loop_lag.map(nanos)),
            Kind::Memory => Some(settings.memory.map(Percent::get)),
            Kind::Latency => self.usual.get().map(|usual| {
                let ratio = settings.latency_ratio;
                let base = usual.max(nanos(settings.latency_min) / ratio.target);
                ratio.map(|times| base * times)
            }),
        }
    }
}

fn nanos(span: Duration) -> f64 {
    span.as_nanos() as f64
}

fn span(nanos: f64) -> Duration {
    Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
