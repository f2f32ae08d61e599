//! Shares of limits: what holds besides while somebody is unwell.
//!
//! A limit shrinks to the share that is in force for the service that is asked for. What was used of
//! the share is counted apart, for requests of that service alone, so that tiers do not use up each
//! other's. It is counted in what the limit counts: requests, cost, bytes, or requests in flight. Of a
//! rate it is a token bucket, and one that holds at least what a request costs: what is too dear for
//! a share altogether would be refused for as long as it lasts.

use std::{sync::Arc, time::Duration};

use watertight_base::{Percent, ServiceId, Tick};
use watertight_guard::throttle::{Algorithm, Key, Quota, Step, Turn, all::Charge};
use watertight_plan::Measure;

use super::{
    Asked, Rule,
    charge::{Asking, Kept, Keyed},
};

/// A share of a rate, and what is asked of it.
#[derive(Debug)]
pub(super) struct Share {
    quota: Quota,
    counter: Kept,
    cost: u64,
    is_settled: bool,
}

/// What was taken of a share.
#[derive(Debug)]
pub(super) struct HeldShare {
    counter: Kept,
    turn: Turn,
    is_settled: bool,
}

/// The share of a limit on requests in flight.
#[derive(Debug)]
pub(super) struct FewerInFlight {
    pub(super) counter: Kept,
    pub(super) most: u32,
}

impl Keyed {
    /// The shares of `rules`, which are rates.
    pub(super) fn shares(&self, rules: &[Asking<'_>], asked: &Asked<'_>) -> Vec<Share> {
        if !is_cut(asked.share) {
            return Vec::new();
        }
        let binding = rules.iter().filter(|(applied, ..)| applied.rule.binds());
        binding
            .map(|(applied, quota, kept)| {
                let rule = &applied.rule;
                let cost = rule.cost(asked);
                Share {
                    quota: share_of(quota, asked.share, cost),
                    counter: self.counter_of_share(rule, kept, asked.service),
                    cost,
                    is_settled: rule.limit.measure == Measure::Cost,
                }
            })
            .collect()
    }

    /// The share of a limit on `most` requests in flight, which are counted in `kept`.
    pub(super) fn fewer_in_flight(
        &self,
        rule: &Rule,
        kept: &Kept,
        most: u32,
        asked: &Asked<'_>,
    ) -> Option<FewerInFlight> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number is no more"
        )]
        let part = (f64::from(most) * asked.share.ratio()) as u32;
        (is_cut(asked.share) && rule.binds()).then(|| FewerInFlight {
            counter: self.counter_of_share(rule, kept, asked.service),
            most: part.max(1),
        })
    }

    /// How long until bytes of a limit may be passed on by its share; charges them.
    pub(super) fn pace_share(
        &self,
        now: Tick,
        (rule, quota, kept): &(Arc<Rule>, Quota, Kept),
        service: &ServiceId,
        bytes: u64,
    ) -> Duration {
        let share = self.health.share(service);
        if !is_cut(share) || !rule.binds() {
            return Duration::ZERO;
        }
        let counter = self.counter_of_share(rule, kept, service);
        let quota = share_of(quota, share, 0);
        self.place(&counter).map_or(Duration::ZERO, |place| {
            let step = place.take(now, &quota, bytes, Duration::MAX);
            match step.allowed {
                true => step.wait(),
                false => place.debit(now, &quota, bytes).wait(),
            }
        })
    }

    /// Where it is counted what was used of the share.
    pub(super) fn counter_of_share(&self, rule: &Rule, kept: &Kept, service: &ServiceId) -> Kept {
        let line = self.line_key(rule, kept);
        kept.beside(self.named.key(("share", service.as_str(), line)))
    }

    /// Where it is counted who comes to wait elsewhere, of those whom a limit counts in `kept`.
    pub(super) fn coming(&self, rule: &Rule, kept: &Kept) -> Kept {
        kept.beside(self.named.key(("comes", self.line_key(rule, kept))))
    }
}

impl Kept {
    /// A counter apart from this one. Who invents callers fills the tables of those who can be invented,
    /// here too.
    fn beside(&self, key: Key) -> Self {
        let is_invented = matches!(
            self,
            Self::Keyed {
                is_invented: true,
                ..
            }
        );
        Self::Keyed { is_invented, key }
    }
}

impl Share {
    pub(super) fn charge<'a>(&'a self, keyed: &'a Keyed) -> Option<Charge<'a>> {
        Some(Charge {
            place: keyed.place(&self.counter)?,
            quota: &self.quota,
            cost: self.cost,
            patience: Duration::ZERO,
            binds: true,
        })
    }

    pub(super) fn held(self, step: Step) -> HeldShare {
        HeldShare {
            counter: self.counter,
            turn: Turn {
                step,
                quota: self.quota,
                cost: self.cost,
                given_back: 0,
            },
            is_settled: self.is_settled,
        }
    }
}

impl HeldShare {
    pub(super) fn give_back(&self, keyed: &Keyed, now: Tick) {
        if let Some(place) = keyed.place(&self.counter) {
            self.turn.undo(&place, now);
        }
    }

    /// Charges what the request has really cost.
    pub(super) fn settle(&mut self, keyed: &Keyed, now: Tick, cost: u64) {
        if self.is_settled
            && self.turn.cost != cost
            && let Some(place) = keyed.place(&self.counter)
        {
            place.settle(now, &mut self.turn, cost);
        }
    }
}

impl FewerInFlight {
    pub(super) fn has_room(&self, keyed: &Keyed) -> bool {
        match &self.counter {
            Kept::Keyed { key, .. } => keyed.in_flight.get(*key) < self.most,
            Kept::Pinned(_) => true,
        }
    }
}

fn is_cut(share: Percent) -> bool {
    share.get() < 100.0
}

fn share_of(quota: &Quota, share: Percent, cost: u64) -> Quota {
    let part = quota.shrunk(share);
    let fits = part.capacity() >= cost || cost > quota.capacity();
    let wider = || Quota::new(Algorithm::TokenBucket { burst: cost }, part.rate());
    match fits {
        true => part,
        false => wider().unwrap_or(part),
    }
}
