//! Labels are bounded.

use prometheus_client::{encoding::text::encode, registry::Registry};
use watertight_base::{Reason, ServiceId, Tick};
use watertight_layers::{Admission, What};

use crate::{SECOND, ask, reason, room::Room, who};

fn text(admission: &Admission) -> String {
    let mut registry = Registry::default();
    admission.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn what_admission_decides_on_counts_once() {
    let admission = Room::default().open();
    let admitted = |admission: &Admission| {
        let text = text(admission);
        let line = r#"{service="checkout",verdict="admitted",reason=""} "#;
        let count = text.split(line).nth(1).map(|rest| rest.lines().next());
        count.flatten().map_or(0, |count| count.parse().unwrap())
    };
    let mut called = ask(&admission, "acme").await.unwrap();
    assert_eq!(admitted(&admission), 0, "it may still be held back");
    called.called();
    called.called();
    assert_eq!(admitted(&admission), 1);
    drop(called);
    assert_eq!(admitted(&admission), 1);
    drop(ask(&admission, "acme").await.unwrap());
    assert_eq!(admitted(&admission), 2, "without a word at its end");
    let mut late = ask(&admission, "acme").await.unwrap();
    late.called();
    late.held_back(SECOND);
    assert_eq!(admitted(&admission), 3);
    assert!(!text(&admission).contains("verdict=\"refused\""));
}

#[tokio::test(start_paused = true)]
async fn invented_services_share_one_label() {
    let admission = Room::default().open();
    drop(ask(&admission, "acme").await);
    for number in 0..1_000 {
        let service: ServiceId = format!("invented-{number}").parse().unwrap();
        let what = What::new(&service, Tick::MAX);
        let who = who(&admission, "acme");
        let verdict = admission.admit(&who, what, Tick::ZERO).await;
        assert_eq!(reason(verdict), Some(Reason::Draining));
    }
    let text = text(&admission);
    assert!(!text.contains("invented"));
    let other = r#"{service="__other__",verdict="refused",reason="draining"} 1000"#;
    assert!(text.contains(other), "{text}");
    let known = r#"{service="checkout",verdict="admitted",reason=""} 1"#;
    assert!(text.contains(known), "{text}");
}
