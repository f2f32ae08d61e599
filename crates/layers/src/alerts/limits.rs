//! Limits that callers are near, or beyond: how many such requests there were since the last look.
//!
//! Who they came from most is looked for only when there were some, among listed tenants that have a
//! counter of their own for the limit: the one of whose limit the smallest share is left.

use std::{collections::HashMap, time::Duration};

use watertight_base::{LimitId, Tick};
use watertight_guard::alert::{Key, Kind, Sample};

use crate::{
    Admission,
    limits::{Rule, Tally},
};

/// What was counted at the last look.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    counted: Option<HashMap<(LimitId, &'static str), u64>>,
}

impl Pressure {
    pub(super) fn samples(&mut self, admission: &Admission, now: Tick) -> Vec<Sample> {
        let counted = admission.inner.counts().pressed();
        let mut next = HashMap::new();
        let mut samples = Vec::new();
        for (limit, place, number) in counted {
            let key = (limit, place);
            // What came before the first look is not of now.
            let before = match &self.counted {
                Some(counted) => counted.get(&key).copied().unwrap_or(0),
                None => number,
            };
            let since = number.saturating_sub(before);
            if since > 0 {
                samples.push(sample(admission, now, &key, since));
            }
            next.insert(key, number);
        }
        self.counted = Some(next);
        samples
    }
}

fn sample(
    admission: &Admission,
    now: Tick,
    (limit, place): &(LimitId, &'static str),
    since: u64,
) -> Sample {
    let most = nearest(admission, now, limit, place);
    let most = most.map_or_else(String::new, |(tenant, used)| {
        format!("; of listed tenants, {tenant} has used the most of it ({used:.0} %)")
    });
    Sample {
        key: Key::new(Kind::LimitNear)
            .with("limit", limit)
            .with("place", place),
        value: since as f64,
        fires: 1.0,
        clears: 1.0,
        says: format!("{since} requests were near limit {limit} of a {place}, or beyond it{most}"),
    }
}

/// The listed tenant that has used the largest share of a limit, and that share in percent.
fn nearest(
    admission: &Admission,
    now: Tick,
    limit: &LimitId,
    place: &str,
) -> Option<(String, f64)> {
    let current = admission.inner.current.load();
    let uses = current.tenants.listed().filter_map(|(tenant, lane)| {
        let mut rules = lane.terms.in_lane.iter().zip(&lane.tallies);
        let (rule, tally) =
            rules.find(|(rule, _)| rule.id() == limit && rule.home.place() == place)?;
        Some((tenant, used(now, rule, tally)?))
    });
    let most = uses.max_by(|(_, one), (_, other)| one.total_cmp(other));
    most.map(|(tenant, used)| (tenant.to_string(), used))
}

/// The share of a limit that was used, in percent.
fn used(now: Tick, rule: &Rule, tally: &Tally) -> Option<f64> {
    let share = |used: f64, whole: f64| used * 100.0 / whole.max(1.0);
    match (tally, &rule.quota) {
        (Tally::Used(counter), Some(quota)) => {
            let step = counter.peek(now, quota, 0, Duration::ZERO);
            let left = quota.describe(&step).remaining as f64;
            let whole = quota.capacity() as f64;
            Some(share(whole - left, whole))
        }
        (Tally::InFlight(count), None) => {
            Some(share(count.get().into(), rule.in_flight_max()?.into()))
        }
        _ => None,
    }
}
