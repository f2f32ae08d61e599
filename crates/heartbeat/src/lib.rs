//! Who is alive?
//!
//! **Decides** when silence becomes suspicion, and suspicion death.
mod bytes;
mod chance;
mod detector;
mod error;
mod life;
mod membership;
mod metadata;
mod monitor;

pub use bytes::Malformed;
pub use detector::{Beat, Detector, Quality, Rule, Witness};
pub use error::Error;
pub use life::{Key, Life, Version};
pub use membership::{
    Counts, Effect, Event, Lifeguard, MemberView, Membership, MembershipSpec, MembershipView,
};
pub use metadata::Metadata;
pub use monitor::{
    Arrival, BeatDatagram, Monitor, MonitorSpec, NodeView, Notice, Received, Remembered,
};
