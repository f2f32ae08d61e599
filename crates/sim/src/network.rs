//! What becomes of a message on its way: lost, late, doubled, or cut off.
//!
//! A message's fate is decided when it is sent. What left before a cut arrives behind it.
//! Messages overtake each other by latency alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use watertight_base::Tick;

use crate::chance::between;
use crate::{Address, Chance};

/// How long messages take. At least 1 ns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Latency {
    /// The shortest.
    pub min: Duration,
    /// Most messages take evenly from `min` to this.
    pub typical: Duration,
    /// Those of the tail take evenly from `typical` to this.
    pub tail: Duration,
    /// How likely a message is one of the tail.
    pub tail_chance: Chance,
}

impl Default for Latency {
    /// A data centre: 0.25 to 0.75 ms; 1 in 100 up to 10 ms.
    fn default() -> Self {
        Self {
            min: Duration::from_micros(250),
            typical: Duration::from_micros(750),
            tail: Duration::from_millis(10),
            tail_chance: Chance::percent(1),
        }
    }
}

/// The way from one node to another, in that direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// How long messages take.
    pub latency: Latency,
    /// How likely a message is lost. Default: never.
    pub loss: Chance,
    /// How likely a message arrives twice, each after a latency of its own. Default: never.
    pub duplication: Chance,
}

/// All links: one for every pair, unless a pair has one of its own.
#[derive(Clone, Debug, Default)]
pub struct Network {
    every: Link,
    own: BTreeMap<(Address, Address), Link>,
    cuts: Vec<Cut>,
}

/// Where messages do not pass, until it heals.
#[derive(Clone, Debug)]
struct Cut {
    from: BTreeSet<Address>,
    to: BTreeSet<Address>,
    until: Tick,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Cut,
    Lost,
    Once(Duration),
    Twice(Duration, Duration),
}

impl Network {
    /// A network in which all links are alike.
    #[must_use]
    pub fn new(every: Link) -> Self {
        Self {
            every,
            ..Self::default()
        }
    }

    /// Gives one direction of one pair a link of its own.
    pub fn set_link(&mut self, from: Address, to: Address, link: Link) {
        self.own.insert((from, to), link);
    }

    pub(crate) fn cut(&mut self, from: &[Address], to: &[Address], until: Tick) {
        self.cuts.push(Cut {
            from: from.iter().copied().collect(),
            to: to.iter().copied().collect(),
            until,
        });
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Every message draws as often as every other, so that one setting does not shift the rest.
    pub(crate) fn fate(&mut self, from: Address, to: Address, now: Tick, rng: &mut Rng) -> Fate {
        let link = self.own.get(&(from, to)).copied().unwrap_or(self.every);
        let (lost, twice) = (link.loss.draw(rng), link.duplication.draw(rng));
        let (one, other) = (link.latency.draw(rng), link.latency.draw(rng));
        self.cuts.retain(|cut| now < cut.until);
        let is_cut = |cut: &Cut| cut.from.contains(&from) && cut.to.contains(&to);
        match (lost, twice) {
            _ if self.cuts.iter().any(is_cut) => Fate::Cut,
            (true, _) => Fate::Lost,
            (false, false) => Fate::Once(one),
            (false, true) => Fate::Twice(one, other),
        }
    }
}

impl Latency {
    fn draw(self, rng: &mut Rng) -> Duration {
        let (low, high) = match self.tail_chance.draw(rng) {
            true => (self.typical, self.tail),
            false => (self.min, self.typical),
        };
        between(rng, low, high).max(Duration::from_nanos(1))
    }
}
