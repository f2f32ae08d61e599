//! Which answers are failures: by HTTP status, by error, and by gRPC status.
//!
//! What is to be ignored is ignored; what is recorded is a failure; every other answer is a success.
//! Errors that are not recorded are ignored, since nothing was answered. As it is by default, server
//! errors and time-outs are failures, and of gRPC those codes that speak of the server: not
//! `RESOURCE_EXHAUSTED`, which is mostly a quota, and none that a wrong request is answered with.

use std::ops::RangeInclusive;

use super::Outcome;

/// Which calls are failures, and which say nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Classifier {
    /// HTTP statuses that are failures. Default 500 to 599.
    pub record_statuses: Vec<RangeInclusive<u16>>,
    /// HTTP statuses that say nothing. Default none.
    pub ignore_statuses: Vec<RangeInclusive<u16>>,
    /// gRPC statuses that are failures. Default `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`,
    /// `UNAVAILABLE`, `DATA_LOSS`.
    pub record_grpc: Vec<Grpc>,
    /// gRPC statuses that say nothing. Default none.
    pub ignore_grpc: Vec<Grpc>,
    /// Errors that are failures; others say nothing. Default [`CallError::Timeout`].
    pub record_errors: Vec<CallError>,
}

/// Why a call has no answer, or only a part of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallError {
    /// No connection could be made.
    Connect,
    /// The connection broke before the answer, or within it.
    Reset,
    /// No answer came in time.
    Timeout,
}

/// A gRPC status, by its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grpc(u8);

/// The names of gRPC statuses, in the order of their numbers.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl CallError {
    /// Every error.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Reset, Self::Timeout];

    /// The error in configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
        }
    }
}

impl Grpc {
    /// What a status counts as that is missing, or is none.
    pub const UNKNOWN: Self = Self(2);

    /// Every status.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(NAMES.len())
    }

    /// The status of a `grpc-status` field, as bytes. What is none is `UNKNOWN`.
    pub fn of_field(field: &[u8]) -> Self {
        let number = std::str::from_utf8(field).ok();
        let number = number.and_then(|number| number.trim().parse::<u8>().ok());
        let known = number.filter(|number| usize::from(*number) < NAMES.len());
        known.map_or(Self::UNKNOWN, Self)
    }

    /// Its name, as `UNAVAILABLE`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or(NAMES[2])
    }
}

impl Classifier {
    /// What an HTTP status says.
    pub fn status(&self, status: u16) -> Outcome {
        let within =
            |ranges: &[RangeInclusive<u16>]| ranges.iter().any(|one| one.contains(&status));
        outcome(within(&self.ignore_statuses), within(&self.record_statuses))
    }

    /// What a gRPC status says.
    pub fn grpc(&self, status: Grpc) -> Outcome {
        let ignored = self.ignore_grpc.contains(&status);
        outcome(ignored, self.record_grpc.contains(&status))
    }

    /// What an error says.
    pub fn error(&self, error: CallError) -> Outcome {
        if self.record_errors.contains(&error) {
            Outcome::Failure
        } else {
            Outcome::Ignored
        }
    }
}

fn outcome(ignored: bool, recorded: bool) -> Outcome {
    match (ignored, recorded) {
        (true, _) => Outcome::Ignored,
        (false, true) => Outcome::Failure,
        (false, false) => Outcome::Success,
    }
}

impl Default for Classifier {
    fn default() -> Self {
        Self {
            record_statuses: vec![500..=599],
            ignore_statuses: Vec::new(),
            record_grpc: [2, 4, 13, 14, 15].map(Grpc).to_vec(),
            ignore_grpc: Vec::new(),
            record_errors: vec![CallError::Timeout],
        }
    }
}
