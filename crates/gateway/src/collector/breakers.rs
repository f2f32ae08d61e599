//! The breakers that all tenants of a service share.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use watertight_guard::breaker::Mode;
use watertight_layers::ServiceBreakerView;

use super::{Labels, gauges, state_number};

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    views: &[ServiceBreakerView],
) -> fmt::Result {
    let of = |number: fn(&ServiceBreakerView) -> i64| {
        views.iter().map(move |view| {
            let labels: Labels = vec![("service", view.service.to_string())];
            (labels, number(view))
        })
    };
    gauges(
        encoder,
        "watertight_breaker_state",
        "What the breaker of all tenants of a service does to calls: 0 closed, 1 half-open (also when its open time is over and nobody called since), 2 open, or forced open",
        of(|view| state_number(view.shared.state)),
    )?;
    gauges(
        encoder,
        "watertight_breaker_mode",
        "Whether the breakers of a service decide: 0 by themselves, 1 disabled, 2 forced open, 3 metrics only",
        of(|view| match view.mode {
            Mode::Automatic => 0,
            Mode::Disabled => 1,
            Mode::ForcedOpen => 2,
            Mode::MetricsOnly => 3,
        }),
    )?;
    gauges(
        encoder,
        "watertight_breaker_failure_rate_percent",
        "Failures among the calls of a service since it began to fail, within the window; while its breaker is not closed, those that opened it; 0 when all is well",
        of(|view| {
            let counts = &view.shared.tally.counts;
            let percent = (counts.failures * 100).checked_div(counts.calls);
            i64::try_from(percent.unwrap_or(0)).unwrap_or(100)
        }),
    )?;
    gauges(
        encoder,
        "watertight_breaker_failing_tenants",
        "Tenants of a service most of whose calls failed within the window; while its breaker is not closed, when it opened",
        of(|view| view.shared.tally.failing.into()),
    )
}
