//! Whatever the walls: what the audit prints can be put in, and mends the holes that it found.

use proptest::{collection::vec, prelude::*};
use toml::Table;
use watertight::config::parse;
use watertight_proof::{
    NodeView, Sitting, Wall,
    audit::{self, AuditReport, Evidence, Severity, audit},
};

use super::apply;

/// Services by tier and compartment, caps where there are some, seats of compartments.
#[derive(Clone, Debug)]
struct Walls {
    services: Vec<(u8, usize, Option<u32>)>,
    seats: Vec<u32>,
    head_room: bool,
    is_tcp: bool,
    has_declared: bool,
    /// All come to all pools as one, and say that these are their own.
    claims: bool,
    spare: u32,
}

prop_compose! {
    fn walls()(
        services in vec((1..=3_u8, 0..3_usize, prop::option::of(1..8_u32)), 1..7),
        seats in vec(1..9_u32, 3),
        head_room in any::<bool>(),
        is_tcp in any::<bool>(),
        has_declared in any::<bool>(),
        claims in any::<bool>(),
        spare in 0..2_u32,
    ) -> Walls {
        Walls { services, seats, head_room, is_tcp, has_declared, claims, spare }
    }
}

impl Walls {
    fn toml(&self) -> String {
        let mut toml = String::new();
        let uses = if self.has_declared {
            "['pool', 'cache', 'bus']"
        } else {
            "['pool']"
        };
        for (at, (tier, _, _)) in self.services.iter().enumerate() {
            toml += &format!(
                "[services.s{at}]\ntier = {tier}\nroutes = ['/s{at}']\n\
                 upstreams = ['http://127.0.0.1:{}']\nuses = {uses}\n",
                9_000 + at
            );
            if self.claims && self.has_declared {
                toml += "credentials = { pool = 'app', cache = 'app', bus = 'app' }\n\
                         dedicated = ['cache', 'balancer', 'bus']\n";
            }
        }
        if self.has_declared {
            toml += "[pools.cache]\nkind = 'declared'\n[pools.bus]\nkind = 'declared'\n";
        }
        let used: Vec<usize> = (0..3).filter(|part| !self.sits(*part).is_empty()).collect();
        let capacity: u32 = used.iter().map(|part| self.seats[*part]).sum();
        toml += &format!("[pools.pool]\ncapacity = {}\n", capacity + self.spare);
        if self.is_tcp {
            toml += "kind = 'tcp'\nupstreams = ['127.0.0.1:6000']\n";
        }
        for part in used {
            let (sits, seats) = (self.sits(part), self.seats[part]);
            let names: Vec<String> = sits.iter().map(|at| format!("'s{at}'")).collect();
            toml += &format!(
                "[pools.pool.compartments.c{part}]\nservices = [{}]\nseats = {seats}\n",
                names.join(", ")
            );
            let caps = sits.iter().filter_map(|at| {
                let cap = self.services[*at].2?;
                Some(format!("s{at} = {}", cap.min(seats)))
            });
            let caps: Vec<String> = caps.collect();
            toml += &format!("caps = {{ {} }}\n", caps.join(", "));
            if self.head_room && !self.is_tcp {
                toml += &format!("head_room = {}\n", seats - 1);
            }
            if self.is_tcp {
                let binds = sits
                    .iter()
                    .map(|at| format!("s{at} = '127.0.0.1:{}'", 7_000 + at));
                let binds: Vec<String> = binds.collect();
                toml += &format!("binds = {{ {} }}\n", binds.join(", "));
            }
        }
        toml
    }

    fn sits(&self, part: usize) -> Vec<usize> {
        let services = self.services.iter().enumerate();
        let here = services.filter(|(_, service)| service.1 == part);
        here.map(|(at, _)| at).collect()
    }
}

fn look(toml: &str) -> AuditReport {
    look_with(toml, None)
}

fn look_with(toml: &str, node: Option<&NodeView>) -> AuditReport {
    let loaded = parse("watertight.toml", toml, std::path::Path::new(""), &|_| None);
    let loaded = loaded.unwrap_or_else(|failure| panic!("{failure}\n{toml}"));
    let evidence = Evidence {
        node,
        ..Evidence::default()
    };
    audit(&loaded.plan, &evidence)
}

/// A node up for 1,000 s, whose compartments hold `means` on average.
fn node(walls: &Walls, means: &[f64], waiting: u32) -> NodeView {
    let wall = |(part, mean): (usize, &f64)| {
        let sits = walls.sits(part);
        let sitting = sits.iter().map(|at| Sitting {
            service: format!("s{at}"),
            in_use: 0,
            waiting: 0,
            seat_seconds: mean * 1_000.0 / sits.len() as f64,
            granted: 1,
            shed: 0,
            mean_wait_ms: 0.0,
        });
        Wall {
            pool: "pool".to_owned(),
            compartment: format!("c{part}"),
            seats: walls.seats[part],
            in_use: 0,
            borrowed: 0,
            lent: 0,
            waiting: if part == 0 { waiting } else { 0 },
            seat_seconds: mean * 1_000.0,
            sitting: sitting.collect(),
        }
    };
    NodeView {
        node: "edge-1".to_owned(),
        uptime_s: 1_000.0,
        runs_this: true,
        walls: means.iter().enumerate().map(wall).collect(),
        firing: Vec::new(),
        webhook_error: None,
    }
}

/// The snippets of all holes; none for one that cannot be mended by lines alone.
fn fixes(report: &AuditReport) -> Vec<Option<String>> {
    let findings = report.points.iter().flat_map(|point| &point.findings);
    let holes = findings.filter(|finding| finding.severity == Severity::Hole);
    holes
        .map(|hole| hole.fix.as_ref().unwrap().toml.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_the_audit_prints_mends_what_it_found(walls in walls()) {
        let toml = walls.toml();
        let before = fixes(&look(&toml));
        let mut mended: Table = toml.parse().unwrap();
        for snippet in before.iter().flatten() {
            apply(&mut mended, snippet);
        }
        let after = look(&mended.to_string());
        if before.iter().all(Option::is_some) {
            prop_assert_eq!(fixes(&after), Vec::<Option<String>>::new(), "{}\n{}", toml, mended);
        } else {
            prop_assert!(after.holes < before.len() || before.iter().all(Option::is_none));
        }
    }

    #[test]
    fn walls_that_are_moved_as_suggested_stand_and_make_no_hole(
        walls in walls(),
        means in vec(0.0..30.0_f64, 3),
        factor in 1..9_u32,
        waiting in 0..2_u32,
    ) {
        let mut walls = walls;
        walls.seats.iter_mut().for_each(|seats| *seats *= factor);
        let toml = walls.toml();
        let node = node(&walls, &means, waiting);
        let found = look_with(&toml, Some(&node));
        let mut moved: Table = toml.parse().unwrap();
        for advice in &found.advice {
            if advice.over_s.is_some() {
                let dealt: u32 = advice.sizes.iter().map(|size| size.suggested).sum();
                prop_assert_eq!(dealt, advice.room);
                for size in &advice.sizes {
                    prop_assert!(!size.is_full || size.suggested >= size.seats, "{:?}", size);
                    prop_assert!(!size.is_idle || size.suggested <= size.seats, "{:?}", size);
                }
            }
            if let Some(toml) = &advice.fix.toml {
                apply(&mut moved, toml);
            }
        }
        let after = look(&moved.to_string());
        prop_assert!(after.holes <= found.holes, "{}\n{}", toml, moved);
        let mut mended: Table = toml.parse().unwrap();
        let fixes_found = fixes(&found);
        for snippet in fixes_found.iter().flatten() {
            apply(&mut mended, snippet);
        }
        if fixes_found.iter().all(Option::is_some) {
            prop_assert_eq!(fixes(&look(&mended.to_string())), []);
        }
    }
}

#[test]
fn a_mend_without_its_caps_is_caught() {
    let mut walls = Walls {
        services: vec![(1, 0, None), (2, 0, None), (3, 0, None)],
        seats: vec![8, 1, 1],
        head_room: false,
        is_tcp: false,
        has_declared: false,
        claims: false,
        spare: 0,
    };
    for is_tcp in [false, true] {
        walls.is_tcp = is_tcp;
        let toml = walls.toml();
        let before = fixes(&look(&toml));
        assert!(before.len() > 2, "{before:?}");
        let mut mended: Table = toml.parse().unwrap();
        for snippet in before.iter().flatten() {
            let lines = snippet.lines().filter(|line| !line.starts_with("caps"));
            apply(&mut mended, &lines.collect::<Vec<_>>().join("\n"));
        }
        assert!(!fixes(&look(&mended.to_string())).is_empty());
    }
}

#[test]
fn lines_for_one_service_do_not_undo_each_other() {
    let walls = Walls {
        services: vec![(1, 0, None), (3, 1, None)],
        seats: vec![8, 8, 1],
        head_room: false,
        is_tcp: false,
        has_declared: true,
        claims: true,
        spare: 0,
    };
    let toml = walls.toml();
    let report = look(&toml);
    // Two pools that nothing divides; three roles in common; four times a pool that is not one's own.
    let before = fixes(&report);
    assert_eq!(before.len(), 2 + 3 + 4, "{}", audit::text(&report));
    for is_reversed in [false, true] {
        let mut snippets: Vec<&String> = before.iter().flatten().collect();
        if is_reversed {
            snippets.reverse();
        }
        let mut mended: Table = toml.parse().unwrap();
        for snippet in snippets {
            apply(&mut mended, snippet);
        }
        let after = look(&mended.to_string());
        assert_eq!(fixes(&after), [], "{}", audit::text(&after));
    }
}

#[test]
fn two_compartments_of_one_seat_are_each_given_another() {
    let walls = Walls {
        services: vec![(1, 0, None), (3, 0, None), (1, 1, None), (3, 1, None)],
        seats: vec![1, 1, 1],
        head_room: false,
        is_tcp: false,
        has_declared: false,
        claims: false,
        spare: 0,
    };
    let toml = walls.toml();
    let mut mended: Table = toml.parse().unwrap();
    for snippet in fixes(&look(&toml)).iter().flatten() {
        apply(&mut mended, snippet);
    }
    assert_eq!(fixes(&look(&mended.to_string())), []);
}
