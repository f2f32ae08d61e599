//! What becomes of a request that a fault strikes.

use std::{fmt, time::Duration};

use super::{FaultError, Injected};

/// What becomes of a request that is struck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It is held up for so long before it is sent: 1 ms to [`Effect::DELAY_MAX`].
    Delay(Duration),
    /// It is answered with this status, 400 to 599, and is not sent.
    Status(u16),
    /// The connection is refused at once.
    Refused,
    /// Nobody answers: the connection fails when its time-out is over.
    Dead,
}

/// What is left to do for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Struck {
    /// Send it.
    Spared,
    /// Answer it so.
    Answer(u16),
    /// There is no connection.
    Unconnected,
}

impl Effect {
    /// The longest delay.
    pub const DELAY_MAX: Duration = Duration::from_secs(30);
    /// The kinds of effects, as metrics name them.
    pub const KINDS: [&'static str; 4] = ["delay", "status", "refused", "dead"];

    /// The place in [`Effect::KINDS`].
    pub(super) const fn kind(self) -> usize {
        match self {
            Self::Delay(_) => 0,
            Self::Status(_) => 1,
            Self::Refused => 2,
            Self::Dead => 3,
        }
    }

    pub(super) fn check(self) -> Result<(), FaultError> {
        let delays = Duration::from_millis(1)..=Self::DELAY_MAX;
        match self {
            Self::Delay(delay) if !delays.contains(&delay) => {
                Err(FaultError::Effect("`delay_ms` is 1 to 30000"))
            }
            Self::Status(status) if !(400..=599).contains(&status) => {
                Err(FaultError::Effect("`status` is 400 to 599"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "{} ms late", delay.as_millis()),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Refused => f.write_str("connections refused"),
            Self::Dead => f.write_str("dead"),
        }
    }
}

impl Injected {
    /// Strikes one request. Whatever a request waits for is over when the fault is.
    pub(super) async fn strike(&self, connect_timeout: Duration) -> Struck {
        match self.order.effect {
            Effect::Delay(delay) => {
                self.lasts(delay).await;
                Struck::Spared
            }
            Effect::Status(status) => Struck::Answer(status),
            Effect::Refused => Struck::Unconnected,
            Effect::Dead if self.lasts(connect_timeout).await => Struck::Unconnected,
            Effect::Dead => Struck::Spared,
        }
    }

    /// Waits. False: the fault was over before.
    async fn lasts(&self, span: Duration) -> bool {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => false,
            () = tokio::time::sleep(span) => true,
        }
    }
}
