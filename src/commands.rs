//! One file per command; wiring only.

use std::process::ExitCode;

/// Parses the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
