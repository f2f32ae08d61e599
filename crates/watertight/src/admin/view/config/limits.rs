//! Limits in force, with all their keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_guard::throttle::Algorithm;
use watertight_plan::{Across, By, Count, Excess, Limit, LimitStore, Measure, Throttling};

use super::super::milliseconds;

/// The limits of one place, by name.
pub(super) type Limits = BTreeMap<String, Throttle>;

/// A limit.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Throttle {
    /// How it counts.
    pub algorithm: String,
    /// So many of what it counts
    pub limit: u64,
    /// in so long; none: at once,
    pub period_ms: Option<u64>,
    /// and so many at once after a rest, of a token bucket.
    pub burst: Option<u64>,
    /// What it counts: `requests`, `cost` or `bytes`.
    pub counts: String,
    /// Who shares it: all that agree in each of these.
    pub by: Vec<String>,
    /// The services that it applies to; none: all.
    pub services: Vec<String>,
    /// The path prefixes that it applies to; none: all.
    pub routes: Vec<String>,
    /// What becomes of requests beyond it: `reject`, `delay` or `degrade`.
    pub excess: String,
    /// The longest wait of those that it delays.
    pub max_wait_ms: Option<u64>,
    /// How many may wait at once, for each of those who share it.
    pub queue: Option<u32>,
    /// What is served instead of what it degrades.
    pub fallback: Option<Fallback>,
    /// Whether it only decides and counts, and never acts.
    pub shadow: bool,
    /// The share from which on it is said to be near.
    pub near_percent: f64,
    /// How nodes count together: `exact`, `leased` or `local`; none: each for itself.
    pub cluster: Option<String>,
}

/// What is served instead: an answer, a stale answer, or less.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Fallback {
    /// The status of an answer that is always the same.
    pub status: Option<u16>,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// How long its body is.
    pub body_bytes: Option<usize>,
    /// How old the last good answer may be.
    pub stale_ms: Option<u64>,
    /// The field that tells the service to do less.
    pub header: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// What limits have in common.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Common {
    /// Callers at once that each of two tables has places for.
    pub keys: usize,
    /// Requests of such callers that sliding logs remember in all.
    pub log_entries: usize,
    /// Bytes of last good answers that are kept in all.
    pub stale_bytes: usize,
    /// Bytes of them that are kept for each tenant.
    pub stale_bytes_per_tenant: usize,
    /// The headers by which answers tell a caller where it stands.
    pub headers: Vec<String>,
    /// The store that nodes count in together.
    pub store: Option<Store>,
}

/// A store that nodes count in together. Its password is not shown.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Store {
    /// Where it is.
    pub url: String,
    /// Whether there is a password for it.
    pub has_password: bool,
    /// What its keys begin with.
    pub prefix: String,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// How many nodes there are while the store has not said.
    pub nodes: u32,
}

/// `limits`, by name.
pub(super) fn by_name(limits: &[Limit]) -> Limits {
    limits
        .iter()
        .map(|limit| (limit.id.to_string(), Throttle::from(limit)))
        .collect()
}

impl From<&Limit> for Throttle {
    fn from(limit: &Limit) -> Self {
        let (algorithm, number, period_ms, burst) = match limit.count {
            Count::Rate(quota) => {
                let burst = match quota.algorithm() {
                    Algorithm::TokenBucket { burst } => Some(burst),
                    _ => None,
                };
                let period_ms = milliseconds(quota.rate().period());
                let label = quota.algorithm().label();
                (label, quota.rate().limit(), Some(period_ms), burst)
            }
            Count::InFlight(seats) => ("concurrency", u64::from(seats), None, None),
        };
        // Bytes wait as long as it takes, and nobody stands in a line for them.
        let (max_wait_ms, queue) = match &limit.excess {
            Excess::Delay { max_wait, queue } if limit.measure != Measure::Bytes => {
                (Some(milliseconds(*max_wait)), Some(*queue))
            }
            _ => (None, None),
        };
        Self {
            algorithm: algorithm.to_owned(),
            limit: number,
            period_ms,
            burst,
            counts: limit.measure.label().to_owned(),
            by: limit
                .by
                .iter()
                .map(|by: &By| by.label().to_owned())
                .collect(),
            services: limit.services.iter().map(ToString::to_string).collect(),
            routes: limit.routes.clone(),
            excess: limit.excess.label().to_owned(),
            max_wait_ms,
            queue,
            fallback: match &limit.excess {
                Excess::Degrade(fallback) => Some(Fallback::from(fallback)),
                _ => None,
            },
            shadow: limit.is_shadow,
            near_percent: limit.near.get(),
            cluster: match limit.across {
                Across::Node => None,
                Across::Cluster(sharing) => Some(sharing.label().to_owned()),
            },
        }
    }
}

impl From<&watertight_plan::Fallback> for Fallback {
    fn from(fallback: &watertight_plan::Fallback) -> Self {
        use watertight_plan::Fallback as Kind;
        match fallback {
            Kind::Answer {
                status,
                content_type,
                body,
            } => Self {
                status: Some(*status),
                content_type: Some(content_type.clone()),
                body_bytes: Some(body.len()),
                ..Self::default()
            },
            Kind::Stale { max_age } => Self {
                stale_ms: Some(milliseconds(*max_age)),
                ..Self::default()
            },
            Kind::Less { header, value } => Self {
                header: Some(header.clone()),
                value: Some(value.clone()),
                ..Self::default()
            },
        }
    }
}

impl From<&Throttling> for Common {
    fn from(throttling: &Throttling) -> Self {
        let headers = [
            (throttling.has_draft_headers, "ratelimit"),
            (throttling.has_legacy_headers, "x-ratelimit"),
        ];
        Self {
            keys: throttling.keys,
            log_entries: throttling.log_entries,
            stale_bytes: throttling.stale_bytes,
            stale_bytes_per_tenant: throttling.stale_bytes_per_tenant,
            headers: headers
                .iter()
                .filter(|(has, _)| *has)
                .map(|(_, word)| (*word).to_owned())
                .collect(),
            store: throttling.store.as_ref().map(Store::from),
        }
    }
}

impl From<&LimitStore> for Store {
    fn from(store: &LimitStore) -> Self {
        Self {
            url: store.url.clone(),
            has_password: store.password.is_some(),
            prefix: store.prefix.clone(),
            timeout_ms: milliseconds(store.timeout),
            nodes: store.nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watertight_base::Rate;
    use watertight_guard::throttle::Quota;
    use watertight_guard::throttle::lease::Sharing;
    use watertight_plan::Secret;

    use super::*;

    fn limit(count: Count) -> Limit {
        Limit::new("a".parse().unwrap(), count)
    }

    fn bucket() -> Count {
        let rate = Rate::new(10, Duration::from_secs(1)).unwrap();
        Count::Rate(Quota::new(Algorithm::TokenBucket { burst: 20 }, rate).unwrap())
    }

    #[test]
    fn a_limit_is_shown_with_the_words_of_the_configuration() {
        let shown = Throttle::from(&limit(bucket()));
        assert_eq!(shown.algorithm, "token-bucket");
        assert_eq!((shown.limit, shown.period_ms), (10, Some(1_000)));
        assert_eq!((shown.burst, shown.cluster), (Some(20), None));
        assert_eq!(
            (shown.by[0].as_str(), shown.excess.as_str()),
            ("tenant", "reject")
        );
        let shown = Throttle::from(&limit(Count::InFlight(3)));
        assert_eq!((shown.algorithm.as_str(), shown.limit), ("concurrency", 3));
        assert_eq!((shown.period_ms, shown.burst), (None, None));
        let shared = Limit {
            across: Across::Cluster(Sharing::Leased),
            ..limit(bucket())
        };
        assert_eq!(Throttle::from(&shared).cluster.as_deref(), Some("leased"));
    }

    #[test]
    fn bytes_are_shown_without_the_wait_that_they_do_not_have() {
        let excess = Excess::Delay {
            max_wait: Duration::from_secs(1),
            queue: 7,
        };
        let requests = Limit {
            excess,
            ..limit(bucket())
        };
        let shown = Throttle::from(&requests);
        assert_eq!((shown.max_wait_ms, shown.queue), (Some(1_000), Some(7)));
        let bytes = Limit {
            measure: Measure::Bytes,
            ..requests
        };
        let shown = Throttle::from(&bytes);
        assert_eq!((shown.max_wait_ms, shown.queue), (None, None));
    }

    #[test]
    fn the_password_of_a_store_is_not_shown() {
        let throttling = Throttling {
            store: Some(LimitStore {
                url: "redis://127.0.0.1:6379/0".to_owned(),
                password: Some(Secret::new("hunter2")),
                prefix: "shop".to_owned(),
                timeout: LimitStore::TIMEOUT_DEFAULT,
                nodes: 3,
            }),
            ..Throttling::default()
        };
        let shown = serde_json::to_string(&Common::from(&throttling)).unwrap();
        assert!(shown.contains("\"has_password\":true"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
