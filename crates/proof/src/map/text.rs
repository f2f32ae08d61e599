//! The map for a terminal: a bar for each wall, to scale within its pool.

use std::fmt::Write as _;

use super::{Compartment, Kind, MARK, Map, Pool, User};

/// The map as text. Bars are to scale: a full one is the whole of its pool.
#[must_use]
pub fn text(map: &Map) -> String {
    let mut text = String::new();
    for pool in &map.pools {
        add_pool(&mut text, pool);
    }
    if !map.upstreams.is_empty() {
        text.push_str("upstreams that several services call\n");
        for upstream in &map.upstreams {
            let _ = writeln!(text, "  {}  {}", upstream.address, users(&upstream.users));
        }
        text.push('\n');
    }
    text.push_str("services\n");
    let width = widest(map.services.iter().map(|service| service.service.as_str()));
    for service in &map.services {
        let uses = match service.uses.is_empty() {
            true => "names no shared resource".to_owned(),
            false => format!("uses {}", service.uses.join(", ")),
        };
        let _ = write!(
            text,
            "  {:<width$}  tier {}  {uses}",
            service.service, service.tier
        );
        if let Some(dedicated) = service.dedicated.as_ref().filter(|names| !names.is_empty()) {
            let _ = write!(text, "; its own: {}", dedicated.join(", "));
        }
        text.push('\n');
    }
    if let Some(up_s) = map.live_s {
        let _ = writeln!(
            text,
            "\nuse as the node reports it, averages over {up_s:.0} s"
        );
    }
    let _ = writeln!(text, "\n{MARK} {}", map.digest);
    text
}

fn add_pool(text: &mut String, pool: &Pool) {
    if pool.kind == Kind::Declared {
        let _ = writeln!(text, "{}\n  {}\n", head(pool), users(&pool.users));
        return;
    }
    let _ = writeln!(text, "{}, alert at {} %", head(pool), pool.alert_percent);
    let names = pool
        .compartments
        .iter()
        .map(|part| part.compartment.as_str());
    let width = widest(names.chain(["unassigned"]));
    for part in &pool.compartments {
        let _ = writeln!(
            text,
            "  {:<width$} {:>7}  {}  {}",
            part.compartment,
            part.seats,
            bar(part.seats, pool.capacity),
            sits(part),
        );
        for note in notes(part) {
            let _ = writeln!(text, "  {:<width$}          {note}", "");
        }
    }
    for (name, seats) in [("reserve", pool.reserve), ("unassigned", pool.unassigned)] {
        if seats > 0 {
            let bar = bar(seats, pool.capacity);
            let whose = if name == "reserve" {
                "operations alone"
            } else {
                "nobody"
            };
            let _ = writeln!(text, "  {name:<width$} {seats:>7}  {bar}  {whose}");
        }
    }
    text.push('\n');
}

/// What a pool is and how large.
pub(super) fn head(pool: &Pool) -> String {
    let (name, kind) = (&pool.pool, pool.kind.label());
    match (pool.kind, pool.adaptive_min) {
        (Kind::Declared, _) => format!("{name}: {kind}"),
        (_, None) => format!("{name}: {kind}, {} seats", pool.capacity),
        (_, Some(min)) => format!(
            "{name}: {kind}, {} seats at most, {min} at least",
            pool.capacity
        ),
    }
}

/// Who sits behind a wall, with tiers and caps.
fn sits(part: &Compartment) -> String {
    users(&part.services)
}

pub(super) fn users(users: &[User]) -> String {
    let one = |user: &User| match user.cap {
        Some(cap) => format!("{} (tier {}, at most {cap})", user.service, user.tier),
        None => format!("{} (tier {})", user.service, user.tier),
    };
    match users.is_empty() {
        true => "nobody".to_owned(),
        false => users.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// What else is to be known of a wall.
pub(super) fn notes(part: &Compartment) -> Vec<String> {
    let mut notes = Vec::new();
    if !part.lends_to.is_empty() {
        let least = part.seats.min(part.head_room);
        notes.push(format!(
            "lends to {}, keeps {least}; back after {} ms",
            part.lends_to.join(", "),
            part.borrow_max_ms
        ));
    }
    if let Some(live) = &part.live {
        notes.push(format!(
            "held now {}, waiting {}, held on average {}",
            live.in_use, live.waiting, live.mean_held
        ));
    }
    notes
}

/// A bar of `seats` of `capacity`: at least one cell, if any seat.
fn bar(seats: u32, capacity: u32) -> String {
    let cells = u64::from(seats) * u64::from(WIDTH) / u64::from(capacity.max(1));
    let cells = cells.max(u64::from(seats > 0)).min(u64::from(WIDTH));
    let bar: String = (0..cells).map(|_| '█').collect();
    let width = WIDTH as usize;
    format!("{bar:<width$}")
}

fn widest<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    names.map(str::len).max().unwrap_or(0)
}

const WIDTH: u32 = 40;
