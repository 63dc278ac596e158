//! What can go wrong between mcpmon and an engine, sorted by what follows from it.

use std::time::Duration;

use crate::error::{Error, Kind};

/// An engine call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers, or the connection was cut: try again when it is back.
    #[error("can't reach the container engine ({address}): {message}")]
    Unreachable {
        /// Where it was looked for: an address, or the context or file that should name one.
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
    #[error("{operation} took longer than {}", humantime::format_duration(*limit))]
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

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { hint, .. } | Self::Denied { hint, .. } => Some(hint.clone()),
            Self::Timeout { .. } => {
                Some("MCPMON_DOCKER_TIMEOUT sets how long one engine call may take (milliseconds)".into())
            }
            Self::NameTaken(_) => {
                Some("remove or rename the container that has the name, or set another container_name".into())
            }
            Self::PortTaken(_) => Some("publish another port, or end what listens there".into()),
            Self::ImageNotFound(_) => {
                Some("check the image's name, log in with `docker login`, or add a `build`".into())
            }
            Self::NotFound(_) | Self::Command { .. } | Self::Other { .. } => None,
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::Unreachable { .. } | EngineError::Denied { .. } => Kind::Unreachable,
            _ => Kind::Failed,
        };
        let mut message = error.to_string();
        if let EngineError::Command { output, .. } = &error {
            for line in output {
                message.push_str("\n    ");
                message.push_str(line);
            }
        }
        let converted = Self::new(kind, message);
        match error.hint() {
            Some(hint) => converted.hint(hint),
            None => converted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_from_what_went_wrong() {
        let unreachable =
            EngineError::Unreachable { address: "unix:///x".into(), message: "gone".into(), hint: "start it".into() };
        let denied = EngineError::Denied { address: "unix:///x".into(), hint: "join the group".into() };
        let failed = EngineError::ImageNotFound("no such image: a".into());
        for (error, code) in [(unreachable, 69), (denied, 69), (failed, 1)] {
            let shown = error.to_string();
            let error = Error::from(error);
            assert_eq!(error.kind.exit_code(), code, "{shown}");
            assert!(error.hint.is_some(), "{shown}");
        }
    }

    #[test]
    fn a_failed_command_shows_its_last_lines() {
        let error =
            EngineError::Command { message: "docker build failed".into(), output: vec!["a".into(), "b".into()] };
        assert_eq!(Error::from(error).message, "docker build failed\n    a\n    b");
    }
}
