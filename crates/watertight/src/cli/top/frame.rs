//! A frame: the alerts that fire, the hull with its compartments, the services, what is refused, who
//! is busy, what is broken. It fits where it is drawn: long lists are cut first, and say how much is missing.

use std::time::Duration;

use super::{
    bar::{Scale, Seats},
    line::{Line, Tone},
    snapshot::Snapshot,
};
use crate::{
    admin::view::{Pool, Service},
    cli::counted,
};

/// The widths of what stands before and behind a bar.
const NAME_WIDTH: usize = 20;
const FIGURES_WIDTH: usize = 24;
/// The longest bar, in cells.
const BAR_WIDTH_MAX: usize = 100;
/// Busy tenants that are shown.
const TENANTS_MAX: usize = 5;

/// What `now` looks like, `before` being an earlier snapshot (or the same, when there is none), in
/// `width` columns and `height` rows.
pub(super) fn frame(before: &Snapshot, now: &Snapshot, width: usize, height: usize) -> Vec<Line> {
    let mut sections = vec![head(now), alerts(now)];
    for pool in &now.pools.pools {
        sections.push(hull(pool, width));
    }
    sections.push(services(before, now));
    sections.push(refusals(before, now));
    sections.push(tenants(now));
    sections.push(breakers(now));
    sections.retain(|section| !section.is_empty());
    let lines = fit(sections, height);
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn head(now: &Snapshot) -> Vec<Line> {
    let status = &now.status;
    let region = status.region.as_ref();
    let region = region.map_or_else(String::new, |region| format!(" ({region})"));
    let up = Duration::from_secs_f64(status.uptime_s.max(0.0).floor());
    let line = Line::of(Tone::Title, format!("watertight {}{region}", status.node)).add(
        Tone::Plain,
        format!(
            "  up {}  configuration {}  {}",
            humantime::format_duration(up),
            status.config.generation,
            counted(status.counts.tenants, "tenant")
        ),
    );
    let line = match status.draining {
        true => line.add(Tone::Bad, "  DRAINING"),
        false => line,
    };
    let mut lines = vec![line];
    if let Some(rejected) = &status.config.rejected {
        let why = rejected.why.lines().next().unwrap_or_default();
        let text = format!("reload rejected at {}: {why}", rejected.at);
        lines.push(Line::of(Tone::Bad, text));
    }
    lines
}

/// Those that fire, and since when: in UTC, as the node says it, to the second.
fn alerts(now: &Snapshot) -> Vec<Line> {
    let firing = now.alerts.alerts.iter();
    let firing = firing.filter(|alert| alert.state == "firing");
    let mut lines: Vec<Line> = firing
        .map(|alert| {
            let began: String = alert.began.replace('T', " ").chars().take(19).collect();
            let tone = match alert.severity.as_str() {
                "info" => Tone::Warning,
                _ => Tone::Bad,
            };
            let began = cell(&began, NAME_WIDTH);
            Line::of(Tone::Plain, began).add(tone, format!(" {}", alert.says))
        })
        .collect();
    if now.alerts.alerts_left_out > 0 {
        let more = counted(now.alerts.alerts_left_out, "alert");
        let more = format!("and {more} more");
        lines.push(Line::of(Tone::Bad, more));
    }
    if !lines.is_empty() {
        let title = cell("firing since (UTC)", NAME_WIDTH);
        lines.insert(0, Line::of(Tone::Title, format!("{title} alert")));
    }
    lines
}

/// A pool: its compartments to scale, and the caps within them.
fn hull(pool: &Pool, width: usize) -> Vec<Line> {
    let largest = pool
        .compartments
        .iter()
        .map(|part| part.seats.max(part.in_use));
    let cells = width.saturating_sub(NAME_WIDTH + FIGURES_WIDTH + 4);
    let scale = Scale {
        seats: largest.max().unwrap_or(1),
        cells: cells.clamp(4, BAR_WIDTH_MAX),
    };
    let title = Line::of(Tone::Title, format!("pool {}", pool.pool)).add(
        Tone::Plain,
        format!(
            "  {} of {} seats held ({} %), alert ¦ at {} %",
            pool.in_use, pool.capacity_seats, pool.utilisation_percent, pool.alert_percent
        ),
    );
    let upstreams = pool.connections.iter().flat_map(|it| &it.upstreams);
    let upstreams = upstreams.map(|upstream| upstream.held_back.is_closed());
    let title = match &pool.connections {
        Some(_) => well_of(title.add(Tone::Plain, ", upstreams "), upstreams),
        None => title,
    };
    let mut lines = vec![title];
    for part in &pool.compartments {
        let seats = Seats {
            limit: part.seats,
            in_use: part.in_use,
            waiting: part.waiting,
            alert_percent: pool.alert_percent,
            is_cap: false,
        };
        lines.push(seat_line(&part.compartment, 1, seats, scale));
        let capped = part.slots.iter().filter(|slot| part.caps(slot));
        for slot in capped {
            let seats = Seats {
                limit: slot.cap,
                in_use: slot.in_use,
                waiting: slot.waiting,
                alert_percent: pool.alert_percent,
                is_cap: true,
            };
            lines.push(seat_line(&slot.service, 3, seats, scale));
        }
    }
    lines
}

fn seat_line(name: &str, indent: usize, seats: Seats, scale: Scale) -> Line {
    let name = cell(&format!("{:indent$}{name}", ""), NAME_WIDTH);
    let line = seats.draw(Line::of(Tone::Plain, name), scale);
    let cap = if seats.is_cap { " cap" } else { "" };
    let held = match seats.limit {
        0 => format!(" {}, gone with a reload", seats.in_use),
        limit => format!(" {}/{limit}{cap}", seats.in_use),
    };
    let line = line.add(seats.tone(), held);
    match seats.waiting {
        0 => line,
        waiting => line.add(Tone::Warning, format!("  {waiting} wait")),
    }
}

fn services(before: &Snapshot, now: &Snapshot) -> Vec<Line> {
    if now.services.services.is_empty() {
        return Vec::new();
    }
    let title = format!(
        "{} {:>4} {:>9} {:>9} {:>6} {:>6}  upstreams",
        cell("service", NAME_WIDTH),
        "tier",
        "answers/s",
        "refused/s",
        "held",
        "wait"
    );
    let mut lines = vec![Line::of(Tone::Title, title)];
    for service in &now.services.services {
        lines.push(service_line(service, before, now));
    }
    lines
}

fn service_line(service: &Service, before: &Snapshot, now: &Snapshot) -> Line {
    let name = service.service.as_str();
    let answers = now.rate(before, |counters| counters.requests_of(name));
    let refused = now.rate(before, |counters| {
        counters.refused_where(|service, _| service == name)
    });
    // A request that uses several pools holds a seat in each, and waits once.
    let (mut held, mut waiting) = (0, 0);
    let requests = now.pools.pools.iter();
    for pool in requests.filter(|pool| pool.connections.is_none()) {
        let slots = pool.compartments.iter().flat_map(|part| &part.slots);
        let of_pool = slots.filter(|slot| slot.service == name);
        let sums = of_pool.fold((0, 0), |(held, waiting), slot| {
            (held + slot.in_use, waiting + slot.waiting)
        });
        held = held.max(sums.0);
        waiting += sums.1;
    }
    let figures = format!(
        "{} {:>4} {:>9}",
        cell(name, NAME_WIDTH),
        service.tier,
        number(answers)
    );
    let tone = match refused {
        Some(rate) if rate > 0.0 => Tone::Warning,
        _ => Tone::Plain,
    };
    let line = Line::of(Tone::Plain, figures)
        .add(tone, format!(" {:>9}", number(refused)))
        .add(Tone::Plain, format!(" {held:>6} {waiting:>6}  "));
    let upstreams = service.upstreams.iter();
    well_of(
        line,
        upstreams.map(|upstream| upstream.held_back.is_closed()),
    )
}

/// How many of some upstreams are well.
fn well_of(line: Line, are_well: impl Iterator<Item = bool> + Clone) -> Line {
    let unwell = are_well.clone().filter(|is_well| !is_well).count();
    match (are_well.count(), unwell) {
        (0, _) => line.add(Tone::Faint, "none"),
        (all, 0) => line.add(Tone::Good, format!("{all} well")),
        (all, unwell) => line.add(Tone::Bad, format!("{unwell} of {all} held back")),
    }
}

fn refusals(before: &Snapshot, now: &Snapshot) -> Vec<Line> {
    let rates = now.counters.reasons().into_iter().filter_map(|reason| {
        let rate = now.rate(before, |counters| {
            counters.refused_where(|_, other| other == reason)
        })?;
        (rate > 0.0).then(|| format!("  {reason} {}", number(Some(rate))))
    });
    let rates: String = rates.collect();
    if rates.is_empty() {
        return Vec::new();
    }
    vec![Line::of(Tone::Title, "refusals/s").add(Tone::Warning, rates)]
}

fn tenants(now: &Snapshot) -> Vec<Line> {
    let mut lines = Vec::new();
    for tenant in now.tenants.tenants.iter().take(TENANTS_MAX) {
        let most = tenant.max_in_flight;
        let text = format!(
            "{} {:>6}",
            cell(&tenant.tenant, NAME_WIDTH),
            tenant.in_flight
        );
        let tone = match most {
            Some(most) if tenant.in_flight >= most => Tone::Warning,
            _ => Tone::Plain,
        };
        let most = most.map_or_else(String::new, |most| format!(" of {most}"));
        lines.push(
            Line::of(tone, format!("{text}{most}")).add(Tone::Faint, format!("  {}", tenant.plan)),
        );
    }
    if !lines.is_empty() {
        let title = format!("{} {:>6}", cell("busiest tenants", NAME_WIDTH), "in flight");
        lines.insert(0, Line::of(Tone::Title, title));
    }
    lines
}

fn breakers(now: &Snapshot) -> Vec<Line> {
    let refusing = now.breakers.breakers.iter();
    let refusing = refusing.filter(|breaker| breaker.state != "closed");
    let mut lines: Vec<Line> = refusing
        .map(|breaker| {
            let again = breaker.open_for_ms.map_or_else(String::new, |ms| {
                format!(", again in {} s", ms.div_ceil(1_000))
            });
            let text = format!(
                "{} {} for {} ({} of {} failed){again}",
                cell(&breaker.tenant, NAME_WIDTH),
                breaker.state,
                breaker.service,
                breaker.failures,
                breaker.calls,
            );
            Line::of(Tone::Bad, text)
        })
        .collect();
    let upstreams = now.breakers.upstreams.iter();
    let unwell = upstreams.filter(|upstream| !upstream.held_back.is_closed());
    lines.extend(unwell.map(|upstream| {
        let of = match (&upstream.service, &upstream.pool) {
            (Some(service), _) => service.clone(),
            (None, pool) => format!("pool {}", pool.as_deref().unwrap_or_default()),
        };
        let (address, says) = (&upstream.address, &upstream.held_back.breaker_says);
        let text = format!("{} {address}: {says}", cell(&of, NAME_WIDTH));
        Line::of(Tone::Bad, text)
    }));
    if !lines.is_empty() {
        lines.insert(0, Line::of(Tone::Title, "breakers"));
    }
    lines
}

/// The sections one below the other, with a blank line between them where there is room. While
/// they are too long, the longest loses its last line.
fn fit(mut sections: Vec<Vec<Line>>, height: usize) -> Vec<Line> {
    let mut missing = vec![0_usize; sections.len()];
    let mut total: usize = sections.iter().map(Vec::len).sum();
    while total > height {
        let longest = (0..sections.len()).max_by_key(|at| sections[*at].len());
        let Some(at) = longest.filter(|at| !sections[*at].is_empty()) else {
            break;
        };
        sections[at].pop();
        missing[at] += 1;
        total -= 1;
    }
    for (section, missing) in sections.iter_mut().zip(missing) {
        if let (Some(last), 1..) = (section.last_mut(), missing) {
            *last = Line::of(Tone::Faint, format!(" … {} more", missing + 1));
        }
    }
    sections.retain(|section| !section.is_empty());
    let has_gaps = total + sections.len().saturating_sub(1) <= height;
    let mut lines = Vec::new();
    for section in sections {
        if has_gaps && !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(section);
    }
    lines
}

/// `text` in exactly `width` characters.
fn cell(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

fn number(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate >= 100.0 => format!("{rate:.0}"),
        Some(rate) => format!("{rate:.1}"),
    }
}

#[cfg(test)]
mod tests;
