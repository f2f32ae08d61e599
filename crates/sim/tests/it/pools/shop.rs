//! A shop that uses pools as a node does, and the bugs that a node could have.

use std::{collections::HashMap, time::Duration};

use watertight_base::{ServiceId, Tick, Tier, Weight};
use watertight_guard::pool::{
    Answer, Arrival, Class, CompartmentSpec, Effect, Layout, Lend, Owner, PoolSpec, Pools, SeatKey,
    TenantKey, Ticket,
};
use watertight_sim::sometimes;

/// What a node could do wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A request that gives up waiting is served all the same.
    RunsWithoutSeat,
    /// A borrowed seat is kept until its request is done.
    IgnoresRecalls,
    /// Whoever waited is woken with the next event, not with this one.
    SitsOnGrants,
    /// Compartments that should lend do not.
    LendsNothing,
    /// Tenants are not told apart.
    OneQueueForAll,
    /// A panic takes its seat with it.
    ForgetsAfterPanic,
    /// The same, of a service where nobody sees it before the end.
    ForgetsSearch,
    /// Who runs when the walls move is counted nowhere.
    ForgetsAtReloads,
}

/// The pool that search needs alone, and reports beside the database. It may go and come back.
#[derive(Clone, Copy, Debug)]
struct Index {
    name: &'static str,
    seats: u32,
    /// Those who may run: more than there are seats, if they ran when it changed.
    most: u32,
}

/// How things are called and how many there are, until the next reload.
#[derive(Clone, Copy, Debug)]
struct Fashion {
    /// The name of the compartment for the rest.
    rest: &'static str,
    index: Option<Index>,
}

/// A compartment of the shop's database.
pub(crate) struct Wall {
    pub(crate) name: &'static str,
    pub(crate) services: &'static [&'static str],
    pub(crate) seats: u32,
    pub(crate) lends: bool,
    tier: Tier,
}

pub(crate) const WALLS: [Wall; 3] = [
    Wall {
        name: "checkout",
        services: &["checkout"],
        seats: 4,
        lends: false,
        tier: Tier::One,
    },
    Wall {
        name: "rest",
        services: &["inventory", "reports"],
        seats: 6,
        lends: true,
        tier: Tier::Two,
    },
    Wall {
        name: "batch",
        services: &["batch"],
        seats: 3,
        lends: true,
        tier: Tier::Three,
    },
];
pub(crate) const CAP: u32 = 3;
pub(crate) const CAPACITY: u32 = 14;
pub(crate) const BORROW_MAX: Duration = Duration::from_millis(200);
const SERVICES: [&str; 5] = ["batch", "checkout", "inventory", "reports", "search"];
/// The two whose shares are compared: both always want more of checkout.
const RIVALS: [u64; 2] = [1, 2];
const MILLI: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Running {
    service: &'static str,
    tenant: u64,
    seat: Option<SeatKey>,
    since: Tick,
    end: Tick,
}

#[derive(Debug)]
struct Waiting {
    service: &'static str,
    tenant: u64,
    until: Tick,
}

pub(crate) struct Shop {
    bug: Bug,
    rng: fastrand::Rng,
    now: Tick,
    pools: Pools,
    running: Vec<Running>,
    waiting: HashMap<Ticket, Waiting>,
    effects: Vec<Effect>,
    late: Vec<Effect>,
    took: [Duration; 2],
    /// Since when each wall has had somebody waiting while fewer than its seats were its own.
    below_own: [Option<Tick>; 3],
    fashion: Fashion,
    is_open: bool,
}

const FIRST: Fashion = Fashion {
    rest: "rest",
    index: Some(Index {
        name: "index",
        seats: 2,
        most: 2,
    }),
};

fn layout(fashion: Fashion, bug: Bug) -> Layout {
    let part = |wall: &Wall| {
        let services = wall.services.iter().map(|name| name.parse().unwrap());
        let seats = u64::from(wall.seats).try_into().unwrap();
        let name = match wall.name {
            "rest" => fashion.rest,
            name => name,
        };
        let id = name.parse().unwrap();
        let mut part = CompartmentSpec {
            tier: wall.tier,
            head_room: 0,
            borrow_max: BORROW_MAX,
            lend: match bug {
                Bug::LendsNothing => Lend::Nobody,
                _ => Lend::ByTier,
            },
            ..CompartmentSpec::new(id, seats, services.collect())
        };
        if wall.name == "rest" {
            let cap = u64::from(CAP).try_into().unwrap();
            part.caps = vec![("reports".parse().unwrap(), cap)];
        }
        part
    };
    let database = PoolSpec {
        id: "database".parse().unwrap(),
        capacity: u64::from(CAPACITY).try_into().unwrap(),
        adaptive: None,
        reserve: 1,
        compartments: WALLS.iter().map(part).collect(),
    };
    // Without an index, search has something of its own.
    let (name, seats, users) = match fashion.index {
        Some(index) => (index.name, index.seats, &["reports", "search"][..]),
        None => ("search", 64, &["search"][..]),
    };
    let seats = u64::from(seats).try_into().unwrap();
    let users = users.iter().map(|name| name.parse().unwrap());
    let index = CompartmentSpec::new("all".parse().unwrap(), seats, users.collect());
    let index = PoolSpec {
        id: name.parse().unwrap(),
        capacity: seats,
        adaptive: None,
        reserve: 0,
        compartments: vec![index],
    };
    let services = SERVICES.map(|name| name.parse::<ServiceId>().unwrap());
    Layout::new(vec![database, index], &services).unwrap()
}

impl Shop {
    pub(crate) fn open(seed: u64, bug: Bug) -> Self {
        Self {
            bug,
            rng: fastrand::Rng::with_seed(seed),
            now: Tick::ZERO,
            pools: Pools::new(layout(FIRST, bug)),
            running: Vec::new(),
            waiting: HashMap::new(),
            effects: Vec::new(),
            late: Vec::new(),
            took: [Duration::ZERO; 2],
            below_own: [None; 3],
            fashion: FIRST,
            is_open: true,
        }
    }

    /// Lets some time pass, and then something happen.
    pub(crate) fn event(&mut self) {
        let step = MILLI * self.rng.u32(0..12);
        self.pass(step);
        match self.rng.u32(0..100) {
            0..40 => self.ask_somebody(),
            40..50 => self.go_away(),
            50..53 => self.panic(),
            53 => self.move_walls(),
            _ => {}
        }
        for tenant in RIVALS {
            let wants = self.waiting.values();
            let waiting = wants.filter(|it| it.tenant == tenant).count();
            for _ in waiting..16 {
                self.ask("checkout", tenant);
            }
        }
        self.watch_owners();
    }

    fn move_walls(&mut self) {
        let users = self.index_users();
        let index = (self.rng.u32(0..4) > 0).then(|| {
            let seats = self.rng.u32(1..4);
            Index {
                name: ["index", "other-index"][self.rng.usize(0..2)],
                seats,
                most: seats.max(users),
            }
        });
        sometimes!(true, "a reload moves the walls");
        let returns = self.fashion.index.is_none() && index.is_some();
        sometimes!(returns && users > 0, "a pool comes back around who runs");
        self.fashion = Fashion {
            rest: ["rest", "others"][self.rng.usize(0..2)],
            index,
        };
        if self.bug == Bug::ForgetsAtReloads {
            for seat in self.running.iter_mut().filter_map(|it| it.seat.take()) {
                self.pools.release(self.now, seat, &mut self.effects);
            }
        }
        let layout = layout(self.fashion, self.bug);
        self.pools.reload(self.now, layout, &mut self.effects);
        self.heed();
    }

    fn index_users(&self) -> u32 {
        self.running(&["reports", "search"])
    }

    /// How many more run in the index than may. Those who are too many since it changed become fewer.
    pub(crate) fn too_many_in_index(&mut self) -> u32 {
        let users = self.index_users();
        let Some(index) = &mut self.fashion.index else {
            return 0;
        };
        let too_many = users.saturating_sub(index.most);
        index.most = index.most.min(users).max(index.seats);
        too_many
    }

    /// Nobody comes any more, and all that runs ends.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        for _ in 0..400 {
            self.pass(MILLI * 100);
        }
    }

    /// Seats that the pools count as held.
    pub(crate) fn held(&self) -> u32 {
        self.pools
            .view(self.now)
            .iter()
            .map(|pool| pool.in_use)
            .sum()
    }

    /// Service time of the rivals, so far.
    pub(crate) fn shares(&self) -> [Duration; 2] {
        // Requests of the one take ten times as long: a count of requests would not do.
        let enough = self.took.iter().sum::<Duration>() > MILLI * 6_000;
        if enough {
            self.took
        } else {
            [Duration::ZERO; 2]
        }
    }

    pub(crate) fn running(&self, services: &[&str]) -> u32 {
        let of = |it: &&Running| services.contains(&it.service);
        u32::try_from(self.running.iter().filter(of).count()).unwrap()
    }

    /// Seats of compartments that lend which nobody has.
    pub(crate) fn idle_of_lenders(&self) -> i64 {
        let lenders = WALLS.iter().filter(|wall| wall.lends);
        lenders
            .map(|wall| i64::from(wall.seats) - i64::from(self.running(wall.services)))
            .sum()
    }

    pub(crate) fn waiting(&self, service: &str) -> usize {
        self.waiting
            .values()
            .filter(|it| it.service == service)
            .count()
    }

    pub(crate) fn waited_below_own_seats(&self, wall: &Wall) -> Duration {
        let at = WALLS.iter().position(|other| other.name == wall.name);
        let since = self.below_own[at.unwrap()];
        since.map_or(Duration::ZERO, |since| self.now - since)
    }

    fn watch_owners(&mut self) {
        for (at, wall) in WALLS.iter().enumerate() {
            // Only those that need nothing but a seat of the wall.
            let alone = wall.services.iter().filter(|name| **name != "reports");
            let waits = alone.clone().any(|name| self.waiting(name) > 0);
            // An idle seat is left to a request for two pools, which may be of the wall itself.
            let idle = u32::try_from(self.idle_of_lenders()).unwrap_or(0);
            let wants = waits && self.running(wall.services) + idle < wall.seats;
            let since = self.below_own[at].filter(|_| wants);
            self.below_own[at] = since.or(wants.then_some(self.now));
        }
    }

    /// Goes from one thing that is due to the next.
    fn pass(&mut self, step: Duration) {
        let until = self.now + step;
        loop {
            let ends = self.running.iter().map(|it| it.end);
            let gives_up = self.waiting.values().map(|it| it.until);
            let recall = self.pools.next_wakeup(self.now);
            let due = ends.chain(gives_up).chain(recall).min();
            match due.filter(|due| *due <= until) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.do_what_is_due();
                    self.watch_owners();
                }
                None => break,
            }
        }
        self.now = until;
        self.effects.append(&mut self.late);
        self.heed_now();
    }

    fn do_what_is_due(&mut self) {
        while let Some(at) = self.running.iter().position(|it| it.end <= self.now) {
            let done = self.running.swap_remove(at);
            self.leave(&done);
        }
        let mut over: Vec<_> = self.waiting.iter().collect();
        over.retain(|(_, it)| it.until <= self.now);
        let mut over: Vec<_> = over.into_iter().map(|(ticket, _)| *ticket).collect();
        over.sort_unstable();
        for ticket in over {
            self.time_out(ticket);
        }
        self.pools.tick(self.now, &mut self.effects);
        self.heed();
    }

    fn time_out(&mut self, ticket: Ticket) {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return;
        };
        sometimes!(true, "a request times out");
        self.pools.cancel(self.now, ticket, &mut self.effects);
        if self.bug == Bug::RunsWithoutSeat {
            self.run(waiting.service, waiting.tenant, None);
        }
        self.heed();
    }

    fn ask_somebody(&mut self) {
        let service = SERVICES[self.rng.usize(0..SERVICES.len())];
        let tenant = self.rng.u64(3..8);
        let times = if self.rng.u32(0..10) == 0 { 20 } else { 1 };
        for _ in 0..times {
            if service != "checkout" {
                self.ask(service, tenant);
            }
        }
    }

    fn ask(&mut self, service: &'static str, tenant: u64) {
        let key = if self.bug == Bug::OneQueueForAll {
            0
        } else {
            tenant
        };
        let arrival = Arrival {
            service: &service.parse().unwrap(),
            class: Class::Ordinary,
            owner: Owner::Named(TenantKey(key)),
            weight: Weight::ONE,
            cohort: None,
            deadline: self.now + MILLI * 3_000,
        };
        match self.pools.arrive(self.now, arrival, &mut self.effects) {
            Answer::Seat(seat) => self.run(service, tenant, Some(seat)),
            Answer::Wait { ticket, until } => {
                let waiting = Waiting {
                    service,
                    tenant,
                    until,
                };
                self.waiting.insert(ticket, waiting);
            }
            Answer::Refused(_) => {}
        }
        self.heed();
    }

    fn run(&mut self, service: &'static str, tenant: u64, seat: Option<SeatKey>) {
        sometimes!(service == "reports", "a request for two pools sits");
        let length = match (tenant, self.rng.u32(0..50)) {
            (1, _) => MILLI * 30,
            (2, _) => MILLI * 3,
            // It hangs.
            (_, 0..5) => MILLI * 700,
            _ => MILLI * self.rng.u32(1..60),
        };
        self.running.push(Running {
            service,
            tenant,
            seat,
            since: self.now,
            end: self.now + length,
        });
    }

    fn leave(&mut self, done: &Running) {
        if let Some(rival) = RIVALS.iter().position(|rival| *rival == done.tenant) {
            self.took[rival] += self.now - done.since;
        }
        if let Some(seat) = done.seat {
            assert!(self.pools.release(self.now, seat, &mut self.effects));
            assert!(!self.pools.release(self.now, seat, &mut self.effects));
        }
        self.heed();
    }

    /// A client goes away, in the queue or on its seat.
    fn go_away(&mut self) {
        let mut tickets: Vec<_> = self.waiting.keys().copied().collect();
        tickets.sort_unstable();
        if !tickets.is_empty() && self.rng.bool() {
            let ticket = tickets[self.rng.usize(0..tickets.len())];
            self.waiting.remove(&ticket);
            assert!(self.pools.cancel(self.now, ticket, &mut self.effects));
            self.heed();
        } else if !self.running.is_empty() {
            let done = self
                .running
                .swap_remove(self.rng.usize(0..self.running.len()));
            self.leave(&done);
        }
    }

    fn panic(&mut self) {
        if self.running.is_empty() {
            return;
        }
        sometimes!(true, "a request panics");
        let done = self
            .running
            .swap_remove(self.rng.usize(0..self.running.len()));
        let forgets = match self.bug {
            Bug::ForgetsAfterPanic => true,
            Bug::ForgetsSearch => done.service == "search",
            _ => false,
        };
        if !forgets {
            self.leave(&done);
        }
    }

    fn heed(&mut self) {
        if self.bug == Bug::SitsOnGrants && self.is_open {
            self.late.append(&mut self.effects);
        } else {
            self.heed_now();
        }
    }

    fn heed_now(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Granted(ticket, seat) => match self.waiting.remove(&ticket) {
                    Some(it) => self.run(it.service, it.tenant, Some(seat)),
                    // It gave up before it was woken.
                    None => {
                        self.pools.release(self.now, seat, &mut self.late);
                    }
                },
                Effect::Refused(ticket, _) => {
                    self.waiting.remove(&ticket);
                }
                Effect::Recalled(seat) => self.recalled(seat),
            }
        }
        if !self.late.is_empty() && self.bug != Bug::SitsOnGrants {
            self.effects.append(&mut self.late);
            self.heed_now();
        }
    }

    fn recalled(&mut self, seat: SeatKey) {
        sometimes!(true, "a loan is recalled");
        let at = self.running.iter().position(|it| it.seat == Some(seat));
        if let Some(at) = at.filter(|_| self.bug != Bug::IgnoresRecalls) {
            let cut_off = self.running.swap_remove(at);
            assert!(self.pools.release(self.now, seat, &mut self.late));
            let _ = cut_off;
        }
    }
}
