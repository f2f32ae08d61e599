//! `[metrics]`: what the node measures.

use schemars::JsonSchema;
use serde::Deserialize;

/// What the node measures.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    /// The most tenants that get a label value of their own; the rest share `__other__`.
    /// Default: 200.
    #[schemars(range(min = 0, max = 10_000))]
    tenant_label_max: Option<u32>,
}

impl Metrics {
    pub(super) fn read(&self) -> watertight_plan::Metrics {
        let defaults = watertight_plan::Metrics::default();
        watertight_plan::Metrics {
            tenant_label_max: self
                .tenant_label_max
                .and_then(|max| usize::try_from(max).ok())
                .unwrap_or(defaults.tenant_label_max),
        }
    }
}
