//! The laws, as checks that can be held against anything that behaves like a breaker.

use proptest::prelude::*;

use super::*;

type Verdict = Result<(), String>;

/// What is checked: a breaker under the settings that it was told.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) breaker: Breaker,
    pub(super) settings: Settings,
}

impl Subject {
    pub(super) fn new(settings: Settings) -> Self {
        let breaker = Breaker::default();
        Self { breaker, settings }
    }

    fn acquire(&mut self, now: Tick) -> Result<Pass, Duration> {
        self.breaker.acquire(now, &self.settings)
    }

    fn say(&mut self, now: Tick, pass: Pass, outcome: Outcome) -> Option<State> {
        self.breaker
            .record(now, &self.settings, pass, outcome, QUICK)
    }

    fn open(&mut self, now: Tick) {
        while self.breaker.state() == State::Closed {
            let Ok(pass) = self.acquire(now) else { return };
            self.say(now, pass, Outcome::Failure);
        }
    }
}

/// Whatever becomes of calls, somebody is let through after the longest open time and a lease.
pub(super) fn somebody_is_let_through_again(
    mut subject: Subject,
    promised: &Settings,
    steps: &[(u64, u8)],
) -> Verdict {
    let mut now = Tick::ZERO;
    let mut passes = Vec::new();
    for (millis, what) in steps {
        now = now + Duration::from_millis(*millis);
        if let Ok(pass) = subject.acquire(now) {
            passes.push(pass);
        }
        let outcome = match what {
            0 => Outcome::Success,
            1 | 2 => Outcome::Failure,
            3 => Outcome::Ignored,
            // It hangs.
            _ => continue,
        };
        if let Some(pass) = passes.pop() {
            subject.say(now, pass, outcome);
        }
    }
    let longest = promised
        .exponential_max_wait_duration_in_open_state
        .max(promised.max_wait_duration_in_half_open_state);
    if subject.acquire(now + longest).is_ok() {
        return Ok(());
    }
    Err(format!("wedged in {:?}", subject.breaker.state()))
}

/// No more probes than permitted are within their leases.
pub(super) fn probes_are_permitted(mut subject: Subject, promised: &Settings) -> Verdict {
    subject.open(Tick::ZERO);
    let mut now = Tick::ZERO + promised.wait_duration_in_open_state;
    let mut begun: Vec<Tick> = Vec::new();
    for _ in 0..100 {
        now = now + Duration::from_millis(300);
        begun.retain(|at| now - *at < promised.max_wait_duration_in_half_open_state);
        begun.extend(subject.acquire(now).ok().map(|_| now));
        if begun.len() > promised.permitted_number_of_calls_in_half_open_state as usize {
            return Err(format!("{} probes at {now:?}", begun.len()));
        }
    }
    Ok(())
}

/// Of any calls during a ramp no more pass than its share, and one; and in the end all do.
pub(super) fn a_ramp_is_climbed(mut subject: Subject, promised: &Settings, every: u64) -> Verdict {
    subject.open(Tick::ZERO);
    let closed = Tick::ZERO + promised.wait_duration_in_open_state;
    for _ in 0..promised.permitted_number_of_calls_in_half_open_state {
        let pass = subject.acquire(closed).map_err(|_| "no probe")?;
        subject.say(closed, pass, Outcome::Success);
    }
    let length = promised.ramp_duration;
    let (mut now, mut allowed, mut passed) = (closed, 1.0, 0);
    while now - closed < length {
        allowed += 0.1 + 0.9 * (now - closed).as_secs_f64() / length.as_secs_f64();
        passed += u32::from(subject.acquire(now).is_ok());
        if f64::from(passed) > allowed + 1e-6 || f64::from(passed) < allowed - 2.0 {
            return Err(format!("{passed} passed at {now:?}, not about {allowed}"));
        }
        now = now + Duration::from_millis(every);
    }
    let all = (0..20).all(|_| subject.acquire(now).is_ok());
    all.then_some(())
        .ok_or_else(|| "it is never over".to_owned())
}

fn steps() -> impl Strategy<Value = Vec<(u64, u8)>> {
    prop::collection::vec((0..4_000_u64, 0..5_u8), 0..200)
}

fn ramped() -> Settings {
    Settings {
        ramp_duration: seconds(10),
        ..SETTINGS
    }
}

proptest! {
    #[test]
    fn an_open_breaker_always_lets_somebody_try_again(steps in steps(), has_ramp: bool) {
        let settings = if has_ramp { ramped() } else { SETTINGS };
        // On a ramp the next tenth call passes, or the ramp is over.
        let verdict = somebody_is_let_through_again(Subject::new(settings), &settings, &steps);
        prop_assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn calls_come_back_by_the_ramp(every in 1..500_u64) {
        let verdict = a_ramp_is_climbed(Subject::new(ramped()), &ramped(), every);
        prop_assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn an_open_time_is_within_its_bounds(
        (wait, longest) in (1..100_000_u64, 1..1_000_000_u64),
        multiplier in prop_oneof![Just(f64::NAN), -1.0..1e9_f64],
        factor in prop_oneof![Just(f64::NAN), -1.0..2.0_f64],
        (before, seed, draw) in (0..100_u32, any::<u64>(), any::<u64>()),
    ) {
        let wait = Duration::from_millis(wait);
        let settings = Settings {
            wait_duration_in_open_state: wait,
            exponential_backoff_multiplier: multiplier,
            exponential_max_wait_duration_in_open_state: Duration::from_millis(longest),
            randomized_wait_factor: factor,
            ..SETTINGS
        };
        let open_for = backoff::open_for(&settings, before, seed, draw);
        let least = wait.mul_f64(1.0 - factor.max(0.0).clamp(0.0, 1.0));
        prop_assert!(open_for + Duration::from_nanos(2) >= least, "{open_for:?}");
        prop_assert!(open_for <= wait.max(Duration::from_millis(longest)), "{open_for:?}");
    }

    #[test]
    fn breakers_that_count_only_refuse_nobody_and_change_as_if_they_did(steps in steps()) {
        let only = Settings { mode: Mode::MetricsOnly, ..SETTINGS };
        let (mut real, mut shadow) = (Subject::new(SETTINGS), Subject::new(only));
        let mut now = Tick::ZERO;
        for (millis, what) in steps {
            now = now + Duration::from_millis(millis);
            let shadowed = shadow.acquire(now);
            prop_assert!(shadowed.is_ok());
            let outcome = if what < 3 { Outcome::Failure } else { Outcome::Success };
            if let Ok(pass) = real.acquire(now) {
                real.say(now, pass, outcome);
            }
            // What the real one refuses says nothing to the other either.
            shadow.say(now, shadowed.unwrap(), outcome);
            prop_assert_eq!(real.breaker.state(), shadow.breaker.state());
        }
    }
}

#[test]
fn no_more_probes_than_permitted_are_within_their_leases() {
    assert_eq!(
        probes_are_permitted(Subject::new(SETTINGS), &SETTINGS),
        Ok(())
    );
}
