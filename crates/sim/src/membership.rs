//! Clusters of members in the world.
//!
//! A [`Peer`] is a [`Membership`] with a name and an address; a [`Cluster`] is many of them that
//! begin with a seed, as a real one does. What a peer saw of the others it keeps as [`Sighting`]s,
//! by its own clock and by name, which is what checkers and experiments look at.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use watertight_base::{NodeId, Tick};
use watertight_heartbeat::{Effect, Event, Life, Membership, MembershipSpec};

use crate::{Address, Network, Node, Outbox, World};

/// A member in the world.
#[derive(Debug)]
pub struct Peer {
    /// What it would find on its disk: who it is, and how often it has started.
    spec: MembershipSpec,
    membership: Option<Membership>,
    /// The earliest timer that is set.
    scheduled: Tick,
    effects: Vec<Effect>,
    /// What it saw.
    pub sightings: Vec<Sighting>,
}

/// An event that a member reported, and when by its own clock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// When.
    pub at: Tick,
    /// What.
    pub event: Event,
}

/// A datagram, of which the trace shows length and hash.
#[derive(Clone, Eq, PartialEq)]
pub struct Datagram(pub Vec<u8>);

/// A cluster whose first member is everybody's seed.
#[derive(Debug)]
pub struct Cluster {
    /// The world it lives in.
    pub world: World<Peer>,
    /// Its members.
    pub members: Vec<Address>,
}

impl Cluster {
    /// So many members, named by their place; `edit` may change what is special about one.
    ///
    /// # Panics
    /// If `edit` makes a number leave its range.
    pub fn new(
        seed: u64,
        size: usize,
        network: Network,
        edit: impl Fn(usize, &mut MembershipSpec),
    ) -> Self {
        let mut world = World::new(seed, network);
        world.keep_trace(0);
        world.limit_events(u64::MAX);
        let mut members = Vec::with_capacity(size);
        for place in 0..size {
            let chance = crate::chance::stream(seed, "member", place as u64).u64(..);
            let mut spec = MembershipSpec::new(name(place), socket(place), 0, chance);
            spec.seeds = vec![socket(0)];
            edit(place, &mut spec);
            assert_eq!(spec.check(), Ok(()));
            members.push(world.add(Peer::new(spec)));
        }
        Self { world, members }
    }

    /// Runs until all who are up have the same table, or until `end`; whether they have.
    pub fn converge(&mut self, end: Tick) -> bool {
        loop {
            let views: Vec<(usize, u64)> = self.up().map(Peer::table).collect();
            let whole = (self.members.len(), views.first().map_or(0, |view| view.1));
            if views.len() == self.members.len() && views.iter().all(|view| *view == whole) {
                return true;
            }
            if self.world.now() >= end {
                return false;
            }
            self.world.run_for(Duration::from_millis(500));
        }
    }

    /// Those that are up.
    pub fn up(&self) -> impl Iterator<Item = &Peer> {
        let is_up = |(address, _): &(Address, &Peer)| self.world.is_up(*address);
        self.world.nodes().filter(is_up).map(|(_, peer)| peer)
    }

    /// How many who are up, and are not it, hold the member for one of these.
    pub fn held(&self, member: usize, lives: &[Life]) -> usize {
        let id = name(member);
        let others = self.up().filter(|peer| peer.spec.id != id);
        others
            .filter(|peer| peer.life(&id).is_some_and(|life| lives.contains(&life)))
            .count()
    }
}

impl Peer {
    fn new(spec: MembershipSpec) -> Self {
        Self {
            spec,
            membership: None,
            scheduled: Tick::MAX,
            effects: Vec::new(),
            sightings: Vec::new(),
        }
    }

    /// Its state, while it is up.
    pub fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    /// What it holds another for.
    pub fn life(&self, id: &NodeId) -> Option<Life> {
        self.membership()?.life(id)
    }

    /// How many members are present for it, and the digest of them.
    fn table(&self) -> (usize, u64) {
        let view = self
            .membership()
            .map(|membership| membership.view(Tick::ZERO));
        view.map_or((0, 0), |view| (view.present, view.digest))
    }

    fn act(&mut self, now: Tick, out: &mut Outbox<Self>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, datagram } => match place(to) {
                    Some(to) => out.send(to, Datagram(datagram)),
                    None => out.note(format_args!("no such address: {to}")),
                },
                Effect::Event(event) => self.sightings.push(Sighting { at: now, event }),
            }
        }
        let due = self
            .membership
            .as_ref()
            .map_or(Tick::MAX, Membership::next_wakeup);
        if due < self.scheduled {
            self.scheduled = due;
            out.at(due, ());
        }
    }
}

impl Node for Peer {
    type Message = Datagram;
    type Timer = ();

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>) {
        self.spec.generation += 1;
        self.scheduled = Tick::MAX;
        self.membership = Membership::new(self.spec.clone(), now).ok();
        self.act(now, out);
    }

    fn on_message(&mut self, now: Tick, from: Address, message: Datagram, out: &mut Outbox<Self>) {
        let from = from.place().map_or_else(|| socket(usize::MAX), socket);
        if let Some(membership) = &mut self.membership {
            membership.on_datagram(now, from, &message.0, &mut self.effects);
        }
        self.act(now, out);
    }

    fn on_timer(&mut self, now: Tick, (): (), out: &mut Outbox<Self>) {
        if now >= self.scheduled {
            self.scheduled = Tick::MAX;
        }
        if let Some(membership) = &mut self.membership
            && now >= membership.next_wakeup()
        {
            membership.on_tick(now, &mut self.effects);
        }
        self.act(now, out);
    }

    fn on_crash(&mut self) {
        self.membership = None;
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('#')?;
        write!(f, "{} {:x}", self.0.len(), crate::trace::fnv1a(0, &self.0))
    }
}

/// The name of the member of that place.
///
/// # Panics
/// Never: the name is one.
pub fn name(place: usize) -> NodeId {
    format!("n{place}")
        .parse()
        .unwrap_or_else(|_| unreachable!("a letter and digits are a name"))
}

/// Where the member of that place is reached: 10.0.0.0 and on, port 7946.
fn socket(place: usize) -> SocketAddr {
    let place = u32::try_from(place).unwrap_or(u32::MAX >> 8);
    SocketAddr::from((
        Ipv4Addr::from_bits((10 << 24) | (place & 0x00ff_ffff)),
        7946,
    ))
}

fn place(address: SocketAddr) -> Option<Address> {
    match address {
        SocketAddr::V4(address) => {
            let place = address.ip().to_bits() & 0x00ff_ffff;
            usize::try_from(place).ok().map(Address::at)
        }
        SocketAddr::V6(_) => None,
    }
}
