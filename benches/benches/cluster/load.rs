//! Requests at an even pace, whoever they are drawn for, and a log of what passes.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::task::JoinSet;
use watertight_base::Tick;
use watertight_guard::throttle::{
    Quota,
    lease::{Ask, Cluster as _, Outcome, Sharing, Standing, Verdict},
};
use watertight_stores::Shared;

/// Redis counts by the system's clock; so does the log, that both agree.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge at which a bench reads the clock"
)]
pub(crate) fn now() -> Tick {
    static ORIGIN: OnceLock<Duration> = OnceLock::new();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let origin = ORIGIN.get_or_init(|| since.saturating_sub(Duration::from_millis(1)));
    Tick::ZERO + since.saturating_sub(*origin)
}

pub(crate) struct Load {
    names: Arc<Vec<String>>,
    /// The upper end of each tenant's part of all draws.
    draws: Vec<u64>,
    per_second: u64,
    sharing: Sharing,
}

/// What came of a load.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) decisions: u64,
    /// When what passed, of each tenant, and whether by an own share.
    passed: Vec<Vec<(u64, bool)>>,
    /// How long each decision took, of tenants that ask for less than their limit, and for more.
    pub(crate) waits_us: Vec<u64>,
    pub(crate) waits_beyond_us: Vec<u64>,
    alone: u64,
}

impl Load {
    /// Tenants that ask by their rank: the second half as much as the first, and so on.
    pub(crate) fn zipf(tenants: u64, per_second: u64, sharing: Sharing) -> Self {
        let draws = (1..=tenants).scan(0, |sum, rank| {
            *sum += 1_000_000_000 / rank;
            Some(*sum)
        });
        Self {
            names: Arc::new(
                (0..tenants)
                    .map(|tenant| format!("tenant-{tenant}/rate"))
                    .collect(),
            ),
            draws: draws.collect(),
            per_second,
            sharing,
        }
    }

    /// Asks the gateways in turn, as many in a second as it should be, without waiting for answers.
    pub(crate) async fn run(&self, gateways: &[Arc<Shared>], span: Duration) -> Run {
        let quota = crate::quota();
        let mut run = Run {
            passed: vec![Vec::new(); self.names.len()],
            ..Run::default()
        };
        let (start, mut waiting, mut seed) = (now(), JoinSet::new(), 1_u64);
        let mut decisions = 0_u64;
        while now() - start < span {
            let due = (now() - start).as_micros() * u128::from(self.per_second) / 1_000_000;
            while u128::from(decisions) < due {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let draw = seed % self.draws.last().unwrap();
                let tenant = self.draws.partition_point(|end| *end <= draw);
                let shared = &gateways[usize::try_from(decisions).unwrap() % gateways.len()];
                decisions += 1;
                let (name, asked) = (&self.names[tenant], now());
                let ask = Ask {
                    name,
                    limit: "rate",
                    quota: &quota,
                    cost: 1,
                    standing: Standing::Named,
                    sharing: self.sharing,
                    binds: true,
                };
                match shared.take(asked, &ask) {
                    Outcome::Now(verdict) => run.log(tenant, asked, &verdict, asked),
                    Outcome::Later(verdict) => {
                        waiting.spawn(async move { (tenant, asked, verdict.await, now()) });
                    }
                }
            }
            while let Some(Ok((tenant, asked, verdict, told))) = waiting.try_join_next() {
                run.log(tenant, asked, &verdict, told);
            }
            // sleep: the pace of the load.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while let Some(Ok((tenant, asked, verdict, told))) = waiting.join_next().await {
            run.log(tenant, asked, &verdict, told);
        }
        run.waits_us.sort_unstable();
        run.waits_beyond_us.sort_unstable();
        run
    }
}

impl Run {
    fn log(&mut self, tenant: usize, asked: Tick, verdict: &Verdict, told: Tick) {
        self.decisions += 1;
        self.alone += u64::from(verdict.is_share);
        let wait = (told - asked).as_micros();
        let waits = match tenant < GREEDY {
            true => &mut self.waits_beyond_us,
            false => &mut self.waits_us,
        };
        waits.push(u64::try_from(wait).unwrap());
        if verdict.decision.allowed {
            self.passed[tenant].push((verdict.at.as_nanos() / 1_000, verdict.is_share));
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.alone += other.alone;
        for (ours, theirs) in self.passed.iter_mut().zip(other.passed) {
            ours.extend(theirs);
        }
    }

    pub(crate) fn alone(&self) -> u64 {
        self.alone
    }

    /// The most whole units of any tenant that any span holds beyond its limit, by word of the
    /// store.
    pub(crate) fn beyond(&self, quota: &Quota) -> u64 {
        let of_one = |passed: &Vec<(u64, bool)>| {
            let mut passed = passed.clone();
            passed.sort_unstable();
            let unit = quota.rate().period().as_nanos();
            let gain = u128::from(quota.rate().limit()) * 1_000;
            let full = u128::from(quota.capacity()) * unit;
            let (mut owed, mut most, mut last) = (0_u128, 0, 0);
            for (at, _) in passed.iter().filter(|(_, is_share)| !is_share) {
                owed = owed.saturating_sub(u128::from(at - last) * gain) + unit;
                most = most.max(owed.saturating_sub(full) / unit);
                last = *at;
            }
            u64::try_from(most).unwrap()
        };
        self.passed.iter().map(of_one).max().unwrap_or(0)
    }

    /// What the first tenant got from a second after its first request on.
    pub(crate) fn passed_after_burst(&self) -> usize {
        let from = self.passed[0]
            .iter()
            .min()
            .map_or(0, |(at, _)| at + 1_000_000);
        self.passed[0].iter().filter(|(at, _)| *at >= from).count()
    }
}

/// So many of the first tenants ask for more than their limit: 2,670 and 1,335 a second of 1,000.
const GREEDY: usize = 2;
