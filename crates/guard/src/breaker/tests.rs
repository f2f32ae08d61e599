//! The laws of breakers.

mod classify;
mod laws;
mod planted;
mod rollup;
mod states;
mod table;
mod window;

use super::*;
use crate::pool::TenantKey;

/// Nothing is left to chance, and the shared breaker needs three.
const SETTINGS: Settings = Settings {
    mode: Mode::Automatic,
    failure_rate_threshold: watertight_base::Percent::HALF,
    slow_call_rate_threshold: watertight_base::Percent::WHOLE,
    slow_call_duration_threshold: Duration::from_secs(2),
    minimum_number_of_calls: 4,
    sliding_window: SlidingWindow::Time(Duration::from_secs(10)),
    wait_duration_in_open_state: Duration::from_secs(5),
    exponential_backoff_multiplier: 2.0,
    exponential_max_wait_duration_in_open_state: Duration::from_secs(15),
    randomized_wait_factor: 0.0,
    permitted_number_of_calls_in_half_open_state: 2,
    max_wait_duration_in_half_open_state: Duration::from_secs(3),
    ramp_duration: Duration::ZERO,
    rollup_minimum_tenants: 3,
};

/// How long an ordinary call takes.
const QUICK: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_secs(2);

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn call(breaker: &mut Breaker, now: Tick, outcome: Outcome) -> Option<State> {
    call_by(breaker, now, &SETTINGS, outcome)
}

fn call_by(
    breaker: &mut Breaker,
    now: Tick,
    settings: &Settings,
    outcome: Outcome,
) -> Option<State> {
    let pass = breaker.acquire(now, settings).unwrap();
    breaker.record(now, settings, pass, outcome, QUICK)
}

fn opened() -> Breaker {
    opened_by(&SETTINGS)
}

/// Opened at second 0.
fn opened_by(settings: &Settings) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..4 {
        call_by(&mut breaker, at(0), settings, Outcome::Failure);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

fn tenant(number: u64) -> Caller {
    Caller {
        tenant: TenantKey(number),
        is_listed: true,
    }
}
