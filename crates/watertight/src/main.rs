//! The command `watertight`.

use std::process::ExitCode;

fn main() -> ExitCode {
    watertight::cli::run()
}
