//! The world: who is in it, what happens next, and what comes of it.
//!
//! One event at a time, in the order of (time, faults first, sequence number). A node attends to
//! one thing at a time too: what reaches it while it is paused or busy waits in its inbox. So pause
//! and slowness are the same thing, a time until which the node is busy.

mod event;
mod host;

use std::fmt::{self, Debug};
use std::time::Duration;

use fastrand::Rng;
use watertight_base::Tick;

use self::event::{Event, Queue};
use self::host::{Host, Input};
use crate::chance::stream;
use crate::network::Fate;
use crate::outbox::Outbox;
use crate::{Fault, FaultPlan, Network, Trace};

/// A state machine in the world. Several kinds of nodes are one enum.
///
/// `now` is the node's own clock, which may differ from the world's and from other nodes'.
pub trait Node: Sized {
    /// What nodes send each other. Its `Debug` is in the trace.
    type Message: Clone + Debug;
    /// What a node is reminded of. Its `Debug` is in the trace.
    type Timer: Debug;

    /// The node starts: for the first time, or again after a crash.
    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>);
    /// A message has come.
    fn on_message(
        &mut self,
        now: Tick,
        from: Address,
        message: Self::Message,
        out: &mut Outbox<Self>,
    );
    /// A timer is due.
    fn on_timer(&mut self, now: Tick, timer: Self::Timer, out: &mut Outbox<Self>);
    /// The node dies: forget all but what would be found on its disk.
    fn on_crash(&mut self);
}

/// Where a node is to be reached. Given by [`World::add`], counting from 0.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address(usize);

impl Address {
    /// Whoever is not in the world, such as a client that a test plays.
    pub const OUTSIDE: Self = Self(usize::MAX);

    /// The address of the node that was added in that place.
    pub(crate) fn at(place: usize) -> Self {
        Self(place)
    }

    /// Its place in the order in which nodes were added, from 0; none for
    /// [`OUTSIDE`](Self::OUTSIDE).
    #[must_use]
    pub fn place(self) -> Option<usize> {
        (self != Self::OUTSIDE).then_some(self.0)
    }
}

/// Nodes, network, faults, and the clock that they share without knowing.
#[derive(Debug)]
pub struct World<N: Node> {
    seed: u64,
    now: Tick,
    hosts: Vec<Host<N>>,
    network: Network,
    queue: Queue<N>,
    rng: Rng,
    trace: Trace,
    events_max: u64,
}

impl<N: Node> World<N> {
    /// How many events a world lets happen by default.
    pub const EVENTS_DEFAULT: u64 = 50_000_000;

    /// A world without nodes, at [`Tick::ZERO`]. All chance in it follows from the seed.
    #[must_use]
    pub fn new(seed: u64, network: Network) -> Self {
        Self {
            seed,
            now: Tick::ZERO,
            hosts: Vec::new(),
            network,
            queue: Queue::default(),
            rng: stream(seed, "network", 0),
            trace: Trace::new(),
            events_max: Self::EVENTS_DEFAULT,
        }
    }

    /// Adds a node, which starts now.
    pub fn add(&mut self, node: N) -> Address {
        let address = Address(self.hosts.len());
        let number = u64::try_from(address.0).unwrap_or(u64::MAX);
        let outbox = Outbox::new(address, stream(self.seed, "node", number));
        self.hosts.push(Host::new(node, outbox));
        self.queue.push(self.now, Event::Start(address, 0));
        address
    }

    /// Lets the faults of the plan strike; those of the past strike now. Plans add up.
    pub fn follow(&mut self, plan: FaultPlan) {
        for (at, fault) in plan.faults {
            self.queue.push(at.max(self.now), Event::Fault(fault));
        }
    }

    /// Delivers a message at a point in time (or now, if that is past), as if `from` had sent it,
    /// past the network: neither lost nor late. A node that is down still misses it.
    pub fn inject(&mut self, at: Tick, from: Address, to: Address, message: N::Message) {
        let event = Event::Deliver { from, to, message };
        self.queue.push(at.max(self.now), event);
    }

    /// Ends all cuts, pauses and slowness, starts who is down, and drops the faults to come: what
    /// is then not made good never will be. Clocks stay as they are.
    pub fn heal(&mut self) {
        self.record(format_args!("heal"));
        self.network.heal();
        self.queue.drop_faults();
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            host.recover(self.now);
            let event = match host.is_up() {
                true => Event::Wake(Address(index)),
                false => Event::Start(Address(index), host.life()),
            };
            self.queue.push(self.now, event);
        }
    }

    /// Lets the next event happen if it is due by `end`, and says whether there was one; if not,
    /// it is `end` now. For checks in between:
    /// `while world.step(end) { check(&world)?; }`.
    ///
    /// # Panics
    ///
    /// After more events than [`limit_events`](Self::limit_events) allows: a run that goes round in
    /// circles.
    pub fn step(&mut self, end: Tick) -> bool {
        let Some((at, event)) = self.queue.pop(end) else {
            self.now = self.now.max(end);
            return false;
        };
        assert!(
            self.queue.popped() <= self.events_max,
            "seed {}: {} events and no end; do two nodes answer each other for ever?",
            self.seed,
            self.events_max
        );
        self.now = at;
        match event {
            Event::Fault(fault) => self.strike(fault),
            Event::Start(address, life) => self.start(address, life),
            Event::Wake(address) => self.wake(address),
            Event::Timer(timer) => {
                if self.hosts[timer.node.0].lives(timer.life) {
                    self.arrive(timer.node, Input::Timer(timer.timer));
                }
            }
            Event::Depart { from, to, message } => self.send(from, to, message),
            Event::Deliver { from, to, message } => match self.hosts.get(to.0) {
                Some(host) if host.is_up() => match host.blocked(at) {
                    Some(until) => self.queue.push(until, Event::Deliver { from, to, message }),
                    None => self.arrive(to, Input::Message(from, message)),
                },
                Some(_) => self.record(format_args!("{from:?} to {to:?}, down: {message:?}")),
                None => self.record(format_args!("{from:?} to {to:?}, nobody: {message:?}")),
            },
        }
        true
    }

    /// Runs until it is `end`.
    ///
    /// # Panics
    ///
    /// Like [`step`](Self::step).
    pub fn run_until(&mut self, end: Tick) {
        while self.step(end) {}
    }

    /// Runs for so long.
    ///
    /// # Panics
    ///
    /// Like [`step`](Self::step).
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// What time it is in the world.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// What the node's own clock shows.
    ///
    /// # Panics
    ///
    /// When the address is not of this world.
    pub fn clock_of(&self, address: Address) -> Tick {
        self.hosts[address.0].clock(self.now)
    }

    /// Whether the node is up: not crashed. A paused node is up.
    pub fn is_up(&self, address: Address) -> bool {
        self.hosts.get(address.0).is_some_and(Host::is_up)
    }

    /// The node, to look at.
    ///
    /// # Panics
    ///
    /// When the address is not of this world.
    pub fn node(&self, address: Address) -> &N {
        self.hosts[address.0].node()
    }

    /// All nodes with their addresses.
    pub fn nodes(&self) -> impl Iterator<Item = (Address, &N)> {
        let hosts = self.hosts.iter().enumerate();
        hosts.map(|(index, host)| (Address(index), host.node()))
    }

    /// The network, to change links between steps.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// How many of the first events keep their text; [`Trace::HEAD_DEFAULT`] by default.
    pub fn keep_trace(&mut self, head: usize) {
        self.trace.keep(head);
    }

    /// How many events this world lets happen at most;
    /// [`EVENTS_DEFAULT`](Self::EVENTS_DEFAULT) by default.
    pub fn limit_events(&mut self, most: u64) {
        self.events_max = most;
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What happened.
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    fn strike(&mut self, fault: Fault) {
        self.record(format_args!("fault: {fault:?}"));
        let now = self.now;
        match fault {
            Fault::Cut { from, to, span } => self.network.cut(&from, &to, now + span),
            Fault::Partition { one, other, span } => {
                self.network.cut(&one, &other, now + span);
                self.network.cut(&other, &one, now + span);
            }
            Fault::Pause { node, span } => {
                self.on_host(node, |host| host.pause(now + span));
            }
            Fault::Block { node, span } => {
                self.on_host(node, |host| host.block(now + span));
            }
            Fault::Slow { node, extra, span } => {
                self.on_host(node, |host| host.slow(extra, now + span));
            }
            Fault::Clock {
                node,
                jump,
                drift_ppm,
            } => {
                self.on_host(node, |host| host.change_clock(now, jump, drift_ppm));
                if let Some(host) = self.hosts.get(node.0) {
                    self.queue.move_timers(node, |due| host.when(due).max(now));
                }
            }
            Fault::Crash { node, span } => match self.on_host(node, |host| host.crash(now)) {
                Some(Some(life)) => self.queue.push(now + span, Event::Start(node, life)),
                Some(None) => self.record(format_args!("fault: {node:?} is down already")),
                None => {}
            },
        }
    }

    fn on_host<R>(&mut self, node: Address, change: impl FnOnce(&mut Host<N>) -> R) -> Option<R> {
        let changed = self.hosts.get_mut(node.0).map(change);
        if changed.is_none() {
            self.record(format_args!("fault: {node:?} is nobody"));
        }
        changed
    }

    fn start(&mut self, address: Address, life: u64) {
        if self.hosts[address.0].start(life) {
            self.arrive(address, Input::Start);
        }
    }

    fn arrive(&mut self, address: Address, input: Input<N>) {
        if self.hosts[address.0].receive(input) {
            self.attend(address);
        }
    }

    fn wake(&mut self, address: Address) {
        if self.hosts[address.0].wake(self.now) {
            self.attend(address);
        }
    }

    /// The node turns to the next thing in its inbox, if it is free to.
    fn attend(&mut self, address: Address) {
        if let Some(input) = self.hosts[address.0].next(self.now) {
            self.handle(address, input);
        }
        if let Some(at) = self.hosts[address.0].wake_at(self.now) {
            self.queue.push(at, Event::Wake(address));
        }
    }

    fn handle(&mut self, address: Address, input: Input<N>) {
        self.record(format_args!("{address:?} {input:?}"));
        let effects = self.hosts[address.0].handle(self.now, input);
        for note in effects.notes {
            self.record(format_args!("{address:?} notes: {note}"));
        }
        for (to, message) in effects.messages {
            self.send(address, to, message);
        }
        for (due, timer) in effects.timers {
            let timer = self.hosts[address.0].timer(address, due, timer);
            self.queue.push_timer(timer);
        }
    }

    fn send(&mut self, from: Address, to: Address, message: N::Message) {
        let blocked = self
            .hosts
            .get(from.0)
            .and_then(|host| host.blocked(self.now));
        if let Some(until) = blocked {
            let event = Event::Depart { from, to, message };
            self.queue.push(until, event);
            return;
        }
        let fate = self.network.fate(from, to, self.now, &mut self.rng);
        let mut deliver = |after, message| {
            let event = Event::Deliver { from, to, message };
            self.queue.push(self.now + after, event);
        };
        match fate {
            Fate::Cut => self.record(format_args!("{from:?} to {to:?}, cut: {message:?}")),
            Fate::Lost => self.record(format_args!("{from:?} to {to:?}, lost: {message:?}")),
            Fate::Once(after) => deliver(after, message),
            Fate::Twice(one, other) => {
                deliver(one, message.clone());
                deliver(other, message);
            }
        }
    }

    fn record(&mut self, what: fmt::Arguments<'_>) {
        let nanos = self.now.as_nanos();
        self.trace.record(format_args!("{nanos} {what}"));
    }
}

impl Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OUTSIDE => write!(f, "outside"),
            Self(index) => write!(f, "node-{index}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(self, f)
    }
}
