//! Our members in the world.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{Effect, Event, Membership, MembershipSpec};

use super::wire::{Cluster, Out};

pub(crate) struct Ours {
    members: Vec<Membership>,
    /// When each is woken next.
    due: Vec<Tick>,
    effects: Vec<Effect>,
}

impl Cluster for Ours {
    type Timer = ();

    fn new(members: usize, seed: u64) -> Self {
        let member = |place: usize| {
            let chance = seed << 32 | place as u64;
            let mut spec = MembershipSpec::new(name(place), address(place), 1, chance);
            spec.seeds = vec![address(0)];
            Membership::new(spec, Tick::ZERO).unwrap()
        };
        Self {
            members: (0..members).map(member).collect(),
            due: vec![Tick::MAX; members],
            effects: Vec::new(),
        }
    }

    /// They join by one seed.
    fn settle(members: usize) -> Duration {
        Duration::from_secs(if members >= 500 { 120 } else { 60 })
    }

    fn begin(&mut self, member: usize, now: Duration, out: &mut Out<()>) {
        self.carry(member, now, out);
    }

    fn datagram(
        &mut self,
        member: usize,
        from: usize,
        bytes: &[u8],
        now: Duration,
        out: &mut Out<()>,
    ) {
        let tick = Tick::ZERO + now;
        self.members[member].on_datagram(tick, address(from), bytes, &mut self.effects);
        self.carry(member, now, out);
    }

    fn wake(&mut self, member: usize, (): (), now: Duration, out: &mut Out<()>) {
        let tick = Tick::ZERO + now;
        // A timer that was set when more was due earlier.
        if tick < self.due[member] {
            return;
        }
        self.due[member] = Tick::MAX;
        self.members[member].on_tick(tick, &mut self.effects);
        self.carry(member, now, out);
    }
}

impl Ours {
    fn carry(&mut self, member: usize, now: Duration, out: &mut Out<()>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, datagram } => out.sent.push((place(to), datagram)),
                Effect::Event(Event::Dead { id, .. }) => out.lives.push((number(&id), false)),
                Effect::Event(Event::Returned(id) | Event::Joined(id)) => {
                    out.lives.push((number(&id), true));
                }
                Effect::Event(_) => {}
            }
        }
        let next = self.members[member].next_wakeup();
        if next < self.due[member] {
            self.due[member] = next;
            out.timers.push(((next - Tick::ZERO).max(now), ()));
        }
    }
}

fn name(place: usize) -> NodeId {
    format!("n{place}").parse().unwrap()
}

fn number(id: &NodeId) -> usize {
    id.as_str()[1..].parse().unwrap()
}

fn address(place: usize) -> SocketAddr {
    let [.., high, low] = (place + 1).to_be_bytes();
    (Ipv4Addr::new(10, 0, high, low), 7_946).into()
}

fn place(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        return usize::MAX;
    };
    let [_, _, high, low] = address.ip().octets();
    usize::from(u16::from_be_bytes([high, low])) - 1
}
