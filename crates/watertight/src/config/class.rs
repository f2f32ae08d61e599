//! The word for the class of requests, which plans and API keys share.

use schemars::JsonSchema;
use serde::Deserialize;

/// The class of a plan's or a key's requests.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    /// A tenant's ordinary requests.
    #[default]
    Ordinary,
    /// Requests of the people who run the system; they sit in the reserve of each pool that has
    /// one.
    Operations,
}

impl From<Class> for watertight_guard::pool::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Ordinary => Self::Ordinary,
            Class::Operations => Self::Operations,
        }
    }
}
