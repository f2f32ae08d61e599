//! The laws of `pool.rs`, each under its name, and the planted bug that its checker catches.

mod fairness;
mod reloads;
mod walls;
mod world;
