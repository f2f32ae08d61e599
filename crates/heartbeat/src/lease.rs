//! Who leads: a lease with a fencing token, in a store that swaps a record by its version.
//!
//! One of many may do a thing at a time: lead, own a shard, move a tenant. A lease says who, for how
//! long, and which number this term of it has, the [`Token`].
//!
//! **What is decided here.**
//! - Only our own clock counts. Nothing in the record is a time of day, and no two clocks are ever
//!   compared. Who wants the lease notes when it *first saw* a version of the record, and the lease
//!   is over for it when that version has stood for as long as the record says: so do the leader
//!   elections of Kubernetes (client-go, `tools/leaderelection`: `observedTime`).
//! - Who holds it counts from *before* it sent the renewal that then succeeded, for the time to live
//!   less a margin for clocks that run unequally (Gray and Cheriton, *Leases*, SOSP 1989). After
//!   that it has [lost](Event::Lost) the term, and no answer that comes late brings that term back.
//! - Each term has a token one above the last. A token outlives its holder: leaving keeps it in the
//!   record. Whatever the lease guards has a [`Fence`], which refuses what is older than what it has
//!   seen: a clock cannot be trusted by those who were frozen, a number can.
//! - An order to the store may be lost, or its answer. It is given up after a while, and the record
//!   is read again before anything else is sent. A record that turns out to be ours is claimed
//!   anew, with the next token.
//! - A record that cannot be read is nobody's to take: it is reported, and looked at again.
//!
//! **Laws.**
//! 1. At no point in time do two hold it, as each sees it by its own clock, as long as no clock runs
//!    faster than another by more than 1 / (1 − margin): 10 % allows for 1.11. A process that is
//!    frozen between asking and acting cannot notice that its time has passed; it asked in time, and
//!    what it does late is up to the fence.
//! 2. Tokens only grow, and no two terms have the same one, whatever clocks do. Nothing here removes
//!    the record; if somebody does, those who have read it go on from its token.
//! 3. A term that was lost does not come back.
//! 4. A fence that has seen a token admits no older one.
//! 5. When nothing fails any more, somebody holds it within twice the time to live.
//!
//! The store is the shell's: it carries out what [`Effect`]s say, one order at a time, and hands in
//! the answers. `watertight-cluster` has such a shell.
//!
//! ```
//! use std::time::Duration;
//! use watertight_base::Tick;
//! use watertight_heartbeat::lease::{Answer, Effect, Lease, Spec};
//!
//! let spec = Spec::new("n1".parse()?, "shard 7", Duration::from_secs(15));
//! let (mut lease, mut effects) = (Lease::new(spec, 1, Tick::ZERO)?, Vec::new());
//! lease.on_tick(Tick::ZERO, &mut effects);
//! assert_eq!(effects.remove(0), Effect::Read { number: 1 });
//! lease.on_answer(Tick::ZERO, 1, &Answer::Found(None), &mut effects);
//! assert!(matches!(effects[..], [Effect::Swap { number: 2, expected: None, .. }]));
//! lease.on_answer(Tick::ZERO, 2, &Answer::Swapped { version: 1 }, &mut effects);
//! assert!(lease.holds(Tick::ZERO + Duration::from_secs(13)).is_some());
//! assert!(lease.holds(Tick::ZERO + Duration::from_secs(14)).is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fence;
mod record;
mod spec;
#[cfg(test)]
mod tests;
mod view;

use watertight_base::{NodeId, Tick};

use crate::Error;

pub use self::{
    fence::{Fence, Stale},
    record::{Record, Token},
    spec::Spec,
    view::{Counts, Standing, View},
};

/// One contender's part in a lease: what it knows of the record, and whether it holds it.
#[derive(Debug)]
pub struct Lease {
    spec: Spec,
    process: u64,
    stage: Stage,
    /// The newest state of the record that we know of.
    seen: Option<Seen>,
    /// Whether nothing that we sent may have changed it since.
    is_sure: bool,
    held: Option<Held>,
    order: Option<Order>,
    number: u64,
    /// When the record is to be read, unless there is something better to do.
    look: Tick,
    /// The highest token that we know of, also when somebody removes the record.
    highest: Token,
    /// Whether we ever tried to take it.
    has_claimed: bool,
    counts: Counts,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// The record is to be read.
    Read {
        /// The order's number: its answer has the same.
        number: u64,
    },
    /// The record is to be replaced, if it still has this version.
    Swap {
        /// The order's number: its answer has the same.
        number: u64,
        /// The version that it must have; none if it must not exist.
        expected: Option<u64>,
        /// What it then is.
        value: Vec<u8>,
    },
    /// Something has changed that others may care for.
    Event(Event),
}

/// What the store says to an order. A record is its version, and what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<'a> {
    /// What was read; none if there is no such record.
    Found(Option<(u64, &'a [u8])>),
    /// The record is now what we wanted it to be.
    Swapped {
        /// The version that it now has.
        version: u64,
    },
    /// It had another version; this is what there is.
    Conflict(Option<(u64, &'a [u8])>),
    /// No answer, or an error: what was ordered may have been done or not.
    Failed,
}

/// What has changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// We hold it, in a term of this token.
    Held {
        /// Which.
        token: Token,
    },
    /// The term is over: nothing more may be done in its name.
    Lost {
        /// Which term.
        token: Token,
        /// Why.
        why: Loss,
    },
    /// The record names another holder or term than before.
    Seen {
        /// Whom; none when it was given back.
        holder: Option<NodeId>,
        /// The term.
        token: Token,
    },
    /// The record is not one of a lease. Nobody can take it until somebody looks at it.
    Unreadable {
        /// Its version.
        version: u64,
    },
    /// We have left: what we held is given back, or ends by itself.
    Released,
}

/// Why a term ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// It was not renewed in time.
    Expired,
    /// The record is somebody else's, or gone.
    Taken,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Contending,
    /// It goes, and gives back what it holds; after this it is gone in any case.
    Leaving(Tick),
    Left,
}

#[derive(Debug)]
struct Seen {
    /// None while there is no record.
    version: Option<u64>,
    /// When we first saw this version.
    first: Tick,
    /// None if there is no record, or none that can be read.
    record: Option<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    token: Token,
    /// From here on it is lost.
    until: Tick,
    renew: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    number: u64,
    kind: Kind,
    sent: Tick,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Claim(Token),
    Renew(Token),
    Release(Token),
}

impl Lease {
    /// A contender that will read the record when it is first woken. `process` tells this process
    /// from all others, also from an earlier one of the same node: it is drawn at random.
    ///
    /// # Errors
    /// As [`Spec::check`].
    pub fn new(spec: Spec, process: u64, now: Tick) -> Result<Self, Error> {
        spec.check()?;
        Ok(Self {
            spec,
            process,
            stage: Stage::Contending,
            seen: None,
            is_sure: false,
            held: None,
            order: None,
            number: 0,
            look: now,
            highest: Token::NONE,
            has_claimed: false,
            counts: Counts::default(),
        })
    }

    /// Whether it is ours now, and in which term. To be asked right before each action; the token
    /// goes with the action.
    pub fn holds(&self, now: Tick) -> Option<Token> {
        let held = self.held.filter(|held| now < held.until)?;
        Some(held.token)
    }

    /// An answer to the order of that number. One that was given up is not listened to.
    pub fn on_answer(
        &mut self,
        now: Tick,
        number: u64,
        answer: &Answer<'_>,
        effects: &mut Vec<Effect>,
    ) {
        self.expire(now, effects);
        let Some(order) = self.order.take_if(|order| order.number == number) else {
            self.counts.late += 1;
            return;
        };
        match (answer, order.kind) {
            (Answer::Found(found), Kind::Read) => self.learn(now, *found, effects),
            (Answer::Conflict(found), Kind::Claim(_) | Kind::Renew(_) | Kind::Release(_)) => {
                self.counts.conflicts += 1;
                self.learn(now, *found, effects);
            }
            (Answer::Swapped { version }, Kind::Claim(token) | Kind::Renew(token)) => {
                let record = self.record(token, true);
                self.see(now, Some(*version), Some(record), effects);
                self.hold(now, order, token, effects);
            }
            (Answer::Swapped { .. }, Kind::Release(_)) => self.end(effects),
            _ => self.unanswered(now),
        }
        self.proceed(now, effects);
    }

    /// It is time, or later: see [`next_wakeup`](Self::next_wakeup).
    pub fn on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.expire(now, effects);
        let timeout = self.spec.timeout;
        let overdue = self.order.take_if(|order| now >= order.sent + timeout);
        if overdue.is_some() {
            self.unanswered(now);
        }
        self.proceed(now, effects);
    }

    /// When [`on_tick`](Self::on_tick) is due.
    pub fn next_wakeup(&self) -> Tick {
        let due = match (self.stage, &self.order) {
            (Stage::Left, _) => return Tick::MAX,
            (_, Some(order)) => order.sent + self.spec.timeout,
            (Stage::Contending, None) => match self.held {
                _ if !self.is_sure => self.look,
                Some(held) => held.renew,
                None => self.look.min(self.free_at()),
            },
            (Stage::Leaving(_), None) => self.look,
        };
        let ends = match self.stage {
            Stage::Leaving(until) => until,
            _ => self.held.map_or(Tick::MAX, |held| held.until),
        };
        due.min(ends)
    }

    /// Leaves: holds it no more from now on, gives it back, and does not take it again. Whoever
    /// acts in its name must have ended before.
    pub fn release(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if !matches!(self.stage, Stage::Contending) {
            return;
        }
        self.expire(now, effects);
        self.held = None;
        self.stage = Stage::Leaving(now + self.spec.ttl);
        self.order.take_if(|order| matches!(order.kind, Kind::Read));
        if !self.has_claimed {
            self.end(effects);
        }
        self.proceed(now, effects);
    }

    /// Whether it has left, and needs no waking any more.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Left)
    }

    /// The term has come to its end, if it has.
    fn expire(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if self.held.is_some_and(|held| now >= held.until) {
            self.lose(Loss::Expired, effects);
        }
    }

    fn lose(&mut self, why: Loss, effects: &mut Vec<Effect>) {
        if let Some(Held { token, .. }) = self.held.take() {
            self.counts.lost += 1;
            effects.push(Effect::Event(Event::Lost { token, why }));
        }
    }

    /// A claim or a renewal has succeeded.
    fn hold(&mut self, now: Tick, order: Order, token: Token, effects: &mut Vec<Effect>) {
        let held = Held {
            token,
            until: order.sent + self.spec.valid(),
            renew: order.sent + self.spec.renew_after(),
        };
        match (order.kind, self.held) {
            (Kind::Renew(_), Some(_)) => self.held = Some(held),
            // What was lost meanwhile stays lost, and an answer that took too long gives nothing.
            (Kind::Claim(_), None)
                if now < held.until && matches!(self.stage, Stage::Contending) =>
            {
                self.held = Some(held);
                self.counts.held += 1;
                effects.push(Effect::Event(Event::Held { token }));
            }
            _ => {}
        }
    }

    /// What there is was told, by a reading or a conflict.
    fn learn(&mut self, now: Tick, found: Option<(u64, &[u8])>, effects: &mut Vec<Effect>) {
        let version = found.map(|(version, _)| version);
        if self
            .seen
            .as_ref()
            .is_none_or(|seen| seen.version != version)
        {
            let record = found.and_then(|(_, bytes)| Record::decode(bytes));
            self.see(now, version, record, effects);
        }
        self.is_sure = true;
        self.look = now + self.spec.renew_after();
        let Some(Held { token, .. }) = self.held else {
            return;
        };
        match self.ours() {
            // Our answer was lost, or has still to come: the version is known now, its age is not.
            Some(record) if record.token == token => {
                self.held = self.held.map(|held| Held { renew: now, ..held });
            }
            _ => self.lose(Loss::Taken, effects),
        }
    }

    /// The record is now this.
    fn see(
        &mut self,
        now: Tick,
        version: Option<u64>,
        record: Option<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let names = |record: &Record| (record.holder.clone(), record.token);
        let before = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        match (&record, version) {
            (Some(record), _) if before.map(names) != Some(names(record)) => {
                let (holder, token) = names(record);
                effects.push(Effect::Event(Event::Seen { holder, token }));
            }
            (None, Some(version)) => effects.push(Effect::Event(Event::Unreadable { version })),
            _ => {}
        }
        let token = record.as_ref().map_or(Token::NONE, |record| record.token);
        self.highest = self.highest.max(token);
        self.is_sure = true;
        self.look = now + self.spec.renew_after();
        self.seen = Some(Seen {
            version,
            first: now,
            record,
        });
    }

    /// What we sent may be on its way, done, or lost.
    fn unanswered(&mut self, now: Tick) {
        self.counts.unanswered += 1;
        self.is_sure = false;
        self.look = now + self.spec.pause();
    }

    /// The record, while it names this very process.
    fn ours(&self) -> Option<&Record> {
        let record = self.seen.as_ref()?.record.as_ref()?;
        (record.holder.is_some() && record.process == self.process).then_some(record)
    }

    /// From when on it may be claimed, as far as we know.
    fn free_at(&self) -> Tick {
        let Some(seen) = &self.seen else {
            return Tick::MAX;
        };
        match &seen.record {
            None if seen.version.is_some() => Tick::MAX,
            None => seen.first,
            Some(record) if record.holder.is_none() || self.ours().is_some() => seen.first,
            Some(record) => seen.first + record.ttl,
        }
    }

    /// Sends the next order, if none is under way and it is time for one.
    fn proceed(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if let Stage::Leaving(until) = self.stage
            && now >= until
        {
            self.end(effects);
        }
        if self.order.is_some() || self.is_over() {
            return;
        }
        if !self.is_sure {
            if now >= self.look {
                self.send(now, Kind::Read, effects);
            }
            return;
        }
        match (self.stage, self.held) {
            (Stage::Contending, Some(held)) if now >= held.renew => {
                self.send(now, Kind::Renew(held.token), effects);
            }
            (Stage::Contending, None) if now >= self.free_at() => {
                self.send(now, Kind::Claim(self.highest.next()), effects);
            }
            (Stage::Contending, None) if now >= self.look => self.send(now, Kind::Read, effects),
            (Stage::Contending, _) | (Stage::Left, _) => {}
            (Stage::Leaving(_), _) => match self.ours().map(|record| record.token) {
                Some(token) => self.send(now, Kind::Release(token), effects),
                None => self.end(effects),
            },
        }
    }

    fn send(&mut self, now: Tick, kind: Kind, effects: &mut Vec<Effect>) {
        self.number += 1;
        let number = self.number;
        self.order = Some(Order {
            number,
            kind,
            sent: now,
        });
        let (token, stays) = match kind {
            Kind::Read => {
                self.counts.reads += 1;
                effects.push(Effect::Read { number });
                return;
            }
            Kind::Claim(token) | Kind::Renew(token) => (token, true),
            Kind::Release(token) => (token, false),
        };
        self.counts.swaps += 1;
        self.has_claimed = true;
        self.highest = self.highest.max(token);
        effects.push(Effect::Swap {
            number,
            expected: self.seen.as_ref().and_then(|seen| seen.version),
            value: self.record(token, stays).encode(),
        });
    }

    fn record(&self, token: Token, stays: bool) -> Record {
        Record {
            holder: stays.then(|| self.spec.id.clone()),
            token,
            ttl: self.spec.ttl,
            process: self.process,
            guards: self.spec.guards.clone(),
        }
    }

    fn end(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_over() {
            self.stage = Stage::Left;
            self.order = None;
            effects.push(Effect::Event(Event::Released));
        }
    }
}
