//! Asking one member after the other whether it is there.
//!
//! A probe is a direct question; after `timeout`, a second one and a request to some others to try;
//! and a verdict at the end of the interval. Who hears badly takes all of it more slowly. A probe
//! during whose second half nothing at all was heard, not even the "no answer" of those asked to
//! help, tells nothing of whom it was sent to.

use std::{collections::VecDeque, net::SocketAddr};

use watertight_base::Tick;

use super::{Effect, Membership, table::Slot, wire::Message};
use crate::life::{Key, Life};

/// A question that is open.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    number: u32,
    slot: Slot,
    key: Key,
    /// When others are asked.
    asks: Tick,
    ends: Tick,
    /// When they were, and how many.
    asked: Option<(Tick, u32)>,
    nacks: u32,
}

/// What we ask for others.
#[derive(Clone, Debug, Default)]
pub(super) struct Relays {
    open: VecDeque<Relay>,
}

#[derive(Clone, Debug)]
struct Relay {
    number: u32,
    /// For whom, and its number.
    from: (SocketAddr, u32),
    nack_at: Tick,
}

impl Probe {
    pub(super) fn due(&self) -> Tick {
        match self.asked {
            None => self.asks,
            Some(_) => self.ends,
        }
    }
}

impl Relays {
    pub(super) fn due(&self) -> Tick {
        self.open.front().map_or(Tick::MAX, |relay| relay.nack_at)
    }
}

impl Membership {
    pub(super) fn probe_on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if self.has_left() {
            self.probe = None;
            self.next_probe = Tick::MAX;
            return;
        }
        if self.probe.as_ref().is_some_and(|probe| now >= probe.ends) {
            self.conclude(now, effects);
        }
        if self.probe.as_ref().is_some_and(|probe| now >= probe.due()) {
            self.ask_others(now, effects);
        }
        if self.probe.is_none() && now >= self.next_probe {
            self.begin_probe(now, effects);
        }
    }

    pub(super) fn on_ack(&mut self, now: Tick, number: u32, effects: &mut Vec<Effect>) {
        if self
            .probe
            .as_ref()
            .is_some_and(|probe| probe.number == number)
        {
            self.probe = None;
            self.next_probe = self.next_probe.max(now);
            self.awareness.better();
            return;
        }
        let open = &mut self.relays.open;
        if let Some(place) = open.iter().position(|relay| relay.number == number)
            && let Some(relay) = open.remove(place)
        {
            let (to, number) = relay.from;
            self.send(None, to, &Message::Ack { number }, effects);
        }
    }

    pub(super) fn on_nack(&mut self, number: u32) {
        if let Some(probe) = &mut self.probe
            && probe.number == number
        {
            probe.nacks += 1;
        }
    }

    pub(super) fn on_relay(
        &mut self,
        now: Tick,
        from: (SocketAddr, u32),
        (target, at): (Key, SocketAddr),
        effects: &mut Vec<Effect>,
    ) {
        let number = self.next_number();
        if self.relays.open.len() >= RELAYS_MAX {
            self.relays.open.pop_front();
            self.counts.relays_dropped += 1;
        }
        self.relays.open.push_back(Relay {
            number,
            from,
            nack_at: now + self.spec.timeout.mul_f64(NACK_AFTER),
        });
        let slot = self.table.find(target);
        self.send(slot, at, &Message::Ping { number, target }, effects);
    }

    pub(super) fn relays_on_tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        while self.relays.due() <= now
            && let Some(relay) = self.relays.open.pop_front()
        {
            if self.spec.lifeguard.probe {
                let (to, number) = relay.from;
                self.send(None, to, &Message::Nack { number }, effects);
            }
        }
    }

    fn begin_probe(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let interval = self.awareness.stretch(self.spec.interval);
        self.next_probe = now + interval;
        let Some(slot) = self.table.next_to_probe(&mut self.chance) else {
            return;
        };
        let number = self.next_number();
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let (key, address) = (member.key, member.address);
        self.probe = Some(Probe {
            number,
            slot,
            key,
            asks: now + self.awareness.stretch(self.spec.timeout),
            ends: now + interval,
            asked: None,
            nacks: 0,
        });
        let message = Message::Ping {
            number,
            target: key,
        };
        self.send(Some(slot), address, &message, effects);
    }

    fn ask_others(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Some(probe) = &self.probe else {
            return;
        };
        let (slot, number, target) = (probe.slot, probe.number, probe.key);
        let Some(at) = self.table.get(slot).map(|member| member.address) else {
            self.probe = None;
            return;
        };
        let is_helper = |member: &super::Member| member.key != target && member.life == Life::Alive;
        let helpers = self
            .table
            .some(self.spec.helpers, &mut self.chance, is_helper);
        let asked = u32::try_from(helpers.len()).unwrap_or(u32::MAX);
        if let Some(probe) = &mut self.probe {
            probe.asked = Some((now, asked));
        }
        for helper in helpers {
            if let Some(address) = self.table.get(helper).map(|member| member.address) {
                let message = Message::Relay { number, target, at };
                self.send(Some(helper), address, &message, effects);
            }
        }
        self.send(Some(slot), at, &Message::Ping { number, target }, effects);
    }

    /// There was no answer.
    fn conclude(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Some(probe) = self.probe.take() else {
            return;
        };
        let (since, asked) = probe.asked.unwrap_or((probe.asks, 0));
        self.awareness.worse(1 + asked.saturating_sub(probe.nacks));
        // Of two, the other's silence is all there is to hear.
        let hears = self.table.present() <= 2 || self.presence.heard_since(since);
        let is_same = self.table.find(probe.key) == Some(probe.slot);
        if is_same && hears && self.may_judge(now) {
            self.suspect(now, probe.slot, effects);
        } else {
            self.counts.inconclusive += 1;
        }
    }

    fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    pub(super) fn may_judge(&self, now: Tick) -> bool {
        match self.table.present() <= 2 {
            true => self.presence.is_settled(now),
            false => self.presence.judges(now),
        }
    }
}

/// Most requests of others at a time; the oldest gives way.
const RELAYS_MAX: usize = 256;
/// The part of the time-out after which one who asked is told that there is no answer, so that it
/// hears it in time.
const NACK_AFTER: f64 = 0.8;
