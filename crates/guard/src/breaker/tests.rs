//! The laws of breakers.

use proptest::prelude::*;
use watertight_base::ServiceId;

use super::*;
use crate::pool::TenantKey;

const SETTINGS: Settings = Settings {
    failure_rate_threshold: watertight_base::Percent::HALF,
    minimum_number_of_calls: 4,
    sliding_window: Duration::from_secs(10),
    wait_duration_in_open_state: Duration::from_secs(5),
    permitted_number_of_calls_in_half_open_state: 2,
};

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn call(breaker: &mut Breaker, now: Tick, outcome: Outcome) -> Option<State> {
    let pass = breaker.acquire(now, &SETTINGS).unwrap();
    breaker.record(now, &SETTINGS, pass, outcome)
}

fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..4 {
        call(&mut breaker, at(0), Outcome::Failure);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[test]
fn opens_at_the_rate_and_not_before_the_minimum() {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        assert_eq!(call(&mut breaker, at(0), Outcome::Failure), None);
    }
    assert_eq!(
        call(&mut breaker, at(0), Outcome::Failure),
        Some(State::Open)
    );

    let mut breaker = Breaker::default();
    for _ in 0..60 {
        call(&mut breaker, at(0), Outcome::Success);
    }
    for _ in 0..59 {
        assert_eq!(call(&mut breaker, at(1), Outcome::Failure), None);
    }
    assert_eq!(
        call(&mut breaker, at(1), Outcome::Failure),
        Some(State::Open)
    );
}

#[test]
fn outcomes_fall_out_of_the_window() {
    let mut breaker = Breaker::default();
    for second in (0..100).step_by(4) {
        assert_eq!(
            call(&mut breaker, at(second), Outcome::Failure),
            None,
            "second {second}"
        );
    }
}

#[test]
fn refuses_while_open_and_says_for_how_long() {
    let mut breaker = opened();
    assert_eq!(
        breaker.acquire(at(2), &SETTINGS),
        Err(Duration::from_secs(3))
    );
    assert_eq!(
        breaker.refuses(at(2), &SETTINGS),
        Some(Duration::from_secs(3))
    );
}

#[test]
fn closes_when_all_probes_succeed_and_opens_when_one_fails() {
    let mut breaker = opened();
    let first = breaker.acquire(at(5), &SETTINGS).unwrap();
    let second = breaker.acquire(at(5), &SETTINGS).unwrap();
    assert!(
        breaker.acquire(at(5), &SETTINGS).is_err(),
        "only two probes are let through"
    );
    assert_eq!(
        breaker.record(at(5), &SETTINGS, first, Outcome::Success),
        None
    );
    assert_eq!(
        breaker.record(at(5), &SETTINGS, second, Outcome::Success),
        Some(State::Closed)
    );

    let mut breaker = opened();
    assert_eq!(
        call(&mut breaker, at(5), Outcome::Failure),
        Some(State::Open)
    );
    assert!(breaker.acquire(at(9), &SETTINGS).is_err());
}

#[test]
fn hung_probes_cannot_wedge_it() {
    let mut breaker = opened();
    let hung = breaker.acquire(at(5), &SETTINGS).unwrap();
    breaker.acquire(at(5), &SETTINGS).unwrap();
    assert!(breaker.acquire(at(9), &SETTINGS).is_err());
    let fresh = breaker.acquire(at(10), &SETTINGS).unwrap();
    assert_eq!(
        breaker.record(at(10), &SETTINGS, hung, Outcome::Failure),
        None,
        "it is late"
    );
    assert_eq!(
        breaker.record(at(10), &SETTINGS, fresh, Outcome::Failure),
        Some(State::Open)
    );
}

#[test]
fn a_probe_that_says_nothing_is_given_back() {
    let mut breaker = opened();
    for _ in 0..10 {
        assert_eq!(call(&mut breaker, at(5), Outcome::Ignored), None);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn one_tenants_failures_refuse_that_tenant_alone() {
    let service: ServiceId = "reports".parse().unwrap();
    let mut table = Table::new(10);
    for _ in 0..4 {
        let pass = table
            .acquire(at(0), &service, TenantKey(1), &SETTINGS)
            .unwrap();
        table.record(
            at(0),
            &service,
            TenantKey(1),
            &SETTINGS,
            pass,
            Outcome::Failure,
        );
        let pass = table
            .acquire(at(0), &service, TenantKey(2), &SETTINGS)
            .unwrap();
        table.record(
            at(0),
            &service,
            TenantKey(2),
            &SETTINGS,
            pass,
            Outcome::Success,
        );
    }
    assert!(
        table
            .acquire(at(1), &service, TenantKey(1), &SETTINGS)
            .is_err()
    );
    assert_eq!(
        table.acquire(at(1), &service, TenantKey(2), &SETTINGS),
        Ok(None)
    );
    assert_eq!(table.len(), 1, "a tenant that does well takes no room");
}

#[test]
fn the_table_is_bounded_and_forgets_whom_is_well() {
    let service: ServiceId = "reports".parse().unwrap();
    let mut table = Table::new(10);
    for tenant in 0..100 {
        table.record(
            at(0),
            &service,
            TenantKey(tenant),
            &SETTINGS,
            None,
            Outcome::Failure,
        );
    }
    assert_eq!((table.len(), table.unwatched()), (10, 90));
    table.record(
        at(60),
        &service,
        TenantKey(500),
        &SETTINGS,
        None,
        Outcome::Failure,
    );
    assert_eq!(table.len(), 1);
}

proptest! {
    #[test]
    fn an_open_breaker_always_lets_somebody_try_again(
        steps in prop::collection::vec((0..4_u64, 0..3_u8), 0..200),
    ) {
        let mut breaker = Breaker::default();
        let mut now = 0;
        let mut passes = Vec::new();
        for (step, outcome) in steps {
            now += step;
            if let Ok(pass) = breaker.acquire(at(now), &SETTINGS) {
                passes.push(pass);
            }
            let outcome = [Outcome::Success, Outcome::Failure, Outcome::Ignored][outcome as usize];
            if passes.len() > 2 {
                breaker.record(at(now), &SETTINGS, passes.remove(0), outcome);
            }
        }
        let later = at(now + 5);
        prop_assert!(breaker.acquire(later, &SETTINGS).is_ok());
    }
}
