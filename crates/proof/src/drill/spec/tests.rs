//! What scenarios ask of whom.

use super::*;

fn spec(name: Name, cast: &Cast) -> Spec {
    let spec = Spec::new(name, cast, None);
    let Ok(spec) = spec else { panic!("{spec:?}") };
    spec
}

fn node() -> Cast {
    Cast {
        is_shop: false,
        bounds: Bounds::NODE,
        ..Cast::shop()
    }
}

fn per_s(streams: &[Stream]) -> f64 {
    streams.iter().map(|stream| stream.rate_per_s).sum()
}

#[test]
fn ordinary_tenants_ask_for_the_same_in_all_phases() {
    for cast in [Cast::shop(), node()] {
        for name in Name::ALL {
            let spec = spec(name, &cast);
            let ordinary = |phase| {
                let mut streams = spec.streams(phase);
                streams.retain(|stream| stream.class != Class::Noisy);
                streams
            };
            let before = ordinary(Phase::Before);
            assert!(!before.is_empty());
            assert_eq!(before, ordinary(Phase::During), "{name}");
            assert_eq!(spec.streams(Phase::Before), spec.streams(Phase::After));
        }
    }
}

#[test]
fn no_storm_is_above_its_bounds() {
    for cast in [Cast::shop(), node()] {
        for name in Name::ALL {
            let spec = spec(name, &cast);
            let [before, during] =
                [Phase::Before, Phase::During].map(|it| per_s(&spec.streams(it)));
            let most = cast.bounds.storm_per_s;
            assert!(during - before <= most + 1e-6, "{name}: {before} {during}");
            assert!(
                spec.hoard
                    .is_none_or(|hoard| hoard.connections <= cast.bounds.hoard)
            );
        }
    }
}

#[test]
fn tier_one_is_never_in_the_blast_radius_of_a_fault() {
    for cast in [Cast::shop(), node()] {
        let of_tier_one =
            |service: &String| cast.of_tier(1).iter().any(|role| role.service == *service);
        for name in Name::ALL {
            let spec = spec(name, &cast);
            assert!(
                !spec.faults.iter().any(|fault| of_tier_one(&fault.service)),
                "{name}"
            );
            let mut streams = spec.streams(Phase::During).into_iter();
            assert!(streams.any(|stream| stream.tier == 1 && stream.class.is_victim()));
        }
    }
}

#[test]
fn everything_is_said_before() {
    for name in Name::ALL {
        let Statement {
            does,
            hypothesis,
            blast_radius,
            abort,
        } = spec(name, &Cast::shop()).statement;
        for says in [does, hypothesis, blast_radius, abort] {
            assert!(says.len() > 15, "{name}: {says}");
        }
    }
}

#[test]
fn nobody_for_a_part_is_an_error_that_says_so() {
    let mut cast = Cast::shop();
    cast.roles.retain(|role| role.tier != 2);
    assert!(Spec::new(Name::SaturateTier(2), &cast, None).is_err());
    assert!(Spec::new(Name::SlowUpstream, &cast, Some("inventory")).is_err());
    cast.roles.retain(|role| role.tier != 1);
    assert!(Spec::new(Name::NoisyTenant, &cast, None).is_err());
}

fn refused(name: Name, cast: &Cast, service: &str) -> String {
    let refused = Spec::new(name, cast, Some(service));
    refused.unwrap_err().to_string()
}

#[test]
fn a_service_that_is_named_is_struck_or_refused() {
    let cast = Cast::shop();
    for name in Name::ALL {
        let says = refused(name, &cast, "nosuch");
        assert!(says.contains("no service nosuch"), "{name}: {says}");
        if name.strikes_one() {
            let spec = Spec::new(name, &cast, Some("inventory")).unwrap();
            assert_eq!(spec.flooded, ["inventory"], "{name}");
        } else {
            let says = refused(name, &cast, "inventory");
            assert!(says.contains("no single service"), "{name}: {says}");
        }
    }
}

#[test]
fn the_last_of_tier_one_cannot_be_struck_itself() {
    let mut cast = Cast::shop();
    assert!(cast.of_tier(1).len() > 1);
    let strikes = [
        Name::SlowUpstream,
        Name::DeadUpstream,
        Name::BackgroundFlood,
    ];
    for name in strikes {
        assert!(Spec::new(name, &cast, Some("checkout")).is_ok(), "{name}");
    }
    cast.roles
        .retain(|role| role.tier != 1 || role.service == "checkout");
    for name in strikes {
        let says = refused(name, &cast, "checkout");
        assert!(says.contains("all that there is of tier 1"), "{says}");
    }
    for name in [Name::ConnectionHoarding, Name::LargeBodies] {
        assert!(Spec::new(name, &cast, Some("checkout")).is_ok(), "{name}");
    }
}
