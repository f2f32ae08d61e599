//! The alerts: what fires, what is over of late, and how telling of it goes.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::Tick;
use watertight_guard::alert;

use super::time;
use crate::{
    alerts::{HookView, runbook},
    node::Node,
};

/// The alerts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Alerts {
    /// Those that are pending or fire, and those that were resolved in the last 15 minutes.
    pub alerts: Vec<Alert>,
    /// Alerts that found no place among them.
    pub alerts_left_out: usize,
    /// Who is told, and how that goes; none: nobody.
    pub webhook: Option<Webhook>,
}

/// An alert.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Alert {
    /// Its kind.
    pub alert: String,
    /// Its name in Prometheus and in notifications.
    pub name: String,
    /// `warning` or `info`.
    pub severity: String,
    /// `pending`, `firing` or `resolved`.
    pub state: String,
    /// What it is about.
    pub labels: BTreeMap<String, String>,
    /// A sentence: why it fires, as of when it was last in trouble; of one that is over, how it is now.
    pub says: String,
    /// What was measured last.
    pub value: f64,
    /// The most that was measured since it began.
    pub peak: f64,
    /// It fires at this value and above.
    pub fires_at: f64,
    /// It is well below this value.
    pub clears_below: f64,
    /// What these count.
    pub unit: String,
    /// When it began.
    pub began: String,
    /// Since when it has been in its state.
    pub since: String,
    /// What to do about it: a page of this listener.
    pub runbook: String,
}

/// Who is told of alerts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Webhook {
    /// Where it is, without its path.
    pub to: String,
    /// Alerts of which it has still to be told something.
    pub waiting: usize,
    /// Notifications that it took.
    pub sent: u64,
    /// Attempts that failed, and were or will be made again.
    pub failed: u64,
    /// Ends of alerts that it will never be told of, because too many waited.
    pub lost: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

impl Alerts {
    /// The alerts of `node`.
    pub fn of(node: &Node) -> Self {
        let view = node.alarm().view();
        let origin = node.clock().origin_since_epoch();
        let alerts = view.board.alerts.iter();
        Self {
            alerts: alerts.map(|alert| Alert::new(alert, origin)).collect(),
            alerts_left_out: view.board.left_out,
            webhook: Webhook::of(view.hook),
        }
    }
}

impl Alert {
    fn new(alert: &alert::Alert, origin: Duration) -> Self {
        let at = |tick: Tick| time(UNIX_EPOCH + origin + (tick - Tick::ZERO));
        let kind = alert.key.kind;
        let labels = alert.key.labels.iter();
        Self {
            alert: kind.label().to_owned(),
            name: kind.name().to_owned(),
            severity: kind.severity().label().to_owned(),
            state: alert.state.label().to_owned(),
            labels: labels
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            says: alert.says.clone(),
            value: alert.value,
            peak: alert.peak,
            fires_at: alert.fires,
            clears_below: alert.clears,
            unit: kind.unit().to_owned(),
            began: at(alert.began),
            since: at(alert.since),
            runbook: runbook::path(kind),
        }
    }
}

impl Webhook {
    fn of(view: HookView) -> Option<Self> {
        Some(Self {
            to: view.to?,
            waiting: view.waiting,
            sent: view.sent,
            failed: view.failed,
            lost: view.lost,
            error: view.error,
        })
    }
}
