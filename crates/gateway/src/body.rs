//! Bodies on their way: bounded, watched, and streamed under backpressure.
//!
//! *Up* (`body/up.rs`): [`RequestBody`] passes a client's frames on as the upstream takes them and as
//! limits on bytes allow, counts its bytes and its silences, and remembers what was wrong, so that
//! the answer can name it.
//!
//! *Down* (`body/relay.rs`, `body/down.rs`): a relay of a bounded number of bytes lies between
//! upstream and client. The upstream end fills it without waiting for the reader until it is full;
//! when the upstream's last byte is in, seat and connection are free, however slow the reader is.
//! While it waits for the reader, what counts is what is written of the answer (`body/taken.rs`). An
//! answer that is cut short must not look complete: unless its end was said, the reader sees an error
//! and its connection is closed.

mod down;
mod rate;
mod relay;
mod taken;
mod up;

use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

pub(crate) use self::{
    down::ResponseBody,
    relay::{Patience, RelaySender, relay},
    up::RequestBody,
};

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client went away.
    #[error("the client broke off")]
    BrokeOff,
    /// The client is there, but what it sends is no body.
    #[error("the body is malformed")]
    Malformed,
    /// The body is longer than it may be.
    #[error("the body is too long")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// The upstream broke off.
    #[error("the upstream broke off")]
    Upstream,
}

/// What a request's body came to, seen from outside while it is on its way.
#[derive(Debug, Default)]
pub(crate) struct BodyWatch {
    bytes: AtomicU64,
    error: AtomicU8,
    paced_nanos: AtomicU64,
}

impl BodyWatch {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn error(&self) -> Option<BodyError> {
        match self.error.load(Ordering::Acquire) {
            1 => Some(BodyError::BrokeOff),
            2 => Some(BodyError::TooLarge),
            3 => Some(BodyError::Stalled),
            4 => Some(BodyError::Malformed),
            _ => None,
        }
    }

    /// How long the body was, or is just being, held up by its pace.
    pub(crate) fn paced(&self) -> Duration {
        Duration::from_nanos(self.paced_nanos.load(Ordering::Acquire))
    }

    fn fail(&self, error: BodyError) -> BodyError {
        let code = match error {
            BodyError::BrokeOff | BodyError::Upstream => 1,
            BodyError::TooLarge => 2,
            BodyError::Stalled => 3,
            BodyError::Malformed => 4,
        };
        self.error.store(code, Ordering::Release);
        error
    }
}

/// How patient the front door is with a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pickiness {
    /// The longest silence.
    pub(crate) silence_max: Duration,
    /// Bytes a second, at least, while they are waited for; 0: any.
    pub(crate) min_rate: u64,
}
