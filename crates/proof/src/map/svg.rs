//! The map as a picture to scale: within a pool a seat is as wide everywhere.

use std::fmt::Write as _;

use super::{Compartment, Kind, MARK, Map, Pool, User, text::head, text::notes, text::users};
use crate::markup::escaped;

/// The map as an SVG that stands by itself: no script, no font, nothing fetched.
///
/// Each pool is 800 pixels wide whatever its capacity, and every wall, cap and held seat in it is as wide as
/// its number of seats says. What is too narrow for its words says them when pointed at.
#[must_use]
pub fn svg(map: &Map) -> String {
    let upstreams = match map.upstreams.len() {
        0 => 0.0,
        some => HEAD + LINE * some as f64,
    };
    let pools = map.pools.iter().map(height_of).sum::<f64>();
    let height = pools + upstreams + TOP + MARGIN;
    let whole = WIDTH + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {height}\" width=\"{whole}\" \
         height=\"{height}\" role=\"img\" aria-label=\"Isolation map\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<!-- {MARK} {} -->\n<title>Isolation map</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        map.digest
    );
    let mut y = TOP;
    for pool in &map.pools {
        add_pool(&mut svg, pool, y);
        y += height_of(pool);
    }
    if !map.upstreams.is_empty() {
        let title = "upstreams that several services call";
        add_text(&mut svg, MARGIN, y + 14.0, "#111", title);
    }
    for (row, upstream) in map.upstreams.iter().enumerate() {
        let says = format!("{}: {}", upstream.address, users(&upstream.users));
        let top = y + HEAD + LINE * row as f64;
        add_text(&mut svg, MARGIN + 6.0, top + 4.0, "#b91c1c", &says);
    }
    svg.push_str("</svg>\n");
    svg
}

fn height_of(pool: &Pool) -> f64 {
    match pool.kind {
        Kind::Declared => HEAD + 24.0 + GAP,
        _ => HEAD + wall_height(pool) + GAP,
    }
}

/// As high as the wall with the most caps needs.
fn wall_height(pool: &Pool) -> f64 {
    let rows = pool.compartments.iter().map(|part| capped(part).count());
    let rows = rows.max().unwrap_or(0) as f64;
    WALL.max(22.0 + LINE * rows + 12.0 + GAP)
}

fn capped(part: &Compartment) -> impl Iterator<Item = &User> {
    part.services.iter().filter(|user| user.cap.is_some())
}

fn add_pool(svg: &mut String, pool: &Pool, y: f64) {
    add_text(svg, MARGIN, y + 14.0, "#111", &head(pool));
    let top = y + HEAD - 8.0;
    if pool.kind == Kind::Declared {
        let _ = writeln!(
            svg,
            "<rect x=\"{MARGIN}\" y=\"{top}\" width=\"{WIDTH}\" height=\"24\" fill=\"#fff\" \
             stroke=\"#b91c1c\" stroke-dasharray=\"4\"/>"
        );
        add_text(
            svg,
            MARGIN + 6.0,
            top + 16.0,
            "#b91c1c",
            &users(&pool.users),
        );
        return;
    }
    let seat = WIDTH / f64::from(pool.capacity.max(1));
    let (mut x, high) = (MARGIN, wall_height(pool) - GAP);
    for part in &pool.compartments {
        let width = f64::from(part.seats) * seat;
        add_wall(svg, part, (x, top, high), seat);
        x += width;
    }
    for (name, seats, fill) in [
        ("reserve", pool.reserve, "#e5e7eb"),
        ("unassigned", pool.unassigned, "#fff"),
    ] {
        if seats > 0 {
            let width = f64::from(seats) * seat;
            let label = format!("{name}: {seats} seats");
            add_box(svg, (x, top, width, high), fill, &label);
            add_label(svg, (x, top + 16.0), width, &format!("{name} {seats}"));
            x += width;
        }
    }
}

/// A wall with the caps and the held seats in it.
fn add_wall(svg: &mut String, part: &Compartment, (x, y, high): (f64, f64, f64), seat: f64) {
    let width = f64::from(part.seats) * seat;
    let fill = match part.tier {
        1 => "#dbeafe",
        2 => "#dcfce7",
        _ => "#fef9c3",
    };
    let mut says = format!(
        "{}: {} seats, {}",
        part.compartment,
        part.seats,
        users(&part.services)
    );
    for note in notes(part) {
        let _ = write!(says, "; {note}");
    }
    add_box(svg, (x, y, width, high), fill, &says);
    let name = format!("{} {}", part.compartment, part.seats);
    let uncapped = part.services.iter().filter(|user| user.cap.is_none());
    let uncapped: Vec<&str> = uncapped.map(|user| user.service.as_str()).collect();
    let whole = format!("{name}: {}", uncapped.join(", "));
    let fits = !uncapped.is_empty() && width >= words_width(&whole);
    add_label(svg, (x, y + 16.0), width, if fits { &whole } else { &name });
    for (row, user) in capped(part).enumerate() {
        let most = f64::from(part.most(user)) * seat;
        let top = y + 22.0 + LINE * row as f64;
        let says = format!("{} at most {}", user.service, part.most(user));
        add_box(svg, (x, top, most, 14.0), "#fff", &says);
        let short = format!("{} ≤ {}", user.service, part.most(user));
        // Beside the bar where there is no room in it.
        let left = if most < words_width(&short) {
            most
        } else {
            0.0
        };
        add_label(svg, (x + left, top + 11.0), width - left, &short);
    }
    if let Some(live) = &part.live {
        let held = f64::from(live.in_use.min(part.seats)) * seat;
        let says = format!("{} of {} held", live.in_use, part.seats);
        add_box(svg, (x, y + high - 8.0, held, 8.0), "#1f2937", &says);
    }
}

fn add_box(svg: &mut String, (x, y, width, height): (f64, f64, f64, f64), fill: &str, says: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\" \
         stroke=\"#374151\"><title>{}</title></rect>",
        escaped(says)
    );
}

/// Words, where there is room for them.
fn add_label(svg: &mut String, (x, y): (f64, f64), room: f64, says: &str) {
    if room >= words_width(says) {
        add_text(svg, x + 4.0, y, "#111", says);
    }
}

/// About how wide words are, with what is around them.
fn words_width(says: &str) -> f64 {
    says.chars().count() as f64 * CHARACTER + 8.0
}

fn add_text(svg: &mut String, x: f64, y: f64, fill: &str, says: &str) {
    let says = escaped(says);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.2}\" y=\"{y:.2}\" fill=\"{fill}\">{says}</text>"
    );
}

/// How wide a pool is, in pixels.
const WIDTH: f64 = 800.0;
const MARGIN: f64 = 16.0;
const TOP: f64 = 16.0;
const HEAD: f64 = 30.0;
const WALL: f64 = 96.0;
const GAP: f64 = 16.0;
/// Of a cap, or a shared upstream.
const LINE: f64 = 16.0;
/// About how wide a character is.
const CHARACTER: f64 = 6.6;
