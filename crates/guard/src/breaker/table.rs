//! Breakers for the pairs of tenant and service that have failed lately.
//!
//! A pair enters the table with its first failure and leaves it when it is well again. The table
//! is bounded: when it is full, pairs that are well are swept out; if none is, further pairs are
//! not watched, which is counted, until there is room. It never refuses because it is full.

use std::{collections::HashMap, time::Duration};

use watertight_base::{ServiceId, Tick};

use super::{Breaker, Outcome, Pass, Settings, State};
use crate::pool::TenantKey;

/// Breakers by tenant and service.
#[derive(Debug)]
pub struct Table {
    breakers: HashMap<(ServiceId, TenantKey), Breaker>,
    entries_max: usize,
    unwatched: u64,
}

impl Table {
    /// Pairs watched at once, where nothing else is said.
    pub const ENTRIES_MAX_DEFAULT: usize = 16_384;

    /// A table that watches at most `entries_max` pairs.
    pub fn new(entries_max: usize) -> Self {
        Self {
            breakers: HashMap::new(),
            entries_max,
            unwatched: 0,
        }
    }

    /// Asks for leave to call `service` for `tenant`. None: the pair is well and is not watched.
    ///
    /// # Errors
    /// How long to wait, when the call is refused.
    pub fn acquire(
        &mut self,
        now: Tick,
        service: &ServiceId,
        tenant: TenantKey,
        settings: &Settings,
    ) -> Result<Option<Pass>, Duration> {
        if self.breakers.is_empty() {
            return Ok(None);
        }
        match self.breakers.get_mut(&(service.clone(), tenant)) {
            None => Ok(None),
            Some(breaker) => breaker.acquire(now, settings).map(Some),
        }
    }

    /// Whether a call would be refused now, and for how long. Changes nothing.
    pub fn refuses(
        &self,
        now: Tick,
        service: &ServiceId,
        tenant: TenantKey,
        settings: &Settings,
    ) -> Option<Duration> {
        self.breakers
            .get(&(service.clone(), tenant))?
            .refuses(now, settings)
    }

    /// Says how a call ended. Returns the pair's new state if that changed it.
    pub fn record(
        &mut self,
        now: Tick,
        service: &ServiceId,
        tenant: TenantKey,
        settings: &Settings,
        pass: Option<Pass>,
        outcome: Outcome,
    ) -> Option<State> {
        if self.breakers.is_empty() && outcome != Outcome::Failure {
            return None;
        }
        let key = (service.clone(), tenant);
        if !self.breakers.contains_key(&key) {
            if outcome != Outcome::Failure || !self.has_room(now, settings) {
                return None;
            }
            self.breakers.insert(key.clone(), Breaker::default());
        }
        let breaker = self.breakers.get_mut(&key)?;
        let pass = match pass {
            Some(pass) => pass,
            None if breaker.state() == State::Closed => Pass {
                epoch: breaker.epoch,
            },
            None => return None,
        };
        let changed = breaker.record(now, settings, pass, outcome);
        if breaker.is_well(now, settings) {
            self.breakers.remove(&key);
        }
        changed
    }

    /// Pairs that are watched, with their breakers.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceId, TenantKey, &Breaker)> {
        self.breakers
            .iter()
            .map(|((service, tenant), breaker)| (service, *tenant, breaker))
    }

    /// Pairs watched now.
    pub fn len(&self) -> usize {
        self.breakers.len()
    }

    /// Whether no pair is watched.
    pub fn is_empty(&self) -> bool {
        self.breakers.is_empty()
    }

    /// Failures of pairs that were not watched because the table was full.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// Whether a pair can be added, after sweeping if need be.
    fn has_room(&mut self, now: Tick, settings: &Settings) -> bool {
        if self.breakers.len() >= self.entries_max {
            self.breakers
                .retain(|_, breaker| !breaker.is_well(now, settings));
        }
        let room = self.breakers.len() < self.entries_max;
        self.unwatched += u64::from(!room);
        room
    }
}
