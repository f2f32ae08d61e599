//! The scenarios by name.

use std::fmt;
use std::str::FromStr;

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// One tenant asks for more of the services of a tier, 1 to 3, than they have.
    SaturateTier(u8),
    /// One tenant asks for far more than its share of everything.
    NoisyTenant,
    /// A service answers, and late.
    SlowUpstream,
    /// A service says nothing at all.
    DeadUpstream,
    /// One tenant opens connections and keeps them.
    ConnectionHoarding,
    /// One tenant sends large bodies.
    LargeBodies,
    /// Every tenant starts its background work at once.
    BackgroundFlood,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SaturateTier(1),
        Self::SaturateTier(2),
        Self::SaturateTier(3),
        Self::NoisyTenant,
        Self::SlowUpstream,
        Self::DeadUpstream,
        Self::ConnectionHoarding,
        Self::LargeBodies,
        Self::BackgroundFlood,
    ];

    /// The name, as it is written.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SaturateTier(1) => "saturate-tier-1",
            Self::SaturateTier(2) => "saturate-tier-2",
            Self::SaturateTier(_) => "saturate-tier-3",
            Self::NoisyTenant => "noisy-tenant",
            Self::SlowUpstream => "slow-upstream",
            Self::DeadUpstream => "dead-upstream",
            Self::ConnectionHoarding => "connection-hoarding",
            Self::LargeBodies => "large-bodies",
            Self::BackgroundFlood => "background-flood",
        }
    }

    /// Whether it is faults that do the harm, and not what is sent.
    #[must_use]
    pub const fn is_of_faults(self) -> bool {
        matches!(self, Self::SlowUpstream | Self::DeadUpstream)
    }

    /// Whether it strikes one service, which can be named.
    #[must_use]
    pub const fn strikes_one(self) -> bool {
        !matches!(self, Self::SaturateTier(_) | Self::NoisyTenant)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|name| name.label() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::label).join(", ");
            format!("there is no scenario {text}; there are {all}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for name in Name::ALL {
            assert_eq!(name.label().parse(), Ok(name));
        }
        assert!("saturate-tier-4".parse::<Name>().is_err());
    }
}
