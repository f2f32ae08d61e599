//! When somebody is told that something fills up, and where.

use std::{collections::BTreeSet, time::Duration};

use watertight_guard::alert::{self, Kind};

use crate::Secret;

/// When somebody is told, and where. From which share of its seats on a pool fills up is said with the
/// pool: [`Plan::alerts`](crate::Plan::alerts).
#[derive(Clone, Debug, PartialEq)]
pub struct Alerting {
    /// How often everything is looked at. Default 1 s.
    pub every: Duration,
    /// How quick alerts are, and how many there may be.
    pub board: alert::Settings,
    /// How long requests may wait for seats. Default 100 ms.
    pub queue_wait: Duration,
    /// How long a seat may be lent to another compartment. Default 1 min.
    pub borrowed_for: Duration,
    /// Kinds that nobody wants to hear of. Default: none.
    pub off: BTreeSet<Kind>,
    /// Under which address people reach the admin listener, for links in notifications. None: the
    /// address that it is bound to.
    pub external_url: Option<String>,
    /// Who is told. None: alerts show in log, metrics and API alone.
    pub webhook: Option<Webhook>,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            board: alert::Settings::default(),
            queue_wait: Duration::from_millis(100),
            borrowed_for: Duration::from_secs(60),
            off: BTreeSet::new(),
            external_url: None,
            webhook: None,
        }
    }
}

/// Who is told of alerts, in the form in which Prometheus' Alertmanager tells its webhooks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Its host, a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path and query that are posted to. They may hold a secret.
    pub path: Secret,
    /// The bearer token that it wants. Default: none.
    pub token: Option<Secret>,
    /// How long it may take to answer. Default 10 s.
    pub timeout: Duration,
    /// How often it is told again of what still fires. Default 4 h.
    pub repeat: Duration,
}

impl Webhook {
    /// Default of [`Webhook::timeout`].
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
    /// Default of [`Webhook::repeat`].
    pub const REPEAT_DEFAULT: Duration = Duration::from_secs(4 * 60 * 60);

    /// Where it is, without the path, which may hold a secret.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}
