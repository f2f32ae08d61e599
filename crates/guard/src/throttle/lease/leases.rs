//! A node's side: its leases, who waits for the store, and what to do without it.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use watertight_base::Tick;

use super::{
    super::{Counter, Decision, Occupancy, Quota, Step},
    Answer, Batch, Grant, Known, Source, Undo, Want,
    entry::Entry,
    keys::Keys,
    lines::Lines,
    link::{Flight, Link},
};

/// What leases go by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long the store may take to answer. Default 50 ms.
    pub timeout: Duration,
    /// How long a lease lives. Default 5 s.
    pub lease: Duration,
    /// The time between batches, if the store was asked that lately. Default 10 ms; after 64
    /// decisions the next may leave after 1 ms.
    pub spacing: Duration,
    /// How many nodes there are while the store has not said. Default 1.
    pub nodes: u32,
    /// The most keys to know at once that are proven, and as many that anybody can invent. Default
    /// 65,536. Keys of which the configuration names all have each a place.
    pub keys: usize,
    /// The most requests that wait for the store at once, of keys of one standing. Default 16,384.
    pub waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(50),
            lease: Duration::from_secs(5),
            spacing: Duration::from_millis(10),
            nodes: 1,
            keys: 65_536,
            waiting: 16_384,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who shares the limit, and which it is: the same on all nodes, and no other key's.
    pub name: &'a str,
    /// How it counts. All nodes should agree; while they do not, each is granted by its own.
    pub quota: &'a Quota,
    /// What it asks for, in units.
    pub cost: u64,
    /// How nodes count together.
    pub sharing: Sharing,
    /// Who can bring the key into being: always the same for a key.
    pub standing: Standing,
}

/// Who can bring a key into being, and so whose place it may take.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Standing {
    /// Whoever wrote the configuration: it names all that is in the key. Such a key keeps its place
    /// as long as anything of it counts.
    #[default]
    Named,
    /// Whoever proved it, but is not listed: say, a user whose token was checked.
    Proven,
    /// Anybody: an address, or a tenant's name that nobody listed.
    Anybody,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Named, Self::Proven, Self::Anybody];

    /// A word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Proven => "proven",
            Self::Anybody => "anybody",
        }
    }
}

/// How nodes count together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sharing {
    /// The store is asked for each request, and counts it when it grants it.
    Exact,
    /// The store hands out leases, taken from the limit beforehand.
    #[default]
    Leased,
    /// Each node keeps to its share of the limit; the store only says how many nodes there are.
    Local,
}

impl Sharing {
    /// The word in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Leased => "leased",
            Self::Local => "local",
        }
    }
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    /// Decided here and now.
    Now(Verdict),
    /// The store is asked; the ticket is settled when it has answered, or has not.
    Ask(Ticket),
}

/// A request that waits for the store.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether, and what is left. Of a lease, what is left is what was when the store last said.
    pub decision: Decision,
    /// Whether it was decided by this node's own share, because the store is away or is not to be
    /// asked.
    pub is_share: bool,
    /// When it was decided.
    pub at: Tick,
    /// The last batch that had left by then.
    number: u64,
    used: Used,
}

/// What was used for a request, so that it can be given back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Used {
    #[default]
    Nothing,
    /// Units of a lease, as of the last grant before they were used.
    Lent(Granted),
    /// Units that the store granted for it, and keeps for it until then; afterwards they count.
    Held { until: Tick, grant: Granted },
    /// Units that the store counted when it granted them.
    Counted(Granted),
    /// Units of the own share, which was that of one of so many nodes.
    Share { step: Step, nodes: u32 },
}

impl Verdict {
    /// For whoever asked a node that has ended.
    pub const REFUSED: Self = Self {
        decision: Decision {
            allowed: false,
            remaining: 0,
            reset_in: Duration::ZERO,
            wait: Duration::from_secs(1),
        },
        is_share: true,
        at: Tick::ZERO,
        number: 0,
        used: Used::Nothing,
    };
}

/// A grant, as an undo speaks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Granted {
    pub(super) at_us: u64,
    pub(super) mark: u64,
}

impl Granted {
    pub(super) const fn undo(self, units: u64) -> Undo {
        Undo {
            units,
            at_us: self.at_us,
            mark: self.mark,
        }
    }
}

/// How a node's leases are doing: counts since the start, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// Nodes alive, as the store said last.
    pub nodes: u32,
    /// Whether the store is away now.
    pub is_away: bool,
    /// Keys known now, and what their tables take, in the order of [`Standing::ALL`]. What
    /// overflowed are requests whose key found no place, or no room to wait.
    pub tables: [Occupancy; Standing::ALL.len()],
    /// Requests that wait for the store now.
    pub waiting: u64,
    /// Decisions.
    pub decisions: u64,
    /// Batches sent: round trips to the store.
    pub trips: u64,
    /// Decisions that had to wait for one.
    pub asked: u64,
    /// Decisions by the own share because the store was away.
    pub alone: u64,
    /// Units of leases that ended before they were used, as far as it was noticed.
    pub expired: u64,
    /// Batches that were given up, or answered by what was no answer.
    pub failures: u64,
    /// Answers that came after their batch was given up, or twice.
    pub late: u64,
}

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
    /// Requests that wait, by the standing of their keys.
    waiting: [usize; Standing::ALL.len()],
    reviews: BinaryHeap<Reverse<(Tick, u32)>>,
    tickets: u64,
    /// The latest time that it was told.
    now: Tick,
    view: View,
}

/// Who was let in, and who was not.
pub type Settled = Vec<(Ticket, Verdict)>;

impl Leases {
    /// The leases of a node. `node` is a random number that tells this process from every other,
    /// and from this node's earlier lives.
    pub fn new(node: u64, settings: Settings) -> Self {
        Self {
            settings,
            keys: Keys::new(node, &settings),
            link: Link::new(node, settings),
            lines: Lines::default(),
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
        let now = self.advance(now);
        self.view.decisions += 1;
        self.link.decided();
        let (cost, is_away) = (ask.cost, self.link.is_away());
        let Some(at) = self.keys.place(now, ask, is_away, &self.settings) else {
            return Taken::Now(self.without_place(now, ask));
        };
        let nodes = self.link.nodes;
        let entry = &mut self.keys[at];
        entry.count(now, cost);
        self.view.expired += entry.expire(now);
        if ask.sharing == Sharing::Local {
            entry.is_local = true;
            let (decision, used) = entry.take_share(now, cost, nodes);
            return Taken::Now(self.of_share(now, decision, used));
        }
        if cost > entry.cost_max() {
            return Taken::Now(self.verdict(now, refused(Duration::MAX), Used::Nothing));
        }
        if entry.take_lent(now, cost, nodes) {
            let decision = entry.decision(now, true, Duration::ZERO);
            let used = Used::Lent(entry.granted);
            if entry.is_low(now, nodes, self.settings.lease) {
                self.queue_calm(at);
            }
            return Taken::Now(self.verdict(now, decision, used));
        }
        if let Some(wait) = entry.closed_for(now, cost) {
            let decision = entry.decision(now, false, wait);
            return Taken::Now(self.verdict(now, decision, Used::Nothing));
        }
        if self.link.is_away() {
            return Taken::Now(self.alone(now, at, cost));
        }
        if self.waiting[ask.standing as usize] >= self.settings.waiting {
            self.keys.count_overflow(ask.standing);
            return Taken::Now(self.verdict(now, refused(self.settings.spacing), Used::Nothing));
        }
        self.wait(at, cost)
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
            let full = self.keys.peek_share_of_all(now, ask, &share, is_away);
            let unused = || peek(&Counter::new(&share), now, &share, ask.cost);
            return is_alone.then(|| of_share(full.unwrap_or_else(unused)));
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
        let (mut wants, mut places) = (Vec::new(), Vec::new());
        let number = self.link.next_number();
        while !self.link.is_away() && wants.len() < Batch::WANTS_MAX {
            let Some(at) = self.lines.next(wants.len()) else {
                break;
            };
            let (nodes, lease) = (self.link.nodes, self.settings.lease);
            let entry = &mut self.keys[at];
            // A key stands in both lines when somebody came while it was to be renewed.
            if !entry.is_queued || !entry.is_free() {
                continue;
            }
            entry.is_queued = false;
            let want = entry.want(now, number, nodes, lease);
            if want.says_something() {
                places.push(at);
                wants.push(want);
            }
        }
        self.lines.is_pressed &= self.lines.has_urgent();
        if wants.is_empty() && self.link.due(false, false) > now {
            return None;
        }
        self.view.trips += 1;
        Some(self.link.send(now, wants, places))
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

    fn wait(&mut self, at: u32, cost: u64) -> Taken {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.view.asked += 1;
        self.waiting[Standing::of(at) as usize] += 1;
        let entry = &mut self.keys[at];
        entry.waiting.push_back((ticket, cost));
        self.lines.is_pressed |= entry.is_exact;
        self.queue_urgent(at);
        Taken::Ask(ticket)
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
        answer.grants.len() == batch.wants.len()
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
        let granted = entry.granted;
        let used = match want.is_exact {
            true => Used::Counted(granted),
            false => Used::Held {
                until: landed.0 + self.settings.timeout / 2,
                grant: granted,
            },
        };
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

    /// Decides for a key that finds no place. While the store answers there soon is one, so nothing
    /// passes that the store does not see; else a coarse counter decides.
    fn without_place(&mut self, now: Tick, ask: &Ask<'_>) -> Verdict {
        self.keys.count_overflow(ask.standing);
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
