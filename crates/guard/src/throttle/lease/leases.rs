//! A node's side: its leases, who waits for the store, and what to do without it.

mod claims;

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use watertight_base::Tick;

use self::claims::Claims;
use super::{
    super::{Counter, Decision, Quota},
    Answer, Ask, Batch, Claim, Grant, Known, Settings, Settled, Sharing, Source, Standing, Taken,
    Ticket, Verdict, View, Want,
    ask::Used,
    entry::Entry,
    keys::Keys,
    lines::{Lines, Next},
    link::{Flight, Link},
};

/// A node's leases. A state machine, to be put behind one short lock.
///
/// Whoever runs it: sends what [`Leases::poll`] hands out, hands what comes back to
/// [`Leases::on_answer`] or [`Leases::on_failure`], and polls at [`Leases::next_wakeup`] and after
/// each [`Taken::Ask`].
#[derive(Debug)]
pub struct Leases {
    settings: Settings,
    keys: Keys,
    link: Link,
    lines: Lines,
    claims: Claims,
    /// Requests that wait, by the standing of their keys.
    waiting: [usize; Standing::ALL.len()],
    reviews: BinaryHeap<Reverse<(Tick, u32)>>,
    tickets: u64,
    /// The latest time that it was told.
    now: Tick,
    view: View,
}

/// What becomes of one ask.
enum Decided {
    Now(Verdict),
    /// The store is to be asked for the key at this place.
    Ask(u32),
}

/// A batch that is being written, which keys its wants are for, and which tickets its claims begin
/// with.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) wants: Vec<Want>,
    pub(super) places: Vec<u32>,
    pub(super) claims: Vec<Claim>,
    pub(super) claimed: Vec<Ticket>,
}

impl Draft {
    /// How full it is.
    fn len(&self) -> usize {
        self.wants.len().max(self.claims.len())
    }
}

impl Leases {
    /// The leases of a node. `node` is a random number that tells this process from every other,
    /// and from this node's earlier lives.
    pub fn new(node: u64, settings: Settings) -> Self {
        Self {
            settings,
            keys: Keys::new(node, &settings),
            link: Link::new(node, settings),
            lines: Lines::default(),
            claims: Claims::default(),
            waiting: [0; Standing::ALL.len()],
            reviews: BinaryHeap::new(),
            tickets: 0,
            now: Tick::ZERO,
            view: View::default(),
        }
    }

    /// Asks for a request. While there is a lease, the answer is here and now.
    ///
    /// `now` is read for this request; one that is older than what others said counts as theirs, so
    /// that nobody uses a lease that is over.
    pub fn take(&mut self, now: Tick, ask: &Ask<'_>) -> Taken {
        match self.decide(now, ask) {
            Decided::Now(verdict) => Taken::Now(verdict),
            Decided::Ask(at) => self.wait(at, ask.cost),
        }
    }

    /// What is known of a key without asking anybody; takes nothing. None: nothing is known here.
    pub fn peek(&self, now: Tick, ask: &Ask<'_>) -> Option<Known> {
        let now = self.now.max(now);
        let is_away = self.link.is_away();
        let is_alone = is_away || ask.sharing == Sharing::Local;
        let share = ask.quota.divided(self.link.nodes);
        let of_share = |decision| Known {
            decision,
            source: Source::Share,
        };
        let Some(at) = self.keys.find(ask) else {
            let full = self.keys.peek_share_of_all(now, ask, &share, is_alone);
            let own = || {
                let before = self.keys.elsewhere(ask);
                let used = before.map(|entry| entry.used_under(now, &share));
                let counter = used.unwrap_or_else(|| Counter::new(&share));
                peek(&counter, now, &share, ask.cost)
            };
            return is_alone.then(|| of_share(full.unwrap_or_else(own)));
        };
        let entry = &self.keys[at];
        if ask.sharing == Sharing::Local {
            return Some(of_share(peek(&entry.share, now, &share, ask.cost)));
        }
        let known = entry.known(now, ask.cost);
        if !is_away {
            return known;
        }
        // Without the store its last word holds for a moment only.
        let holds = |known: &Known| {
            !matches!(known.source, Source::Answer { .. })
                || entry.closed_for(now, ask.cost).is_some()
        };
        let by_share = || of_share(peek(&entry.share, now, &share, ask.cost));
        Some(known.filter(holds).unwrap_or_else(by_share))
    }

    /// Undoes a charge, as far as it still counts: units of a lease and of the own share are there
    /// again, others go back with the next batch. What the store was told in between stays used, so
    /// that nothing passes twice. Whether there is a next batch because of it.
    pub fn refund(&mut self, now: Tick, ask: &Ask<'_>, verdict: &Verdict) -> bool {
        let now = self.advance(now);
        let Some(at) = self.keys.find(ask) else {
            return false;
        };
        let owes_word = self.keys[at].refund(now, ask.cost, verdict.number, verdict.used);
        if owes_word {
            self.queue_calm(at);
        }
        owes_word
    }

    /// Forgets a request that no longer waits. What is granted for it goes back.
    pub fn cancel(&mut self, ask: &Ask<'_>, ticket: Ticket) {
        if self.cancel_claim(ticket) {
            return;
        }
        let Some(at) = self.keys.find(ask) else {
            return;
        };
        let entry = &mut self.keys[at];
        let before = entry.waiting.len() + entry.asked.len();
        entry.waiting.retain(|(other, _)| *other != ticket);
        entry.asked.retain(|(other, _)| *other != ticket);
        let gone = before - entry.waiting.len() - entry.asked.len();
        self.waiting[ask.standing as usize] -= gone;
    }

    /// Gives up a batch that is overdue, and hands out the next if it is time. Who is settled by
    /// that is added to `settled`.
    pub fn poll(&mut self, now: Tick, settled: &mut Settled) -> Option<Arc<Batch>> {
        let now = self.advance(now);
        if let Some(flight) = self.link.overdue(now) {
            self.fail(now, &flight, settled);
        }
        self.review(now);
        if self.link.has_flight() || self.due() > now {
            return None;
        }
        let mut draft = Draft::default();
        let number = self.link.next_number();
        while !self.link.is_away() && draft.len() < Batch::WANTS_MAX {
            match self.lines.next(draft.len()) {
                None => break,
                // A key stands in both lines when somebody came while it was to be renewed.
                Some(Next::Key(at)) if self.keys[at].is_queued && self.keys[at].is_free() => {
                    self.want(now, number, at, None, &mut draft);
                }
                Some(Next::Key(_)) => {}
                Some(Next::Claim(first)) => self.claim(now, number, first, &mut draft),
            }
        }
        self.lines.is_pressed &= self.lines.has_urgent();
        if draft.wants.is_empty() && self.link.due(false, false) > now {
            return None;
        }
        self.view.trips += 1;
        Some(self.link.send(now, draft))
    }

    /// The store has answered. Who is settled by that is added to `settled`. Whether the answer was
    /// one: if not, the store counts as away.
    pub fn on_answer(&mut self, now: Tick, answer: &Answer, settled: &mut Settled) -> bool {
        let now = self.advance(now);
        // Whoever stood still until its batch was overdue is too late to use what was held for it.
        if let Some(flight) = self.link.overdue(now) {
            self.fail(now, &flight, settled);
        }
        let Some(flight) = self.link.landed(answer.number) else {
            self.view.late += 1;
            return true;
        };
        if !self.is_sound(answer, &flight.batch) {
            self.fail(now, &flight, settled);
            return false;
        }
        self.link.is_well(now, answer.nodes);
        let wants = flight.batch.wants.iter().zip(&answer.grants);
        for (at, (want, grant)) in flight.places.iter().zip(wants) {
            let landed = (flight.sent, answer.at_us);
            self.granted(now, *at, landed, want, grant, settled);
        }
        self.settle_claims(now, &flight, answer, settled);
        true
    }

    /// The batch of that number did not get through, or its answer did not.
    pub fn on_failure(&mut self, now: Tick, number: u64, settled: &mut Settled) {
        let now = self.advance(now);
        if let Some(flight) = self.link.landed(number) {
            self.fail(now, &flight, settled);
        }
    }

    /// When to poll next, if nothing happens before.
    pub fn next_wakeup(&self) -> Tick {
        let review = self
            .reviews
            .peek()
            .map_or(Tick::MAX, |Reverse((at, _))| *at);
        self.due().min(review)
    }

    /// How the leases are doing.
    pub fn view(&self) -> View {
        View {
            nodes: self.link.nodes,
            is_away: self.link.is_away(),
            tables: self.keys.occupancy(),
            waiting: self.waiting.iter().sum::<usize>() as u64,
            ..self.view
        }
    }

    fn advance(&mut self, now: Tick) -> Tick {
        self.now = self.now.max(now);
        self.now
    }

    fn due(&self) -> Tick {
        self.link.due(!self.lines.is_empty(), self.lines.is_pressed)
    }

    /// What can be said here and now, or that the store is to be asked for the key at a place.
    fn decide(&mut self, now: Tick, ask: &Ask<'_>) -> Decided {
        let now = self.advance(now);
        self.view.decisions += 1;
        self.link.decided();
        let (cost, is_away) = (ask.cost, self.link.is_away());
        let Some(at) = self.keys.place(now, ask, is_away, &self.settings) else {
            return Decided::Now(self.without_place(now, ask));
        };
        let nodes = self.link.nodes;
        let entry = &mut self.keys[at];
        entry.count(now, cost);
        self.view.expired += entry.expire(now);
        if ask.sharing == Sharing::Local {
            let (decision, used) = entry.take_share(now, cost, nodes);
            return Decided::Now(self.of_share(now, decision, used));
        }
        if cost > entry.cost_max() {
            return Decided::Now(self.verdict(now, refused(Duration::MAX), Used::Nothing));
        }
        if entry.take_lent(now, cost, nodes) {
            let decision = entry.decision(now, true, Duration::ZERO);
            let used = Used::Lent(entry.granted);
            if entry.is_low(now, nodes, self.settings.lease) {
                self.queue_calm(at);
            }
            return Decided::Now(self.verdict(now, decision, used));
        }
        if let Some(wait) = entry.closed_for(now, cost) {
            let decision = entry.decision(now, false, wait);
            return Decided::Now(self.verdict(now, decision, Used::Nothing));
        }
        if self.link.is_away() {
            return Decided::Now(self.alone(now, at, cost));
        }
        if self.waiting[ask.standing as usize] >= self.settings.waiting {
            self.keys.count_overflow(ask);
            return Decided::Now(self.verdict(now, refused(self.settings.spacing), Used::Nothing));
        }
        Decided::Ask(at)
    }

    fn wait(&mut self, at: u32, cost: u64) -> Taken {
        let ticket = self.ticket(at);
        self.keys[at].waiting.push_back((ticket, cost));
        self.queue_urgent(at);
        Taken::Ask(ticket)
    }

    /// A ticket for whoever waits for a key.
    fn ticket(&mut self, at: u32) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.view.asked += 1;
        self.waiting[Standing::of(at) as usize] += 1;
        self.lines.is_pressed |= self.keys[at].is_exact;
        ticket
    }

    /// Puts what is wanted of a key into a batch, or finds it there. Units are claimed of it besides.
    fn want(
        &mut self,
        now: Tick,
        number: u64,
        at: u32,
        claimed: Option<u64>,
        draft: &mut Draft,
    ) -> usize {
        let terms = (self.link.nodes, self.settings.lease);
        let entry = &mut self.keys[at];
        if let Some(want) = entry.asked_as {
            return want;
        }
        entry.is_queued = false;
        let want = entry.want(now, claimed.unwrap_or(1), terms);
        // Else those who waited have gone.
        if claimed.is_some() || want.says_something() {
            entry.leaves(number, draft.wants.len());
            draft.places.push(at);
            draft.wants.push(want);
        }
        draft.wants.len().saturating_sub(1)
    }

    fn queue_urgent(&mut self, at: u32) {
        let entry = &mut self.keys[at];
        // While a batch is on its way for the key, the next is queued when it is back.
        if entry.is_free() && entry.waiting.len() == 1 {
            entry.is_queued = true;
            self.lines.push_urgent(at);
        }
    }

    fn queue_calm(&mut self, at: u32) {
        let entry = &mut self.keys[at];
        if !entry.is_queued && entry.is_free() {
            entry.is_queued = true;
            self.lines.push_calm(at);
        }
    }

    /// Leases that nobody uses go back; those in use are renewed.
    fn review(&mut self, now: Tick) {
        while let Some(Reverse((due, at))) = self.reviews.peek().copied()
            && due <= now
        {
            self.reviews.pop();
            let lease = self.settings.lease;
            let entry = &mut self.keys[at];
            if entry.review_planned != due {
                continue;
            }
            entry.review_planned = Tick::MAX;
            if entry.lent_at(now) > 0 && entry.review > now {
                entry.review_planned = entry.review;
                self.reviews.push(Reverse((entry.review, at)));
            } else if entry.lent_at(now) > 0 {
                entry.is_returning = entry.used_at + lease / 2 < now;
                self.queue_calm(at);
            }
        }
    }

    /// Whether the answer can be one to the batch.
    fn is_sound(&self, answer: &Answer, batch: &Batch) -> bool {
        let is_possible = |(want, grant): (&Want, &Grant)| {
            grant.units <= want.need.saturating_add(want.extra)
                && grant.lease <= self.settings.lease
                && grant.left <= want.terms.capacity
        };
        let is_of = |(claim, waits): (&Claim, &Vec<Duration>)| claim.parts.len() == waits.len();
        answer.grants.len() == batch.wants.len()
            && answer.claims.len() == batch.claims.len()
            && batch.claims.iter().zip(&answer.claims).all(is_of)
            && (1..=NODES_MAX).contains(&answer.nodes)
            && batch.wants.iter().zip(&answer.grants).all(is_possible)
    }

    fn granted(
        &mut self,
        now: Tick,
        at: u32,
        landed: (Tick, u64),
        want: &Want,
        grant: &Grant,
        settled: &mut Settled,
    ) {
        let (nodes, number) = (self.link.nodes, self.link.number());
        let mut passes = Vec::new();
        let entry = &mut self.keys[at];
        let settle = &mut |ticket, allowed| passes.push((ticket, allowed));
        entry.granted(now, landed, want, grant, settle);
        let used = entry.used(want, landed.0 + self.settings.timeout / 2);
        self.waiting[Standing::of(at) as usize] -= passes.len();
        for (ticket, allowed) in passes {
            let wait = if allowed { Duration::ZERO } else { grant.wait };
            if allowed {
                entry.track(now, want.each, nodes);
            }
            let decision = entry.decision(now, allowed, wait);
            settled.push((
                ticket,
                Verdict {
                    decision,
                    is_share: false,
                    at: now,
                    number,
                    used: if allowed { used } else { Used::Nothing },
                },
            ));
        }
        if entry.review_planned == Tick::MAX && entry.lent_at(now) > 0 {
            entry.review_planned = entry.review;
            self.reviews.push(Reverse((entry.review, at)));
        }
        self.queue_again(at);
    }

    /// Who came while the batch was on its way is next.
    fn queue_again(&mut self, at: u32) {
        let entry = &mut self.keys[at];
        if entry.is_queued || (entry.waiting.is_empty() && !entry.owes_word()) {
            return;
        }
        entry.is_queued = true;
        match entry.waiting.is_empty() {
            true => self.lines.push_calm(at),
            false => self.lines.push_urgent(at),
        }
    }

    /// The store is away: whoever waits for it is decided by the node's own share.
    fn fail(&mut self, now: Tick, flight: &Flight, settled: &mut Settled) {
        self.view.failures += 1;
        self.link.is_ill(now);
        for (at, want) in flight.places.iter().zip(&flight.batch.wants) {
            self.keys[*at].lost(want);
            self.settle_alone(now, *at, settled);
            self.queue_again(*at);
        }
        for at in self.lines.drain_urgent() {
            self.settle_alone(now, at, settled);
            self.keys[at].is_queued = false;
            self.queue_again(at);
        }
        self.settle_claims_alone(now, settled);
    }

    fn settle_alone(&mut self, now: Tick, at: u32, settled: &mut Settled) {
        let entry = &mut self.keys[at];
        let asked = std::mem::take(&mut entry.asked);
        let waiting = std::mem::take(&mut entry.waiting);
        self.waiting[Standing::of(at) as usize] -= asked.len() + waiting.len();
        for (ticket, cost) in asked.into_iter().chain(waiting) {
            settled.push((ticket, self.alone(now, at, cost)));
        }
    }

    /// Decides by the node's own share, and remembers what to tell the store.
    fn alone(&mut self, now: Tick, at: u32, cost: u64) -> Verdict {
        self.view.alone += 1;
        let nodes = self.link.nodes;
        let entry: &mut Entry = &mut self.keys[at];
        let (decision, used) = entry.take_share(now, cost, nodes);
        if decision.allowed {
            entry.spend(cost);
            self.queue_calm(at);
        }
        self.of_share(now, decision, used)
    }

    /// Decides for a key that finds no place. Among keys that the store counts there soon is one while
    /// it answers, so nothing passes that it does not see; else a coarse counter decides.
    fn without_place(&mut self, now: Tick, ask: &Ask<'_>) -> Verdict {
        self.keys.count_overflow(ask);
        if !self.link.is_away() && ask.sharing != Sharing::Local {
            return self.verdict(now, refused(self.settings.spacing), Used::Nothing);
        }
        let share = ask.quota.divided(self.link.nodes);
        let decision = self.keys.share_of_all(now, ask, &share);
        self.of_share(now, decision, Used::Nothing)
    }

    fn of_share(&self, now: Tick, decision: Decision, used: Used) -> Verdict {
        Verdict {
            is_share: true,
            ..self.verdict(now, decision, used)
        }
    }

    fn verdict(&self, now: Tick, decision: Decision, used: Used) -> Verdict {
        Verdict {
            decision,
            is_share: false,
            at: now,
            number: self.link.number(),
            used,
        }
    }
}

/// What a counter would say, and what is left in it before.
fn peek(counter: &Counter, now: Tick, quota: &Quota, cost: u64) -> Decision {
    let before = counter.peek(now, quota, 0, Duration::ZERO);
    let then = counter.peek(now, quota, cost, Duration::ZERO);
    Decision {
        allowed: then.allowed,
        wait: then.wait(),
        ..quota.describe(&before)
    }
}

fn refused(wait: Duration) -> Decision {
    Decision {
        allowed: false,
        remaining: 0,
        reset_in: wait,
        wait,
    }
}

/// No store has seen more nodes than this.
const NODES_MAX: u32 = 100_000;
