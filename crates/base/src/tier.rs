//! How much a service matters: 1 stops the business, 2 hurts it, 3 is missed.

use std::fmt;

use crate::Error;

/// The criticality of a service. [`Tier::One`] is the most critical and sorts first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tier {
    /// Without it the business stops.
    One,
    /// Without it the business is hurt.
    Two,
    /// Without it something is missed.
    Three,
}

impl Tier {
    /// All tiers, most critical first.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// The number of the tier, 1 to 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// The number as a label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
        }
    }
}

impl TryFrom<u64> for Tier {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self, Error> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            3 => Ok(Self::Three),
            other => Err(Error::Tier(other)),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
