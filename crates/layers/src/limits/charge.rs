//! Holding all limits that apply against a request.
//!
//! The order: requests in flight, then all rates as one. A request that a limit delays waits here,
//! before it takes anything of what is shared. Meanwhile all others have back what they were charged, and
//! when it may go they are asked again, as of then: what a limit lets pass is what leaves, not what comes.
//! Whoever begins to wait is counted apart, by the same quotas, so that nobody fills a line with more
//! than its other limits would ever let leave.
//!
//! Who waits for a place across a reload asks all limits anew, as they are then. Who stands in the line of
//! a rate keeps its turn, and goes on by the terms that it came with. What it is charged when it goes, the
//! new counter of another limit that counts in another way since then does not know of: that is no
//! more requests than may wait in the line.

use std::{fmt, sync::Arc, time::Duration};

use smallvec::SmallVec;
use watertight_base::{Reason, Tick};
use watertight_guard::throttle::{
    Decision, InFlightTable, Key, Lines, Quota, Step, Tables,
    all::{self, Charge, Place},
    lease::Cluster,
};
use watertight_plan::{By, Excess, Fallback, Measure, Throttling};

use super::{
    Applied, Asked, Charged, Placing, Rule, Tally,
    asked::Caller,
    charged::InLine,
    cluster,
    enter::Entered,
    places::{Places, Presence},
    wait::Standing,
};
use crate::{Clock, QuotaState, Quotas, health::Health, quotas::Fields};

/// What is counted for callers whom nobody listed, and those who wait.
pub(crate) struct Keyed {
    /// Callers made of configured names.
    pub(crate) named: Tables,
    /// Callers whom anybody can invent.
    pub(crate) invented: Tables,
    pub(crate) in_flight: InFlightTable,
    pub(crate) places: Places,
    pub(crate) lines: Lines,
    /// Says how much of limits is in force.
    pub(super) health: Arc<Health>,
    /// What all nodes count together. None: this node is by itself.
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}

/// Why a request may not pass.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) retry_after: Duration,
    pub(crate) quotas: Quotas,
    /// The limit that decided.
    pub(crate) rule: Arc<Rule>,
    /// What is served instead.
    pub(crate) fallback: Option<Fallback>,
}

impl Refused {
    /// How long a request that `begun` waited for the limit that refused it in the end.
    pub(crate) fn waited(&self, begun: Tick, clock: Clock) -> Duration {
        match self.rule.limit.excess {
            Excess::Delay { .. } => clock.now() - begun,
            _ => Duration::ZERO,
        }
    }
}

/// Where it is kept what was used, for longer than a borrow.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Pinned(Arc<Tally>),
    Keyed { is_invented: bool, key: Key },
}

/// A rate that is asked, and what was used of it.
pub(super) type Asking<'a> = (&'a Applied, &'a Quota, Kept);

type Rates<'a> = SmallVec<[Asking<'a>; RULES_USUAL]>;

/// More rules than most requests are held to; for more there is memory to be had.
const RULES_USUAL: usize = 4;

/// Why what applies is not charged.
#[derive(Debug)]
pub(crate) enum Unmet {
    Refused(Refused),
    /// There was a reload since the terms were read. What the request holds of places stays its own, so
    /// that it asks again.
    Reloaded,
}

impl From<Refused> for Unmet {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Kept {
    /// Whether the two are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pinned(one), Self::Pinned(other)) => Arc::ptr_eq(one, other),
            (Self::Keyed { key: one, .. }, Self::Keyed { key: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl Keyed {
    pub(crate) fn new(
        throttling: &Throttling,
        health: Arc<Health>,
        seed: u64,
        cluster: Option<Arc<dyn Cluster>>,
        epoch: u64,
    ) -> Self {
        let table = |seed| {
            let keys = throttling.keys;
            Tables::new(keys, keys, throttling.log_entries, seed)
        };
        Self {
            named: table(seed),
            invented: table(seed.rotate_left(32)),
            in_flight: InFlightTable::default(),
            places: Places::new(epoch),
            lines: Lines::default(),
            health,
            cluster,
        }
    }

    /// Charges all limits that apply to a request, or none. Waits for those that delay. `presence` is what
    /// it holds of places, if it asks again after a reload.
    pub(crate) async fn charge(
        self: &Arc<Self>,
        clock: Clock,
        now: Tick,
        mut asked: Asked<'_>,
        presence: &mut Option<Presence>,
    ) -> Result<Box<Charged>, Unmet> {
        let terms = &asked.who.lane.terms;
        let applied: SmallVec<[&Applied; RULES_USUAL]> =
            terms.rules(asked.service, asked.path).collect();
        for applied in &applied {
            self.carry(now, applied, &asked);
        }
        let mut charged = Box::new(Charged::new(self, (clock, now), &applied, &asked));
        let is_gauge = |applied: &&Applied| applied.rule.in_flight_max().is_some();
        let last = applied.iter().rposition(is_gauge);
        for (at, one) in applied
            .iter()
            .enumerate()
            .take(last.map_or(0, |last| last + 1))
        {
            let (who, is_last) = ((clock, &asked), Some(at) == last);
            match self.enter(who, one, is_last, presence).await? {
                Entered::Place { has_waited: true } => {
                    charged.at = clock.now();
                    asked.share = self.health.share(asked.service);
                }
                Entered::Less => charged.less = Some(Arc::clone(&one.rule)),
                Entered::Place { .. } | Entered::Uncounted => {}
            }
        }
        if self.places.is_outdated(asked.who) {
            return Err(Unmet::Reloaded);
        }
        charged.presence = presence.take();
        let mut comes = self.has_to_wait(charged.at, &applied, &asked);
        let mut in_line = Vec::new();
        loop {
            self.take(&applied, &asked, &mut charged, (in_line, comes))?;
            if let Some(cluster) = self.cluster.as_ref().filter(|_| !comes) {
                Box::pin(charged.take_together(&**cluster, &applied, &asked)).await?;
            }
            charged.join(&asked)?;
            if !comes && charged.pass() {
                break;
            }
            // On the heap, as few wait and all make room.
            Box::pin(charged.wait(&asked)).await?;
            in_line = charged.ask_again(std::mem::take(&mut comes));
            asked.share = self.health.share(asked.service);
        }
        charged.is_whole = true;
        charged.count();
        Ok(charged)
    }

    /// What a limit would say of a request, and what is left of it before; charges nothing.
    pub(crate) fn peek(&self, now: Tick, applied: &Applied, asked: &Asked<'_>) -> Option<Decision> {
        let quota = applied.rule.quota.as_ref()?;
        if let Some(cluster) = self
            .cluster
            .as_ref()
            .filter(|_| applied.rule.is_of_cluster())
        {
            return cluster::peek(&**cluster, now, applied, asked);
        }
        self.carry(now, applied, asked);
        let cost = applied.rule.cost(asked);
        let patience = applied.rule.limit.excess.patience();
        let kept = self.kept(applied, asked);
        let place = self.place(&kept)?;
        let then = place.peek(now, quota, cost, patience);
        let before = place.peek(now, quota, 0, Duration::MAX);
        Some(Decision {
            allowed: then.allowed,
            wait: then.wait(),
            ..quota.describe(&before)
        })
    }

    /// Whether a request of which a rate says `decision` would find the line full.
    pub(crate) fn is_line_full(
        &self,
        applied: &Applied,
        asked: &Asked<'_>,
        decision: &Decision,
    ) -> bool {
        let rule = &applied.rule;
        let Some(most) = rule.queue() else {
            return false;
        };
        if !decision.allowed || !rule.is_asked() || self.is_together(rule) {
            return false;
        }
        let line = self.line_key(rule, &self.kept(applied, asked));
        let stands = !decision.wait.is_zero() || self.lines.has(line);
        stands && !self.lines.has_room(line, most)
    }

    /// What headers tell a request that none of its rates refused; charges nothing.
    pub(crate) fn quotas_left(&self, now: Tick, applied: &[&Applied], asked: &Asked<'_>) -> Quotas {
        let told = applied.iter().filter(|applied| {
            let rule = &applied.rule;
            rule.is_asked() && !rule.limit.is_shadow
        });
        let states = told.filter_map(|applied| {
            Some(QuotaState {
                limit: applied.rule.id().clone(),
                quota: applied.rule.quota?,
                decision: Decision {
                    allowed: true,
                    wait: Duration::ZERO,
                    ..self.peek(now, applied, asked)?
                },
            })
        });
        Quotas {
            states: states.collect(),
            fields: Fields::default(),
        }
    }

    /// How long a share of the limits that is in force would hold a request back, zero if that is not
    /// known; none if it would let it pass.
    pub(crate) fn peek_shrunk(
        &self,
        now: Tick,
        applied: &[&Applied],
        asked: &Asked<'_>,
    ) -> Option<Duration> {
        let rules = self.rates(applied, asked);
        let shares = self.shares(&rules, asked);
        let charges = shares.iter().filter_map(|share| share.charge(self));
        let steps = charges.map(|charge| {
            let Charge { quota, cost, .. } = charge;
            charge.place.peek(now, quota, cost, Duration::ZERO)
        });
        let refused = steps.filter(|step| !step.allowed);
        let in_flight = applied.iter().filter_map(|applied| {
            let (rule, kept) = (&applied.rule, self.kept(applied, asked));
            let fewer = self.fewer_in_flight(rule, &kept, rule.in_flight_max()?, asked)?;
            (!fewer.has_room(self)).then_some(Duration::ZERO)
        });
        refused.map(|step| step.wait()).chain(in_flight).max()
    }

    /// Whether a limit is counted in the cluster. A node without one counts for itself.
    pub(crate) fn is_together(&self, rule: &Rule) -> bool {
        rule.is_of_cluster() && self.cluster.is_some()
    }

    /// How many requests are in flight, as a limit counts them.
    pub(crate) fn in_flight(&self, applied: &Applied, asked: &Asked<'_>) -> u32 {
        match self.kept(applied, asked) {
            Kept::Pinned(tally) => match &*tally {
                Tally::InFlight(count) => count.get(),
                Tally::Used(_) => 0,
            },
            Kept::Keyed { key, .. } => self.in_flight.get(key),
        }
    }

    /// Charges all rates, or none, as of now: that is not when the request came if it waited since then.
    /// Of those in whose lines it stands it has its turns. While it `comes` to wait, those that do not
    /// make it wait count it apart.
    fn take(
        self: &Arc<Self>,
        applied: &[&Applied],
        asked: &Asked<'_>,
        charged: &mut Charged,
        (mut in_line, comes): (Vec<InLine>, bool),
    ) -> Result<(), Refused> {
        let now = charged.at;
        let (rules, shares) = if comes {
            (self.rates_of_coming(applied, asked), Vec::new())
        } else {
            let rules = self.rates(applied, asked);
            let shares = self.shares(&rules, asked);
            (rules, shares)
        };
        let standings: SmallVec<[_; RULES_USUAL]> = rules
            .iter()
            .map(|(applied, quota, kept)| {
                let rule = &applied.rule;
                let is_of = |(other, _): &InLine| Arc::ptr_eq(other, rule);
                if let Some(at) = in_line.iter().position(is_of) {
                    return Standing::InLine(in_line.swap_remove(at).1);
                }
                let at = (charged.clock, now);
                Standing::at(self, at, (rule, kept), quota, rule.cost(asked))
            })
            .collect();
        // Before anything is charged, so that all that moves it up is counted.
        let given_back: SmallVec<[_; RULES_USUAL]> =
            rules.iter().map(|asking| self.given_back(asking)).collect();
        let is_outside = |standing: &Standing| matches!(standing, Standing::Outside);
        let full = standings.iter().position(is_outside);
        let both = rules.iter().zip(&standings);
        let mut charges: SmallVec<[_; RULES_USUAL]> = both
            .filter_map(|(asking, standing)| self.charge_of(asking, standing, asked))
            .collect();
        charges.extend(shares.iter().filter_map(|share| share.charge(self)));
        let mut steps = Vec::with_capacity(charges.len());
        // Who finds a line full is refused there, and takes no turn from those who come after.
        let passes = match full {
            Some(_) => all::peek(now, &charges, &mut steps),
            None => all::take(now, &charges, &mut steps),
        };
        drop(charges);
        if !passes || full.is_some() {
            let quotas = quotas_of(&rules, &self.left(now, &rules, &steps));
            return Err(match full.filter(|_| passes) {
                Some(at) => queue_full(&rules[at].0.rule, steps[at].wait(), quotas),
                None => refusal(&rules, &steps, quotas),
            });
        }
        charged.quotas = quotas_of(&rules, &steps);
        charged.held.reserve_exact(rules.len());
        let of_shares = shares.into_iter().zip(&steps[rules.len()..]);
        charged.shares = of_shares.map(|(share, step)| share.held(*step)).collect();
        let said = standings.into_iter().zip(steps.iter().zip(given_back));
        for (asking, (standing, said)) in rules.into_iter().zip(said) {
            charged.hold(asking, standing, said, asked);
        }
        Ok(())
    }

    /// What was given back of a counter, where what is charged may be settled afterwards.
    fn given_back(&self, (applied, quota, kept): &Asking<'_>) -> u64 {
        let is_settled = applied.rule.limit.measure == Measure::Cost;
        let place = is_settled.then(|| self.place(kept)).flatten();
        place.map_or(0, |place| place.given_back(quota))
    }

    /// What a rate is asked for.
    fn charge_of<'a>(
        &'a self,
        (applied, quota, kept): &'a Asking<'_>,
        standing: &Standing,
        asked: &Asked<'_>,
    ) -> Option<Charge<'a>> {
        let rule = &applied.rule;
        // A turn that somebody gave up is charged already.
        let (cost, patience) = match standing.turn() {
            Some(_) => (0, Duration::MAX),
            None => (rule.cost(asked), rule.limit.excess.patience()),
        };
        Some(Charge {
            place: self.place(kept)?,
            quota,
            cost,
            patience,
            binds: rule.binds(),
        })
    }

    /// What is left of limits when nothing was charged after all: those that would have let the
    /// request pass said what would be left then.
    fn left(&self, now: Tick, rules: &[Asking<'_>], steps: &[Step]) -> Vec<Step> {
        let both = rules.iter().zip(steps);
        both.map(|((_, quota, kept), step)| match self.place(kept) {
            Some(place) if step.allowed => place.peek(now, quota, 0, Duration::MAX),
            _ => *step,
        })
        .collect()
    }

    /// The limits of `applied` that are rates asked here, with what was used of them.
    fn rates<'a>(&self, applied: &[&'a Applied], asked: &Asked<'_>) -> Rates<'a> {
        applied
            .iter()
            .filter(|applied| applied.rule.is_asked() && !self.is_together(&applied.rule))
            .filter_map(|applied| {
                let quota = applied.rule.quota.as_ref()?;
                Some((*applied, quota, self.kept(applied, asked)))
            })
            .collect()
    }

    /// Whether a limit will make a request wait that comes.
    fn has_to_wait(&self, now: Tick, applied: &[&Applied], asked: &Asked<'_>) -> bool {
        let mut delaying = applied
            .iter()
            .filter(|applied| applied.rule.queue().is_some());
        delaying.any(|applied| {
            let (rule, kept) = (&applied.rule, self.kept(applied, asked));
            let waits = || {
                let (place, quota) = (self.place(&kept)?, rule.quota.as_ref()?);
                let step = place.peek(now, quota, rule.cost(asked), Duration::MAX);
                Some(!step.wait().is_zero())
            };
            rule.quota.is_some()
                && (self.lines.has(self.line_key(rule, &kept)) || waits().unwrap_or_default())
        })
    }

    /// The rates of `applied`, with where it is counted who comes to wait: of those that do not make it
    /// wait, apart.
    fn rates_of_coming<'a>(&self, applied: &[&'a Applied], asked: &Asked<'_>) -> Rates<'a> {
        let rates = applied.iter().filter_map(|applied| {
            let (rule, kept) = (&applied.rule, self.kept(applied, asked));
            let kept = match rule.queue() {
                Some(_) => kept,
                None => self.coming(rule, &kept),
            };
            let quota = rule.quota.as_ref().filter(|_| rule.is_asked())?;
            Some((*applied, quota, kept))
        });
        rates.collect()
    }

    /// Has what the caller used of a limit before a reload count for what the limit is now.
    fn carry(&self, now: Tick, applied: &Applied, asked: &Asked<'_>) {
        let rule = &applied.rule;
        let Some(quota) = rule.quota.as_ref().filter(|_| !rule.before.is_empty()) else {
            return;
        };
        let Kept::Keyed { is_invented, key } = self.kept(applied, asked) else {
            return;
        };
        let tables = self.tables(is_invented);
        for before in rule.before.iter().filter(|before| now < before.until) {
            let old = &before.quota;
            let from = tables.key(Caller {
                quota: Some(old),
                ..rule.caller(asked)
            });
            tables.carry(now, (from, old), (key, quota));
        }
    }

    pub(super) fn kept(&self, applied: &Applied, asked: &Asked<'_>) -> Kept {
        match &applied.placing {
            Placing::Lane(at) => Kept::Pinned(Arc::clone(&asked.who.lane.tallies[*at])),
            Placing::Pinned(tally) => Kept::Pinned(Arc::clone(tally)),
            Placing::Keyed => {
                let rule = &applied.rule;
                let is_invented = rule.is_by(By::Address)
                    || rule.is_by(By::User)
                    || (rule.is_by(By::Tenant) && !asked.who.is_listed);
                let tables = self.tables(is_invented);
                let key = tables.key(rule.caller(asked));
                Kept::Keyed { is_invented, key }
            }
        }
    }

    pub(super) fn place<'a>(&'a self, kept: &'a Kept) -> Option<Place<'a>> {
        match kept {
            Kept::Keyed { is_invented, key } => Some(Place::Keyed(self.tables(*is_invented), *key)),
            Kept::Pinned(tally) => match &**tally {
                Tally::Used(counter) => Some(Place::Own(counter)),
                Tally::InFlight(_) => None,
            },
        }
    }

    /// The line in front of a limit, for those who share a counter.
    pub(super) fn line_key(&self, rule: &Rule, kept: &Kept) -> Key {
        match kept {
            Kept::Keyed { key, .. } => *key,
            // The same counter is at the same address as long as somebody holds it.
            Kept::Pinned(tally) => self.named.key((rule.id(), Arc::as_ptr(tally).addr())),
        }
    }

    const fn tables(&self, is_invented: bool) -> &Tables {
        if is_invented {
            &self.invented
        } else {
            &self.named
        }
    }
}

/// What headers say of the limits that were asked.
fn quotas_of(rules: &[Asking<'_>], steps: &[Step]) -> Quotas {
    let shown = rules.iter().zip(steps);
    let shown = shown.filter(|((applied, ..), _)| !applied.rule.limit.is_shadow);
    let mut states = Vec::with_capacity(rules.len());
    states.extend(shown.map(|((applied, quota, _), step)| QuotaState {
        limit: applied.rule.id().clone(),
        quota: **quota,
        decision: quota.describe(step),
    }));
    Quotas {
        states,
        fields: Fields::default(),
    }
}

/// What is said to a request that finds the line of `rule` full.
pub(super) fn queue_full(rule: &Arc<Rule>, wait: Duration, quotas: Quotas) -> Refused {
    rule.counts.refused.inc();
    Refused {
        reason: Reason::TenantQueueFull,
        retry_after: wait,
        quotas,
        fallback: rule.fallback(),
        rule: Arc::clone(rule),
    }
}

/// Which of the limits that refused decides: the one to wait longest for. Less is served only when
/// all of them would.
fn refusal(rules: &[Asking<'_>], steps: &[Step], quotas: Quotas) -> Refused {
    let own = rules.iter().zip(steps);
    let refusing: Vec<_> = own
        .filter(|((applied, ..), step)| applied.rule.binds() && !step.allowed)
        .collect();
    let decides = refusing.iter().max_by_key(|(_, step)| step.wait());
    let all_serve_less = refusing
        .iter()
        .all(|((applied, ..), _)| applied.rule.fallback().is_some());
    for ((applied, ..), _) in &refusing {
        applied.rule.count_kept_out(all_serve_less);
    }
    match decides {
        Some(((applied, ..), step)) => Refused {
            reason: Reason::TenantRate,
            retry_after: step.wait(),
            quotas,
            fallback: applied.rule.fallback().filter(|_| all_serve_less),
            rule: Arc::clone(&applied.rule),
        },
        // Only shares of limits refused: it is we who are unwell.
        None => {
            let shrunk = rules.iter().filter(|(applied, ..)| applied.rule.binds());
            let mut refused = shrunk.zip(&steps[rules.len()..]);
            let ((applied, ..), step) = refused
                .find(|(_, step)| !step.allowed)
                .unwrap_or((&rules[0], &steps[0]));
            Refused {
                reason: Reason::BrownOut,
                retry_after: step.wait(),
                quotas,
                fallback: applied.rule.fallback(),
                rule: Arc::clone(&applied.rule),
            }
        }
    }
}
