//! x
mod layout;
pub use layout::{Class, CompartmentSpec, Layout, PoolSpec};
