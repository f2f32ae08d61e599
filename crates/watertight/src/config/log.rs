//! `[log]`: what the node logs.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::AccessLog;

/// What the node logs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// Where access records go, one JSON object a line. Default: stdout.
    access: Option<Access>,
}

/// Where access records go.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Access {
    /// To standard output.
    Stdout,
    /// Nowhere.
    Off,
}

impl Log {
    pub(super) fn read(&self) -> watertight_plan::Log {
        watertight_plan::Log {
            access: match self.access {
                None => AccessLog::default(),
                Some(Access::Stdout) => AccessLog::Stdout,
                Some(Access::Off) => AccessLog::Off,
            },
        }
    }
}
