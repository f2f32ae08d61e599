//! The tenants of the shop: two that pay for more, six ordinary ones, and one that storms.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of tenant one is, as far as a report tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// On the plan with the greater weight.
    Vip,
    /// On the plan of everyone.
    Standard,
    /// The one that floods; counted apart from everyone else.
    Noisy,
    /// Whoever calls what a drill strikes on purpose; counted apart, too.
    Struck,
}

impl Class {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::Standard => "standard",
            Self::Noisy => "noisy",
            Self::Struck => "struck",
        }
    }

    /// Whether nothing may happen to it: it neither floods nor calls what is struck.
    #[must_use]
    pub const fn is_victim(self) -> bool {
        matches!(self, Self::Vip | Self::Standard)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A tenant of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// The name that stands in `x-tenant-id`.
    pub name: &'static str,
    /// What kind of tenant it is.
    pub class: Class,
}

impl Tenant {
    /// All tenants of the shop.
    pub const ALL: [Self; 9] = [
        Self::of("acme", Class::Vip),
        Self::of("globex", Class::Vip),
        Self::of("initech", Class::Standard),
        Self::of("umbrella", Class::Standard),
        Self::of("hooli", Class::Standard),
        Self::of("stark", Class::Standard),
        Self::of("wayne", Class::Standard),
        Self::of("tyrell", Class::Standard),
        Self::of("noisy", Class::Noisy),
    ];

    const fn of(name: &'static str, class: Class) -> Self {
        Self { name, class }
    }

    /// The plan of the tenant: the noisy one is on the plan of everyone.
    #[must_use]
    pub const fn plan(self) -> &'static str {
        match self.class {
            Class::Vip => "vip",
            Class::Standard | Class::Noisy | Class::Struck => "standard",
        }
    }
}
