//! What alerts do, as metrics: read from the view at the moment of a scrape.

use std::{fmt, sync::Weak};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use watertight_guard::alert::{Kind, State};
use watertight_layers::ALERT_LABELS;

use super::Alarm;

/// Reads the view when it is asked.
#[derive(Debug)]
pub(super) struct Collected(pub(super) Weak<Alarm>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(alarm) = self.0.upgrade() else {
            return Ok(());
        };
        let view = alarm.view();
        let mut firing = encoder.encode_descriptor(
            "watertight_alerts_firing",
            "Alerts that fire: 1, and 0 for a while when they are over; labels that mean nothing are empty",
            None,
            MetricType::Gauge,
        )?;
        for alert in &view.board.alerts {
            let value = i64::from(alert.state == State::Firing);
            let mut labels = vec![("alert", alert.key.kind.label())];
            labels.extend(ALERT_LABELS.map(|name| {
                let value = alert.key.labels.get(name);
                (name, value.map_or("", String::as_str))
            }));
            ConstGauge::new(value).encode(firing.encode_family(&labels)?)?;
        }
        let mut fired = encoder.encode_descriptor(
            "watertight_alerts_fired",
            "Alerts that began to fire, by kind",
            None,
            MetricType::Counter,
        )?;
        for (kind, number) in Kind::ALL.into_iter().zip(view.fired) {
            let labels = [("alert", kind.label())];
            ConstCounter::new(number).encode(fired.encode_family(&labels)?)?;
        }
        let left_out = encoder.encode_descriptor(
            "watertight_alerts_left_out",
            "Alerts that found no place among all that fire",
            None,
            MetricType::Gauge,
        )?;
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        ConstGauge::new(whole(view.board.left_out)).encode(left_out)?;
        let waiting = encoder.encode_descriptor(
            "watertight_alert_notifications_waiting",
            "Alerts of which the webhook has still to be told something",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(whole(view.hook.waiting)).encode(waiting)?;
        let mut notifications = encoder.encode_descriptor(
            "watertight_alert_notifications",
            "Notifications to the webhook, by result: sent, failed and tried again, or ends of alerts that are lost because too many waited",
            None,
            MetricType::Counter,
        )?;
        let results = [
            ("sent", view.hook.sent),
            ("failed", view.hook.failed),
            ("lost", view.hook.lost),
        ];
        for (result, number) in results {
            let labels = [("result", result)];
            ConstCounter::new(number).encode(notifications.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
