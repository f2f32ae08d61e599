//! The laws of leases over many seeds: with clocks that run within the margin, all of them; with
//! clocks that do what they like, those that the fence rests on.

use std::collections::BTreeSet;
use std::time::Duration;

use watertight_base::Tick;
use watertight_heartbeat::lease::Token;
use watertight_sim::{
    Address, Chance, Fault, FaultPlan, Intensity, Latency, Link, Network, Seeds, World,
};

use super::party::{Bug, Message, Party, TTL};

pub(crate) const STORM: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    world: World<Party>,
    contenders: Vec<Address>,
    store: Address,
    guarded: Address,
}

/// How clocks run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Clocks {
    /// None faster than another by more than 1.05 / 0.95, which is within a margin of 10 %.
    WithinTheMargin,
    /// Half as fast, half as fast again, and with jumps.
    Wild,
}

impl Scene {
    pub(crate) fn new(seed: u64, bug: Bug, clocks: Clocks) -> Self {
        let mut world = World::new(seed, bad_network());
        world.keep_trace(0);
        let store = world.add(Party::store());
        let guarded = world.add(Party::guarded(bug));
        let size = 2 + usize::try_from(seed % 4).unwrap();
        let contenders: Vec<_> = (0..size)
            .map(|place| world.add(Party::contender(bug, place, store, guarded)))
            .collect();
        let mut all = contenders.clone();
        all.extend([store, guarded]);
        world.follow(FaultPlan::draw(seed, &all, STORM, &WEATHER));
        world.follow(drift(seed, &contenders, clocks));
        Self {
            world,
            contenders,
            store,
            guarded,
        }
    }

    /// Who believes to hold it, each by its own clock, at this very moment.
    fn believers(&self) -> Vec<(Address, Token)> {
        let believes = |address: &Address| {
            let contender = self.world.node(*address).as_contender()?;
            Some((*address, contender.believes(self.world.clock_of(*address))?))
        };
        self.contenders.iter().filter_map(believes).collect()
    }

    /// What is so at every moment.
    fn judge(&self, clocks: Clocks) -> Result<(), String> {
        let believers = self.believers();
        if clocks == Clocks::WithinTheMargin && believers.len() > 1 {
            return Err(format!("law 1: {believers:?} hold it at once"));
        }
        for (address, token) in believers {
            let contender = self.world.node(address).as_contender();
            if contender.is_some_and(|contender| contender.lost.contains(&token)) {
                return Err(format!("law 3: {address} holds {token} again"));
            }
        }
        if let Party::Store(store) = self.world.node(self.store)
            && let Some(tokens) = store.went_back
        {
            return Err(format!("law 2: tokens went back: {tokens:?}"));
        }
        if let Party::Guarded(guarded) = self.world.node(self.guarded)
            && let [.., before, last] = guarded.done[..]
            && last < before
        {
            return Err(format!("law 4: {last} was let through after {before}"));
        }
        Ok(())
    }

    /// No two terms have the same token.
    fn terms_differ(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let contenders = self.contenders.iter();
        let contenders = contenders.filter_map(|it| self.world.node(*it).as_contender());
        for token in contenders.flat_map(|contender| &contender.held) {
            if !seen.insert(*token) {
                return Err(format!("law 2: {token} is the token of two terms"));
            }
        }
        Ok(())
    }

    pub(crate) fn run(&mut self, span: Duration, clocks: Clocks) -> Result<(), String> {
        let end = self.world.now() + span;
        while self.world.step(end) {
            self.judge(clocks)?;
        }
        self.terms_differ()
    }

    /// Law 5; and while nothing fails, the holder stays, and who leaves is followed at once.
    fn calm(&mut self, clocks: Clocks) -> Result<(), String> {
        self.world.heal();
        *self.world.network_mut() = Network::default();
        self.run(2 * TTL, clocks)?;
        let [(holder, token)] = self.believers()[..] else {
            return Err(format!("law 5: {:?} hold it", self.believers()));
        };
        let end = self.world.now() + 5 * TTL;
        while self.world.step(end) {
            self.judge(clocks)?;
            if self.believers() != [(holder, token)] {
                return Err(format!("{holder} lost {token} without a reason"));
            }
        }
        let now = self.world.now();
        self.world
            .inject(now, Address::OUTSIDE, holder, Message::Leave);
        self.run(TTL / 2, clocks)?;
        match self.believers()[..] {
            [(next, _)] if next != holder => Ok(()),
            ref others => Err(format!("{others:?} hold what {holder} gave back")),
        }
    }
}

/// A storm, and then peace.
pub(crate) fn run(seed: u64, bug: Bug, clocks: Clocks) -> Result<(), String> {
    let mut scene = Scene::new(seed, bug, clocks);
    scene.run(STORM, clocks)?;
    match clocks {
        Clocks::WithinTheMargin => scene.calm(clocks),
        Clocks::Wild => Ok(()),
    }
}

/// There and back takes nearly as long as an order may, and now and then longer.
fn bad_network() -> Network {
    let latency = Latency {
        typical: Duration::from_millis(120),
        tail: Duration::from_secs(1),
        tail_chance: Chance::percent(10),
        ..Latency::default()
    };
    Network::new(Link {
        latency,
        loss: Chance::percent(5),
        duplication: Chance::percent(3),
    })
}

/// Clocks run unequally from the beginning, and change.
fn drift(seed: u64, contenders: &[Address], clocks: Clocks) -> FaultPlan {
    let (most, jump_max) = match clocks {
        Clocks::WithinTheMargin => (50_000, Duration::ZERO),
        Clocks::Wild => (500_000, Duration::from_secs(10)),
    };
    let changes = Intensity {
        clocks: 8,
        jump_max,
        drift_max_ppm: most,
        ..Intensity::NONE
    };
    let mut plan = FaultPlan::draw(seed.rotate_left(32), contenders, STORM, &changes);
    for (place, node) in contenders.iter().enumerate() {
        // The first is as slow as can be in every other run, and another as fast.
        let drift_ppm = match (seed / 4 + place as u64) % 4 {
            0 => -most,
            1 => most,
            _ => 0,
        };
        let jump = Duration::from_secs(place as u64 * 1_000);
        let clock = Fault::Clock {
            node: *node,
            jump,
            drift_ppm,
        };
        plan = plan.at(Tick::ZERO, clock);
    }
    plan
}

const WEATHER: Intensity = Intensity {
    pauses: 10,
    crashes: 5,
    slows: 3,
    clocks: 0,
    cuts: 6,
    span_max: Duration::from_secs(8),
    extra_max: Duration::from_millis(20),
    jump_max: Duration::ZERO,
    drift_max_ppm: 0,
};

#[test]
fn no_two_hold_a_lease_at_once_and_somebody_does_when_the_storm_is_over() {
    let coverage = Seeds::new(300).run(|seed| run(seed, Bug::None, Clocks::WithinTheMargin));
    coverage
        .require(&[
            "a late action is refused",
            "a term expires",
            "one acts after its term",
            "the lease is taken over",
        ])
        .unwrap();
}

#[test]
fn whatever_clocks_do_tokens_only_grow_and_a_fence_lets_nothing_old_through() {
    let coverage = Seeds::new(100).run(|seed| run(seed, Bug::None, Clocks::Wild));
    coverage.require(&["a late action is refused"]).unwrap();
}
