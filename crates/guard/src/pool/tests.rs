//! The laws of `pool.rs`, each under its name, and the planted bug that its checker catches.

mod capacity;
mod claims;
mod fairness;
mod forecast;
mod lending;
mod marks;
mod reloads;
mod waiting;
mod walls;
mod world;
