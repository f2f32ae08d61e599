//! x
pub mod breaker;
mod error;
pub mod pool;
pub use error::Error;
