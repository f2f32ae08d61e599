//! Who is alive?
//!
//! **Decides** when silence becomes suspicion, and suspicion death.
mod detector;
mod error;

pub use detector::{Beat, Detector, Quality, Rule, Witness};
pub use error::Error;
