//! The command `watertight`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request allocates some hundred times, and what one thread allocates another may free. This took a
/// tenth off the CPU of a flooded front door, beside the C library's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    watertight::cli::run()
}
