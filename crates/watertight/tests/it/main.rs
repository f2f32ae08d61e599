//! What the binary's rooms promise, from the outside.

mod admin;
mod config;
mod drill;
mod pages;
mod rules;
mod walls;
