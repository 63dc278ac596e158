//! How a process ended, in numbers and in words.

use std::fmt;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status (0–255).
    Status(u8),
    /// By this signal's number.
    Signal(u8),
}

impl Exit {
    /// The exit code that says the same, as shells have it: 128 + the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Status(status) => status,
            Self::Signal(number) => number.saturating_add(128),
        }
    }

    /// It ended by itself, with status 0.
    pub fn is_success(self) -> bool {
        self == Self::Status(0)
    }
}

/// `exit status 3`, `SIGKILL`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(number) => match name(*number) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

/// The names that are the same on all machines (POSIX gives numbers to these alone), and those of a crash.
fn name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}
