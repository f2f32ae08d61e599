//! What of that is the decision itself: the pools without locks, channels, timers and tasks.

use std::{error::Error, time::Duration};

use watertight_base::{ServiceId, Tick, Weight};
use watertight_guard::pool::{
    Answer, Arrival, Class, CompartmentSpec, Effect, Layout, Owner, PoolSpec, Pools, SeatKey,
    TenantKey,
};

/// A compartment where tenants take turns.
pub(crate) struct Core {
    pools: Pools,
    service: ServiceId,
    now: Tick,
    tenants: u64,
    /// Whose turn it is to ask.
    next: u64,
    effects: Vec<Effect>,
    /// Who sits, where all others wait.
    seated: Option<SeatKey>,
}

impl Core {
    pub(crate) fn new(seats: u64, tenants: u64) -> Result<Self, Box<dyn Error>> {
        let service: ServiceId = "checkout".parse()?;
        let layout = Layout::new(vec![pool(seats)?], std::slice::from_ref(&service))?;
        Ok(Self {
            pools: Pools::new(layout),
            service,
            now: Tick::ZERO,
            tenants,
            next: 0,
            effects: Vec::new(),
            seated: None,
        })
    }

    /// With a request of every tenant waiting behind the one that sits.
    pub(crate) fn waiting(tenants: u64) -> Result<Self, Box<dyn Error>> {
        let mut core = Self::new(1, tenants)?;
        if let Answer::Seat(seat) = core.ask() {
            core.seated = Some(seat);
        }
        for _ in 0..tenants {
            core.ask();
        }
        Ok(core)
    }

    /// The next tenant takes a seat and gives it back.
    pub(crate) fn pass(&mut self) {
        let Answer::Seat(seat) = self.ask() else {
            unreachable!("nobody is in the way");
        };
        self.pools.release(self.now, seat, &mut self.effects);
    }

    /// The one who sits leaves, the next one takes the seat, and a tenant asks again.
    pub(crate) fn serve_one(&mut self) {
        let Some(seat) = self.seated.take() else {
            unreachable!("somebody sits");
        };
        self.pools.release(self.now, seat, &mut self.effects);
        match self.effects.pop() {
            Some(Effect::Granted(_, seat)) => self.seated = Some(seat),
            effect => unreachable!("nobody was seated: {effect:?}"),
        }
        self.ask();
    }

    fn ask(&mut self) -> Answer {
        self.now = self.now + Duration::from_micros(1);
        self.next = (self.next + 1) % self.tenants;
        let arrival = Arrival {
            service: &self.service,
            class: Class::Ordinary,
            owner: Owner::Named(TenantKey(self.next)),
            weight: Weight::ONE,
            cohort: None,
            deadline: Tick::MAX,
        };
        self.pools.arrive(self.now, arrival, &mut self.effects)
    }
}

/// A pool of one compartment for `checkout`, where nobody waits in vain.
pub(crate) fn pool(seats: u64) -> Result<PoolSpec, Box<dyn Error>> {
    let services = vec!["checkout".parse()?];
    let mut compartment = CompartmentSpec::new("all".parse()?, seats.try_into()?, services);
    compartment.max_wait = Duration::from_secs(3_600);
    Ok(PoolSpec {
        id: "database".parse()?,
        capacity: seats.try_into()?,
        adaptive: None,
        reserve: 0,
        compartments: vec![compartment],
    })
}
