//! What is refused, and what a plan has without a word.

use watertight_guard::pool::CompartmentSpec;

use super::*;

fn service(name: &str) -> Service {
    Service::new(name.parse().unwrap(), 2_u64.try_into().unwrap())
}

#[test]
fn a_service_without_uses_has_a_compartment_of_its_own() {
    let plan = Plan::builder()
        .service(service("a"))
        .service(service("b"))
        .build()
        .unwrap();
    let seats: Vec<_> = plan
        .layout()
        .pools()
        .iter()
        .map(|pool| pool.capacity.get())
        .collect();
    assert_eq!(seats, [256, 256]);
}

#[test]
fn a_pool_may_not_take_the_name_of_a_service_that_has_its_own() {
    let builder = Plan::builder()
        .service(service("a"))
        .declared_pool("a".parse().unwrap());
    assert!(matches!(builder.build(), Err(Error::OwnPoolTwice { .. })));
}

#[test]
fn one_problem_does_not_hide_another() {
    let mut lonely = service("a");
    lonely.uses = vec!["database".parse().unwrap()];
    lonely.routes = vec!["nowhere".to_owned()];
    let builder = Plan::builder().service(lonely).unlisted("vip").unwrap();
    assert_eq!(builder.problems().len(), 3);
}

#[test]
fn a_pool_without_a_threshold_has_the_default() {
    let plan = Plan::builder().service(service("a")).build().unwrap();
    let shares: Vec<f64> = plan.alerts().values().map(|share| share.get()).collect();
    assert_eq!(shares, [Plan::ALERT_DEFAULT]);
}

#[test]
fn a_plan_without_services_is_valid() {
    assert!(Plan::builder().build().is_ok());
}

#[test]
fn a_compartment_and_its_services_must_agree() {
    let mut lonely = service("a");
    lonely.uses = vec!["database".parse().unwrap()];
    assert!(matches!(
        Plan::builder().service(lonely.clone()).build(),
        Err(Error::UsesUnknownPool { .. })
    ));
    let pool = |services: Vec<ServiceId>| PoolSpec {
        id: "database".parse().unwrap(),
        capacity: 10_u64.try_into().unwrap(),
        adaptive: None,
        reserve: 0,
        compartments: vec![CompartmentSpec::new(
            "c".parse().unwrap(),
            10_u64.try_into().unwrap(),
            services,
        )],
    };
    assert!(matches!(
        Plan::builder()
            .service(lonely.clone())
            .pool(pool(vec![]))
            .build(),
        Err(Error::UsesWithoutCompartment { .. })
    ));
    assert!(matches!(
        Plan::builder()
            .service(service("a"))
            .pool(pool(vec!["a".parse().unwrap()]))
            .build(),
        Err(Error::CompartmentWithoutUse { .. })
    ));
    assert!(
        Plan::builder()
            .service(lonely)
            .pool(pool(vec!["a".parse().unwrap()]))
            .build()
            .is_ok()
    );
}

#[test]
fn a_tenant_on_a_plan_that_does_not_exist_is_refused() {
    let tenant = Tenant {
        plan: "vip".parse().unwrap(),
        segment: None,
        throttle: Vec::new(),
    };
    let plan = Plan::builder().tenant("acme".parse().unwrap(), tenant);
    assert!(matches!(plan.build(), Err(Error::TenantPlan { .. })));
    assert!(matches!(
        Plan::builder().unlisted("vip").unwrap().build(),
        Err(Error::UnknownPlan { .. })
    ));
}
