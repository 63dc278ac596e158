//! One file per command; wiring only.

pub mod events;
pub mod logs;
pub mod ps;

use std::process::ExitCode;

/// Parses the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
