//! The laws of the world, over a protocol small enough to be judged by eye; and each checker over
//! a world with the bug planted that it is for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counter;
mod holders;
mod laws;
mod lease;
mod members;
mod pages;
mod planted;
mod pools;
mod search;
