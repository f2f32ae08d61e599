//! x
mod error;
mod front_door;
mod service;
pub mod shop;
mod tenant;

pub use error::Error;
pub use front_door::{FrontDoor, Walls};
pub use service::Service;
pub use shop::Shop;
pub use tenant::{Class, Tenant};
