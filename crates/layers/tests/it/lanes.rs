//! Tenants that nobody listed share lanes: inventing names is worth nothing.

use watertight_base::Reason;
use watertight_layers::Admission;

use crate::{
    ask, in_use, reason,
    room::{Room, concurrent, throttled},
};

async fn decisions(admission: &Admission, tenant: &str) -> Vec<Option<Reason>> {
    let mut decisions = Vec::new();
    for _ in 0..9 {
        decisions.push(reason(ask(admission, tenant).await));
    }
    decisions
}

#[tokio::test(start_paused = true)]
async fn invented_names_create_no_state_and_take_nothing_from_the_listed() {
    let room = Room {
        tenant_plan: throttled(&[("hourly", 10, 5)]),
        ..Room::default()
    };
    let admission = room.open();
    let before = admission.tenant_counts();
    let mut passed = 0;
    for number in 0..10_000 {
        let verdict = ask(&admission, &format!("invented-{number}")).await;
        passed += usize::from(verdict.is_ok());
    }
    assert_eq!(passed, 5 * room.lanes, "each lane has one burst");
    assert_eq!(admission.tenant_counts(), before);
    assert_eq!(admission.tenants(None, 99).len(), 2);
    let untouched = room.open();
    assert_eq!(
        decisions(&admission, "acme").await,
        decisions(&untouched, "acme").await
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_keeps_its_lane_across_reloads() {
    let room = |max| Room {
        seats: 1_000,
        lanes: 64,
        tenant_plan: concurrent(max),
        ..Room::default()
    };
    let admission = room(1).open();
    let mut held = Vec::new();
    for number in 0..64 {
        let name = format!("stranger-{number}");
        if let Ok(permit) = ask(&admission, &name).await {
            held.push((name, permit));
        }
    }
    assert!(held.len() > 16, "names are spread over the lanes");
    for max in [1, 2, 1] {
        admission.reload(room(max).plan());
        for (name, _) in &held {
            let first = ask(&admission, name).await;
            assert_eq!(first.is_ok(), max == 2, "{name}");
            let second = reason(ask(&admission, name).await);
            assert_eq!(second, Some(Reason::TenantConcurrency), "{name}");
        }
    }
    drop(held);
    assert_eq!(in_use(&admission), 0);
}
