//! Three gateways under load, and a log of what passed.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use watertight_base::{Rate, Tick};
use watertight_guard::throttle::lease::{
    Ask, Cluster, Outcome, Settings, Sharing, Standing, Store, Verdict,
};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_stores::Shared;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Time as Redis sees it, so that both are one clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge at which a test reads the clock"
)]
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// The same, since the first call.
pub(crate) fn now() -> Tick {
    static ORIGIN: OnceLock<u64> = OnceLock::new();
    let now = now_us();
    Tick::from_nanos((now - ORIGIN.get_or_init(|| now - 1)) * 1_000)
}

pub(crate) fn quota(algorithm: Algorithm, limit: u64, period: Duration) -> Quota {
    Quota::new(algorithm, Rate::new(limit, period).unwrap()).unwrap()
}

pub(crate) fn bucket(burst: u64, limit: u64) -> Quota {
    quota(Algorithm::TokenBucket { burst }, limit, SECOND)
}

/// What passed, at which microsecond, and whether by an own share.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(u64, bool)>>>);

impl Log {
    fn add(&self, verdict: &Verdict) {
        if verdict.decision.allowed {
            let entry = (verdict.at.as_nanos() / 1_000, verdict.is_share);
            self.0.lock().unwrap().push(entry);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The most whole units that any span holds beyond a token bucket.
    pub(crate) fn beyond(&self, quota: &Quota, with_shares: bool) -> u64 {
        let mut log = self.0.lock().unwrap().clone();
        log.sort_unstable();
        let unit = quota.rate().period().as_nanos();
        let gain = u128::from(quota.rate().limit()) * 1_000;
        let full = u128::from(quota.capacity()) * unit;
        let (mut owed, mut most, mut last) = (0_u128, 0, 0);
        for (at, _) in log.iter().filter(|(_, is_share)| with_shares || !is_share) {
            owed = owed.saturating_sub(u128::from(at - last) * gain) + unit;
            most = most.max(owed.saturating_sub(full) / unit);
            last = *at;
        }
        u64::try_from(most).unwrap()
    }
}

pub(crate) struct Gateways {
    pub(crate) each: Vec<Arc<Shared>>,
    pub(crate) log: Log,
}

impl Gateways {
    pub(crate) fn new(stores: [Arc<dyn Store>; 3]) -> Self {
        let settings = Settings {
            nodes: 3,
            ..Settings::default()
        };
        let shared = |store| Arc::new(Shared::start(store, settings, now));
        Self {
            each: stores.map(shared).into(),
            log: Log::default(),
        }
    }

    /// Asks for one unit at one of them.
    pub(crate) async fn ask(
        &self,
        at: usize,
        name: &str,
        quota: &Quota,
        sharing: Sharing,
    ) -> Verdict {
        let ask = Ask {
            name,
            limit: "limit",
            quota,
            cost: 1,
            sharing,
            standing: Standing::Named,
            binds: true,
        };
        let verdict = match self.each[at].take(now(), &ask) {
            Outcome::Now(verdict) => verdict,
            Outcome::Later(verdict) => verdict.await,
        };
        self.log.add(&verdict);
        verdict
    }

    /// Asks all of them at an even pace, so many in a second in all, without waiting for answers.
    pub(crate) async fn load(&self, name: &str, quota: &Quota, per_second: u64, span: Duration) {
        let (start, mut asked, mut waiting) = (now_us(), 0, JoinSet::new());
        while let Some(passed) = Some(now_us() - start)
            && Duration::from_micros(passed) < span
        {
            while asked < passed * per_second / 1_000_000 {
                asked += 1;
                let at = usize::try_from(asked % 3).unwrap();
                let ask = Ask {
                    name,
                    limit: "limit",
                    quota,
                    cost: 1,
                    sharing: Sharing::Leased,
                    standing: Standing::Named,
                    binds: true,
                };
                match self.each[at].take(now(), &ask) {
                    Outcome::Now(verdict) => self.log.add(&verdict),
                    Outcome::Later(verdict) => {
                        let log = self.log.clone();
                        waiting.spawn(async move { log.add(&verdict.await) });
                    }
                }
            }
            // sleep: the pace of the load.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waiting.join_all().await;
    }

    /// Waits until each of these sees the store away, or there.
    pub(crate) async fn until_away(&self, of: &[usize], is_away: bool) {
        while of.iter().any(|at| self.each[*at].view().is_away != is_away) {
            // sleep: the store is looked for a few times a second.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
