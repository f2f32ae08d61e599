//! The front door over real sockets, in one process.

mod listeners;
mod serving;
mod world;
