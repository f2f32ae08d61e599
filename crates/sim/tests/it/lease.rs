//! Limits that nodes count together: three nodes and a store, with the cores of guard unchanged.

mod apart;
mod checker;
mod laws;
mod party;
mod planted;
mod zipf;
