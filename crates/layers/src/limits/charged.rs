//! What a request was charged, until it has passed or has gone.
//!
//! A request that gives up before all that applies is charged gets everything back: so does one that
//! leaves a line. One that something else refuses is given its charge back by who refuses it.

use std::{sync::Arc, time::Duration};

use watertight_base::{Reason, Tick};
use watertight_guard::throttle::{Key, Quota, Step, lease::Cluster};
use watertight_plan::{Excess, Measure};

use super::{
    Applied, Asked, Keyed, Pacer, Rule,
    charge::{InPlace, Kept, Refused},
    cluster::{self, HeldTogether},
    wait::Waiting,
};
use crate::{Clock, QuotaState, Quotas};

/// What a request was charged.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(super) places: Vec<InPlace>,
    pub(super) held: Vec<Held>,
    pub(super) together: Vec<HeldTogether>,
    /// What was taken of the shares that are in force.
    pub(super) shrunk: Vec<(Quota, Key, Step)>,
    pub(super) keyed: Arc<Keyed>,
    pub(super) clock: Clock,
    /// Whether all that applies is charged: until then, to give up is to be charged nothing.
    pub(super) is_whole: bool,
    /// For headers.
    pub(crate) quotas: Quotas,
    /// The limit for which the service should do less.
    pub(crate) less: Option<Arc<Rule>>,
    /// For how long a limit answers with the last good answer, if one does.
    pub(crate) stale_max_age: Option<Duration>,
    pub(crate) pacer: Option<Pacer>,
    /// Whether the request waited for its turn.
    pub(crate) has_waited: bool,
}

/// Units that were taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) rule: Arc<Rule>,
    pub(super) quota: Quota,
    pub(super) counter: Kept,
    pub(super) step: Step,
    pub(super) cost: u64,
}

impl Drop for Charged {
    fn drop(&mut self) {
        if !self.is_whole {
            self.refund(self.clock.now());
        }
    }
}

impl Charged {
    fn refund(&mut self, now: Tick) {
        if let Some(cluster) = &self.keyed.cluster {
            for held in self.together.drain(..) {
                held.refund(&**cluster, now);
                let mut told = self.quotas.states.iter_mut();
                if let Some(state) = told.find(|state| state.limit == *held.rule.id()) {
                    *state = held.state_given_back();
                }
            }
        }
        for (quota, key, step) in self.shrunk.drain(..) {
            self.keyed.named.refund(now, key, &quota, &step, 1);
        }
        for held in self.held.drain(..) {
            let Some(place) = self.keyed.place(&held.counter) else {
                continue;
            };
            place.refund(now, &held.quota, &held.step, held.cost);
            let mut told = self.quotas.states.iter_mut();
            if let Some(state) = told.find(|state| state.limit == *held.rule.id()) {
                let left = place.peek(now, &held.quota, 0, Duration::MAX);
                state.decision = held.quota.describe(&left);
            }
        }
    }

    /// Gives back what was charged, and takes out what headers say of the limits then.
    pub(crate) fn give_back(&mut self, now: Tick) -> Quotas {
        self.refund(now);
        std::mem::take(&mut self.quotas)
    }

    /// Charges what the request has really cost.
    pub(crate) fn settle(&mut self, now: Tick, cost: u64) {
        for held in &mut self.held {
            if held.rule.limit.measure != Measure::Cost || held.cost == cost {
                continue;
            }
            if let Some(place) = self.keyed.place(&held.counter) {
                place.refund(now, &held.quota, &held.step, held.cost);
                held.step = place.debit(now, &held.quota, cost);
                held.cost = cost;
            }
        }
    }

    /// Charges the limits that all nodes count, or gives everything back.
    pub(super) async fn take_together(
        &mut self,
        cluster: &dyn Cluster,
        now: Tick,
        applied: &[&Applied],
        asked: &Asked<'_>,
    ) -> Result<(), Refused> {
        for one in applied {
            let Some(held) = cluster::take(cluster, now, one, asked).await else {
                continue;
            };
            let rule = Arc::clone(&held.rule);
            let state = held.state();
            let decision = state.decision;
            if !rule.limit.is_shadow {
                self.tell(state, applied);
            }
            if decision.allowed {
                rule.counts.allowed.inc();
                if decision.remaining < rule.near_left {
                    rule.counts.near.inc();
                }
                self.together.push(held);
            } else if rule.limit.is_shadow {
                rule.counts.shadow_refused.inc();
            } else if !rule.binds() {
                rule.counts.degraded.inc();
                self.less = Some(rule);
            } else {
                rule.counts.refused.inc();
                return Err(Refused {
                    reason: Reason::TenantRate,
                    retry_after: decision.wait,
                    quotas: self.give_back(now),
                    fallback: rule.fallback(),
                    rule,
                });
            }
        }
        Ok(())
    }

    /// Puts in what headers say of a limit: the more specific first, whoever counts it.
    fn tell(&mut self, state: QuotaState, applied: &[&Applied]) {
        let ids = applied.iter().map(|applied| applied.rule.id());
        let before: Vec<_> = ids.take_while(|limit| **limit != state.limit).collect();
        let states = &mut self.quotas.states;
        let told = states
            .iter()
            .take_while(|other| before.contains(&&other.limit));
        let at = told.count();
        states.insert(at, state);
    }

    /// Waits until every limit lets the request pass.
    pub(super) async fn wait(
        &mut self,
        clock: Clock,
        now: Tick,
        asked: &Asked<'_>,
    ) -> Result<(), Refused> {
        let keyed = Arc::clone(&self.keyed);
        let mut lines = Vec::new();
        let mut longest = Duration::ZERO;
        for held in &self.held {
            let Excess::Delay { queue, .. } = held.rule.limit.excess else {
                continue;
            };
            let key = keyed.line_key(&held.rule, &held.counter);
            let wait = held.step.wait();
            if wait.is_zero() && !keyed.lines.has(key) {
                continue;
            }
            longest = longest.max(wait);
            let waiting =
                Waiting::join(&keyed, key, queue).filter(|_| now + wait <= asked.deadline);
            let Some(waiting) = waiting else {
                let rule = Arc::clone(&held.rule);
                rule.counts.refused.inc();
                let is_late = now + wait > asked.deadline;
                return Err(Refused {
                    reason: match is_late {
                        true => Reason::TenantRate,
                        false => Reason::TenantQueueFull,
                    },
                    retry_after: wait,
                    quotas: self.give_back(now),
                    fallback: rule.fallback(),
                    rule,
                });
            };
            held.rule.counts.delayed.inc();
            lines.push((held, waiting));
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.has_waited = true;
        tokio::time::sleep_until(clock.instant(now + longest).into()).await;
        for (held, waiting) in &lines {
            let passed = waiting.pass(clock, &held.quota, held.cost).await;
            if let Some(place) = keyed.place(&held.counter) {
                place.passed_late(passed, &held.quota);
            }
        }
        Ok(())
    }
}
