//! What can be wrong with a word: one enum, so that a caller can say which rule was broken.

/// A value that is not what its type allows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An identifier has no characters.
    #[error("a {kind} id may not be empty")]
    IdEmpty {
        /// What was being named: `tenant`, `service`, …
        kind: &'static str,
    },
    /// An identifier is longer than its kind allows.
    #[error("a {kind} id may have at most {max} characters, not {length}")]
    IdTooLong {
        /// What was being named.
        kind: &'static str,
        /// Length given, in bytes.
        length: usize,
        /// Longest allowed, in bytes.
        max: usize,
    },
    /// An identifier has a character outside `A-Z a-z 0-9 . _ -`, or begins with one of `. _ -`.
    #[error(
        "a {kind} id is made of letters, digits, '.', '_' and '-', and begins with a letter or a digit"
    )]
    IdCharacter {
        /// What was being named.
        kind: &'static str,
    },
    /// A percentage outside 0 to 100.
    #[error("a percentage lies between 0 and 100, not {0}")]
    Percent(f64),
    /// A number of seats outside 1 to [`Seats::MAX`](crate::Seats::MAX).
    #[error("a number of seats lies between 1 and {max}, not {seats}", max = crate::Seats::MAX.get())]
    Seats {
        /// The number given.
        seats: u64,
    },
    /// A rate whose limit or period is zero, or too fast to be counted in nanoseconds.
    #[error(
        "a rate needs a limit of at least 1, a period of at least 1 ns and at most 365 days, and at most one unit per ns"
    )]
    Rate,
    /// A tier other than 1, 2 or 3.
    #[error("a tier is 1, 2 or 3, not {0}")]
    Tier(u64),
    /// A weight outside 1 to [`Weight::MAX`](crate::Weight::MAX).
    #[error("a weight lies between 1 and {max}, not {weight}", max = crate::Weight::MAX.get())]
    Weight {
        /// The number given.
        weight: u64,
    },
}
