//! Bugs that the checks must catch.

use super::{
    laws::{Subject, a_ramp_is_climbed, probes_are_permitted, somebody_is_let_through_again},
    rollup::{Each, one_tenant_never_opens_it},
    *,
};

#[test]
fn a_lease_that_never_ends_is_caught() {
    let mut planted = Subject::new(SETTINGS);
    planted.settings.max_wait_duration_in_half_open_state = Duration::MAX;
    // It opens, and then both probes hang.
    let mut steps = vec![(0, 1); 4];
    steps.extend([(5_000, 4), (0, 4)]);
    assert!(somebody_is_let_through_again(planted, &SETTINGS, &steps).is_err());
    let sound = Subject::new(SETTINGS);
    assert_eq!(
        somebody_is_let_through_again(sound, &SETTINGS, &steps),
        Ok(())
    );
}

#[test]
fn a_lease_that_ends_too_soon_is_caught() {
    let mut planted = Subject::new(SETTINGS);
    planted.settings.max_wait_duration_in_half_open_state = Duration::from_millis(100);
    assert!(probes_are_permitted(planted, &SETTINGS).is_err());
}

#[test]
fn a_ramp_that_opens_at_once_is_caught() {
    let ramped = Settings {
        ramp_duration: seconds(10),
        ..SETTINGS
    };
    for planted in [Duration::ZERO, seconds(1), seconds(100)] {
        let mut subject = Subject::new(ramped);
        subject.settings.ramp_duration = planted;
        assert!(
            a_ramp_is_climbed(subject, &ramped, 50).is_err(),
            "{planted:?}"
        );
    }
    let sound = Subject::new(ramped);
    assert_eq!(a_ramp_is_climbed(sound, &ramped, 50), Ok(()));
}

#[test]
fn a_roll_up_that_counts_calls_is_caught() {
    let calls: Vec<_> = (0..40).map(|_| (100, Outcome::Failure)).collect();
    assert!(one_tenant_never_opens_it(Each::Call, &calls).is_err());
    assert_eq!(one_tenant_never_opens_it(Each::Tenant, &calls), Ok(()));
}

#[test]
fn a_roll_up_that_believes_invented_tenants_is_caught() {
    let calls: Vec<_> = (0..40).map(|_| (100, Outcome::Failure)).collect();
    assert!(one_tenant_never_opens_it(Each::InventedName, &calls).is_err());
    assert_eq!(
        one_tenant_never_opens_it(Each::UnlistedLane, &calls),
        Ok(())
    );
}
