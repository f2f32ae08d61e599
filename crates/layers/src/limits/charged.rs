//! What a request was charged, until it has passed or has gone.
//!
//! A request that gives up before all that applies is charged gets everything back: so does one that
//! leaves a line. One that something else refuses is given its charge back by who refuses it.

use std::{sync::Arc, time::Duration};

use watertight_base::{Reason, Tick};
use watertight_guard::throttle::{Algorithm, Step, Turn, lease::Cluster};
use watertight_plan::Measure;

use super::{
    Applied, Asked, Keyed, Pacer, Rule,
    charge::{Asking, InPlace, Kept, Refused, queue_full},
    cluster::HeldTogether,
    shares::{HeldShare, settle},
    wait::{self, Standing, Waiting},
};
use crate::{Clock, QuotaState, Quotas};

/// What a request was charged.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(super) places: Vec<InPlace>,
    pub(super) held: Vec<Held>,
    pub(super) together: Vec<HeldTogether>,
    /// What was taken of the shares that are in force.
    pub(super) shares: Vec<HeldShare>,
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
    /// As of when limits are asked: when the request came, and after each wait when that ended.
    pub(crate) at: Tick,
}

/// Units that were taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) rule: Arc<Rule>,
    pub(super) counter: Kept,
    /// What the limit said.
    pub(super) said: Step,
    pub(super) turn: Turn,
    /// While the request waits for it.
    pub(super) waiting: Option<Box<Waiting>>,
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
            for held in self.together.drain(..).filter(HeldTogether::is_charged) {
                held.refund(&**cluster, now);
                let mut told = self.quotas.states.iter_mut();
                if let Some(state) = told.find(|state| state.limit == *held.rule.id()) {
                    *state = held.state_given_back();
                }
            }
        }
        for share in self.shares.drain(..) {
            share.give_back(&self.keyed, now);
        }
        for held in self.held.drain(..) {
            let Some(place) = self.keyed.place(&held.counter) else {
                continue;
            };
            match held.waiting {
                // Who leaves a line leaves its turn there.
                Some(waiting) => drop(waiting),
                None => held.turn.undo(&place, now),
            }
            let mut told = self.quotas.states.iter_mut();
            if let Some(state) = told.find(|state| state.limit == *held.rule.id()) {
                let left = place.peek(now, &held.turn.quota, 0, Duration::MAX);
                state.decision = held.turn.quota.describe(&left);
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
            if held.rule.limit.measure != Measure::Cost || held.turn.cost == cost {
                continue;
            }
            if let Some(place) = self.keyed.place(&held.counter) {
                settle(&place, &mut held.turn, now, cost);
            }
        }
        for share in &mut self.shares {
            share.settle(&self.keyed, now, cost);
        }
    }

    /// Keeps what a rate said, that let the request pass or does not bind.
    pub(super) fn hold(
        &mut self,
        (applied, quota, counter): Asking<'_>,
        standing: Standing,
        said: Step,
        asked: &Asked<'_>,
    ) {
        let rule = Arc::clone(&applied.rule);
        if said.allowed {
            let turn = standing.turn().unwrap_or(Turn {
                step: said,
                quota: *quota,
                cost: rule.cost(asked),
            });
            self.held.push(Held {
                rule,
                counter,
                said,
                turn,
                waiting: standing.with(turn),
            });
            return;
        }
        rule.count(&said);
        if !rule.limit.is_shadow {
            self.less = Some(rule);
        }
    }

    /// Charges the limits that all nodes count, all or none; else gives everything back.
    pub(super) async fn take_together(
        &mut self,
        cluster: &dyn Cluster,
        applied: &[&Applied],
        asked: &Asked<'_>,
    ) -> Result<(), Refused> {
        self.ask_together(cluster, applied, asked).await;
        let together = std::mem::take(&mut self.together);
        for held in together.iter().filter(|held| !held.rule.limit.is_shadow) {
            self.tell(held.state(), applied);
        }
        let refuses = |held: &&HeldTogether| held.rule.binds() && !held.state().decision.allowed;
        let refusing: Vec<_> = together.iter().filter(refuses).collect();
        let wait = |held: &HeldTogether| held.state().decision.wait;
        // The one to wait longest for decides. Less is served only when all of them would.
        if let Some(decides) = refusing.iter().max_by_key(|held| wait(held)) {
            let all_serve_less = refusing.iter().all(|held| held.rule.fallback().is_some());
            let (rule, retry_after) = (Arc::clone(&decides.rule), wait(decides));
            for held in &refusing {
                held.rule.counts.refused.inc();
            }
            self.together = together;
            return Err(Refused {
                reason: Reason::TenantRate,
                retry_after,
                quotas: self.give_back(self.at),
                fallback: rule.fallback().filter(|_| all_serve_less),
                rule,
            });
        }
        for held in &together {
            let (rule, decision) = (&held.rule, held.state().decision);
            if decision.allowed {
                rule.counts.allowed.inc();
                if decision.remaining < rule.near_left {
                    rule.counts.near.inc();
                }
            } else if rule.limit.is_shadow {
                rule.counts.shadow_refused.inc();
            } else {
                rule.counts.degraded.inc();
                self.less = Some(Arc::clone(rule));
            }
        }
        self.together = together;
        Ok(())
    }

    /// Puts in what headers say of a limit: the more specific first, whoever counts it.
    pub(super) fn tell(&mut self, state: QuotaState, applied: &[&Applied]) {
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
    pub(super) async fn wait(&mut self, asked: &Asked<'_>) -> Result<(), Refused> {
        let (clock, now) = (self.clock, self.at);
        let keyed = Arc::clone(&self.keyed);
        let waits = |held: &Held| {
            held.waiting.is_some()
                || !held.turn.step.wait_from(now).is_zero()
                || keyed.lines.has(keyed.line_key(&held.rule, &held.counter))
        };
        let mut delaying = self.held.iter().filter(|held| held.rule.queue().is_some());
        if !delaying.any(waits) {
            return Ok(());
        }
        let mut longest = Duration::ZERO;
        for at in 0..self.held.len() {
            let held = &mut self.held[at];
            let Some(queue) = held.rule.queue() else {
                continue;
            };
            let has_to_wait = waits(held);
            // Who waits for one limit leaves later than a schedule knows of, and keeps its distance.
            if !has_to_wait && held.turn.quota.algorithm() != Algorithm::LeakyBucket {
                continue;
            }
            let wait = held.turn.step.wait_from(now);
            longest = longest.max(wait);
            if held.waiting.is_none() {
                let joined = Waiting::join(&keyed, clock, &held.rule, &held.counter, queue);
                held.waiting = joined.map(|mut waiting| {
                    waiting.turn = Some(held.turn);
                    Box::new(waiting)
                });
            }
            let rule = &held.rule;
            if held.waiting.is_none() {
                let rule = Arc::clone(rule);
                return Err(queue_full(&rule, wait, self.give_back(now)));
            }
            if now + wait > asked.deadline {
                let rule = Arc::clone(rule);
                rule.counts.refused.inc();
                return Err(Refused {
                    reason: Reason::TenantRate,
                    retry_after: wait,
                    quotas: self.give_back(now),
                    fallback: rule.fallback(),
                    rule,
                });
            }
            if has_to_wait {
                rule.counts.delayed.inc();
            }
        }
        tokio::time::sleep_until(clock.instant(now + longest).into()).await;
        let passed = wait::pass(clock, &self.held).await;
        for held in &mut self.held {
            let Some(mut waiting) = held.waiting.take() else {
                continue;
            };
            if let Some(place) = keyed.place(&held.counter) {
                place.passed_late(passed, &held.turn.quota);
            }
            // It is used.
            waiting.turn = None;
        }
        self.at = passed;
        Ok(())
    }
}
