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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use watertight_plan::{Plan, TenantPlan};

    use super::*;
    use crate::Admission;

    fn who() -> Who {
        let plan = Plan::builder()
            .plan("all", TenantPlan::default())
            .and_then(|builder| builder.unlisted("all"))
            .and_then(|builder| builder.build());
        let admission = Admission::new(Arc::new(plan.unwrap()), Clock::start());
        admission.who(&"acme".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_user_keeps_its_cohort_for_the_hour_and_then_gets_another() {
        let (dealer, clock) = (Dealer::new(), Clock::start());
        let into_hour = clock.origin_since_epoch().as_secs() % HOUR_SECONDS;
        let next_hour = Tick::ZERO + Duration::from_secs(HOUR_SECONDS - into_hour);
        let second = Duration::from_secs(1);
        let mut moved = 0;
        for number in 0..256 {
            let mut user = who();
            user.user = Some(format!("user-{number}").into());
            let cohort = |at| dealer.cohort(&clock, at, &user);
            let first = cohort(next_hour);
            assert_eq!(first, cohort(next_hour + second * 3_599));
            moved += u32::from(first != cohort(next_hour + second * 3_600));
        }
        assert!(moved > 240, "{moved} of 256");
    }

    #[test]
    fn a_user_is_told_by_name_then_by_key_then_by_address() {
        let (dealer, clock) = (Dealer::new(), Clock::start());
        let cohort = |who: &Who| dealer.cohort(&clock, Tick::ZERO, who);
        let mut one = who();
        assert_eq!(cohort(&one), None);
        one.address = Some("2001:db8::1".parse().unwrap());
        let mut other = one.clone();
        other.address = Some("2001:db8::2".parse().unwrap());
        assert!(cohort(&one).is_some());
        assert_eq!(cohort(&one), cohort(&other), "one network");
        one.key = Some("billing".into());
        other.key = one.key.clone();
        other.address = None;
        assert_eq!(cohort(&one), cohort(&other));
        one.user = Some("ann".into());
        other.user = one.user.clone();
        other.key = None;
        assert_eq!(cohort(&one), cohort(&other));
    }
}
