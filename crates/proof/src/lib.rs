//! x
mod error;
mod front_door;
pub mod load;
pub mod report;
pub mod scenario;
mod service;
pub mod shop;
mod tenant;
pub mod verdict;

pub use error::Error;
pub use front_door::{FrontDoor, Walls};
pub use load::Load;
pub use report::Report;
pub use scenario::{Phase, Progress, Scenario};
pub use service::Service;
pub use shop::Shop;
pub use tenant::{Class, Tenant};
