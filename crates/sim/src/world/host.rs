//! What a node runs on: its clock, its inbox, and whether it is up and free.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use watertight_base::Tick;

use super::event::Timer;
use super::{Address, Node};
use crate::clock::Clock;
use crate::outbox::{Effects, Outbox};

#[derive(Debug)]
pub(super) struct Host<N: Node> {
    node: N,
    outbox: Outbox<N>,
    clock: Clock,
    /// What has reached it and waits to be handled, in order.
    inbox: VecDeque<Input<N>>,
    busy_until: Tick,
    /// It has begun with the first of the inbox, and is busy with it.
    has_begun: bool,
    /// When it will be woken; wake-ups of other times are stale.
    waking: Option<Tick>,
    slow: Duration,
    slow_until: Tick,
    blocked_until: Tick,
    is_up: bool,
    /// How often it crashed.
    life: u64,
}

pub(super) enum Input<N: Node> {
    Message(Address, N::Message),
    Start,
    Timer(N::Timer),
}

impl<N: Node> Host<N> {
    pub(super) fn new(node: N, outbox: Outbox<N>) -> Self {
        Self {
            node,
            outbox,
            clock: Clock::default(),
            inbox: VecDeque::new(),
            busy_until: Tick::ZERO,
            has_begun: false,
            waking: None,
            slow: Duration::ZERO,
            slow_until: Tick::ZERO,
            blocked_until: Tick::ZERO,
            is_up: false,
            life: 0,
        }
    }

    pub(super) fn node(&self) -> &N {
        &self.node
    }

    pub(super) fn clock(&self, now: Tick) -> Tick {
        self.clock.read(now)
    }

    /// When it is in the world that the node's clock shows this.
    pub(super) fn when(&self, due: Tick) -> Tick {
        self.clock.when(due)
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Whether that life goes on.
    pub(super) fn lives(&self, life: u64) -> bool {
        self.is_up && self.life == life
    }

    /// Starts, unless it is up or has died again since.
    pub(super) fn start(&mut self, life: u64) -> bool {
        let starts = !self.is_up && self.life == life;
        self.is_up |= starts;
        starts
    }

    /// Dies, if it is up, and says which life comes next.
    pub(super) fn crash(&mut self, now: Tick) -> Option<u64> {
        if !self.is_up {
            return None;
        }
        self.node.on_crash();
        self.inbox.clear();
        self.has_begun = false;
        self.busy_until = now;
        self.waking = None;
        self.is_up = false;
        self.life += 1;
        Some(self.life)
    }

    pub(super) fn pause(&mut self, until: Tick) {
        self.busy_until = self.busy_until.max(until);
    }

    pub(super) fn block(&mut self, until: Tick) {
        self.blocked_until = self.blocked_until.max(until);
    }

    /// Until when nothing leaves or reaches it, if that is so.
    pub(super) fn blocked(&self, now: Tick) -> Option<Tick> {
        (self.blocked_until > now).then_some(self.blocked_until)
    }

    pub(super) fn slow(&mut self, extra: Duration, until: Tick) {
        self.slow = extra;
        self.slow_until = until;
    }

    /// No longer paused, slow or busy; to be woken now.
    pub(super) fn recover(&mut self, now: Tick) {
        self.waking = self.is_up.then_some(now);
        self.busy_until = now;
        self.slow_until = now;
        self.blocked_until = now;
    }

    pub(super) fn change_clock(&mut self, now: Tick, jump: Duration, drift_ppm: i32) {
        self.clock.change(now, jump, drift_ppm);
    }

    /// Takes it in, and says whether the node is to be asked to attend; if not, it will be woken.
    pub(super) fn receive(&mut self, input: Input<N>) -> bool {
        self.inbox.push_back(input);
        self.waking.is_none()
    }

    /// Whether this is the wake-up that it waits for.
    pub(super) fn wake(&mut self, now: Tick) -> bool {
        self.waking.take_if(|at| *at == now).is_some()
    }

    /// What it handles now. A slow node begins, and is done with it when it is asked again.
    pub(super) fn next(&mut self, now: Tick) -> Option<Input<N>> {
        if now < self.busy_until || self.inbox.is_empty() {
            return None;
        }
        if !self.has_begun && now < self.slow_until && self.slow > Duration::ZERO {
            self.has_begun = true;
            self.busy_until = now + self.slow;
            return None;
        }
        self.has_begun = false;
        self.inbox.pop_front()
    }

    /// When it must be asked again, if something waits and nobody will.
    pub(super) fn wake_at(&mut self, now: Tick) -> Option<Tick> {
        if self.waking.is_some() || self.inbox.is_empty() {
            return None;
        }
        self.waking = Some(self.busy_until.max(now));
        self.waking
    }

    pub(super) fn handle(&mut self, now: Tick, input: Input<N>) -> Effects<N> {
        let now = self.clock.read(now);
        self.outbox.open(now);
        let (node, out) = (&mut self.node, &mut self.outbox);
        match input {
            Input::Message(from, message) => node.on_message(now, from, message, out),
            Input::Start => node.on_start(now, out),
            Input::Timer(timer) => node.on_timer(now, timer, out),
        }
        out.take()
    }

    pub(super) fn timer(&self, node: Address, due: Tick, timer: N::Timer) -> Timer<N> {
        Timer {
            node,
            life: self.life,
            due,
            at: self.clock.when(due),
            timer,
        }
    }
}

impl<N: Node> fmt::Debug for Input<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(from, message) => write!(f, "hears {from:?}: {message:?}"),
            Self::Start => write!(f, "starts"),
            Self::Timer(timer) => write!(f, "is reminded: {timer:?}"),
        }
    }
}
