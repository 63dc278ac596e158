//! The one error type that reaches `main`: what happened, what to do, and the exit code.
//! It must not know any module's details; modules turn their own errors into it at their edge.

use std::fmt;

use serde::Serialize;

/// What kind of failure it was; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something was tried and failed (exit 1).
    Failed,
    /// The command line can't be carried out as typed (exit 64).
    Usage,
    /// The container engine does not answer (exit 69).
    Unreachable,
    /// The configuration has errors (exit 78).
    Config,
    /// A program to be run is there and can't be run (exit 126, as env(1) has it).
    NotExecutable,
    /// A program to be run was not found (exit 127).
    NotFound,
    /// Ended by a signal (exit 128 + its number).
    Signal(u8),
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::Config => 78,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// A failure as a person reads it: `error: message`, causes, and a hint that says what to do.
#[derive(Debug)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// What happened and where, one sentence without a full stop. May hold several lines (config diagnostics).
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What it came from.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// For programs, where the message tells of several things: each for itself.
    pub faults: Vec<Located>,
    /// What was worth saying besides; a message that has faults tells it too.
    pub warnings: Vec<String>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Located {
    /// The file, as messages show it; none for variables and flags.
    pub file: Option<String>,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is to be changed: `mcpmon.toml:12:5`, `MCPMON_DELAY`, `--set watch.delay=x`.
    pub origin: Option<String>,
    /// The key: `targets.api.ports[0]`.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Shorthand used all over the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (faults, warnings) = (Vec::new(), Vec::new());
        Self { kind, message: message.into(), hint: None, source: None, faults, warnings }
    }

    /// Something was tried and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The command line can't be carried out as typed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The configuration has errors.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what it came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it came from, the nearest first, as far as that is not said already: many errors repeat their source.
    pub fn causes(&self) -> Vec<String> {
        let (mut said, mut causes) = (self.message.clone(), Vec::new());
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            let words = next.to_string();
            if !said.contains(&words) {
                causes.push(words.clone());
            }
            said = words;
            cause = next.source();
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
