//! Random histories of one thread.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use watertight_base::Tick;

use super::{
    super::{Algorithm, Quota, Step, point},
    quota_of,
    reference::{ExactBucket, Record, Use},
    subject::{KEYS, Subject},
};

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// How much later than the one before it, and in which part of a period.
    pause: Pause,
    key: usize,
    act: Act,
}

#[derive(Clone, Copy, Debug)]
enum Pause {
    None,
    Nanos(u64),
    /// So many of the times between two units.
    Units(u32),
    /// Thousandths of a period.
    Thousandths(u32),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// So many units, with patience in thousandths of a period.
    Take(u64, u32),
    Debit(u64),
    /// Of an earlier charge, by how many charges ago.
    Refund(usize),
}

/// Tick zero is left out: a place's word of zero says that nobody had it yet.
const START: Tick = Tick::from_nanos(1);

/// What kinds of events there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    pub(super) patience: bool,
    pub(super) debits: bool,
    pub(super) refunds: bool,
}

pub(super) const ALL: Kinds = Kinds {
    patience: true,
    debits: true,
    refunds: true,
};
const TAKES: Kinds = Kinds {
    patience: false,
    debits: false,
    refunds: false,
};

pub(super) fn histories(kinds: Kinds) -> impl Strategy<Value = Vec<Event>> {
    let pause = prop_oneof![
        4 => Just(Pause::None),
        1 => (0..3_u64).prop_map(Pause::Nanos),
        3 => (1..4_u32).prop_map(Pause::Units),
        3 => prop::sample::select(vec![50, 100, 500, 999, 1000, 1100]).prop_map(Pause::Thousandths),
        2 => (0..2500_u32).prop_map(Pause::Thousandths),
    ];
    let patience = match kinds.patience {
        true => prop_oneof![3 => Just(0), 1 => 0..3000_u32].boxed(),
        false => Just(0).boxed(),
    };
    let take = (0..5_u64, patience).prop_map(|(cost, patience)| Act::Take(cost, patience));
    let act = prop_oneof![
        6 => take,
        u32::from(kinds.debits) => (0..8_u64).prop_map(Act::Debit),
        2 * u32::from(kinds.refunds) => (0..4_usize).prop_map(Act::Refund),
    ];
    let event = (pause, 0..KEYS, act).prop_map(|(pause, key, act)| Event { pause, key, act });
    vec(event, 1..60)
}

/// Quotas of one algorithm, with limits that do and do not divide their period.
pub(super) fn quotas(algorithm: fn(u64) -> Algorithm) -> impl Strategy<Value = Quota> {
    let periods = vec![1_000_000, 10_000_019, 1_000_000_000, 60_000_000_007];
    let origin = 0..3_000_000_000_u64;
    (1..13_u64, 1..13_u64, prop::sample::select(periods), origin).prop_map(
        move |(limit, burst, period, origin)| {
            quota_of(algorithm(burst), limit, Duration::from_nanos(period))
                .from_origin(Duration::from_nanos(origin))
        },
    )
}

/// Runs a history and compares what was admitted with the definition.
pub(super) fn check(
    subject: &Subject,
    quota: &Quota,
    history: &[Event],
    mut also: impl FnMut(&Record, u64, (u64, u64), &Step) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = START;
    let mut records = vec![Record::default(); KEYS];
    let mut charged: Vec<Vec<(Step, usize)>> = vec![Vec::new(); KEYS];
    for event in history {
        now = now + event.pause.span(quota);
        let (record, charged) = (&mut records[event.key], &mut charged[event.key]);
        let (step, at, cost) = match event.act {
            Act::Take(cost, patience) => {
                let patience = Pause::Thousandths(patience).span(quota);
                let step = subject.take(now, event.key, quota, (cost, patience));
                also(
                    record,
                    point::of(now),
                    (cost, point::of_span(patience)),
                    &step,
                )?;
                if !step.allowed {
                    continue;
                }
                (step, step.ready, cost)
            }
            Act::Debit(cost) => {
                let step = subject.debit(now, event.key, quota, cost);
                (step, point::of(now), cost)
            }
            Act::Refund(ago) => {
                if let Some(index) = charged.len().checked_sub(ago + 1) {
                    let (step, place) = charged.remove(index);
                    let used = &mut record.0[place];
                    subject.refund(now, event.key, quota, (&step, used.cost));
                    used.is_refunded = true;
                }
                continue;
            }
        };
        charged.push((step, record.0.len()));
        record.0.push(Use {
            at,
            cost,
            is_debit: matches!(event.act, Act::Debit(_)),
            is_refunded: false,
        });
    }
    for record in &records {
        let excess = record.excess(quota);
        prop_assert!(excess.is_none(), "{excess:?} of {record:?}");
    }
    Ok(())
}

impl Pause {
    fn span(self, quota: &Quota) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Nanos(nanos) => Duration::from_nanos(nanos),
            Self::Units(units) => point::span(quota.spacing()) * units,
            Self::Thousandths(parts) => quota.rate().period() * parts / 1000,
        }
    }
}

pub(super) fn nothing_else(
    _: &Record,
    _: u64,
    _: (u64, u64),
    _: &Step,
) -> Result<(), TestCaseError> {
    Ok(())
}

const ALGORITHMS: [fn(u64) -> Algorithm; 5] = [
    |_| Algorithm::FixedWindow,
    |_| Algorithm::LeakyBucket,
    |_| Algorithm::SlidingBuckets,
    |_| Algorithm::SlidingLog,
    |burst| Algorithm::TokenBucket { burst },
];

fn any_quota() -> impl Strategy<Value = Quota> {
    prop::sample::select(ALGORITHMS.to_vec()).prop_flat_map(quotas)
}

proptest! {
    #[test]
    fn no_counter_admits_more_than_its_definition(
        quota in any_quota(), history in histories(ALL),
    ) {
        check(&Subject::counters(&quota), &quota, &history, nothing_else)?;
    }

    #[test]
    fn no_key_of_a_full_table_admits_more_than_its_definition(
        quota in any_quota(), history in histories(ALL),
    ) {
        check(&Subject::tables(&quota), &quota, &history, nothing_else)?;
    }

    #[test]
    fn a_sliding_log_is_its_definition(
        quota in quotas(|_| Algorithm::SlidingLog),
        // A debit while others wait counts when the last of them passes: it is later than it was.
        history in prop_oneof![
            histories(Kinds { patience: false, ..ALL }),
            histories(Kinds { debits: false, ..ALL }),
        ],
    ) {
        let subject = Subject::counters(&quota);
        check(&subject, &quota, &history, |record, now, (cost, patience), step| {
            let exact = record.log_ready(quota.capacity(), quota.period(), now, cost);
            let allowed = exact.is_some_and(|ready| ready - now <= patience);
            prop_assert_eq!(step.allowed, allowed);
            prop_assert_eq!(step.ready, exact.unwrap_or(point::NEVER));
            Ok(())
        })?;
    }

    #[test]
    fn sliding_buckets_admit_what_a_log_over_a_tenth_more_would(
        quota in quotas(|_| Algorithm::SlidingBuckets),
        history in histories(Kinds { patience: false, ..ALL }),
    ) {
        let subject = Subject::counters(&quota);
        check(&subject, &quota, &history, |record, now, (cost, _), step| {
            let fits = record.log_ready(quota.capacity(), quota.span * 11, now, cost);
            prop_assert!(step.allowed || fits != Some(now));
            Ok(())
        })?;
    }

    #[test]
    fn a_fixed_window_admits_up_to_its_limit(
        quota in quotas(|_| Algorithm::FixedWindow), history in histories(TAKES),
    ) {
        let window = |at: u64| (at + quota.phase) / quota.span;
        check(&Subject::counters(&quota), &quota, &history, |record, now, (cost, _), step| {
            let same = record.0.iter().filter(|used| window(used.at) == window(now));
            let used: u64 = same.map(|used| used.cost).sum();
            prop_assert_eq!(step.allowed, used + cost <= quota.capacity());
            Ok(())
        })?;
    }

    #[test]
    fn a_leaky_bucket_passes_whatever_keeps_its_distance(
        quota in quotas(|_| Algorithm::LeakyBucket), history in histories(TAKES),
    ) {
        check(&Subject::counters(&quota), &quota, &history, |record, now, _, step| {
            let busy = record.0.last().map_or(0, |last| last.at + last.cost * quota.spacing());
            prop_assert_eq!(step.allowed, busy <= now);
            Ok(())
        })?;
    }

    #[test]
    fn a_token_bucket_whose_units_are_whole_is_its_definition(
        limit in prop::sample::select(vec![1_u64, 2, 4, 5, 8, 10, 64, 1000]), burst in 1..13_u64,
        history in histories(Kinds { patience: true, ..TAKES }),
    ) {
        let quota = quota_of(Algorithm::TokenBucket { burst }, limit, Duration::from_secs(1));
        let mut exact = ExactBucket::new(&quota);
        let history: Vec<Event> = history.into_iter().map(|event| Event { key: 0, ..event }).collect();
        let subject = Subject::counters(&quota);
        check(&subject, &quota, &history, |_, now, (cost, patience), step| {
            let ready = exact.take(now, cost, patience);
            prop_assert_eq!(step.allowed.then_some(step.ready), ready);
            Ok(())
        })?;
    }

    #[test]
    fn a_token_bucket_under_load_is_slower_by_no_more_than_its_error(
        quota in quotas(|burst| Algorithm::TokenBucket { burst: burst * 100 }),
        pauses in vec(0..40_u64, 1..2000),
    ) {
        let subject = Subject::counters(&quota);
        let mut exact = ExactBucket::at_worst(&quota);
        let mut now = Tick::ZERO;
        let (mut ours, mut theirs) = (0_u32, 0_u32);
        for pause in pauses {
            now = now + quota.rate().period() * u32::try_from(pause).unwrap() / 317;
            ours += u32::from(subject.take(now, 0, &quota, (1, Duration::ZERO)).allowed);
            theirs += u32::from(exact.take(point::of(now), 1, 0).is_some());
            prop_assert!(ours >= theirs);
        }
    }

    #[test]
    fn what_is_refunded_at_once_leaves_no_trace(
        quota in any_quota(), history in histories(Kinds { patience: false, ..ALL }),
        cost in 0..13_u64, later in 0..2000_u32, of_tables in any::<bool>(),
    ) {
        let subject = match of_tables {
            true => Subject::Tables(super::super::Tables::new(1000, 1000, 1_000_000, 0)),
            false => Subject::counters(&quota),
        };
        check(&subject, &quota, &history, nothing_else)?;
        let spans = history.iter().map(|event| event.pause.span(&quota));
        let now = spans.fold(START, |now, span| now + span);
        let later = now + Pause::Thousandths(later).span(&quota);
        let seen = || {
            let mut seen = Vec::new();
            for at in [now, later] {
                for cost in 1..=quota.capacity() {
                    let step = subject.peek(at, 0, &quota, cost);
                    seen.push((step.allowed, step.ready, quota.describe(&step).remaining));
                }
            }
            seen
        };
        // A sliding log's clock does not go back, so it is only asked once.
        let before = (quota.algorithm() != Algorithm::SlidingLog).then(seen);
        let fits = subject.peek(now, 0, &quota, 1).allowed;
        let step = subject.take(now, 0, &quota, (cost, Duration::ZERO));
        if step.allowed {
            subject.refund(now, 0, &quota, (&step, cost));
        }
        prop_assert_eq!(subject.peek(now, 0, &quota, 1).allowed, fits);
        prop_assert!(before.is_none_or(|before| before == seen()));
    }
}
