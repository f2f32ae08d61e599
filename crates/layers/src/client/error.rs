//! What goes wrong on the client side, and what to do then.

use std::{error::Error, time::Duration};

type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not sent: the target refuses most of what it is asked.
    #[error(
        "{target} refuses most requests, so {:.0} % of them are refused here before they are sent; \
         do without the answer or ask for less, and do not repeat it at once",
        probability * 100.0
    )]
    Throttled {
        /// Host and port; empty for requests that name none.
        target: String,
        /// The probability of being refused here, 0 to 1.
        probability: f64,
    },
    /// Sent, but not answered in the time that there was for all attempts.
    #[error(
        "no answer within {deadline:?} in {attempts} attempts; whether the last one took effect is \
         unknown, so find out before repeating what may not happen twice, or raise the deadline"
    )]
    DeadlineExceeded {
        /// The time that there was.
        deadline: Duration,
        /// Attempts made, the last one included.
        attempts: u32,
    },
    /// The service below failed.
    #[error(transparent)]
    Service(BoxError),
}

impl ClientError {
    /// Whether the request was refused here and never sent: nothing happened, and repeating it at
    /// once would not help.
    pub fn is_local_refusal(&self) -> bool {
        matches!(self, Self::Throttled { .. })
    }

    /// An error of the service below; one of ours stays what it is.
    pub(super) fn below(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(ours) => *ours,
            Err(other) => Self::Service(other),
        }
    }
}

/// A setting outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Of [`ThrottleSettings`](super::ThrottleSettings).
    #[error("the multiplier is {0}; it must be a number of at least 1, say 2")]
    Multiplier(f64),
    /// Of [`ThrottleSettings`](super::ThrottleSettings).
    #[error("the ceiling is {0}; it must be from 0 to below 1, say 0.95, so that probes go on")]
    Ceiling(f64),
    /// Of [`ThrottleSettings`](super::ThrottleSettings) or
    /// [`BudgetSettings`](super::BudgetSettings).
    #[error("the window is zero; it must be longer")]
    Window,
    /// Of [`BudgetSettings`](super::BudgetSettings).
    #[error("the budget is {0} retries per request; it must be from 0 to 1, say 0.2")]
    Budget(f64),
    /// Of [`Backoff`](super::Backoff).
    #[error(
        "the base must be more than zero and at most the cap; cap and patience are at most a day"
    )]
    Backoff,
    /// Of [`RetrySettings`](super::RetrySettings).
    #[error("0 attempts were allowed; allow at least 1, which is the first one")]
    Attempts,
}
