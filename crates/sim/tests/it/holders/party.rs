//! Contenders for one lease, the store of its record, and what it guards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watertight_base::Tick;
use watertight_heartbeat::lease::{Answer, Effect, Event, Fence, Lease, Loss, Record, Spec, Token};
use watertight_sim::{Address, Node, Outbox, sometimes};

pub(crate) const TTL: Duration = Duration::from_secs(3);

/// What is planted for the checker to find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// Who takes the lease writes down the token of the term before.
    TokenNotRaised,
    /// A holder counts its time from when it heard that it was renewed.
    CountedFromTheAnswer,
    /// What is guarded takes whatever comes.
    NoFence,
    /// A renewal whose success is heard after the loss brings the term back.
    RenewedAfterLoss,
}

type Stored = Option<(u64, Vec<u8>)>;

/// Which order of which life of a contender, as a connection would know.
type Order = (u64, u64);

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Read(Order),
    Swap(Order, Option<u64>, Vec<u8>),
    Found(Order, Stored),
    Swapped(Order, u64),
    Conflict(Order, Stored),
    /// Something is to be done in the name of a term.
    Act(Token),
    /// Whoever is told so leaves.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    Wake,
    /// It is time to do something, if we hold it.
    Decide,
    /// What was decided is done.
    Act(Token),
}

#[derive(Debug)]
pub(crate) enum Party {
    Contender(Box<Contender>),
    Store(Store),
    Guarded(Guarded),
}

/// All that it has it has on disk.
#[derive(Debug, Default)]
pub(crate) struct Store {
    record: Stored,
    /// Tokens as they were written, when one was below the one before.
    pub(crate) went_back: Option<(Token, Token)>,
}

/// Its fence is on disk beside its data.
#[derive(Debug)]
pub(crate) struct Guarded {
    bug: Bug,
    fence: Fence,
    /// The terms of what was done, in order.
    pub(crate) done: Vec<Token>,
}

#[derive(Debug)]
pub(crate) struct Contender {
    bug: Bug,
    spec: Spec,
    store: Address,
    guarded: Address,
    life: u64,
    lease: Option<Lease>,
    scheduled: Tick,
    /// What was sent in this life: the token, and when.
    sent: BTreeMap<u64, (Token, Tick)>,
    /// What a planted bug makes it believe, and until when.
    planted: Option<(Token, Tick)>,
    /// Terms that this process has lost.
    pub(crate) lost: BTreeSet<Token>,
    /// Terms that began here, over all lives.
    pub(crate) held: Vec<Token>,
}

impl Party {
    pub(crate) fn contender(bug: Bug, place: usize, store: Address, guarded: Address) -> Self {
        let id = format!("n{place}").parse().unwrap();
        Self::Contender(Box::new(Contender {
            bug,
            spec: Spec::new(id, "what it guards", TTL),
            store,
            guarded,
            life: 0,
            lease: None,
            scheduled: Tick::MAX,
            sent: BTreeMap::new(),
            planted: None,
            lost: BTreeSet::new(),
            held: Vec::new(),
        }))
    }

    pub(crate) fn store() -> Self {
        Self::Store(Store::default())
    }

    pub(crate) fn guarded(bug: Bug) -> Self {
        Self::Guarded(Guarded {
            bug,
            fence: Fence::default(),
            done: Vec::new(),
        })
    }

    pub(crate) fn as_contender(&self) -> Option<&Contender> {
        match self {
            Self::Contender(contender) => Some(contender),
            _ => None,
        }
    }
}

impl Store {
    fn on_message(&mut self, from: Address, message: Message, out: &mut Outbox<Party>) {
        let version = self.record.as_ref().map(|(version, _)| *version);
        let answer = match message {
            Message::Read(order) => Message::Found(order, self.record.clone()),
            Message::Swap(order, expected, value) if expected == version => {
                let (old, new) = (self.token(), Record::decode(&value));
                let version = version.unwrap_or(0) + 1;
                self.record = Some((version, value));
                let new = new.map_or(Token::NONE, |record| record.token);
                if new < old {
                    self.went_back = Some((old, new));
                }
                Message::Swapped(order, version)
            }
            Message::Swap(order, ..) => Message::Conflict(order, self.record.clone()),
            _ => return,
        };
        out.send(from, answer);
    }

    fn token(&self) -> Token {
        let record = self
            .record
            .as_ref()
            .and_then(|(_, value)| Record::decode(value));
        record.map_or(Token::NONE, |record| record.token)
    }
}

impl Contender {
    /// The term that it believes to hold when its clock shows this.
    pub(crate) fn believes(&self, now: Tick) -> Option<Token> {
        let planted = self.planted.filter(|(_, until)| now < *until);
        let held = self.lease.as_ref().and_then(|lease| lease.holds(now));
        held.or(planted.map(|(token, _)| token))
    }

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Party>) {
        self.life += 1;
        self.scheduled = Tick::MAX;
        let process = out.rng().u64(..);
        self.lease = Lease::new(self.spec.clone(), process, now).ok();
        self.act(now, Vec::new(), out);
        out.after(Duration::ZERO, Timer::Decide);
    }

    fn on_message(&mut self, now: Tick, message: Message, out: &mut Outbox<Party>) {
        let Some(lease) = &mut self.lease else { return };
        let mut effects = Vec::new();
        let order = match &message {
            Message::Found(order, _) | Message::Swapped(order, _) | Message::Conflict(order, _) => {
                *order
            }
            Message::Leave => (self.life, 0),
            _ => return,
        };
        if order.0 != self.life {
            return;
        }
        match &message {
            Message::Found(_, stored) => {
                lease.on_answer(now, order.1, &Answer::Found(lent(stored)), &mut effects);
            }
            Message::Conflict(_, stored) => {
                lease.on_answer(now, order.1, &Answer::Conflict(lent(stored)), &mut effects);
            }
            Message::Swapped(_, version) => {
                let version = *version;
                lease.on_answer(now, order.1, &Answer::Swapped { version }, &mut effects);
            }
            _ => lease.release(now, &mut effects),
        }
        self.act(now, effects, out);
        if matches!(message, Message::Swapped(..)) {
            self.plant(now, order.1);
        }
    }

    /// What a success makes a contender with a bug believe.
    fn plant(&mut self, now: Tick, number: u64) {
        let Some((token, sent)) = self.sent.get(&number).copied() else {
            return;
        };
        let valid = TTL - TTL / 10;
        let holds = self.lease.as_ref().and_then(|lease| lease.holds(now));
        match self.bug {
            Bug::CountedFromTheAnswer if holds == Some(token) => {
                self.planted = Some((token, now + valid));
            }
            Bug::RenewedAfterLoss if self.lost.contains(&token) => {
                self.planted = Some((token, sent + valid));
            }
            _ => {}
        }
    }

    fn act(&mut self, now: Tick, effects: Vec<Effect>, out: &mut Outbox<Party>) {
        for effect in effects {
            match effect {
                Effect::Read { number } => out.send(self.store, Message::Read((self.life, number))),
                Effect::Swap {
                    number,
                    expected,
                    value,
                } => {
                    let value = self.written(now, number, value);
                    out.send(
                        self.store,
                        Message::Swap((self.life, number), expected, value),
                    );
                }
                Effect::Event(Event::Held { token }) => {
                    sometimes!(token > Token::new(1), "the lease is taken over");
                    self.held.push(token);
                }
                Effect::Event(Event::Lost { token, why }) => {
                    sometimes!(why == Loss::Expired, "a term expires");
                    if self.believes(now).is_none() {
                        self.lost.insert(token);
                    }
                }
                Effect::Event(_) => {}
            }
        }
        let due = self.lease.as_ref().map_or(Tick::MAX, Lease::next_wakeup);
        if due < self.scheduled {
            self.scheduled = due;
            out.at(due, Timer::Wake);
        }
    }

    /// Notes what is sent, and falsifies it if that is the bug.
    fn written(&mut self, now: Tick, number: u64, value: Vec<u8>) -> Vec<u8> {
        let Some(mut record) = Record::decode(&value) else {
            return value;
        };
        self.sent.insert(number, (record.token, now));
        if self.bug == Bug::TokenNotRaised && record.token > Token::new(1) {
            record.token = Token::new(record.token.get() - 1);
        }
        record.encode()
    }

    fn on_timer(&mut self, now: Tick, timer: Timer, out: &mut Outbox<Party>) {
        let mut effects = Vec::new();
        match timer {
            Timer::Wake => {
                if now >= self.scheduled {
                    self.scheduled = Tick::MAX;
                }
                if let Some(lease) = self.lease.as_mut().filter(|it| now >= it.next_wakeup()) {
                    lease.on_tick(now, &mut effects);
                }
            }
            Timer::Decide => {
                self.decide(now, out);
                let pause = Duration::from_millis(out.rng().u64(20..200));
                out.after(pause, Timer::Decide);
            }
            Timer::Act(token) => {
                sometimes!(self.believes(now) != Some(token), "one acts after its term");
                out.send(self.guarded, Message::Act(token));
            }
        }
        self.act(now, effects, out);
    }

    /// It asks whether it holds the lease, and acts at once; or it is frozen in between, and cannot
    /// notice.
    fn decide(&mut self, now: Tick, out: &mut Outbox<Party>) {
        let Some(token) = self.believes(now) else {
            return;
        };
        match out.rng().u64(..8) {
            0 => {
                let frozen = Duration::from_millis(out.rng().u64(..6_000));
                out.after(frozen, Timer::Act(token));
            }
            _ => out.send(self.guarded, Message::Act(token)),
        }
    }
}

fn lent(stored: &Stored) -> Option<(u64, &[u8])> {
    let (version, value) = stored.as_ref()?;
    Some((*version, value))
}

impl Node for Party {
    type Message = Message;
    type Timer = Timer;

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>) {
        if let Self::Contender(contender) = self {
            contender.on_start(now, out);
        }
    }

    fn on_message(&mut self, now: Tick, from: Address, message: Message, out: &mut Outbox<Self>) {
        match (self, message) {
            (Self::Contender(contender), message) => contender.on_message(now, message, out),
            (Self::Store(store), message) => store.on_message(from, message, out),
            (Self::Guarded(guarded), Message::Act(token)) => {
                let is_stale = guarded.fence.admit(token).is_err();
                sometimes!(is_stale, "a late action is refused");
                if !is_stale || guarded.bug == Bug::NoFence {
                    guarded.done.push(token);
                }
            }
            (Self::Guarded(_), _) => {}
        }
    }

    fn on_timer(&mut self, now: Tick, timer: Timer, out: &mut Outbox<Self>) {
        if let Self::Contender(contender) = self {
            contender.on_timer(now, timer, out);
        }
    }

    fn on_crash(&mut self) {
        if let Self::Contender(contender) = self {
            contender.lease = None;
            contender.planted = None;
            contender.sent.clear();
            contender.lost.clear();
        }
    }
}
