//! The world: members, datagrams on their way, and times at which members are to be woken.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use watertight_benches::cpu_ns;

/// Many members of one kind.
pub(crate) trait Cluster: Sized {
    /// What a member asks to be woken with.
    type Timer;

    /// Members that know each other, or will soon.
    fn new(members: usize, seed: u64) -> Self;

    /// How long until they do.
    fn settle(members: usize) -> Duration;

    /// A member begins.
    fn begin(&mut self, member: usize, now: Duration, out: &mut Out<Self::Timer>);

    /// A datagram has come.
    fn datagram(
        &mut self,
        member: usize,
        from: usize,
        bytes: &[u8],
        now: Duration,
        out: &mut Out<Self::Timer>,
    );

    /// It is time.
    fn wake(
        &mut self,
        member: usize,
        timer: Self::Timer,
        now: Duration,
        out: &mut Out<Self::Timer>,
    );
}

/// What a member wants.
pub(crate) struct Out<T> {
    /// Datagrams, and to whom.
    pub(crate) sent: Vec<(usize, Vec<u8>)>,
    /// Times to be woken at.
    pub(crate) timers: Vec<(Duration, T)>,
    /// Whom it now holds for dead, and for alive again.
    pub(crate) lives: Vec<(usize, bool)>,
}

/// What was counted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) bytes: u64,
    pub(crate) wakes: u64,
}

pub(crate) struct World<C: Cluster> {
    cluster: C,
    now: Duration,
    queue: BinaryHeap<Reverse<Due>>,
    number: u64,
    items: Vec<Option<Item<C::Timer>>>,
    free: Vec<usize>,
    is_up: Vec<bool>,
    /// Who holds whom for dead.
    buried: BTreeSet<(usize, usize)>,
    loss: f64,
    chance: fastrand::Rng,
    out: Out<C::Timer>,
    pub(crate) counts: Counts,
}

/// When something happens, which of the things that happen then, and where it is.
type Due = (Duration, u64, usize);

enum Item<T> {
    Datagram {
        to: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    Timer {
        member: usize,
        timer: T,
    },
}

impl<C: Cluster> World<C> {
    pub(crate) fn new(members: usize, loss: f64, seed: u64) -> Self {
        let mut world = Self {
            cluster: C::new(members, seed),
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            number: 0,
            items: Vec::new(),
            free: Vec::new(),
            is_up: vec![true; members],
            buried: BTreeSet::new(),
            loss,
            chance: fastrand::Rng::with_seed(seed),
            out: Out {
                sent: Vec::new(),
                timers: Vec::new(),
                lives: Vec::new(),
            },
            counts: Counts::default(),
        };
        for member in 0..members {
            world.cluster.begin(member, world.now, &mut world.out);
            world.carry(member);
        }
        world
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(Reverse((at, _, place))) = self.queue.peek().copied()
            && at <= end
        {
            self.queue.pop();
            self.now = at;
            self.step(place);
        }
        self.now = end;
    }

    /// A member is gone. How long until the first and the last of the others hold it for dead; five
    /// minutes when the last of them never does.
    pub(crate) fn crash(&mut self, victim: usize) -> (Duration, Duration) {
        self.is_up[victim] = false;
        let begun = self.now;
        let others = self.is_up.iter().filter(|is_up| **is_up).count();
        let (mut first, mut known) = (None, 0);
        while known < others && self.now - begun < NEVER {
            self.run(Duration::from_millis(10));
            known = self.buried.iter().filter(|(_, who)| *who == victim).count();
            if known > 0 {
                first.get_or_insert(self.now - begun);
            }
        }
        (first.unwrap_or_default(), self.now - begun)
    }

    /// How often somebody who lives is held for dead by somebody who lives.
    pub(crate) fn others_held_for_dead(&self) -> usize {
        let both_up = |(by, who): &&(usize, usize)| self.is_up[*by] && self.is_up[*who];
        self.buried.iter().filter(both_up).count()
    }

    fn step(&mut self, place: usize) {
        let item = self.items[place].take();
        self.free.push(place);
        let (now, out) = (self.now, &mut self.out);
        let member = match item {
            Some(Item::Datagram { to, from, bytes }) if self.is_up[to] => {
                self.cluster.datagram(to, from, &bytes, now, out);
                to
            }
            Some(Item::Timer { member, timer }) if self.is_up[member] => {
                self.counts.wakes += 1;
                self.cluster.wake(member, timer, now, out);
                member
            }
            _ => return,
        };
        self.carry(member);
    }

    fn carry(&mut self, from: usize) {
        let mut sent = std::mem::take(&mut self.out.sent);
        for (to, bytes) in sent.drain(..) {
            self.counts.sent += 1;
            self.counts.bytes += bytes.len() as u64;
            if self.chance.f64() < self.loss {
                continue;
            }
            let delay = Duration::from_nanos(self.chance.u64(250_000..750_000));
            self.put(self.now + delay, Item::Datagram { to, from, bytes });
        }
        self.out.sent = sent;
        let mut timers = std::mem::take(&mut self.out.timers);
        for (at, timer) in timers.drain(..) {
            self.put(
                at.max(self.now),
                Item::Timer {
                    member: from,
                    timer,
                },
            );
        }
        self.out.timers = timers;
        for (who, is_alive) in self.out.lives.drain(..) {
            match is_alive {
                true => self.buried.remove(&(from, who)),
                false => self.buried.insert((from, who)),
            };
        }
    }

    fn put(&mut self, at: Duration, item: Item<C::Timer>) {
        self.number += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.items[place] = Some(item);
                place
            }
            None => {
                self.items.push(Some(item));
                self.items.len() - 1
            }
        };
        self.queue.push(Reverse((at, self.number, place)));
    }
}

/// Members that do nothing but send as much as others did.
pub(crate) struct Idle {
    members: usize,
    /// How long from one datagram, or wake-up, of a member to the next.
    every: Duration,
    bytes: usize,
    /// Datagrams for each wake-up, and those that are still to be sent.
    sends: f64,
    owed: f64,
    chance: fastrand::Rng,
}

impl Idle {
    /// What the world itself takes for so many datagrams and wake-ups.
    pub(crate) fn cpu_ns(members: usize, loss: f64, counts: Counts) -> f64 {
        // A second of the world with all of it.
        let wakes = (counts.wakes / members as u64).max(1);
        let mut world = World::<Self>::new(members, loss, 0);
        world.cluster.every = Duration::from_secs(1) / u32::try_from(wakes).unwrap_or(u32::MAX);
        world.cluster.bytes = usize::try_from(counts.bytes / counts.sent.max(1)).unwrap_or(0);
        world.cluster.sends = counts.sent as f64 / counts.wakes.max(1) as f64;
        world.run(Duration::from_millis(1));
        let before = cpu_ns();
        world.run(Duration::from_secs(1));
        cpu_ns() - before
    }
}

impl Cluster for Idle {
    type Timer = ();

    fn new(members: usize, _: u64) -> Self {
        Self {
            members,
            every: Duration::from_secs(1),
            bytes: 0,
            sends: 0.0,
            owed: 0.0,
            chance: fastrand::Rng::with_seed(1),
        }
    }

    fn settle(_: usize) -> Duration {
        Duration::ZERO
    }

    fn begin(&mut self, _: usize, now: Duration, out: &mut Out<()>) {
        out.timers.push((now, ()));
    }

    fn datagram(&mut self, _: usize, _: usize, _: &[u8], _: Duration, _: &mut Out<()>) {}

    fn wake(&mut self, _: usize, (): (), now: Duration, out: &mut Out<()>) {
        self.owed += self.sends;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            let to = self.chance.usize(..self.members);
            out.sent.push((to, vec![0; self.bytes]));
        }
        out.timers.push((now + self.every, ()));
    }
}

/// After so long nobody learns any more that somebody is dead.
const NEVER: Duration = Duration::from_secs(300);
