//! Who is alive?
//!
//! **Decides** when silence becomes suspicion, and suspicion death.
mod chance;
mod detector;
mod error;
mod life;
mod membership;

pub use detector::{Beat, Detector, Quality, Rule, Witness};
pub use error::Error;
pub use life::{Key, Life, Version};
pub use membership::{
    Counts, Effect, Event, Lifeguard, MemberView, Membership, MembershipSpec, MembershipView,
    Metadata,
};
