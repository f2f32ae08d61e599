//! The breaker that a service's tenants share.

use proptest::prelude::*;

use super::*;

type Calls = Vec<(u64, Outcome)>;

/// Who is counted as a tenant: what is right, and what would be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Each {
    Tenant,
    UnlistedLane,
    Call,
    InventedName,
}

struct World {
    table: Table,
    service: ServiceId,
    settings: Settings,
}

use watertight_base::ServiceId;

impl World {
    fn new() -> Self {
        Self {
            table: Table::new(1_000, 7),
            service: "reports".parse().unwrap(),
            settings: SETTINGS,
        }
    }

    fn acquire(&mut self, now: Tick, caller: Caller) -> Result<Leave, By> {
        let leave = self
            .table
            .acquire(now, &self.service, caller, &self.settings);
        leave.map_err(|refused| refused.by)
    }

    fn say(&mut self, now: Tick, caller: Caller, leave: Leave, outcome: Outcome) -> Changes {
        let said = (outcome, QUICK);
        self.table
            .record(now, &self.service, caller, &self.settings, leave, said)
    }

    fn call(&mut self, now: Tick, number: u64, outcome: Outcome) -> Result<Changes, By> {
        let leave = self.acquire(now, tenant(number))?;
        Ok(self.say(now, tenant(number), leave, outcome))
    }

    fn state(&self, now: Tick) -> State {
        self.table.shared(now, &self.service, &self.settings).state
    }

    /// Tenants 1 to 3 fail until the shared breaker is open.
    fn opened() -> Self {
        let mut world = Self::new();
        for number in [1, 2, 3, 1, 2, 3] {
            let _ = world.call(at(0), number, Outcome::Failure);
        }
        assert_eq!(world.state(at(0)), State::Open);
        world
    }
}

/// One tenant's calls, whatever becomes of them, never open the shared breaker.
pub(super) fn one_tenant_never_opens_it(
    each: Each,
    calls: &[(u64, Outcome)],
) -> Result<(), String> {
    let mut world = World::new();
    let mut now = Tick::ZERO;
    for (index, (millis, outcome)) in calls.iter().enumerate() {
        now = now + Duration::from_millis(*millis);
        let lane = TenantKey(index as u64 % 16);
        let caller = match each {
            Each::Tenant => tenant(1),
            Each::UnlistedLane => Caller {
                tenant: lane,
                is_listed: false,
            },
            Each::Call | Each::InventedName => tenant(lane.0),
        };
        if let Ok(leave) = world.acquire(now, caller) {
            world.say(now, caller, leave, *outcome);
        }
        if world.state(now) != State::Closed {
            return Err(format!("{:?} after {index} calls", world.state(now)));
        }
    }
    Ok(())
}

fn calls() -> impl Strategy<Value = Calls> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failure),
        1 => Just(Outcome::Success),
        1 => Just(Outcome::Ignored),
    ];
    prop::collection::vec((0..2_000_u64, outcome), 0..200)
}

proptest! {
    #[test]
    fn one_tenants_calls_never_open_the_shared_breaker(calls in calls()) {
        prop_assert_eq!(one_tenant_never_opens_it(Each::Tenant, &calls), Ok(()));
    }

    #[test]
    fn invented_tenants_are_one(calls in calls()) {
        prop_assert_eq!(one_tenant_never_opens_it(Each::UnlistedLane, &calls), Ok(()));
    }

    /// While others succeed, fewer tenants than it takes cannot keep it open, do what they may.
    #[test]
    fn failing_tenants_cannot_keep_it_open_while_others_succeed(
        steps in prop::collection::vec((0..2_000_u64, 1..=2_u64, 0..4_u8), 0..100),
    ) {
        let mut world = World::opened();
        let mut now = at(5);
        let mut held = Vec::new();
        for (millis, number, what) in steps {
            now = now + Duration::from_millis(millis);
            if let Ok(leave) = world.acquire(now, tenant(number)) {
                match what {
                    0 | 1 => { world.say(now, tenant(number), leave, Outcome::Failure); }
                    2 => { world.say(now, tenant(number), leave, Outcome::Ignored); }
                    _ => held.push(leave),
                }
            }
        }
        // Others have never failed. As many good answers as it takes close it, at once.
        now = now + SETTINGS.wait_duration_in_open_state;
        for _ in 0..3 {
            prop_assert!(world.call(now, 9, Outcome::Success).is_ok());
        }
        prop_assert_eq!(world.state(now), State::Closed);
    }
}

#[test]
fn distinct_tenants_open_it_together_however_seldom_each_calls() {
    let mut world = World::new();
    for number in 1..=3 {
        assert_eq!(
            world.call(at(0), number, Outcome::Failure),
            Ok(Changes::default())
        );
    }
    let changed = world.call(at(0), 4, Outcome::Failure).unwrap();
    assert_eq!(changed.service, Some(State::Open));
    assert_eq!(
        changed.pair, None,
        "nobody called often enough for a breaker of its own"
    );
    for number in [1, 5] {
        assert_eq!(world.acquire(at(1), tenant(number)), Err(By::Service));
    }
}

#[test]
fn tenants_who_fail_open_it_only_if_they_are_enough_of_all() {
    let mut world = World::new();
    world.settings.minimum_number_of_calls = 100;
    for number in 1..=9 {
        for _ in 0..10 {
            let outcome = if number <= 4 {
                Outcome::Failure
            } else {
                Outcome::Success
            };
            let _ = world.call(at(0), number, outcome);
        }
    }
    for _ in 0..10 {
        let _ = world.call(at(0), 4, Outcome::Failure);
    }
    assert_eq!(world.state(at(0)), State::Closed, "four of nine");
    let view = world.table.shared(at(0), &world.service, &world.settings);
    assert_eq!((view.tally.failing, view.tally.tenants), (4, 9));
}

#[test]
fn tenants_who_fail_seldom_do_not_refuse_one_who_does_well() {
    let mut world = World::new();
    let _ = world.call(at(0), 1, Outcome::Failure);
    for _ in 0..1_000 {
        let _ = world.call(at(0), 9, Outcome::Success);
    }
    for number in [2, 3, 4] {
        let _ = world.call(at(0), number, Outcome::Failure);
    }
    assert_eq!(
        world.state(at(0)),
        State::Closed,
        "four calls of a thousand"
    );
}

#[test]
fn votes_fall_out_of_the_window() {
    let mut world = World::new();
    for (second, number) in [(0, 1), (0, 1), (0, 2), (0, 2), (30, 3), (60, 4)] {
        let _ = world.call(at(second), number, Outcome::Failure);
    }
    assert_eq!(world.state(at(60)), State::Closed);
}

#[test]
fn probes_of_distinct_tenants_close_it_or_open_it_again() {
    let mut world = World::opened();
    for number in [1, 2] {
        let changed = world.call(at(5), number, Outcome::Failure).unwrap();
        assert_eq!(changed.service, None);
        assert_eq!(
            world.acquire(at(5), tenant(number)),
            Err(By::Service),
            "it had its turn"
        );
    }
    let changed = world.call(at(5), 3, Outcome::Failure).unwrap();
    assert_eq!(changed.service, Some(State::Open));
    assert_eq!(
        world.acquire(at(14), tenant(9)),
        Err(By::Service),
        "for longer"
    );
    for _ in 0..3 {
        assert!(world.call(at(15), 9, Outcome::Success).is_ok());
    }
    assert_eq!(world.state(at(15)), State::Closed);
}

#[test]
fn a_shared_breaker_can_be_switched_off() {
    let mut world = World::new();
    world.settings.rollup_minimum_tenants = 0;
    for number in 0..100 {
        assert_eq!(
            world.call(at(0), number, Outcome::Failure),
            Ok(Changes::default())
        );
    }
}

#[test]
fn more_tenants_than_cells_share_votes_and_are_never_more_than_they_are() {
    let mut world = World::new();
    world.settings.rollup_minimum_tenants = 100;
    world.settings.minimum_number_of_calls = 1_000_000;
    for number in 0..1_000 {
        let _ = world.call(at(0), number, Outcome::Failure);
    }
    let view = world.table.shared(at(0), &world.service, &world.settings);
    assert_eq!(
        (view.tally.failing, view.tally.counts.failures),
        (256, 1_000)
    );
}

#[test]
fn the_tally_that_opened_it_is_shown_until_it_is_closed_again() {
    let mut world = World::opened();
    let view = |world: &World, now| world.table.shared(now, &world.service, &world.settings);
    for now in [at(0), at(4)] {
        let seen = view(&world, now);
        let (tally, opening) = (seen.tally, seen.opening.unwrap());
        assert_eq!((tally.tenants, tally.failing), (3, 3));
        assert_eq!(opening.counts, tally.counts);
        assert!(tally.counts.calls >= 4 && opening.rate() >= 50.0);
        assert_eq!(opening.ago, now - at(0));
    }
    world.settings.mode = Mode::Disabled;
    assert_eq!(view(&world, at(4)).state, State::Closed);
    world.settings.mode = Mode::ForcedOpen;
    assert_eq!(view(&world, at(4)).state, State::Open);
    let well = "checkout".parse().unwrap();
    let forced = world.table.shared(at(4), &well, &world.settings);
    assert_eq!(forced.state, State::Open);
}
