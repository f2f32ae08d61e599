//! A tenant that must be shed in part is shed by users, not by requests.

use std::{collections::BTreeMap, time::Duration};

use tokio::task::JoinSet;
use watertight_base::{Reason, Tick};
use watertight_layers::{Admission, What};

use crate::{id, room::Room, who};

const USERS: usize = 64;
const SERVICE: Duration = Duration::from_millis(20);

/// How often each user of one tenant was served, and refused as one of those left out.
type Fates = BTreeMap<usize, [u32; 2]>;

/// Users of acme ask in turn for twice as much as there is, for a while; only the end counts.
/// `names`: what a user is called at its n-th request.
async fn crowd(names: fn(usize, u32) -> String) -> Fates {
    let room = Room {
        seats: 2,
        queue: 400,
        ..Room::default()
    };
    let admission = room.open();
    // Users are dealt anew at the full hour: not in between.
    let into_hour = admission.clock().origin_since_epoch().as_secs() % 3_600;
    if into_hour > 3_540 {
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    let mut tasks = JoinSet::new();
    for round in 0..100 {
        for user in 0..USERS {
            let counts = round >= 60;
            let request = request(admission.clone(), names(user, round));
            tasks.spawn(async move { counts.then_some((user, request.await)) });
            // sleep: twice as many as two seats serve
            tokio::time::sleep(SERVICE / 4).await;
        }
    }
    let mut fates = Fates::new();
    while let Some(ended) = tasks.join_next().await {
        let Some((user, reason)) = ended.unwrap() else {
            continue;
        };
        let [served, shed] = fates.entry(user).or_default();
        match reason {
            None => *served += 1,
            Some(_) => *shed += 1,
        }
    }
    fates
}

async fn request(admission: Admission, user: String) -> Option<Reason> {
    let mut who = who(&admission, "acme");
    who.user = Some(user.into());
    let (checkout, now) = (id("checkout"), admission.clock().now());
    let what = What::new(&checkout, Tick::MAX);
    match admission.admit(&who, what, now).await {
        Ok(_permit) => {
            // sleep: the time that the call takes
            tokio::time::sleep(SERVICE).await;
            None
        }
        Err(refusal) => Some(refusal.reason),
    }
}

/// How far from half the users were served, from 0 to 1: one whose requests are shed at random is some 0.1
/// away from it, one that is left out or served whole 1.
fn clear_cut(fates: &Fates) -> f64 {
    let asked: u32 = fates.values().flatten().sum();
    let apart = fates.values().map(|[served, shed]| served.abs_diff(*shed));
    f64::from(apart.sum::<u32>()) / f64::from(asked)
}

#[tokio::test(start_paused = true)]
async fn the_users_of_a_tenant_that_asks_for_too_much_are_served_or_left_out_whole() {
    let fates = crowd(|user, _| format!("user-{user}")).await;
    let clear_cut = clear_cut(&fates);
    assert!(clear_cut > 0.5, "{clear_cut} {fates:?}");
    let served = fates
        .values()
        .filter(|[served, shed]| served > shed)
        .count();
    assert!((USERS / 4..USERS * 3 / 4).contains(&served), "{fates:?}");
}

/// The planted bug: each request is dealt anew.
#[tokio::test(start_paused = true)]
async fn the_checker_sees_that_requests_are_shed_at_random() {
    let fates = crowd(|user, round| format!("user-{user}-{round}")).await;
    let clear_cut = clear_cut(&fates);
    assert!(clear_cut < 0.25, "{clear_cut} {fates:?}");
}
