//! Services: what stands behind the front door.

use std::{collections::BTreeMap, fmt, time::Duration};

use watertight_base::{NodeId, PoolId, ServiceId, Tier};
use watertight_guard::breaker::{Classifier, Settings};

use crate::{Declared, Limit};

/// A service and how it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub id: ServiceId,
    /// How much it matters.
    pub tier: Tier,
    /// Path prefixes that belong to it, on segment boundaries.
    pub routes: Vec<String>,
    /// Where it runs.
    pub upstreams: Vec<Upstream>,
    /// The nodes that stand behind some of them, at most one behind each: who is gone is left out,
    /// and who is busy is asked less. Default: none.
    pub nodes: BTreeMap<NodeId, Upstream>,
    /// The time from the arrival of a request's head to that of its answer's head. Default 30 s.
    pub timeout: Duration,
    /// The time to open a connection. Default 1 s.
    pub connect_timeout: Duration,
    /// Connections (streams, for HTTP/2) to one upstream at once. Default 256.
    pub upstream_connections: u32,
    /// Bytes of an answer that are taken from the upstream ahead of a slow reader. Default 64 KiB.
    pub response_buffer_bytes: usize,
    /// The longest silence on an upgraded connection, both ways. Default 1 h.
    pub upgrade_idle: Duration,
    /// When calls are held back. Here a call is slow by default at nine tenths of the default timeout;
    /// see [`Service::slow_call_default`].
    pub breaker: Settings,
    /// Which answers are failures, for breakers.
    pub classifier: Classifier,
    /// The shared resources that it uses; empty: a compartment of its own.
    pub uses: Vec<PoolId>,
    /// Limits on requests for it.
    pub throttle: Vec<Limit>,
    /// What a request costs, in units, where limits count cost.
    pub cost: Cost,
    /// What is said of it for the audit.
    pub declared: Declared,
}

/// What a request costs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cost {
    /// Units of a request that no route says otherwise of. Default 1.
    pub units: u64,
    /// Units by path prefix, on segment boundaries; the longest wins.
    pub routes: Vec<(String, u64)>,
    /// The field of the service's answer that says what the request has really cost. What it says
    /// beyond what was charged beforehand is charged afterwards; what it says less is given back.
    pub header: Option<String>,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            units: 1,
            routes: Vec::new(),
            header: None,
        }
    }
}

impl Cost {
    /// The most units that a request may cost.
    pub const UNITS_MAX: u64 = 1_000_000;

    /// Units of a request for `path`, charged beforehand.
    pub fn of(&self, path: &str) -> u64 {
        let matching = self
            .routes
            .iter()
            .filter(|(prefix, _)| starts(path, prefix));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        longest.map_or(self.units, |(_, units)| *units)
    }
}

/// Whether `path` begins with `prefix`, on a segment boundary.
pub(crate) fn starts(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Service {
    /// Default of [`Service::timeout`].
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
    /// Default of [`Service::connect_timeout`].
    pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
    /// Default of [`Service::upgrade_idle`].
    pub const UPGRADE_IDLE_DEFAULT: Duration = Duration::from_secs(60 * 60);
    /// Default of [`Service::upstream_connections`].
    pub const UPSTREAM_CONNECTIONS_DEFAULT: u32 = 256;
    /// Default of [`Service::response_buffer_bytes`].
    pub const RESPONSE_BUFFER_DEFAULT: usize = 64 * 1024;

    /// How long a call takes that is slow, where nothing is said: nine tenths of its timeout. At the
    /// whole of it a call has failed, so that no longer time could have an effect.
    pub fn slow_call_default(timeout: Duration) -> Duration {
        timeout * 9 / 10
    }

    /// A service with the defaults, without routes or upstreams.
    pub fn new(id: ServiceId, tier: Tier) -> Self {
        Self {
            id,
            tier,
            routes: Vec::new(),
            upstreams: Vec::new(),
            nodes: BTreeMap::new(),
            timeout: Self::TIMEOUT_DEFAULT,
            connect_timeout: Self::CONNECT_TIMEOUT_DEFAULT,
            upstream_connections: Self::UPSTREAM_CONNECTIONS_DEFAULT,
            response_buffer_bytes: Self::RESPONSE_BUFFER_DEFAULT,
            upgrade_idle: Self::UPGRADE_IDLE_DEFAULT,
            breaker: Settings {
                slow_call_duration_threshold: Self::slow_call_default(Self::TIMEOUT_DEFAULT),
                ..Settings::default()
            },
            classifier: Classifier::default(),
            uses: Vec::new(),
            throttle: Vec::new(),
            cost: Cost::default(),
            declared: Declared::default(),
        }
    }
}

/// One address of a service.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Upstream {
    /// What is spoken.
    pub protocol: Protocol,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// `http://`: HTTP/1.1.
    Http1,
    /// `h2c://`: cleartext HTTP/2 with prior knowledge, as gRPC needs.
    Http2,
}

impl Upstream {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http1 => "http",
            Protocol::Http2 => "h2c",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}
