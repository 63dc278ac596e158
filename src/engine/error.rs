//! What can go wrong between mcpmon and an engine, sorted by what follows from it.

use std::time::Duration;

/// An engine call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers, or the connection was cut: try again when it is back.
    #[error("the container engine at {address} does not answer: {message}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the connection said.
        message: String,
        /// What to check.
        hint: String,
    },
    /// The engine is there, but this user may not use it.
    #[error("no right to use the container engine at {address}")]
    Denied {
        /// Where.
        address: String,
        /// What to do.
        hint: String,
    },
    /// The call took too long.
    #[error("{operation} took longer than {limit:?}")]
    Timeout {
        /// What was being done.
        operation: String,
        /// The limit that ran out.
        limit: Duration,
    },
    /// The thing is gone or was never there.
    #[error("{0}")]
    NotFound(String),
    /// A container, network or volume of that name is there already.
    #[error("{0}")]
    NameTaken(String),
    /// Another one holds the host port.
    #[error("{0}")]
    PortTaken(String),
    /// No such image here, or where it was looked for.
    #[error("{0}")]
    ImageNotFound(String),
    /// A build or pull failed; the last lines say why.
    #[error("{message}")]
    Command {
        /// What failed, with its exit status.
        message: String,
        /// The last lines it printed.
        output: Vec<String>,
    },
    /// Anything else, in the engine's words.
    #[error("{message}")]
    Other {
        /// HTTP status, where there was one.
        status: Option<u16>,
        /// The engine's words.
        message: String,
    },
}

impl EngineError {
    /// Whether trying the same again later can help without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::PortTaken(_))
    }
}
