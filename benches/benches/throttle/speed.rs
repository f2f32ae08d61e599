//! CPU time of a decision that lets pass, on keys that have a place already.

use std::{
    hint::black_box,
    num::NonZeroU32,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota as GovernorQuota, RateLimiter};
use watertight_base::{Rate, Tick};
use watertight_benches::{compare_measured, cpu_ns, is_for_figures};
use watertight_guard::throttle::{Algorithm, Quota, Tables};

use super::target::Targets;

const BURST: u32 = 10_000_000;
const LIMIT: u32 = 10;
const MANY: u64 = 1_000_000;
const SOME: u64 = 10_000;

/// Our tables, whose time goes on by a nanosecond with each decision.
pub(super) struct Ours {
    tables: Tables,
    quota: Quota,
    now: AtomicU64,
}

/// What is asked again and again.
pub(super) trait Subject {
    /// Whether the key may pass.
    fn is_allowed(&self, key: u64) -> bool;
}

/// Nothing is decided: what the loop itself costs.
pub(super) struct Nothing;

/// Ours, with a clock that is read for each decision.
struct WithClock(Ours, Instant);

impl Ours {
    /// So many keys that have a place, in tables that are made for as many as `room`.
    pub(super) fn new(keys: u64, room: u64) -> Self {
        let rate = Rate::new(LIMIT.into(), Duration::from_secs(1)).unwrap();
        let burst = BURST.into();
        let ours = Self {
            tables: Tables::new(usize::try_from(room).unwrap(), 0, 0, 7),
            quota: Quota::new(Algorithm::TokenBucket { burst }, rate).unwrap(),
            now: AtomicU64::new(1),
        };
        assert!((0..keys).all(|key| ours.is_allowed(key)));
        ours
    }

    #[inline]
    fn decide(&self, now: Tick, key: u64) -> bool {
        let key = self.tables.key(key);
        let step = self.tables.take(now, key, &self.quota, 1, Duration::ZERO);
        step.allowed
    }
}

impl Subject for Ours {
    #[inline]
    fn is_allowed(&self, key: u64) -> bool {
        let now = self.now.load(Ordering::Relaxed);
        self.decide(Tick::from_nanos(black_box(now)), key)
    }
}

impl WithClock {
    #[expect(clippy::disallowed_methods, reason = "to be measured")]
    fn new(keys: u64) -> Self {
        Self(Ours::new(keys, keys), Instant::now())
    }
}

impl Subject for WithClock {
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "to be measured")]
    fn is_allowed(&self, key: u64) -> bool {
        self.0.decide(Tick::ZERO + self.1.elapsed(), key)
    }
}

pub(super) fn governor(keys: u64) -> DefaultKeyedRateLimiter<u64> {
    let limit = NonZeroU32::new(LIMIT).unwrap();
    let quota = GovernorQuota::per_second(limit).allow_burst(NonZeroU32::new(BURST).unwrap());
    let governor = RateLimiter::dashmap(quota);
    assert!((0..keys).all(|key| governor.is_allowed(key)));
    governor
}

impl Subject for DefaultKeyedRateLimiter<u64> {
    #[inline]
    fn is_allowed(&self, key: u64) -> bool {
        self.check_key(&key).is_ok()
    }
}

impl Subject for Nothing {
    #[inline]
    fn is_allowed(&self, key: u64) -> bool {
        black_box(1);
        black_box(key) != u64::MAX
    }
}

/// Asks for random keys, each of which hangs on what came of the one before it, so that no two
/// decisions overlap.
#[inline]
pub(super) fn ask(subject: &impl Subject, first: u64, keys: u64, count: u32, seed: u64) -> u64 {
    let mut random = seed | 1;
    for _ in 0..count {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D);
        let among = ((random >> 32) * keys) >> 32;
        let key = first + among;
        random = random.wrapping_add(2 * black_box(u64::from(subject.is_allowed(key))));
    }
    random
}

/// The same from a thread for each subject, with keys of its own; the CPU time of all, for each.
fn ask_from(subjects: &[&(impl Subject + Sync)], keys: u64, count: u32) -> f64 {
    let barrier = Barrier::new(subjects.len());
    let times = thread::scope(|scope| {
        let threads = (0_u64..).zip(subjects).map(|(thread, subject)| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let start = cpu_ns();
                black_box(ask(*subject, thread * keys, keys, count, start.to_bits()));
                cpu_ns() - start
            })
        });
        let threads: Vec<_> = threads.collect();
        let times = threads.into_iter().map(|thread| thread.join().unwrap());
        times.sum::<f64>()
    });
    times / subjects.len() as f64
}

fn timed<'a>(subject: &'a impl Subject, keys: u64) -> Box<dyn FnMut(u32) -> f64 + 'a> {
    Box::new(move |count| {
        let start = cpu_ns();
        black_box(ask(subject, 0, keys, count, start.to_bits()));
        cpu_ns() - start
    })
}

/// The ratio of ours to governor's, and ours, both without the loop.
fn compare_with_governor(title: &str, keys: u64) -> (f64, f64) {
    let (rounds, count) = match is_for_figures() {
        true => (31, if keys > SOME { 200_000 } else { 100_000 }),
        false => (1, 100),
    };
    let keys = if is_for_figures() {
        keys
    } else {
        keys.min(100)
    };
    let (ours, clocked, governor) = (Ours::new(keys, keys), WithClock::new(keys), governor(keys));
    let medians = compare_measured(
        title,
        rounds,
        count,
        &mut [
            ("nothing: the loop", timed(&Nothing, keys)),
            ("ours, the time passed in", timed(&ours, keys)),
            ("ours, the clock read each time", timed(&clocked, keys)),
            ("governor, keyed", timed(&governor, keys)),
        ],
    );
    let [ours, governor] = [1, 3].map(|case: usize| medians[case] - medians[0]);
    (ours / governor, ours)
}

/// One thread beside two, on keys of their own; the ratio. Two threads that share nothing show what
/// the machine takes for running two.
fn compare_threads(title: &str, keys: u64) -> f64 {
    let (rounds, count) = match is_for_figures() {
        true => (31, 200_000),
        false => (1, 100),
    };
    let (ours, others) = (Ours::new(keys * 2, MANY), Ours::new(keys * 2, MANY));
    let (ours, others) = (&ours, &others);
    let medians = compare_measured(
        title,
        rounds,
        count,
        &mut [
            (
                "two threads, one table",
                Box::new(|count| ask_from(&[ours, ours], keys, count)) as Box<_>,
            ),
            (
                "two threads, a table for each",
                Box::new(|count| ask_from(&[ours, others], keys, count)),
            ),
            (
                "one thread",
                Box::new(|count| ask_from(&[ours], keys, count)),
            ),
        ],
    );
    medians[0] / medians[2]
}

/// Prints what a decision costs; ours at 10,000 keys, in nanoseconds.
pub(super) fn measure(targets: &mut Targets) -> f64 {
    compare_with_governor("a decision, one key", 1);
    let (some, decision_ns) = compare_with_governor("a decision, 10,000 random keys", SOME);
    let (many, _) = compare_with_governor("a decision, 1,000,000 random keys", MANY);
    let threads = compare_threads("a decision, 10,000 random keys for each thread", SOME);
    targets.at_most("CPU beside governor's at 10,000 keys", 0.5, some);
    targets.at_most("CPU beside governor's at 1,000,000 keys", 0.4, many);
    targets.at_most("CPU of two threads beside one's", 1.1, threads);
    decision_ns
}
