//! Gateways that decide for the requests that reach them, and the store that they share.

use std::sync::Arc;
use std::time::Duration;

use watertight_base::{Rate, Tick};
use watertight_guard::throttle::lease::{
    Answer, Ask, Batch, Leases, Ledger, Settings, Settled, Sharing, Standing, Taken, Ticket,
    Verdict, View,
};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_sim::{Address, Network, Node, Outbox, World, sometimes};

/// What is planted for the checker to find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A gateway uses its leases for a minute, whatever the store knows.
    LeasesNeverEnd,
    /// An answer grants twice what it says.
    AnswerTwice,
    /// The store forgets what is out, so it drains while it is out.
    OutIsForgotten,
    /// Each gateway takes itself for the only one.
    AloneInTheWorld,
    /// The store charges of a claim what there is, though some of it is refused.
    ClaimsInPart,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Batch(Arc<Batch>),
    Answer(Answer),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    Load,
    Poll(Tick),
}

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) quota: Quota,
    pub(crate) sharing: Sharing,
    pub(crate) standing: Standing,
    /// Which other limits are asked with it, as one.
    pub(crate) with: Vec<usize>,
}

/// What reaches a gateway: in each step so many requests (in thousandths), each for the limit that
/// a draw falls on.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) limits: Arc<Vec<Limit>>,
    /// The upper end of each limit's part of all draws.
    pub(crate) draws: Arc<Vec<u64>>,
    pub(crate) per_step_milli: u64,
    pub(crate) step: Duration,
    /// Whether it comes in fits: nothing for a while, then little, then five times as much.
    pub(crate) is_fitful: bool,
}

/// One decision: which limit, whether it passed, and by whose word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) limit: usize,
    pub(crate) is_allowed: bool,
    pub(crate) is_share: bool,
}

/// A request: the limits that it asks, and what came of each. What was not asked refuses nothing.
#[derive(Debug)]
struct Request(Vec<(usize, Option<Taken>)>);

impl Request {
    fn settle(&mut self, ticket: Ticket, verdict: Verdict) -> bool {
        let waits = |taken: &Option<Taken>| *taken == Some(Taken::Ask(ticket));
        let part = self.0.iter_mut().find(|(_, taken)| waits(taken));
        part.is_some_and(|(_, taken)| taken.replace(Taken::Now(verdict)).is_some())
    }

    fn waits(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|(_, taken)| matches!(taken, Some(Taken::Ask(_))))
    }

    fn verdicts(&self) -> impl Iterator<Item = (usize, Verdict)> {
        self.0.iter().filter_map(|(limit, taken)| match taken {
            Some(Taken::Now(verdict)) => Some((*limit, *verdict)),
            _ => None,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Gateway {
    bug: Bug,
    settings: Settings,
    store: Address,
    load: Load,
    leases: Leases,
    waiting: Vec<Request>,
    /// Charged, and to be given back at this time, since something else will refuse it.
    held: Vec<(Tick, Request)>,
    owed_milli: u64,
    poll_at: Tick,
    batch: Option<Arc<Batch>>,
    /// How much of the load comes, in percent, and until when.
    fit: (u64, Tick),
    pub(crate) decided: Vec<Decided>,
}

#[derive(Debug)]
pub(crate) struct StoreNode {
    bug: Bug,
    ledger: Ledger,
}

#[derive(Debug)]
pub(crate) enum Party {
    Gateway(Box<Gateway>),
    Store(StoreNode),
}

impl Party {
    pub(crate) fn gateway(&self) -> Option<&Gateway> {
        match self {
            Self::Gateway(gateway) => Some(gateway),
            Self::Store(_) => None,
        }
    }
}

impl Node for Party {
    type Message = Message;
    type Timer = Timer;

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>) {
        if let Self::Gateway(gateway) = self {
            gateway.leases = Leases::new(out.rng().u64(1..1 << 40), gateway.settings);
            gateway.poll_at = Tick::MAX;
            out.after(gateway.load.step, Timer::Load);
            gateway.go_on(now, Vec::new(), out);
        }
    }

    fn on_message(&mut self, now: Tick, from: Address, message: Message, out: &mut Outbox<Self>) {
        match (self, message) {
            (Self::Gateway(gateway), Message::Answer(answer)) => gateway.answer(now, answer, out),
            (Self::Store(store), Message::Batch(batch)) => {
                if let Some(answer) = store.trade(now, &batch) {
                    out.send(from, Message::Answer(answer));
                }
            }
            (party, message) => panic!("{party:?} does not take {message:?}"),
        }
    }

    fn on_timer(&mut self, now: Tick, timer: Timer, out: &mut Outbox<Self>) {
        let Self::Gateway(gateway) = self else {
            panic!("stores have no timers")
        };
        match timer {
            Timer::Load => gateway.load(now, out),
            Timer::Poll(at) if at == gateway.poll_at => {
                gateway.poll_at = Tick::MAX;
                gateway.go_on(now, Vec::new(), out);
            }
            Timer::Poll(_) => {}
        }
    }

    fn on_crash(&mut self) {
        match self {
            Self::Gateway(gateway) => {
                gateway.waiting.clear();
                gateway.held.clear();
            }
            Self::Store(store) => store.ledger = Ledger::default(),
        }
    }
}

impl Gateway {
    pub(crate) fn view(&self) -> View {
        self.leases.view()
    }

    pub(crate) fn limits(&self) -> Arc<Vec<Limit>> {
        self.load.limits.clone()
    }

    fn load(&mut self, now: Tick, out: &mut Outbox<Party>) {
        out.after(self.load.step, Timer::Load);
        if self.load.is_fitful && now >= self.fit.1 {
            let percent = [0, 20, 20, 100, 500][usize::try_from(out.rng().u64(..5)).unwrap()];
            let span = Duration::from_millis(out.rng().u64(100..1_500));
            self.fit = (percent, now + span);
        }
        self.give_back(now);
        self.owed_milli += self.load.per_step_milli * self.fit.0 / 100;
        let expired = self.view().expired;
        while self.owed_milli >= 1_000 {
            self.owed_milli -= 1_000;
            let draw = out.rng().u64(..*self.load.draws.last().unwrap());
            let limit = self.load.draws.partition_point(|end| *end <= draw);
            let limits = self.load.limits.clone();
            let asked = std::iter::once(&limit).chain(&limits[limit].with);
            let asked: Vec<_> = asked.copied().collect();
            let asks: Vec<_> = asked.iter().map(|at| limits[*at].ask()).collect();
            let taken = match asks.as_slice() {
                [ask] => vec![Some(self.leases.take(now, ask))],
                asks => self.leases.take_all(now, asks),
            };
            let request = Request(asked.into_iter().zip(taken).collect());
            match request.waits() {
                true => self.waiting.push(request),
                false => self.finish(now, request, out),
            }
        }
        sometimes!(self.view().expired > expired, "a lease ends unused");
        self.go_on(now, Vec::new(), out);
    }

    /// One of eight that may pass is refused by something else, and gives back what it was charged.
    /// Half of these are refused at once, and half within 400 ms: by then the store may have been told
    /// that they used something.
    fn finish(&mut self, now: Tick, request: Request, out: &mut Outbox<Party>) {
        let refuses = |(_, verdict): (usize, Verdict)| !verdict.decision.allowed;
        let passes = !request.verdicts().any(refuses);
        if passes && out.rng().u64(..8) == 0 {
            sometimes!(true, "a charge is given back");
            let wait = Duration::from_millis(out.rng().u64(..400));
            let is_late = out.rng().u64(..2) == 0;
            let until = if is_late { now + wait } else { now };
            self.held.push((until, request));
            self.give_back(now);
            return;
        }
        for (limit, verdict) in request.verdicts() {
            sometimes!(verdict.is_share, "a share is used");
            self.decided.push(Decided {
                limit,
                is_allowed: passes,
                is_share: verdict.is_share,
            });
        }
        if !passes {
            sometimes!(request.0.len() > 1, "one of several limits refuses");
            self.held.push((now, request));
            self.give_back(now);
        }
    }

    fn give_back(&mut self, now: Tick) {
        let limits = self.load.limits.clone();
        for (_, request) in self.held.extract_if(.., |(until, _)| *until <= now) {
            for (limit, verdict) in request.verdicts() {
                self.leases.refund(now, &limits[limit].ask(), &verdict);
            }
        }
    }

    fn answer(&mut self, now: Tick, mut answer: Answer, out: &mut Outbox<Party>) {
        let mut settled = Vec::new();
        let wants = self.batch.iter().flat_map(|batch| &batch.wants);
        for (grant, want) in answer.grants.iter_mut().zip(wants) {
            if self.bug == Bug::AnswerTwice {
                grant.units = (grant.units * 2).min(want.need + want.extra);
            }
        }
        if self.bug == Bug::AloneInTheWorld {
            answer.nodes = 1;
        }
        let before = self.view();
        self.leases.on_answer(now, &answer, &mut settled);
        let after = self.view();
        sometimes!(before.is_away && !after.is_away, "the store is back");
        sometimes!(after.late > before.late, "an answer is late or comes twice");
        self.go_on(now, settled, out);
    }

    fn go_on(&mut self, now: Tick, mut settled: Settled, out: &mut Outbox<Party>) {
        let before = self.view();
        if let Some(batch) = self.leases.poll(now, &mut settled) {
            self.batch = Some(batch.clone());
            sometimes!(
                batch.wants.iter().any(|want| want.back > 0),
                "a lease is returned"
            );
            sometimes!(
                batch
                    .wants
                    .iter()
                    .any(|want| want.have > 0 && want.extra > 0),
                "a lease is renewed before it is used up"
            );
            sometimes!(
                batch.wants.iter().any(|want| want.spent > 0),
                "what was used alone is told"
            );
            out.send(self.store, Message::Batch(batch));
        }
        let is_away = self.view().is_away;
        sometimes!(!before.is_away && is_away, "the store is given up");
        for (ticket, verdict) in settled {
            let mut waiting = self.waiting.iter_mut();
            let at = waiting.position(|request| request.settle(ticket, verdict));
            if !self.waiting[at.unwrap()].waits() {
                let request = self.waiting.swap_remove(at.unwrap());
                self.finish(now, request, out);
            }
        }
        let wakeup = self.leases.next_wakeup().max(now + Duration::from_nanos(1));
        if wakeup < self.poll_at {
            self.poll_at = wakeup;
            out.at(wakeup, Timer::Poll(wakeup));
        }
    }
}

impl Limit {
    fn ask(&self) -> Ask<'_> {
        Ask {
            name: &self.name,
            limit: self.name.split('=').next().unwrap(),
            quota: &self.quota,
            cost: 1,
            sharing: self.sharing,
            standing: self.standing,
            binds: true,
        }
    }
}

impl StoreNode {
    fn trade(&mut self, now: Tick, batch: &Batch) -> Option<Answer> {
        let now_us = now.as_nanos() / 1_000;
        let mut taken = batch.clone();
        if self.bug == Bug::LeasesNeverEnd {
            taken.lease = Duration::from_secs(1);
        }
        if self.bug == Bug::OutIsForgotten {
            (taken.lease, taken.hold) = (Duration::ZERO, Duration::ZERO);
            taken.wants.iter_mut().for_each(|want| want.have = 0);
        }
        if self.bug == Bug::ClaimsInPart {
            let parts = taken.claims.iter_mut().flat_map(|claim| &mut claim.parts);
            parts.for_each(|part| part.binds = false);
        }
        let mut answer = self.ledger.trade(now_us, &taken);
        sometimes!(answer.is_none(), "a batch comes late or twice");
        if let Some(answer) = &mut answer {
            answer.number = batch.number;
            for (grant, want) in answer.grants.iter_mut().zip(&batch.wants) {
                sometimes!(
                    want.extra > 0 && grant.units > 0 && grant.left == 0,
                    "towards the end nothing is lent"
                );
                if matches!(self.bug, Bug::OutIsForgotten | Bug::LeasesNeverEnd) {
                    grant.lease = batch.lease;
                }
            }
        }
        answer
    }
}

/// A store and three gateways, and where they are: the store first.
pub(crate) fn world(
    seed: u64,
    network: Network,
    bug: Bug,
    loads: [Load; 3],
    settings: Settings,
) -> (World<Party>, Vec<Address>) {
    let mut world = World::new(seed, network);
    world.keep_trace(64);
    let store = world.add(Party::Store(StoreNode {
        bug,
        ledger: Ledger::default(),
    }));
    let gateways = loads.map(|load| {
        world.add(Party::Gateway(Box::new(Gateway {
            bug,
            settings,
            store,
            load,
            leases: Leases::new(0, settings),
            waiting: Vec::new(),
            held: Vec::new(),
            owed_milli: 0,
            poll_at: Tick::MAX,
            batch: None,
            fit: (100, Tick::ZERO),
            decided: Vec::new(),
        })))
    });
    let addresses = std::iter::once(store).chain(gateways).collect();
    (world, addresses)
}

pub(crate) fn quota(algorithm: Algorithm, limit: u64, period: Duration) -> Quota {
    Quota::new(algorithm, Rate::new(limit, period).unwrap()).unwrap()
}
