//! Eight tenants that ask for little, beside some that ask for far more than there is.
//!
//! 32 seats, requests of 20 ms, so 1,600 a second can be served. Each of the eight asks for ten a
//! second. Beside them come one, two and eight floods of one and a half times what can be served;
//! four floods whose requests cost a quarter, the same, twice and four times as much; and one whose
//! requests cost ten times as much, with and without head-room.
//!
//! The picture shows one flood that begins after 20 seconds, against tenants that wait in one queue
//! and against tenants that wait in their own.

use std::time::Duration;

use super::{
    Report,
    crowd::{self, Queues, Run, Tenant},
    load::{self, SECOND},
};
use crate::plot::Chart;

const SEATS: u64 = 32;
const VICTIMS: usize = 8;
const LENGTH: Duration = Duration::from_secs(60);
const PICTURED: Duration = Duration::from_secs(60);
/// What can be served, in milliseconds of service a second.
const CAPACITY_MS: u64 = SEATS * 1_000;

/// A crowd: its name, and its floods by the milliseconds that their requests take.
struct Storm {
    name: &'static str,
    floods_ms: &'static [u64],
    head_room: u32,
}

const STORMS: [Storm; 7] = [
    storm("calm", &[], 0),
    storm("one flood", &[20], 0),
    storm("two floods", &[20; 2], 0),
    storm("eight floods", &[20; 8], 0),
    storm("mixed cost", &[5, 20, 40, 80], 0),
    storm("ten times the cost, no head-room", &[200], 0),
    storm("ten times the cost, 4 kept", &[200], 4),
];

const fn storm(name: &'static str, floods_ms: &'static [u64], head_room: u32) -> Storm {
    Storm {
        name,
        floods_ms,
        head_room,
    }
}

/// What a storm did.
struct Seen {
    /// Of the eight, in milliseconds.
    p99_ms: f64,
    busy: Option<f64>,
    /// Among the floods, in service time.
    jain: Option<f64>,
    unserved: u64,
}

pub(super) fn run(seed: u64) -> Report {
    let series = |queues| p99_by_second(seed, queues);
    let chart = Chart::new(
        "How long requests of eight small tenants take, 99th percentile",
        PICTURED.as_secs_f64(),
        "s",
        "ms",
    )
    .size(60, 3)
    .series(
        "in one queue with a flood, from 20 s on",
        &series(Queues::One),
    )
    .series("each tenant in its own", &series(Queues::Own));
    let mut report = Report::new(seed).chart(&chart);
    let mut unserved = 0;
    for storm in &STORMS {
        let (seen, name) = (see(seed, storm, LENGTH), storm.name);
        report = report.figure(format!("{name}: p99 of the eight"), seen.p99_ms, "ms");
        if let Some(busy) = seen.busy {
            report = report.figure(format!("{name}: seats busy"), busy, "%");
        }
        if let Some(jain) = seen.jain {
            report = report.figure(format!("{name}: Jain × 100"), jain * 100.0, "");
        }
        unserved += seen.unserved;
    }
    report.figure("requests of the eight left unserved", unserved as f64, "")
}

fn p99_by_second(seed: u64, queues: Queues) -> Vec<f64> {
    let flood = Tenant {
        from: 20 * SECOND,
        ..Tenant::new(CAPACITY_MS * 3 / 2 / 20, 20)
    };
    let mut tenants = vec![Tenant::new(10, 20); VICTIMS];
    tenants.push(flood);
    let spec = crowd::compartment(SEATS, 0);
    let run = spec.and_then(|spec| crowd::run(seed, &spec, (queues, &tenants), PICTURED));
    let run = run.unwrap_or_default();
    let mut parts = vec![Vec::new(); 60];
    for (asked, took) in run.tenants.iter().take(VICTIMS).flat_map(|went| &went.took) {
        if let Some(part) = parts.get_mut(load::part_of(*asked, PICTURED / 60)) {
            part.push(*took);
        }
    }
    let p99_ms = |part: &mut Vec<Duration>| {
        part.sort_unstable();
        load::percentile(part, 99).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    parts.iter_mut().map(p99_ms).collect()
}

fn see(seed: u64, storm: &Storm, length: Duration) -> Seen {
    let floods = storm.floods_ms.len() as u64;
    let victims = (0..VICTIMS).map(|_| Tenant::new(10, 20));
    let noise = storm.floods_ms.iter().map(|cost_ms| {
        let rate = CAPACITY_MS * 3 / 2 / floods.max(1) / cost_ms;
        // Enough that each is backlogged even where the others cost less.
        Tenant::new(rate.max(CAPACITY_MS / cost_ms / floods.max(1)), *cost_ms)
    });
    let tenants: Vec<_> = victims.chain(noise).collect();
    let spec = crowd::compartment(SEATS, storm.head_room);
    let run = spec.and_then(|spec| crowd::run(seed, &spec, (Queues::Own, &tenants), length));
    judge(&run.unwrap_or_default())
}

fn judge(run: &Run) -> Seen {
    let split = VICTIMS.min(run.tenants.len());
    let (victims, floods) = run.tenants.split_at(split);
    let mut took: Vec<_> = victims
        .iter()
        .flat_map(|went| &went.took)
        .map(|took| took.1)
        .collect();
    took.sort_unstable();
    let p99 = load::percentile(&took, 99).unwrap_or_default();
    let shares: Vec<_> = floods
        .iter()
        .map(|went| went.service.as_secs_f64())
        .collect();
    Seen {
        p99_ms: p99.as_secs_f64() * 1e3,
        busy: run.busy,
        jain: (shares.len() > 1).then(|| crowd::jain(&shares)),
        unserved: victims.iter().map(|went| went.unserved).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calm day and each storm, over so long that a percentile is worth something.
    fn seen(seed: u64) -> (f64, Vec<Seen>) {
        let length = Duration::from_secs(240);
        let seen: Vec<_> = STORMS
            .iter()
            .map(|storm| see(seed, storm, length))
            .collect();
        (seen[0].p99_ms, seen)
    }

    #[test]
    fn floods_leave_small_tenants_alone_and_no_seat_idle_and_share_fairly() {
        let (calm_ms, seen) = seen(1);
        for (storm, seen) in STORMS.iter().zip(&seen).skip(1) {
            let name = storm.name;
            assert_eq!(seen.unserved, 0, "{name}");
            let is_slow = storm.floods_ms == [200];
            let is_flat = seen.p99_ms <= 1.05 * calm_ms;
            let is_kept = storm.head_room > 0;
            assert_eq!(is_flat, !is_slow || is_kept, "{name}: {} ms", seen.p99_ms);
            let busy = seen.busy.unwrap();
            let least = if is_kept { 92.0 } else { 98.0 };
            assert!(busy >= least, "{name}: {busy}");
            assert!(seen.jain.is_none_or(|jain| jain >= 0.95), "{name}");
        }
    }

    #[test]
    fn in_one_queue_with_a_flood_small_tenants_sink() {
        let p99 = |queues| {
            p99_by_second(1, queues)[30..]
                .iter()
                .copied()
                .fold(0.0, f64::max)
        };
        let (one, own) = (p99(Queues::One), p99(Queues::Own));
        assert!(one > 2.0 * own, "{one} against {own} ms");
    }
}
