//! The protocol of the tests: senders number what they send to a counter, and send each number
//! again until the counter has acknowledged it. The counter counts each number once.
//!
//! The count is on disk, and with it the numbers seen; how many messages came since the start is
//! not. Bugs can be planted.

use std::collections::BTreeSet;
use std::time::Duration;

use watertight_base::Tick;
use watertight_sim::{Address, Network, Node, Outbox, World, sometimes};

pub(crate) const COUNTER: usize = 0;
const SEND_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// The counter counts what it has counted before.
    CountsTwice,
    /// The counter does not keep what it has counted.
    KeepsNothing,
    /// The sender does not send again.
    SendsOnce,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    Count(u64),
    Counted(u64),
}

pub(crate) enum Party {
    Counter(Counter),
    Sender(Sender),
}

pub(crate) struct Counter {
    pub(crate) bug: Bug,
    /// On disk.
    pub(crate) count: u64,
    seen: BTreeSet<(Address, u64)>,
    /// Not on disk: what came, in the order of its coming, by this node's clock.
    pub(crate) heard: Vec<(Tick, Message)>,
}

pub(crate) struct Sender {
    pub(crate) bug: Bug,
    to: Address,
    every: Duration,
    /// On disk: how many were sent, and which were acknowledged.
    pub(crate) sent: u64,
    pub(crate) most: u64,
    pub(crate) acknowledged: BTreeSet<u64>,
}

impl Party {
    pub(crate) fn counter(bug: Bug) -> Self {
        Self::Counter(Counter {
            bug,
            count: 0,
            seen: BTreeSet::new(),
            heard: Vec::new(),
        })
    }

    pub(crate) fn sender(bug: Bug, to: Address, most: u64, every: Duration) -> Self {
        Self::Sender(Sender {
            bug,
            to,
            every,
            sent: 0,
            most,
            acknowledged: BTreeSet::new(),
        })
    }

    pub(crate) fn as_counter(&self) -> &Counter {
        match self {
            Self::Counter(counter) => counter,
            Self::Sender(_) => panic!("a sender"),
        }
    }

    pub(crate) fn as_sender(&self) -> &Sender {
        match self {
            Self::Sender(sender) => sender,
            Self::Counter(_) => panic!("a counter"),
        }
    }
}

impl Node for Party {
    type Message = Message;
    type Timer = u64;

    fn on_start(&mut self, _: Tick, out: &mut Outbox<Self>) {
        if let Self::Sender(sender) = self {
            // A number whose timer died with the node is sent again from the start.
            for number in 0..sender.sent {
                sender.remind(number, out);
            }
            sender.remind(sender.sent, out);
        }
    }

    fn on_message(&mut self, now: Tick, from: Address, message: Message, out: &mut Outbox<Self>) {
        match (self, &message) {
            (Self::Counter(counter), Message::Count(number)) => {
                let is_new = counter.seen.insert((from, *number));
                sometimes!(!is_new, "a number comes twice");
                if is_new || counter.bug == Bug::CountsTwice {
                    counter.count += 1;
                }
                out.send(from, Message::Counted(*number));
                counter.heard.push((now, message));
            }
            (Self::Sender(sender), Message::Counted(number)) => {
                sender.acknowledged.insert(*number);
            }
            _ => out.note("not for me"),
        }
    }

    fn on_timer(&mut self, _: Tick, number: u64, out: &mut Outbox<Self>) {
        if let Self::Sender(sender) = self {
            sender.send(number, out);
        }
    }

    fn on_crash(&mut self) {
        if let Self::Counter(counter) = self {
            sometimes!(!counter.heard.is_empty(), "a counter at work crashes");
            counter.heard.clear();
            if counter.bug == Bug::KeepsNothing {
                counter.count = 0;
                counter.seen.clear();
            }
        }
    }
}

impl Sender {
    fn send(&mut self, number: u64, out: &mut Outbox<Party>) {
        if number >= self.most || self.acknowledged.contains(&number) {
            return;
        }
        let is_new = number == self.sent;
        sometimes!(!is_new, "a number is sent again");
        out.send(self.to, Message::Count(number));
        if is_new {
            self.sent += 1;
            self.remind(self.sent, out);
        }
        if self.bug != Bug::SendsOnce {
            self.remind(number, out);
        }
    }

    fn remind(&self, number: u64, out: &mut Outbox<Party>) {
        let jitter = Duration::from_micros(out.rng().u64(..1_000));
        out.after(self.every + jitter, number);
    }
}

/// A counter and so many senders, each with so many numbers, one every 20 ms.
pub(crate) fn world(
    seed: u64,
    network: Network,
    bug: Bug,
    senders: usize,
    most: u64,
) -> (World<Party>, Vec<Address>) {
    paced(seed, network, bug, senders, most, SEND_EVERY)
}

/// The same at another pace.
pub(crate) fn paced(
    seed: u64,
    network: Network,
    bug: Bug,
    senders: usize,
    most: u64,
    every: Duration,
) -> (World<Party>, Vec<Address>) {
    let mut world = World::new(seed, network);
    let counter = world.add(Party::counter(bug));
    let senders = (0..senders).map(|_| world.add(Party::sender(bug, counter, most, every)));
    let all = [counter].into_iter().chain(senders.collect::<Vec<_>>());
    (world, all.collect())
}

pub(crate) fn counter(world: &World<Party>, nodes: &[Address]) -> u64 {
    world.node(nodes[COUNTER]).as_counter().count
}
