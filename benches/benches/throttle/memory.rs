//! What tables weigh, and what a flood of invented keys does to them and to others.

use std::{fs, time::Duration};

use watertight_base::{Rate, Tick};
use watertight_benches::{cpu_ns, is_for_figures};
use watertight_guard::throttle::{Algorithm, Counter, Quota, Step, Tables};

use super::target::Targets;

const KEYS: usize = 1_000_000;
const FLOOD: u64 = 100_000_000;
/// Invented keys between two decisions of a tenant.
const BETWEEN: u64 = 1_000;

fn quota(algorithm: Algorithm, limit: u64, seconds: u64) -> Quota {
    let rate = Rate::new(limit, Duration::from_secs(seconds)).unwrap();
    Quota::new(algorithm, rate).unwrap()
}

/// Bytes for each key, and the share that found no place, when all keys are live.
fn filled(tables: &Tables, keys: usize, quota: &Quota) -> (f64, f64) {
    let now = Tick::from_nanos(1);
    for key in 0..keys {
        tables.take(now, tables.key(key), quota, 1, Duration::ZERO);
    }
    let occupancy = tables.occupancy(now);
    let keys = keys as f64;
    (
        occupancy.bytes as f64 / keys,
        100.0 * occupancy.overflowed as f64 / keys,
    )
}

/// What a tenant is told in the course of a flood, by a counter of its own and by tables of those who
/// are known; and nanoseconds of CPU for each invented key.
fn flood(keys: u64, into: Option<&Tables>, quota: &Quota) -> (Vec<[Step; 2]>, f64) {
    let (counter, known) = (Counter::new(quota), Tables::new(1000, 1000, 0, 3));
    let tenant = known.key("tenant");
    let mut told = Vec::new();
    let start = cpu_ns();
    for first in (0..keys).step_by(usize::try_from(BETWEEN).unwrap()) {
        let now = Tick::from_nanos(1 + first * 1_000);
        if let Some(tables) = into {
            for key in first..first + BETWEEN {
                tables.take(now, tables.key(key), quota, 1, Duration::ZERO);
            }
        }
        told.push([
            counter.take(now, quota, 1, Duration::ZERO),
            known.take(now, tenant, quota, 1, Duration::ZERO),
        ]);
    }
    (told, (cpu_ns() - start) / keys as f64)
}

/// Kilobytes of this process in memory.
fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Prints what tables weigh, full and flooded.
pub(super) fn measure(targets: &mut Targets) {
    let (keys, flooding) = if is_for_figures() {
        (KEYS, FLOOD)
    } else {
        (1000, 100_000)
    };
    let words = quota(Algorithm::TokenBucket { burst: 10 }, 1, 10);
    let buckets = quota(Algorithm::SlidingBuckets, 10, 60);
    let tables = Tables::new(keys, 0, 0, 7);
    let of_words = filled(&tables, keys, &words);
    let of_buckets = filled(&Tables::new(0, keys, 0, 7), keys, &buckets);
    println!(
        "\n1,000,000 live keys{:28} bytes a key   without a place",
        ""
    );
    for (name, (bytes, share)) in [("words", of_words), ("sliding buckets", of_buckets)] {
        println!("{name:46} {bytes:12.1}   {share:.4} %");
    }
    let (size, resident) = (tables.occupancy(Tick::ZERO).bytes, resident_kb());
    let (flooded, each_ns) = flood(flooding, Some(&tables), &words);
    let grown = tables.occupancy(Tick::ZERO).bytes - size;
    let resident = resident_kb().saturating_sub(resident);
    let (calm, _) = flood(flooding, None, &words);
    let changed = flooded
        .iter()
        .zip(&calm)
        .filter(|(with, without)| with != without);
    let changed = changed.count();
    println!(
        "\n{flooding} invented keys, {each_ns:.0} ns CPU each: {grown} bytes more in the table, \
         {resident} kB in the process (what is told to the tenant included); \
         {changed} of {} decisions of a tenant changed",
        2 * calm.len()
    );
    targets.at_most("bytes a key, words", 32.0, of_words.0);
    targets.at_most("bytes a key, sliding buckets", 64.0, of_buckets.0);
    targets.at_most("per cent without a place, words", 0.01, of_words.1);
    targets.at_most(
        "per cent without a place, sliding buckets",
        0.01,
        of_buckets.1,
    );
    targets.at_most(
        "bytes added by 100,000,000 invented keys",
        0.0,
        grown as f64,
    );
    targets.at_most("decisions of a tenant changed by them", 0.0, changed as f64);
}
