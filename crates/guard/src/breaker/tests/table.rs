//! Breakers by service and tenant.

use watertight_base::ServiceId;

use super::*;

fn service() -> ServiceId {
    "reports".parse().unwrap()
}

fn call_as(table: &mut Table, now: Tick, caller: Caller, settings: &Settings, outcome: Outcome) {
    let leave = table.acquire(now, &service(), caller, settings).unwrap();
    table.record(now, &service(), caller, settings, leave, (outcome, QUICK));
}

#[test]
fn one_tenants_failures_refuse_that_tenant_alone() {
    let mut table = Table::new(10, 0);
    for _ in 0..4 {
        call_as(&mut table, at(0), tenant(1), &SETTINGS, Outcome::Failure);
        call_as(&mut table, at(0), tenant(2), &SETTINGS, Outcome::Success);
    }
    let refused = table.acquire(at(1), &service(), tenant(1), &SETTINGS);
    assert_eq!(refused.map_err(|refused| refused.by), Err(By::Tenant));
    assert!(
        table
            .acquire(at(1), &service(), tenant(2), &SETTINGS)
            .is_ok()
    );
    assert_eq!(table.len(), 1, "a tenant that does well takes no room");
}

#[test]
fn the_table_is_bounded_and_forgets_whom_is_well() {
    let settings = Settings {
        rollup_minimum_tenants: 0,
        ..SETTINGS
    };
    let mut table = Table::new(10, 0);
    for number in 0..100 {
        call_as(
            &mut table,
            at(0),
            tenant(number),
            &settings,
            Outcome::Failure,
        );
    }
    assert_eq!((table.len(), table.unwatched()), (10, 90));
    call_as(&mut table, at(60), tenant(500), &settings, Outcome::Failure);
    assert_eq!(table.len(), 1);
}

#[test]
fn a_full_table_still_counts_distinct_tenants() {
    let mut table = Table::new(1, 0);
    for number in 0..4 {
        call_as(
            &mut table,
            at(0),
            tenant(number),
            &SETTINGS,
            Outcome::Failure,
        );
    }
    let refused = table.acquire(at(0), &service(), tenant(9), &SETTINGS);
    assert_eq!(refused.map_err(|refused| refused.by), Err(By::Service));
}

#[test]
fn when_all_is_well_the_table_is_empty_whoever_still_calls() {
    let mut table = Table::new(10, 0);
    call_as(&mut table, at(0), tenant(1), &SETTINGS, Outcome::Failure);
    assert!(!table.is_empty());
    for second in [1, 30] {
        call_as(
            &mut table,
            at(second),
            tenant(2),
            &SETTINGS,
            Outcome::Success,
        );
    }
    assert!(table.is_empty());
}

#[test]
fn a_slow_call_is_watched() {
    let mut table = Table::new(10, 0);
    for _ in 0..4 {
        let leave = table
            .acquire(at(0), &service(), tenant(1), &SETTINGS)
            .unwrap();
        let said = (Outcome::Success, SLOW);
        table.record(at(2), &service(), tenant(1), &SETTINGS, leave, said);
    }
    assert!(
        table
            .acquire(at(2), &service(), tenant(1), &SETTINGS)
            .is_err()
    );
}

#[test]
fn a_probe_that_the_pair_refuses_is_made_by_somebody_else() {
    let mut table = Table::new(10, 0);
    for number in [1, 2, 3, 1, 2, 3, 1, 2, 3] {
        let caller = tenant(number);
        if let Ok(leave) = table.acquire(at(0), &service(), caller, &SETTINGS) {
            let said = (Outcome::Failure, QUICK);
            table.record(at(0), &service(), caller, &SETTINGS, leave, said);
        }
    }
    // The service probes, while tenant 1 has just opened again.
    for _ in 0..9 {
        let _ = table.acquire(at(4), &service(), tenant(1), &SETTINGS);
    }
    assert!(
        table
            .acquire(at(5), &service(), tenant(9), &SETTINGS)
            .is_ok()
    );
}

#[test]
fn a_service_that_is_forced_open_refuses_all_and_reset_closes_all() {
    let mut table = Table::new(10, 0);
    let forced = Settings {
        mode: Mode::ForcedOpen,
        ..SETTINGS
    };
    let refused = table.acquire(at(0), &service(), tenant(1), &forced);
    assert_eq!(refused.map_err(|refused| refused.by), Err(By::Force));
    assert!(
        table
            .acquire(at(0), &service(), tenant(1), &SETTINGS)
            .is_ok()
    );
    for number in [1, 2, 3, 1, 2, 3] {
        if let Ok(leave) = table.acquire(at(0), &service(), tenant(number), &SETTINGS) {
            let said = (Outcome::Failure, QUICK);
            table.record(at(0), &service(), tenant(number), &SETTINGS, leave, said);
        }
    }
    assert!(
        table
            .acquire(at(0), &service(), tenant(9), &SETTINGS)
            .is_err()
    );
    table.reset(&service());
    assert!(
        table
            .acquire(at(0), &service(), tenant(1), &SETTINGS)
            .is_ok()
    );
    assert!(table.is_empty());
}
