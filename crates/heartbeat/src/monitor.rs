//! One place that everybody beats to, and that answers who is alive.
//!
//! **What is decided here.**
//! - Only our own clock counts. A node's *age* is how long ago its last beat came, and it is *alive*
//!   in the plain sense when that is less than the time-out, whatever else is known.
//! - Beyond that it has a [`Life`], which consequences follow: suspected by its detector's
//!   [`Rule`], dead when the silence has lasted twice as long and at least the time-out. One missed
//!   beat kills nobody.
//! - Back from the dead takes several beats in a row, and who comes and goes often is held for
//!   suspected until it has been steady for a while (`monitor/damping.rs`).
//! - A beat of an older generation, or of an older number within one, changes nothing. A restarted
//!   node counts from one again under a higher generation.
//! - A node may beat less, if it says so with the beat before.
//! - Several monitors agree: a death counts when a majority of them miss the node
//!   (`monitor/quorum.rs`). One alone is its own majority.
//! - A monitor that hears nobody any more, of several that it heard, judges nobody until it does: it
//!   is more likely to be cut off than all of them dead. It goes on answering ages.
//! - A restarted monitor takes what it remembered for what it is, and judges nobody for a grace.
//!
//! **Laws.** There are never more nodes than `nodes_max`. A node's generation and number only grow.
//! No death without a suspicion before it, and none while judgement is suspended.

mod damping;
mod datagram;
mod node;
mod quorum;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use foldhash::fast::FixedState;
use slab::Slab;
use watertight_base::{NodeId, Tick};

use self::{node::Node, quorum::Quorum};
use crate::{Error, Life, Metadata, Rule};

pub use self::datagram::BeatDatagram;

/// How nodes are watched.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorSpec {
    /// A node is alive in the plain sense while its age is less. 100 ms or longer; 5 s.
    pub timeout: Duration,
    /// What is assumed of nodes that do not say how often they beat. 10 ms or longer; 1 s.
    pub interval: Duration,
    /// How silence is judged. Three missed beats and half a second.
    pub rule: Rule,
    /// How many beats in a row bring a dead node back. 1 to 100; 2.
    pub recovery: u32,
    /// How many deaths within about a minute make a node's coming and going count no more. 2 to 100;
    /// 3.
    pub flaps: u32,
    /// For how long after a start, and after a silence of everybody, nobody is judged. 10 s.
    pub grace: Duration,
    /// Of how many monitors we are one. 1 to 9; 1.
    pub monitors: usize,
    /// For how long a dead node or one that has left is remembered. 1 min or longer; 24 h.
    pub forget_after: Duration,
    /// Most nodes. 1 to 1,000,000; 100,000.
    pub nodes_max: usize,
    /// From which the order of the table follows, so that nobody outside can choose names that fall
    /// together.
    pub seed: u64,
}

/// A beat of a node, as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival<'a> {
    /// Whose.
    pub id: &'a NodeId,
    /// How often the node has started; 0 for one that does not count.
    pub generation: u64,
    /// The beat's number; none from one that does not count: it is then younger than all before.
    pub sequence: Option<u64>,
    /// When its next one comes; none if it does not say.
    pub interval: Option<Duration>,
    /// What it says of itself, encoded; none to leave what it said before.
    pub metadata: Option<&'a [u8]>,
}

/// What became of a beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// It counts.
    Counted,
    /// One of its number, or a younger one, was there before.
    Repeated,
    /// Its node has started again since: who sent it is a process of the past.
    Outdated {
        /// The generation that is known.
        known: u64,
    },
    /// There are as many nodes as there may be, and it is none of them.
    Full,
}

/// What has changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A node's life is another.
    Life {
        /// Whose.
        id: NodeId,
        /// What it was held to be; none for a new node.
        from: Option<Life>,
        /// What it is now.
        to: Life,
    },
    /// A node has started again.
    Restarted {
        /// Which.
        id: NodeId,
        /// Its generation now.
        generation: u64,
    },
    /// A node that was dead or had left for long enough is known no more.
    Forgotten {
        /// Which.
        id: NodeId,
    },
    /// Nobody is heard any more: judgement is suspended.
    Suspended,
    /// Somebody is heard again: judgement comes back after the grace.
    Resumed,
}

/// A node as the monitor sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// How long ago its last beat came.
    pub age: Duration,
    /// Whether that is less than the time-out.
    pub is_alive: bool,
    /// What it is held to be.
    pub life: Life,
    /// For how long.
    pub since: Duration,
    /// φ of its silence, if the rule has one.
    pub phi: Option<f64>,
    /// How often it has started, as it says.
    pub generation: u64,
    /// The number of its last beat.
    pub sequence: u64,
    /// How long until its next one, as it said.
    pub interval: Duration,
    /// Whether it comes and goes too often to count as alive.
    pub is_damped: bool,
    /// How many monitors miss it, ourselves among them.
    pub missed_by: usize,
    /// What it says of itself; none if that is not understood.
    pub metadata: Option<Metadata>,
}

/// What a monitor remembers of a node over its own restart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remembered {
    /// Its name.
    pub id: NodeId,
    /// How long ago its last beat came, the time without us included.
    pub age: Duration,
    /// What it was held to be.
    pub life: Life,
    /// Its generation.
    pub generation: u64,
    /// The number of its last beat.
    pub sequence: u64,
    /// How long until its next one, as it said.
    pub interval: Duration,
    /// What it said of itself, encoded.
    pub metadata: Box<[u8]>,
}

/// Keeps the last beats of all nodes, and judges their silence.
#[derive(Debug)]
pub struct Monitor {
    spec: MonitorSpec,
    nodes: Slab<Node>,
    index: HashMap<NodeId, usize, FixedState>,
    /// When each node is looked at next: no later than its silence can change what it is.
    looks: BinaryHeap<Reverse<(Tick, usize)>>,
    quorum: Quorum,
    /// Until when somebody is on time: the latest moment at which one who has beaten may beat next,
    /// half an interval granted.
    on_time_until: Tick,
    /// The last beat of anybody: whose, and when; and the last of anybody else.
    heard: [Option<(usize, Tick)>; 2],
    /// Nobody is judged before.
    judges: Tick,
    is_suspended: bool,
    /// How many nodes have each life, in the order of [`Life`].
    lives: [usize; 4],
}

impl Default for MonitorSpec {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            rule: Rule::Fixed {
                misses: 3,
                margin: Duration::from_millis(500),
            },
            recovery: 2,
            flaps: 3,
            grace: Duration::from_secs(10),
            monitors: 1,
            forget_after: Duration::from_hours(24),
            nodes_max: 100_000,
            seed: 0,
        }
    }
}

impl MonitorSpec {
    /// Whether its numbers lie within their ranges.
    ///
    /// # Errors
    /// [`Error::Monitor`] and [`Error::Rule`] name the number that does not, and its range.
    pub fn check(&self) -> Result<(), Error> {
        self.rule.check()?;
        let ranges = [
            (
                "timeout",
                "100 ms or longer",
                self.timeout >= Duration::from_millis(100),
            ),
            (
                "interval",
                "10 ms or longer",
                self.interval >= Duration::from_millis(10),
            ),
            ("recovery", "1 to 100", (1..=100).contains(&self.recovery)),
            ("flaps", "2 to 100", (2..=100).contains(&self.flaps)),
            ("monitors", "1 to 9", (1..=9).contains(&self.monitors)),
            (
                "forget_after",
                "1 min or longer",
                self.forget_after >= Duration::from_mins(1),
            ),
            (
                "nodes_max",
                "1 to 1,000,000",
                (1..=1_000_000).contains(&self.nodes_max),
            ),
        ];
        match ranges.iter().find(|(_, _, is_right)| !is_right) {
            Some((number, range, _)) => Err(Error::Monitor { number, range }),
            None => Ok(()),
        }
    }
}

impl Monitor {
    /// A monitor that has heard nobody.
    ///
    /// # Errors
    /// As [`MonitorSpec::check`].
    pub fn new(spec: MonitorSpec, now: Tick) -> Result<Self, Error> {
        spec.check()?;
        Ok(Self {
            nodes: Slab::new(),
            index: HashMap::with_hasher(FixedState::with_seed(spec.seed)),
            looks: BinaryHeap::new(),
            quorum: Quorum::new(spec.monitors, spec.timeout),
            on_time_until: now + spec.grace,
            heard: [None; 2],
            judges: now + spec.grace,
            is_suspended: false,
            lives: [0; 4],
            spec,
        })
    }

    /// Takes in a node that was known before a restart of ours; one that is known already stays as
    /// it is. False if there is no room.
    pub fn restore(&mut self, now: Tick, remembered: Remembered) -> bool {
        if self.index.contains_key(&remembered.id) {
            return true;
        }
        if self.nodes.len() >= self.spec.nodes_max {
            return false;
        }
        let id = remembered.id.clone();
        let Ok(node) = Node::restored(now, self.spec.rule, remembered) else {
            return false;
        };
        self.add(id, node);
        true
    }

    /// A beat has come.
    pub fn on_beat(
        &mut self,
        now: Tick,
        arrival: &Arrival<'_>,
        notices: &mut Vec<Notice>,
    ) -> Received {
        let place = match self.index.get(arrival.id) {
            Some(place) => *place,
            None => match self.meet(now, arrival, notices) {
                Some(place) => place,
                None => return Received::Full,
            },
        };
        let Some(node) = self.nodes.get_mut(place) else {
            return Received::Full;
        };
        if arrival.generation < node.generation() {
            return Received::Outdated {
                known: node.generation(),
            };
        }
        let before = node.life();
        let Some(interval) = node.on_beat(now, arrival, &self.spec, notices) else {
            return Received::Repeated;
        };
        let (after, due) = (node.life(), node.due(&self.spec));
        self.count(before, after);
        if due < self.looked_at(place) {
            self.look_at(place, due);
        }
        self.hear(now, place, interval, notices);
        Received::Counted
    }

    /// A node says that it goes: it is not missed. False for one that is not known, or is known
    /// with another generation.
    pub fn on_leave(
        &mut self,
        now: Tick,
        id: &NodeId,
        generation: u64,
        notices: &mut Vec<Notice>,
    ) -> bool {
        let place = self.index.get(id).copied();
        let Some(node) = place.and_then(|place| self.nodes.get_mut(place)) else {
            return false;
        };
        if node.generation() != generation {
            return false;
        }
        let before = node.life();
        node.set_life(now, Life::Left, notices);
        self.count(before, Life::Left);
        true
    }

    /// Another monitor, from 1 on, says whom it misses: all of them, each time.
    pub fn on_opinion(&mut self, now: Tick, monitor: usize, missed: Vec<NodeId>) {
        self.quorum.on_opinion(now, monitor, missed);
    }

    /// Whom we miss, for the other monitors.
    pub fn opinion(&self) -> Vec<NodeId> {
        let missed = |node: &&Node| matches!(node.life(), Life::Suspected | Life::Dead);
        let nodes = self.nodes.iter().map(|(_, node)| node);
        nodes.filter(missed).map(|node| node.id().clone()).collect()
    }

    /// It is time, or later: see [`next_wakeup`](Self::next_wakeup).
    pub fn on_tick(&mut self, now: Tick, notices: &mut Vec<Notice>) {
        if !self.is_suspended && self.present() > 1 && now > self.on_time_until {
            self.is_suspended = true;
            notices.push(Notice::Suspended);
        }
        while let Some(Reverse((at, place))) = self.looks.peek().copied()
            && at <= now
        {
            self.looks.pop();
            self.look(now, place, at, notices);
        }
    }

    /// When [`on_tick`](Self::on_tick) is due.
    pub fn next_wakeup(&self) -> Tick {
        let looks = self.looks.peek().map_or(Tick::MAX, |Reverse((at, _))| *at);
        match self.is_suspended || self.present() < 2 {
            true => looks,
            false => looks.min(self.on_time_until + Duration::from_nanos(1)),
        }
    }

    /// How many nodes are known, and how many of them are alive or suspected.
    pub fn count_of_nodes(&self) -> (usize, usize) {
        (self.nodes.len(), self.present())
    }

    /// How many nodes have that life.
    pub fn count_of(&self, life: Life) -> usize {
        self.lives[life as usize]
    }

    /// How long until silence is judged again: the grace after a start, and after nobody was heard.
    pub fn judges_in(&self, now: Tick) -> Duration {
        self.judges - now
    }

    /// Whether judgement is suspended because nobody is heard.
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// One node.
    pub fn node(&self, now: Tick, id: &NodeId) -> Option<NodeView> {
        let node = self.nodes.get(*self.index.get(id)?)?;
        Some(self.show(now, node))
    }

    /// Up to `most` nodes from a place on, beginning at 0, and the place to go on from if there are
    /// more. Who is met while somebody leafs may be missed, who stays is not, and nobody comes twice.
    pub fn page(&self, now: Tick, from: usize, most: usize) -> (Vec<NodeView>, Option<usize>) {
        self.leaf(from, most, |node| self.show(now, node))
    }

    /// All nodes, in no order.
    pub fn nodes(&self, now: Tick) -> impl Iterator<Item = NodeView> {
        self.nodes.iter().map(move |(_, node)| self.show(now, node))
    }

    /// What is to be remembered of one node over a restart.
    pub fn remember(&self, now: Tick, id: &NodeId) -> Option<Remembered> {
        let node = self.nodes.get(*self.index.get(id)?)?;
        Some(node.remember(now))
    }

    /// What is to be remembered of up to `most` nodes, by the places of [`Monitor::page`].
    pub fn remember_page(
        &self,
        now: Tick,
        from: usize,
        most: usize,
    ) -> (Vec<Remembered>, Option<usize>) {
        self.leaf(from, most, |node| node.remember(now))
    }

    fn leaf<T>(
        &self,
        from: usize,
        most: usize,
        read: impl Fn(&Node) -> T,
    ) -> (Vec<T>, Option<usize>) {
        let places = from..self.nodes.capacity();
        let mut found = places.filter_map(|place| Some((place, self.nodes.get(place)?)));
        let page = found.by_ref().take(most);
        let page = page.map(|(_, node)| read(node)).collect();
        (page, found.next().map(|(place, _)| place))
    }

    fn show(&self, now: Tick, node: &Node) -> NodeView {
        node.show(now, &self.spec, self.quorum.missed_by(now, node.id()))
    }

    fn meet(
        &mut self,
        now: Tick,
        arrival: &Arrival<'_>,
        notices: &mut Vec<Notice>,
    ) -> Option<usize> {
        if self.nodes.len() >= self.spec.nodes_max {
            return None;
        }
        let node = Node::new(now, self.spec.rule, arrival).ok()?;
        notices.push(Notice::Life {
            id: arrival.id.clone(),
            from: None,
            to: Life::Alive,
        });
        Some(self.add(arrival.id.clone(), node))
    }

    fn add(&mut self, id: NodeId, node: Node) -> usize {
        self.lives[node.life() as usize] += 1;
        let due = node.due(&self.spec);
        let place = self.nodes.insert(node);
        self.index.insert(id, place);
        self.look_at(place, due);
        place
    }

    fn looked_at(&self, place: usize) -> Tick {
        self.nodes.get(place).map_or(Tick::MAX, Node::look)
    }

    fn look_at(&mut self, place: usize, due: Tick) {
        if let Some(node) = self.nodes.get_mut(place) {
            node.set_look(due);
            self.looks.push(Reverse((due, place)));
        }
    }

    /// The node may have been silent for long enough to be another.
    fn look(&mut self, now: Tick, place: usize, at: Tick, notices: &mut Vec<Notice>) {
        let may_judge = self.may_judge(now, place);
        let Some(node) = self.nodes.get_mut(place) else {
            return;
        };
        if node.look() != at {
            return;
        }
        if node.is_forgotten(now, &self.spec) {
            let (id, life) = (node.id().clone(), node.life());
            self.lives[life as usize] -= 1;
            self.nodes.remove(place);
            self.index.remove(&id);
            notices.push(Notice::Forgotten { id });
            return;
        }
        let before = node.life();
        if may_judge {
            let agreed = self.quorum.agrees(now, node.id());
            node.on_silence(now, &self.spec, agreed, notices);
        }
        let (after, due) = (node.life(), node.due(&self.spec));
        self.count(before, after);
        // What could not be judged is looked at again before long.
        let due = due.max(now + self.spec.timeout / 10);
        self.look_at(place, due);
    }

    /// Its silence tells of it only if somebody else was heard lately, or there is nobody else.
    fn may_judge(&self, now: Tick, place: usize) -> bool {
        if now < self.judges || self.is_suspended {
            return false;
        }
        let Some(node) = self.nodes.get(place) else {
            return false;
        };
        let others = self.present() - usize::from(node.life().is_present());
        let lately = node.interval().saturating_mul(2);
        let is_other = |(whose, at): &(usize, Tick)| *whose != place && now - *at <= lately;
        others == 0 || self.heard.iter().flatten().any(is_other)
    }

    fn hear(&mut self, now: Tick, place: usize, interval: Duration, notices: &mut Vec<Notice>) {
        match self.heard[0] {
            Some((whose, _)) if whose == place => {}
            first => self.heard[1] = first,
        }
        self.heard[0] = Some((place, now));
        self.on_time_until = self.on_time_until.max(now + interval + interval / 2);
        if self.is_suspended {
            self.is_suspended = false;
            self.judges = self.judges.max(now + self.spec.grace);
            notices.push(Notice::Resumed);
        }
    }

    fn count(&mut self, before: Life, after: Life) {
        self.lives[before as usize] -= 1;
        self.lives[after as usize] += 1;
    }

    fn present(&self) -> usize {
        self.count_of(Life::Alive) + self.count_of(Life::Suspected)
    }
}
