//! What a node knows of one key: its lease, who waits, and its own share for when it is alone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use watertight_base::Tick;

use super::{
    super::{Algorithm, Counter, Decision, Quota},
    Grant, Kind, Known, Settings, Source, Terms, Ticket, Undo, Want,
    ask::{Granted, Used},
    demand::Demand,
};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) quota: Quota,
    pub(super) terms: Terms,
    pub(super) is_exact: bool,
    /// Whether that was asked for.
    is_to_be_exact: bool,
    /// Units of the lease that are not used yet, and when it ends.
    lent: u64,
    ends: Tick,
    /// When to see whether the lease is used at all.
    pub(super) review: Tick,
    /// For when that is planned.
    pub(super) review_planned: Tick,
    /// Given up, to be returned with the next batch.
    back: u64,
    /// Used of the own share, for the store to know.
    spent: u64,
    /// Granted and counted, but to be undone; one for each batch that granted some.
    undo: VecDeque<Undo>,
    /// The store has none before this, for requests that cost so much or more.
    closed: (Tick, u64),
    /// From when on the store may have some.
    ready: Tick,
    /// What the store said was left, when it said so, and when nothing would count any more.
    left: u64,
    told: Option<Tick>,
    clear: Tick,
    demand: Demand,
    pub(super) used_at: Tick,
    /// The last batch that reported what is left of the lease.
    pub(super) reported: u64,
    /// The last grant.
    pub(super) granted: Granted,
    pub(super) is_queued: bool,
    /// Which want of the batch on its way is of it.
    pub(super) asked_as: Option<usize>,
    /// Claims that are not settled, of which it is a part.
    pub(super) claims: u32,
    pub(super) is_returning: bool,
    /// Requests in line for the next batch, and those of the batch on its way.
    pub(super) waiting: VecDeque<(Ticket, u64)>,
    pub(super) asked: VecDeque<(Ticket, u64)>,
    pub(super) share: Counter,
    share_quota: Quota,
    share_of: u32,
}

impl Entry {
    pub(super) fn new(name: &str, quota: &Quota, is_exact: bool, settings: &Settings) -> Self {
        Self {
            name: name.into(),
            quota: *quota,
            terms: Terms::new(quota),
            is_exact: is_exact || is_tight(quota, settings.timeout),
            is_to_be_exact: is_exact,
            lent: 0,
            ends: Tick::ZERO,
            review: Tick::MAX,
            review_planned: Tick::MAX,
            back: 0,
            spent: 0,
            undo: VecDeque::new(),
            closed: (Tick::ZERO, u64::MAX),
            ready: Tick::ZERO,
            left: quota.capacity(),
            told: None,
            clear: Tick::ZERO,
            demand: Demand::default(),
            used_at: Tick::ZERO,
            reported: 0,
            granted: Granted::default(),
            is_queued: false,
            asked_as: None,
            claims: 0,
            is_returning: false,
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            share: Counter::new(quota),
            share_quota: *quota,
            share_of: 1,
        }
    }

    /// Whether it counts by this quota, in this way.
    pub(super) fn is_of(&self, quota: &Quota, is_exact: bool) -> bool {
        self.quota == *quota && self.is_to_be_exact == is_exact
    }

    /// Whether a want of it may be sent: none is on its way.
    pub(super) const fn is_free(&self) -> bool {
        self.asked_as.is_none()
    }

    /// Takes a new quota, and keeps what was used. What is lent stays lent.
    pub(super) fn adopt(&mut self, quota: &Quota, is_exact: bool, settings: &Settings) {
        self.quota = *quota;
        self.terms = Terms::new(quota);
        self.is_exact = is_exact || is_tight(quota, settings.timeout);
        self.is_to_be_exact = is_exact;
        (self.closed.0, self.ready, self.share_of) = (Tick::ZERO, Tick::ZERO, 0);
    }

    /// Begins with what was used of the own share where it was counted in another way.
    pub(super) fn inherit(&mut self, now: Tick, before: &Self) {
        (self.share_quota, self.share_of) = (self.quota.divided(before.share_of), before.share_of);
        self.share = before.used_under(now, &self.share_quota);
    }

    /// What was used of the own share, as the same part of another.
    pub(super) fn used_under(&self, now: Tick, share: &Quota) -> Counter {
        self.share.converted(now, &self.share_quota, share)
    }

    /// How much would be missed if it were given up: 0 for nothing, 1 if the store remembers all
    /// that counts, 2 if a lease goes with it. `None`: what it counts is counted nowhere else, as is
    /// all of it while the node is alone with it.
    pub(super) fn worth(&self, now: Tick, is_alone: bool) -> Option<u8> {
        if self.is_busy() || self.owes_word() {
            None
        } else if self.is_forgotten(now) {
            Some(0)
        } else if is_alone {
            None
        } else {
            Some(if self.lent_at(now) == 0 { 1 } else { 2 })
        }
    }

    /// Whether nothing is lent, and nothing that it was used for counts any more, here or in the
    /// store.
    fn is_forgotten(&self, now: Tick) -> bool {
        let is_known_clear = now >= self.clear && now >= self.closed.0 && now >= self.ready;
        is_known_clear && self.lent_at(now) == 0 && self.is_share_unused(now)
    }

    fn is_share_unused(&self, now: Tick) -> bool {
        let share = &self.share_quota;
        let left = self.share.peek(now, share, 0, Duration::ZERO);
        share.describe(&left).remaining == share.capacity()
    }

    /// Whether somebody waits for it, or it is in a batch.
    pub(super) fn is_busy(&self) -> bool {
        self.is_queued || !self.is_free() || !self.waiting.is_empty() || self.claims > 0
    }

    pub(super) fn count(&mut self, now: Tick, cost: u64) {
        self.used_at = now;
        self.demand.count(now, cost);
    }

    /// The most that one request may ever cost.
    pub(super) const fn cost_max(&self) -> u64 {
        match self.terms.kind {
            Kind::Leaky => Terms::COST_MAX,
            _ => self.terms.capacity,
        }
    }

    /// Drops a lease that is over: units that were not used.
    pub(super) fn expire(&mut self, now: Tick) -> u64 {
        match now < self.ends {
            true => 0,
            false => std::mem::take(&mut self.lent),
        }
    }

    /// Takes from the lease, if it lasts.
    pub(super) fn take_lent(&mut self, now: Tick, cost: u64, nodes: u32) -> bool {
        let lent = self.lent_at(now);
        if self.is_exact || lent < cost {
            return false;
        }
        self.lent = lent - cost;
        self.track(now, cost, nodes);
        true
    }

    /// Whether the lease should be renewed before it is used up.
    pub(super) fn is_low(&self, now: Tick, nodes: u32, lease: Duration) -> bool {
        let target = self.target(nodes, lease);
        let ends_soon = self.ends - now < lease / 4;
        target > 0 && (self.lent * 2 <= target || ends_soon)
    }

    /// How long the store will have none for it, if that need not be asked.
    pub(super) fn closed_for(&self, now: Tick, cost: u64) -> Option<Duration> {
        let (until, least) = self.closed;
        (now < until && cost >= least).then(|| self.ready - now)
    }

    /// What is known of it: the lease, or what the store said last.
    pub(super) fn known(&self, now: Tick, cost: u64) -> Option<Known> {
        if cost > self.cost_max() {
            let decision = self.decision(now, false, Duration::MAX);
            let source = Source::Share;
            return Some(Known { decision, source });
        }
        if !self.is_exact && self.lent_at(now) > 0 && self.lent_at(now) >= cost {
            let decision = self.decision(now, true, Duration::ZERO);
            let source = Source::Lease;
            return Some(Known { decision, source });
        }
        let age = now - self.told?;
        // Sooner than it said there may be some only if others give back what they have.
        let wait = match cost >= self.closed.1 {
            true => self.ready - now,
            false => Duration::ZERO,
        };
        let mut decision = self.decision(now, wait.is_zero(), wait);
        if decision.reset_in.is_zero() {
            decision.remaining = self.quota.capacity();
        }
        let source = Source::Answer { age };
        Some(Known { decision, source })
    }

    /// Takes from the node's own share of the limit.
    pub(super) fn take_share(&mut self, now: Tick, cost: u64, nodes: u32) -> (Decision, Used) {
        let share = self.share(nodes);
        let step = self.share.take(now, &share, cost, Duration::ZERO);
        let used = match step.allowed {
            true => Used::Share { step, nodes },
            false => Used::Nothing,
        };
        (share.describe(&step), used)
    }

    /// Remembers that it was used, so that the own share is no second burst.
    pub(super) fn track(&mut self, now: Tick, cost: u64, nodes: u32) {
        let share = self.share(nodes);
        let _ = self.share.take(now, &share, cost, Duration::ZERO);
    }

    pub(super) fn spend(&mut self, cost: u64) {
        self.spent = self.spent.saturating_add(cost).min(2 * self.terms.capacity);
    }

    pub(super) fn owes_word(&self) -> bool {
        self.spent + self.back > 0 || !self.undo.is_empty()
    }

    /// Undoes a charge. What the store does not know yet is as if it never was; what it counts it is
    /// told to undo. Whether there is something to tell.
    pub(super) fn refund(&mut self, now: Tick, cost: u64, asked_at: u64, used: Used) -> bool {
        let is_untold = self.reported <= asked_at;
        match used {
            Used::Lent(_) if is_untold && !self.is_exact && now < self.ends => self.lent += cost,
            Used::Held { until, .. } if is_untold && now < until => {
                self.back = self.back.saturating_add(cost);
            }
            // A unit of a lease did not drain while it was out, so it was owed as of the grant.
            Used::Lent(grant) | Used::Held { grant, .. } | Used::Counted(grant) => {
                self.undo(grant.undo(cost));
            }
            Used::Share { step, nodes } => {
                if nodes == self.share_of {
                    self.share.refund(now, &self.share_quota, &step, cost);
                }
                if is_untold {
                    self.spent = self.spent.saturating_sub(cost);
                }
            }
            Used::Nothing => {}
        }
        self.owes_word()
    }

    fn undo(&mut self, undo: Undo) {
        match self.undo.iter_mut().find(|other| other.at_us == undo.at_us) {
            Some(other) => other.units = other.units.saturating_add(undo.units),
            None if undo.units == 0 => {}
            // Older grants are not worth a batch each: they have come back by themselves, mostly.
            None => {
                self.undo.truncate(UNDOS_MAX - 1);
                self.undo.push_front(undo);
            }
        }
    }

    /// What to ask the store for. Those who wait are asked for together if they cost the same. If
    /// nobody does, the store says when there may be as many as are claimed.
    pub(super) fn want(
        &mut self,
        now: Tick,
        claimed: u64,
        (nodes, lease): (u32, Duration),
    ) -> Want {
        let front = self.waiting.front();
        let each = front.map_or(claimed, |(_, cost)| *cost).max(1);
        while self.waiting.front().is_some_and(|(_, cost)| *cost == each) {
            self.asked.extend(self.waiting.pop_front());
        }
        self.lent = self.lent_at(now);
        if self.is_returning {
            self.back += std::mem::take(&mut self.lent);
        }
        let target = if self.is_returning {
            0
        } else {
            self.target(nodes, lease)
        };
        self.is_returning = false;
        Want {
            name: self.name.clone(),
            terms: self.terms,
            is_exact: self.is_exact,
            need: each.saturating_mul(self.asked.len() as u64),
            each,
            extra: target.saturating_sub(self.lent),
            have: self.lent,
            back: std::mem::take(&mut self.back),
            spent: std::mem::take(&mut self.spent),
            undo: self.undo.pop_front().unwrap_or_default(),
        }
    }

    /// What it wants leaves with the batch of that number, as one of its wants.
    pub(super) fn leaves(&mut self, number: u64, want: usize) {
        (self.asked_as, self.reported) = (Some(want), number);
    }

    /// Takes in what the store granted; who of those that asked may pass goes to `settled`.
    pub(super) fn granted(
        &mut self,
        now: Tick,
        (sent, at_us): (Tick, u64),
        want: &Want,
        grant: &Grant,
        settle: &mut dyn FnMut(Ticket, bool),
    ) {
        self.asked_as = None;
        self.granted = Granted {
            at_us,
            mark: grant.mark,
        };
        let need = grant.units.min(want.need);
        let ends = sent + grant.lease;
        self.lent = self.lent_at(now);
        self.left = grant.left;
        self.told = Some(now);
        self.clear = now + grant.reset;
        if now < ends && !self.is_exact {
            self.lent += grant.units - need;
            self.ends = self.ends.max(ends);
            self.review = sent + grant.lease * 3 / 4;
        }
        // What was granted in a window that is over is not used in the next.
        if now >= ends && self.terms.kind == Kind::Window && !self.is_exact {
            while let Some(asked) = self.asked.pop_back() {
                self.waiting.push_front(asked);
            }
            return;
        }
        let mut room = need;
        let mut has_refused = false;
        while let Some((ticket, cost)) = self.asked.pop_front() {
            let fits = cost <= room;
            room -= if fits { cost } else { 0 };
            has_refused |= !fits;
            settle(ticket, fits);
        }
        // For those who have gone meanwhile.
        self.give_back(want, room);
        if has_refused || grant.left < want.each {
            self.closed = (sent + grant.wait.min(REASK), want.each);
            self.ready = sent + grant.wait;
        } else if grant.left >= self.closed.1 {
            // Some went back.
            (self.closed.0, self.ready) = (Tick::ZERO, Tick::ZERO);
        }
    }

    /// What is used of what the last answer granted for those who wait, and keeps for them until then.
    pub(super) fn used(&self, want: &Want, until: Tick) -> Used {
        let grant = self.granted;
        match want.is_exact {
            true => Used::Counted(grant),
            false => Used::Held { until, grant },
        }
    }

    /// What was granted by the last answer, and is not to be used.
    pub(super) fn give_back(&mut self, want: &Want, units: u64) {
        match want.is_exact {
            true => self.undo(self.granted.undo(units)),
            false => self.back = self.back.saturating_add(units),
        }
    }

    /// The batch is lost; what it was to tell is told again. It may have arrived after all: then
    /// what was spent is charged twice, and never not at all.
    pub(super) fn lost(&mut self, want: &Want) {
        self.asked_as = None;
        self.spend(want.spent);
    }

    /// What people are told.
    pub(super) fn decision(&self, now: Tick, allowed: bool, wait: Duration) -> Decision {
        Decision {
            allowed,
            remaining: self
                .left
                .saturating_add(self.lent_at(now))
                .min(self.quota.capacity()),
            reset_in: self.clear - now,
            wait,
        }
    }

    pub(super) fn lent_at(&self, now: Tick) -> u64 {
        if now < self.ends { self.lent } else { 0 }
    }

    /// The most to hold: what half a lease will ask for, one for whoever comes once a lease, and no
    /// node more than its part of an eighth of what may be used at once.
    fn target(&self, nodes: u32, lease: Duration) -> u64 {
        if self.is_exact {
            return 0;
        }
        let most = self.terms.capacity / (8 * u64::from(nodes.max(1)));
        let one = self.demand.expected(lease).min(1);
        self.demand.expected(lease / 2).max(one).min(most)
    }

    fn share(&mut self, nodes: u32) -> Quota {
        if self.share_of != nodes {
            (self.share_quota, self.share_of) = (self.quota.divided(nodes), nodes);
        }
        self.share_quota
    }
}

/// Whether units come so fast, or so few may be used at once, that those on their way from the
/// store would take the place of others: then each is counted when it is granted.
fn is_tight(quota: &Quota, timeout: Duration) -> bool {
    let rate = quota.rate();
    match quota.algorithm() {
        Algorithm::TokenBucket { burst } => {
            let on_the_way = u128::from(rate.limit()) * timeout.as_nanos() * 2;
            u128::from(burst - 1) * rate.period().as_nanos() < on_the_way
        }
        Algorithm::FixedWindow | Algorithm::SlidingBuckets => rate.period() < timeout * 20,
        _ => true,
    }
}

/// How many grants are undone, one in each batch.
const UNDOS_MAX: usize = 64;
/// A key that is used up is asked for again after this, at the latest: others may have returned
/// some.
const REASK: Duration = Duration::from_millis(500);
