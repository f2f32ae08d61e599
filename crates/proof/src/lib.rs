//! x
mod error;
mod front_door;
pub mod load;
mod service;
pub mod shop;
mod tenant;

pub use error::Error;
pub use front_door::{FrontDoor, Walls};
pub use load::Load;
pub use service::Service;
pub use shop::Shop;
pub use tenant::{Class, Tenant};
