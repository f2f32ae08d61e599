//! Which part of a tenant's users a request belongs to, in case the tenant is shed in part.
//!
//! A user is told by name, else by the API key shown, else by address. Users are dealt anew each hour
//! and in each process, so that nobody is left out for long, and all requests of a page fare alike.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use watertight_base::Tick;
use watertight_guard::pool::Cohort;

use crate::{Clock, tenants::Who};

/// Deals users into cohorts.
#[derive(Debug)]
pub(crate) struct Dealer {
    hash: RandomState,
    secret: u64,
}

const HOUR_SECONDS: u64 = 3600;

impl Dealer {
    pub(crate) fn new() -> Self {
        let hash = RandomState::new();
        let secret = hash.hash_one("cohorts");
        Self { hash, secret }
    }

    /// The cohort of whoever makes a request. None: nothing is known of the user.
    pub(crate) fn cohort(&self, clock: &Clock, now: Tick, who: &Who) -> Option<Cohort> {
        let user = match (who.user.as_ref().or(who.key.as_ref()), who.address) {
            (Some(name), _) => self.hash.hash_one(name),
            (None, Some(address)) => number(address),
            (None, None) => return None,
        };
        let since_epoch = clock.origin_since_epoch() + (now - Tick::ZERO);
        let hour = since_epoch.as_secs() / HOUR_SECONDS;
        Some(Cohort::of(mix(user ^ mix(self.secret ^ hour))))
    }
}

/// The network of an IPv6 address, as it is counted elsewhere: a host has many addresses of one.
fn number(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0),
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
