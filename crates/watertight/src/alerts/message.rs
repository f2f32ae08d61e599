//! A notification in the form in which Prometheus' Alertmanager tells its webhooks, version 4, so that
//! whatever takes those takes ours.
//!
//! Alerts are grouped by name. The labels of an alert are those of the rule of the same name in
//! `packaging/prometheus`, and its fingerprint is made of them, so that the two are one alert.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use watertight_base::Tick;
use watertight_guard::alert::{Alert, State};

use super::{outbox::Parcel, runbook};

/// Who sends it, and when its clock began.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) node: String,
    pub(super) region: Option<String>,
    /// Where people reach the admin listener; empty when there is none.
    pub(super) external_url: String,
    /// How long after 1970 ticks begin.
    pub(super) origin: Duration,
}

type Labels = BTreeMap<String, String>;

/// What Alertmanager says for "not yet".
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Sender {
    /// The body of the notification of `parcel`.
    pub(super) fn message(&self, parcel: &Parcel) -> Value {
        let all: Vec<_> = parcel.firing.iter().chain(&parcel.resolved).collect();
        let alerts: Vec<_> = all.iter().map(|alert| self.alert(alert)).collect();
        let status = if parcel.firing.is_empty() {
            "resolved"
        } else {
            "firing"
        };
        let name = parcel.kind.name();
        let labels = all.iter().map(|alert| self.labels(alert));
        let annotations = alerts.iter().map(|alert| strings(&alert["annotations"]));
        json!({
            "version": "4",
            "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "watertight",
            "groupLabels": { "alertname": name },
            "commonLabels": common(labels),
            "commonAnnotations": common(annotations),
            "externalURL": self.external_url,
            "alerts": alerts,
        })
    }

    fn alert(&self, alert: &Alert) -> Value {
        let labels = self.labels(alert);
        let kind = alert.key.kind;
        let (status, ends) = match alert.state {
            State::Resolved => ("resolved", self.time(alert.since)),
            State::Pending | State::Firing => ("firing", NEVER.to_owned()),
        };
        json!({
            "status": status,
            "fingerprint": fingerprint(&labels),
            "labels": labels,
            "annotations": {
                "summary": alert.says,
                "value": format!("{} {}", alert.value, kind.unit()),
                "peak": format!("{} {}", alert.peak, kind.unit()),
                "threshold": format!("{} {}", alert.fires, kind.unit()),
                "runbook_url": format!("{}{}", self.external_url, runbook::path(kind)),
            },
            "startsAt": self.time(alert.began),
            "endsAt": ends,
            "generatorURL": format!("{}/v1/alerts", self.external_url),
        })
    }

    fn labels(&self, alert: &Alert) -> Labels {
        let kind = alert.key.kind;
        let own = alert.key.labels.iter();
        let own = own.map(|(name, value)| ((*name).to_owned(), value.clone()));
        let ours = [
            ("alertname", kind.name()),
            ("severity", kind.severity().label()),
            ("node", &self.node),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let region = self
            .region
            .clone()
            .map(|region| ("region".to_owned(), region));
        own.chain(ours).chain(region).collect()
    }

    /// A point in time, RFC 3339.
    fn time(&self, tick: Tick) -> String {
        humantime::format_rfc3339_millis(self.system_time(tick)).to_string()
    }

    fn system_time(&self, tick: Tick) -> SystemTime {
        UNIX_EPOCH + self.origin + (tick - Tick::ZERO)
    }
}

fn strings(value: &Value) -> Labels {
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// What all have in common.
fn common(mut all: impl Iterator<Item = Labels>) -> Map<String, Value> {
    let Some(mut common) = all.next() else {
        return Map::new();
    };
    for other in all {
        common.retain(|name, value| other.get(name) == Some(value));
    }
    let common = common.into_iter();
    common
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}

/// The fingerprint that Prometheus gives a set of labels: FNV-1a of 64 bits over names and values in
/// the order of names, each followed by a byte that no UTF-8 has.
fn fingerprint(labels: &Labels) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for (name, value) in labels {
        for text in [name, value] {
            text.bytes().chain([0xff]).for_each(&mut add);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use watertight_guard::alert::{Effect, Key, Kind};

    use super::*;
    use crate::alerts::outbox::Outbox;

    fn alert(service: &str, state: State) -> Alert {
        Alert {
            key: Key::new(Kind::CapFilling)
                .with("pool", "database")
                .with("service", service),
            state,
            since: Tick::ZERO + Duration::from_secs(90),
            began: Tick::ZERO + Duration::from_secs(60),
            value: 11.0,
            peak: 12.0,
            fires: 11.0,
            clears: 9.0,
            is_gone: false,
            says: format!("{service} holds 11 of 15"),
        }
    }

    #[test]
    fn a_notification_has_every_field_that_receivers_of_alertmanager_read() {
        let sender = Sender {
            node: "edge-1".to_owned(),
            region: None,
            external_url: "http://edge-1:7070".to_owned(),
            origin: Duration::from_secs(1_700_000_000),
        };
        let mut outbox = Outbox::default();
        outbox.tell(&Effect::Fired(alert("a", State::Firing)));
        outbox.tell(&Effect::Resolved(alert("b", State::Resolved)));
        let parcel = outbox.next(Tick::ZERO, Duration::MAX).unwrap();
        let message = sender.message(&parcel);
        let expected = json!({
            "version": "4",
            "groupKey": "{}:{alertname=\"WatertightCapFilling\"}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "watertight",
            "groupLabels": { "alertname": "WatertightCapFilling" },
            "commonLabels": {
                "alertname": "WatertightCapFilling", "node": "edge-1", "pool": "database",
                "severity": "warning",
            },
            "commonAnnotations": {
                "peak": "12 seats",
                "runbook_url": "http://edge-1:7070/v1/runbook?alert=cap-filling",
                "threshold": "11 seats",
                "value": "11 seats",
            },
            "externalURL": "http://edge-1:7070",
            "alerts": message["alerts"],
        });
        assert_eq!(message, expected);
        let [firing, resolved] = &message["alerts"].as_array().unwrap()[..] else {
            panic!("{message}");
        };
        assert_eq!(firing["status"], "firing");
        assert_eq!(firing["startsAt"], "2023-11-14T22:14:20.000Z");
        assert_eq!(firing["endsAt"], NEVER);
        assert_eq!(firing["labels"]["service"], "a");
        assert_eq!(resolved["status"], "resolved");
        assert_eq!(resolved["endsAt"], "2023-11-14T22:14:50.000Z");
        assert_ne!(firing["fingerprint"], resolved["fingerprint"]);
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // From the tests of Prometheus' `common/model`.
        assert_eq!(fingerprint(&Labels::new()), "cbf29ce484222325");
        let labels = [("name", "garland, briggs"), ("fear", "love is not enough")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            fingerprint(&labels.into()),
            format!("{:016x}", 5_799_056_148_416_392_346_u64)
        );
    }
}
