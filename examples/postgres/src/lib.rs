//! One PostgreSQL with 100 connections, and walls between those who use it.
//!
//! | who | connections |
//! |---|---|
//! | checkout | 30 of its own |
//! | recommendations, reporting | 50 that they share, of which recommendations holds 15 at most and reporting 10 |
//! | operations | 20 in reserve |
//!
//! From 70 % of anything on, somebody is told ([`bulkheads`]). A seat is leave to use one connection
//! ([`Connections`]), so what the server counts is what the walls allow. What that is worth is measured
//! by [`Storm`]; the server is started by [`Server`], or is given.

mod connections;
mod server;
mod storm;

use watertight_base::Percent;
use watertight_layers::{BulkheadError, Bulkheads, Divided};

pub use self::{
    connections::{Connection, Connections, Error},
    server::Server,
    storm::{Failure, Figures, Storm, Told},
};

/// The walls.
///
/// # Errors
/// None, as the numbers are: they are checked like any others.
pub fn bulkheads() -> Result<Bulkheads, BulkheadError> {
    Divided::new("database", 100)
        .compartment("critical", 30, ["checkout"])
        .compartment("rest", 50, ["recommendations", "reporting"])
        .cap("recommendations", 15)
        .cap("reporting", 10)
        .reserve(20)
        .alert(Percent::try_from(70.0)?)
        .build()
}
