//! What a request was charged, until it has passed or has gone.
//!
//! A request that gives up before all that applies is charged gets everything back: so does one that
//! leaves a line. One that something else refuses is given its charge back by who refuses it.

use std::{sync::Arc, time::Duration};

use watertight_base::{Reason, Tick};
use watertight_guard::throttle::{Decision, Step, Turn, all::Place, lease::Cluster};
use watertight_plan::Measure;

use super::{
    Applied, Asked, Keyed, Pacer, Rule,
    charge::{Asking, Kept, Refused, queue_full},
    cluster::HeldTogether,
    places::Presence,
    shares::HeldShare,
    wait::{Standing, Waiting},
};
use crate::{Clock, QuotaState, Quotas};

/// What a request was charged.
#[derive(Debug)]
pub(crate) struct Charged {
    /// The places that it holds.
    pub(super) presence: Option<Presence>,
    pub(super) held: Vec<Held>,
    /// Limits that do not bind, and would not have let it pass.
    pub(super) exceeded: Vec<Arc<Rule>>,
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

/// A place in the line of a limit.
pub(super) type InLine = (Arc<Rule>, Box<Waiting>);

/// Units that were taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) rule: Arc<Rule>,
    pub(super) counter: Kept,
    /// Whether it left less of the limit than is much.
    is_near: bool,
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
    /// Nothing yet.
    pub(super) fn new(
        keyed: &Arc<Keyed>,
        (clock, now): (Clock, Tick),
        applied: &[&Applied],
        asked: &Asked<'_>,
    ) -> Self {
        let stale = applied
            .iter()
            .filter_map(|applied| applied.rule.stale_max_age());
        Self {
            presence: None,
            held: Vec::new(),
            exceeded: Vec::new(),
            together: Vec::new(),
            shares: Vec::new(),
            keyed: Arc::clone(keyed),
            clock,
            is_whole: false,
            quotas: Quotas::default(),
            less: None,
            stale_max_age: stale.max(),
            pacer: Pacer::of(keyed, applied, asked),
            at: now,
        }
    }

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
                state.decision = left(&place, now, &held.turn);
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
                let eased = place.settle(now, &mut held.turn, cost);
                let line = self.keyed.line_key(&held.rule, &held.counter);
                self.keyed.lines.ease(line, eased);
                let mut told = self.quotas.states.iter_mut();
                if let Some(state) = told.find(|state| state.limit == *held.rule.id()) {
                    state.decision = left(&place, now, &held.turn);
                }
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
        (said, given_back): (&Step, u64),
        asked: &Asked<'_>,
    ) {
        let rule = Arc::clone(&applied.rule);
        if said.allowed {
            let turn = standing.turn().unwrap_or(Turn {
                step: *said,
                quota: *quota,
                cost: rule.cost(asked),
                given_back,
            });
            let is_near = rule
                .quota
                .is_some_and(|quota| quota.is_near(said, rule.near_left));
            self.held.push(Held {
                rule,
                counter,
                is_near,
                turn,
                waiting: standing.with(turn),
            });
        } else {
            self.exceeded.push(rule);
        }
    }

    /// Counts what limits said of a request that passes.
    pub(super) fn count(&mut self) {
        for rule in self.exceeded.drain(..) {
            rule.count_exceeded();
            if !rule.limit.is_shadow {
                self.less = Some(rule);
            }
        }
        for held in &self.held {
            held.rule.count_allowed(held.is_near);
        }
        for held in &self.together {
            let (rule, decision) = (&held.rule, held.state().decision);
            if decision.allowed {
                rule.count_allowed(decision.remaining < rule.near_left);
            }
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
                held.rule.count_kept_out(all_serve_less);
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
        let is_exceeded = |held: &&HeldTogether| !held.state().decision.allowed;
        let exceeded = together.iter().filter(is_exceeded);
        self.exceeded
            .extend(exceeded.map(|held| Arc::clone(&held.rule)));
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

    /// Joins the lines of limits that make it wait.
    pub(super) fn join(&mut self, asked: &Asked<'_>) -> Result<(), Refused> {
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
        for at in 0..self.held.len() {
            let held = &mut self.held[at];
            let Some(queue) = held.rule.queue() else {
                continue;
            };
            // Who waits for one limit leaves later than another's schedule knows of.
            if held.waiting.is_none() && (waits(held) || held.turn.quota.is_schedule()) {
                let joined = Waiting::join(&keyed, clock, &held.rule, &held.counter, queue);
                let Some(waiting) = joined else {
                    let (rule, wait) = (Arc::clone(&held.rule), held.turn.step.wait_from(now));
                    return Err(queue_full(&rule, wait, self.give_back(now)));
                };
                held.waiting = Some(Box::new(waiting.with(held.turn)));
            }
            let Some(waiting) = held.waiting.as_deref_mut() else {
                continue;
            };
            let wait = waiting.left(now);
            if now + wait > asked.deadline {
                return Err(self.too_late(at, wait));
            }
            if !wait.is_zero() && !std::mem::replace(&mut waiting.is_counted, true) {
                held.rule.counts.delayed.inc();
            }
        }
        Ok(())
    }

    /// Passes all lines at one moment, if all let it. Who passed one line and then stood in another would
    /// leave later than the first knows of.
    pub(super) fn pass(&mut self) -> bool {
        if self.lines().next().is_none() {
            return true;
        }
        let now = self.clock.now();
        if self.lines().any(|waiting| !waiting.left(now).is_zero()) {
            return false;
        }
        let mut passed = 0;
        let passes = self.lines().all(|waiting| {
            let passes = waiting.pass(now);
            passed += usize::from(passes);
            passes
        });
        if passes {
            let waiting = self.held.iter_mut().filter_map(|held| held.waiting.take());
            waiting.for_each(|waiting| waiting.use_up());
            self.at = now;
        } else {
            // Somebody was faster between the question and this.
            self.lines().take(passed).for_each(Waiting::stand_again);
        }
        passes
    }

    /// Waits until all lines would let it pass.
    pub(super) async fn wait(&mut self, asked: &Asked<'_>) -> Result<(), Refused> {
        loop {
            let now = self.clock.now();
            let left = self.held.iter().enumerate().filter_map(|(at, held)| {
                let left = held.waiting.as_ref()?.left(now);
                Some((left, at))
            });
            let (longest, at) = left.max().unwrap_or_default();
            if longest.is_zero() {
                self.at = now;
                return Ok(());
            }
            let until = now + longest;
            if until > asked.deadline {
                return Err(self.too_late(at, longest));
            }
            for waiting in self.lines() {
                if waiting.left(now) < longest {
                    waiting.put_off(until);
                }
            }
            tokio::time::sleep_until(self.clock.instant(until).into()).await;
        }
    }

    /// The places in lines, for who asks again after a wait. What it was counted by as it came stays
    /// counted; else it is given back.
    pub(super) fn ask_again(&mut self, has_come: bool) -> Vec<InLine> {
        let mut in_line = Vec::new();
        for mut held in std::mem::take(&mut self.held) {
            match held.waiting.take() {
                Some(waiting) => in_line.push((held.rule, waiting)),
                None if has_come => {}
                None => self.held.push(held),
            }
        }
        self.give_back(self.at);
        self.exceeded.clear();
        in_line
    }

    fn lines(&mut self) -> impl Iterator<Item = &mut Waiting> {
        let waiting = self.held.iter_mut().map(|held| held.waiting.as_deref_mut());
        waiting.flatten()
    }

    fn too_late(&mut self, at: usize, wait: Duration) -> Refused {
        let rule = Arc::clone(&self.held[at].rule);
        rule.counts.refused.inc();
        Refused {
            reason: Reason::TenantRate,
            retry_after: wait,
            quotas: self.give_back(self.clock.now()),
            fallback: rule.fallback(),
            rule,
        }
    }
}

/// What is left of a limit, for headers.
fn left(place: &Place<'_>, now: Tick, turn: &Turn) -> Decision {
    let left = place.peek(now, &turn.quota, 0, Duration::MAX);
    turn.quota.describe(&left)
}
