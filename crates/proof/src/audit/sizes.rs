//! Walls that are too many or too wide: some stand idle while others of the same pool are full.
//!
//! What a wall needs is worked out from how many of its seats were held on average since the node was started
//! ([`needed_seats`]): by the average *m*, (*m* + 4 × √*m*) seats are enough for the bunches in which
//! requests come, and that should be where the alert is. An average over nights and weekends is less than
//! a peak; who knows the peak should take that. What is held and waited for when the node is asked is such a
//! peak: a wall needs that at the least, and more than it has when it is full. So what is idle gives seats and
//! what is full gets them, never the other way round.

use serde::{Deserialize, Serialize};

use super::{
    Fix, Subject,
    mend::needed_seats,
    snippet::{Snippet, inline},
};
use crate::{
    NodeView, Wall,
    map::{Compartment, Kind, Pool, User, thousandths},
};

/// A pool whose walls might stand elsewhere.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Advice {
    /// The pool.
    pub pool: String,
    /// What is to be said of it.
    pub says: String,
    /// Seats that its compartments may have in all: all but the reserve.
    pub room: u32,
    /// The share at which alerts fire, in percent.
    pub alert_percent: f64,
    /// How long use was measured, in seconds; none where it was not.
    pub over_s: Option<f64>,
    /// Its walls.
    pub sizes: Vec<Size>,
    /// What to write.
    pub fix: Fix,
}

/// A wall, and how wide it should be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Size {
    /// The compartment.
    pub compartment: String,
    /// Seats that it has.
    pub seats: u32,
    /// Seats held on average, to a thousandth.
    pub mean_held: Option<f64>,
    /// Seats that are held or waited for now; none where no node was asked.
    #[serde(default)]
    pub wanted: Option<u32>,
    /// Seats that it needs by these, or at the least.
    pub needs: u32,
    /// Seats that it would have.
    pub suggested: u32,
    /// Whether somebody waits, is left out, or finds no seat.
    pub is_full: bool,
    /// Whether it has twice what it needs.
    pub is_idle: bool,
}

/// The advice for all pools.
pub(super) fn advice(subject: Subject<'_>) -> Vec<Advice> {
    let pools = subject.map.pools.iter();
    let pools = pools.filter(|pool| matches!(pool.kind, Kind::Requests | Kind::Tcp));
    pools
        .flat_map(|pool| {
            let measured = subject
                .evidence
                .node
                .filter(|node| node.uptime_s >= UPTIME_MIN_S);
            match measured.and_then(|node| by_use(pool, node)) {
                Some(advice) => vec![advice],
                None => (1..=3).filter_map(|tier| slivers(pool, tier)).collect(),
            }
        })
        .collect()
}

/// Walls that stand idle while others of the pool are full.
fn by_use(pool: &Pool, node: &NodeView) -> Option<Advice> {
    let walls: Option<Vec<(&Compartment, &Wall)>> = pool
        .compartments
        .iter()
        .map(|part| Some((part, node.wall(&pool.pool, &part.compartment)?)))
        .collect();
    let mut sizes: Vec<Size> = walls?
        .iter()
        .map(|(part, wall)| size(pool, part, wall, node))
        .collect();
    let idle = names(&sizes, |size| size.is_idle).join(", ");
    let full = names(&sizes, |size| size.is_full).join(", ");
    if idle.is_empty() || full.is_empty() {
        return None;
    }
    let room = pool.capacity - pool.reserve;
    share_out(&mut sizes, room);
    let needs: u32 = sizes.iter().map(|size| size.needs).sum();
    let mut says = format!("{idle} stands idle while {full} is full");
    if needs > room {
        says.push_str("; what all of them need is more than there is");
    }
    Some(Advice {
        pool: pool.pool.clone(),
        says,
        room,
        alert_percent: pool.alert_percent,
        over_s: Some(node.uptime_s),
        fix: fix(pool, &sizes),
        sizes,
    })
}

fn size(pool: &Pool, part: &Compartment, wall: &Wall, node: &NodeView) -> Size {
    let mean = thousandths(node.mean(wall.seat_seconds));
    let wanted = wall.in_use.saturating_add(wall.waiting);
    let needs = needed_seats(mean, pool.alert_percent).max(wanted);
    let refuses = wall.sitting.iter().any(|it| it.shed > 0);
    let is_full = wall.waiting > 0 || needs > part.seats || wanted == part.seats || refuses;
    Size {
        compartment: part.compartment.clone(),
        seats: part.seats,
        mean_held: Some(mean),
        wanted: Some(wanted),
        needs: match is_full {
            true => needs.max(part.seats.saturating_add(1)),
            false => needs,
        },
        suggested: part.seats,
        is_full,
        is_idle: !is_full && needs.saturating_mul(2) <= part.seats,
    }
}

/// Two or more walls of `tier`, so narrow that each is full with the first bunch.
fn slivers(pool: &Pool, tier: u8) -> Option<Advice> {
    let least = needed_seats(1.0, pool.alert_percent);
    let parts = pool.compartments.iter();
    let narrow = parts.filter(|part| part.seats < least && part.tier == tier);
    let sizes: Vec<Size> = narrow
        .map(|part| Size {
            compartment: part.compartment.clone(),
            seats: part.seats,
            mean_held: None,
            wanted: None,
            needs: least,
            suggested: part.seats,
            is_full: false,
            is_idle: false,
        })
        .collect();
    if sizes.len() < 2 {
        return None;
    }
    let names = names(&sizes, |_| true);
    Some(Advice {
        pool: pool.pool.clone(),
        says: format!(
            "{} are of tier {tier} and narrower than what a service needs that holds one seat on average",
            names.join(" and ")
        ),
        room: pool.capacity - pool.reserve,
        alert_percent: pool.alert_percent,
        over_s: None,
        sizes,
        fix: Fix {
            says: "put services of one tier into one compartment, with caps".to_owned(),
            toml: None,
        },
    })
}

/// Moves seats that nobody has, and then those that idle walls do not need, to the full ones: as many as these
/// lack. What nobody lacks of those that nobody has is theirs, too.
fn share_out(sizes: &mut [Size], room: u32) {
    let has: u32 = sizes.iter().map(|size| size.seats).sum();
    let unassigned = room.saturating_sub(has);
    let spare = |size: &Size| match size.is_idle {
        true => size.seats.saturating_sub(size.needs),
        false => 0,
    };
    let lack = |size: &Size| match size.is_full {
        true => size.needs.saturating_sub(size.seats),
        false => 0,
    };
    let spares: Vec<u32> = sizes.iter().map(spare).collect();
    let lacks: Vec<u32> = sizes.iter().map(lack).collect();
    let sum = |parts: &[u32]| parts.iter().copied().fold(0_u32, u32::saturating_add);
    let given = sum(&lacks).saturating_sub(unassigned).min(sum(&spares));
    let taken = in_proportion(given, &spares);
    let got = in_proportion(given + unassigned, &lacks);
    for (size, (taken, got)) in sizes.iter_mut().zip(taken.into_iter().zip(got)) {
        size.suggested = size.seats - taken + got;
    }
}

/// `number` in parts as large as `shares` are beside each other: nothing is lost to rounding.
fn in_proportion(number: u32, shares: &[u32]) -> Vec<u32> {
    let mut left = u64::from(number);
    let mut shares_left: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let parts = shares.iter().map(|share| {
        let part = left * u64::from(*share) / shares_left.max(1);
        left -= part;
        shares_left -= u64::from(*share);
        u32::try_from(part).unwrap_or(number)
    });
    parts.collect()
}

/// Lines that move the walls; none where one would be too narrow for those behind it.
fn fix(pool: &Pool, sizes: &[Size]) -> Fix {
    let mut snippet = Snippet::default();
    for (part, size) in pool.compartments.iter().zip(sizes) {
        if size.suggested == part.seats {
            continue;
        }
        let Some(caps) = caps(part, size.suggested) else {
            let says = format!(
                "there is no room for all of them: {} has too many",
                part.compartment
            );
            return Fix { says, toml: None };
        };
        let path = ["pools", &pool.pool, "compartments", &size.compartment];
        snippet = snippet.table(&path).set("seats", size.suggested);
        if !caps.is_empty() {
            let caps = caps
                .iter()
                .map(|(user, cap)| (user.service.as_str(), cap.to_string()));
            snippet = snippet.set("caps", inline(caps));
        }
        if part.head_room >= size.suggested {
            let head_room = if pool.kind == Kind::Tcp {
                0
            } else {
                size.suggested / 8
            };
            snippet = snippet.set("head_room", head_room);
        }
    }
    Fix {
        says: "move the walls; caps are moved in proportion".to_owned(),
        toml: Some(snippet.finish()),
    }
}

/// The caps in proportion, one seat at the least. What tier 3 may take goes on leaving a seat to others;
/// none if that cannot be.
fn caps(part: &Compartment, seats: u32) -> Option<Vec<(&User, u32)>> {
    let scaled = |cap: u32| {
        let scaled = u64::from(cap) * u64::from(seats) / u64::from(part.seats.max(1));
        u32::try_from(scaled).unwrap_or(seats).max(1)
    };
    let users = part.services.iter();
    let mut caps: Vec<(&User, u32)> = users
        .filter_map(|user| Some((user, scaled(user.cap?))))
        .collect();
    let is_three = |(user, _): &(&User, u32)| part.tier < 3 && user.tier == 3;
    while caps
        .iter()
        .filter(|it| is_three(it))
        .map(|(_, cap)| cap)
        .sum::<u32>()
        >= seats
    {
        let threes = caps.iter_mut().filter(|it| is_three(it));
        let (_, widest) = threes
            .max_by_key(|(_, cap)| *cap)
            .filter(|(_, cap)| *cap > 1)?;
        *widest -= 1;
    }
    Some(caps)
}

fn names(sizes: &[Size], which: impl Fn(&Size) -> bool) -> Vec<&str> {
    let sizes = sizes.iter().filter(|size| which(size));
    sizes.map(|size| size.compartment.as_str()).collect()
}

/// Averages over less than this say nothing, in seconds.
const UPTIME_MIN_S: f64 = 60.0;
