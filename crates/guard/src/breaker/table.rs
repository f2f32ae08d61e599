//! Breakers for the pairs of tenant and service that have failed lately, and for those services.
//!
//! A pair enters the table with its first failure or slow call, and leaves it when it is well again; a
//! service has a shared breaker from the first failure of any of its pairs until it is well. The
//! table is bounded: when it is full, pairs that are well are swept out; if none is, further pairs
//! are not watched, which is counted, until there is room. It never refuses because it is full, and
//! shared breakers, of which there are no more than services, go on counting.
//!
//! While all is well the table is empty, and asking it costs no more than to see that.

use std::{collections::HashMap, time::Duration};

use foldhash::fast::FixedState;
use watertight_base::{ServiceId, Tick};

use super::{
    Breaker, Outcome, Pass, Settings, State,
    settings::Mode,
    shared::{Shared, SharedView},
    votes::cell_of,
};
use crate::pool::TenantKey;

/// How often what is well is swept out.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Breakers by service and tenant.
#[derive(Debug)]
pub struct Table {
    services: HashMap<ServiceId, Watched, FixedState>,
    pairs: usize,
    entries_max: usize,
    unwatched: u64,
    seed: u64,
    births: u64,
    swept: Tick,
}

/// Who calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The tenant, or the lane that it shares with others.
    pub tenant: TenantKey,
    /// Whether the tenant is listed. Those who are not count as one.
    pub is_listed: bool,
}

/// Leave to make one call, to be handed back to [`Table::record`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Leave {
    pair: Option<Pass>,
    service: Option<Pass>,
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// How long to wait.
    pub wait: Duration,
    /// Which breaker refuses it.
    pub by: By,
}

/// Which breaker refuses a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum By {
    /// Any: somebody forced them open.
    Force,
    /// The one that all tenants of the service share.
    Service,
    /// The one of the tenant and the service.
    Tenant,
}

impl By {
    /// The word in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Force => "force",
            Self::Service => "service",
            Self::Tenant => "tenant",
        }
    }
}

/// Which breakers changed their state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// The pair's new state.
    pub pair: Option<State>,
    /// The new state of the service's shared breaker.
    pub service: Option<State>,
}

/// What is watched of a service.
#[derive(Debug)]
struct Watched {
    shared: Shared,
    pairs: HashMap<TenantKey, Breaker, FixedState>,
    /// As of the last record.
    settings: Settings,
}

impl Caller {
    fn voter(self) -> usize {
        cell_of(self.tenant.0, self.is_listed)
    }
}

impl Table {
    /// Pairs watched at once, where nothing else is said.
    pub const ENTRIES_MAX_DEFAULT: usize = 16_384;

    /// A table that watches at most `entries_max` pairs. `seed` decides what of open times is left
    /// to chance.
    pub fn new(entries_max: usize, seed: u64) -> Self {
        Self {
            services: HashMap::default(),
            pairs: 0,
            entries_max,
            unwatched: 0,
            seed,
            births: 0,
            swept: Tick::ZERO,
        }
    }

    /// Asks for leave to call `service`.
    ///
    /// # Errors
    /// How long to wait, and for which breaker, when the call is refused.
    pub fn acquire(
        &mut self,
        now: Tick,
        service: &ServiceId,
        caller: Caller,
        settings: &Settings,
    ) -> Result<Leave, Refused> {
        if settings.mode == Mode::ForcedOpen {
            return Err(forced(settings));
        }
        if self.services.is_empty() {
            return Ok(Leave::default());
        }
        let Some(watched) = self.services.get_mut(service) else {
            return Ok(Leave::default());
        };
        let (shared, voter) = (&mut watched.shared, caller.voter());
        let pass = shared.acquire(now, settings, voter);
        let pass = pass.map_err(|wait| Refused {
            wait,
            by: By::Service,
        })?;
        let pair = watched.pairs.get_mut(&caller.tenant);
        let pair = pair
            .map(|breaker| breaker.acquire(now, settings))
            .transpose();
        match pair {
            Ok(pair) => Ok(Leave {
                pair,
                service: Some(pass),
            }),
            Err(wait) => {
                // If it was a probe, somebody else may make it.
                shared.record(
                    now,
                    settings,
                    voter,
                    pass,
                    (Outcome::Ignored, Duration::ZERO),
                );
                Err(Refused {
                    wait,
                    by: By::Tenant,
                })
            }
        }
    }

    /// Whether a call would be refused now, and for how long. Changes nothing.
    pub fn refuses(
        &self,
        now: Tick,
        service: &ServiceId,
        caller: Caller,
        settings: &Settings,
    ) -> Option<Refused> {
        if settings.mode == Mode::ForcedOpen {
            return Some(forced(settings));
        }
        let watched = self.services.get(service)?;
        let shared = watched.shared.refuses(now, settings, caller.voter());
        if let Some(wait) = shared {
            let by = By::Service;
            return Some(Refused { wait, by });
        }
        let pair = watched.pairs.get(&caller.tenant)?;
        let wait = pair.refuses(now, settings)?;
        let by = By::Tenant;
        Some(Refused { wait, by })
    }

    /// Says how a call ended, and how long it took. Returns what that changed.
    pub fn record(
        &mut self,
        now: Tick,
        service: &ServiceId,
        caller: Caller,
        settings: &Settings,
        leave: Leave,
        (outcome, took): (Outcome, Duration),
    ) -> Changes {
        let is_slow = outcome == Outcome::Success && settings.is_slow(took);
        let is_bad = outcome == Outcome::Failure || is_slow;
        if !settings.mode.counts() || (!is_bad && self.services.is_empty()) {
            return Changes::default();
        }
        self.sweep(now);
        if is_bad {
            self.watch(now, service, caller.tenant, settings);
        }
        let Some(watched) = self.services.get_mut(service) else {
            return Changes::default();
        };
        watched.settings = *settings;
        let mut changes = Changes::default();
        let pass = leave.service.or_else(|| watched.shared.pass());
        if let Some(pass) = pass {
            let said = (outcome, took);
            changes.service = watched
                .shared
                .record(now, settings, caller.voter(), pass, said);
        }
        if let Some(breaker) = watched.pairs.get_mut(&caller.tenant) {
            let pass = leave.pair.or_else(|| breaker.pass_if_closed());
            if let Some(pass) = pass {
                changes.pair = breaker.record(now, settings, pass, outcome, took);
            }
            if breaker.is_well(now, settings) {
                watched.pairs.remove(&caller.tenant);
                self.pairs -= 1;
            }
        }
        changes
    }

    /// Closes all breakers of a service at once, and forgets what was.
    pub fn reset(&mut self, service: &ServiceId) {
        if let Some(watched) = self.services.remove(service) {
            self.pairs -= watched.pairs.len();
        }
    }

    /// Pairs that are watched, with their breakers.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceId, TenantKey, &Breaker)> {
        self.services.iter().flat_map(|(service, watched)| {
            let pairs = watched.pairs.iter();
            pairs.map(move |(tenant, breaker)| (service, *tenant, breaker))
        })
    }

    /// The shared breaker of a service.
    pub fn shared(&self, now: Tick, service: &ServiceId, settings: &Settings) -> SharedView {
        let watched = self.services.get(service);
        let well = SharedView {
            state: settings.mode.shows(State::Closed),
            ..SharedView::WELL
        };
        watched.map_or(well, |watched| watched.shared.view(now, settings))
    }

    /// Pairs watched now.
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Failures of pairs that were not watched because the table was full.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// Watches a pair, if there is room, and its service.
    fn watch(&mut self, now: Tick, service: &ServiceId, tenant: TenantKey, settings: &Settings) {
        let watched = self.services.get(service);
        if watched.is_some_and(|watched| watched.pairs.contains_key(&tenant)) {
            return;
        }
        if self.pairs >= self.entries_max {
            self.sweep_out(now);
        }
        let (seed, epoch) = (self.seed ^ tenant.0, self.births << 16);
        self.births += 1;
        let (shared_seed, settings) = (!self.seed, *settings);
        let watched = self.services.entry(service.clone());
        let watched = watched.or_insert_with(|| Watched {
            shared: Shared::born(shared_seed, epoch),
            pairs: HashMap::default(),
            settings,
        });
        if self.pairs < self.entries_max {
            watched.pairs.insert(tenant, Breaker::born(seed, epoch));
            self.pairs += 1;
        } else {
            self.unwatched += 1;
        }
    }

    fn sweep(&mut self, now: Tick) {
        if now - self.swept >= SWEEP_EVERY {
            self.sweep_out(now);
        }
    }

    /// Forgets what is well.
    fn sweep_out(&mut self, now: Tick) {
        self.swept = now;
        self.services.retain(|_, watched| {
            let settings = watched.settings;
            watched
                .pairs
                .retain(|_, breaker| !breaker.is_well(now, &settings));
            !watched.pairs.is_empty() || !watched.shared.is_well(now, &settings)
        });
        self.pairs = self
            .services
            .values()
            .map(|watched| watched.pairs.len())
            .sum();
    }
}

fn forced(settings: &Settings) -> Refused {
    Refused {
        wait: settings.wait_duration_in_open_state,
        by: By::Force,
    }
}
