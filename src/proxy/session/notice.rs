//! What a person is told about a session, one line each. The words are here; who writes them, and where, is not.

use std::{fmt, time::Duration};

use crate::proxy::{lists::Difference, message::Id};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something was lost, or did not go as asked; the session goes on.
    Warning,
    /// A server is not there that should be.
    Error,
}

/// What becomes of the old server where a new one did not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldServer {
    /// It was not stopped.
    GoesOn,
    /// It had to stop first.
    StartsAgain,
    /// The same, and what starts is made of the files as they are now.
    StartsAnew,
    /// It had ended before.
    Gone,
}

/// When a server is started again that has ended, or did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After that time.
    In(Duration),
    /// When a file changes.
    OnChange,
    /// Another try would end in the same way: the session is over.
    Never,
}

/// Something worth a line on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Files changed; an image is built for a new server.
    Rebuilding,
    /// A new server took the old one's place.
    Reloaded {
        /// From the change to the switch.
        total: Duration,
        /// From asking for the server to its running.
        start: Duration,
        /// From its running to its answer.
        handshake: Duration,
        /// Requests that the old server still has to answer.
        drained: usize,
        /// How the lists differ, as far as both are known.
        difference: Difference,
    },
    /// A server was started again after it had ended by itself.
    Restarted {
        /// From asking for the server to the switch.
        total: Duration,
    },
    /// A new server did not come up. The driver adds the server's last words.
    NotReloaded {
        /// Which server.
        server: super::ServerId,
        /// Why.
        reason: String,
        /// What becomes of the old one.
        old: OldServer,
    },
    /// The server ended by itself. The driver adds its last words.
    Crashed {
        /// Which server.
        server: super::ServerId,
        /// How.
        reason: String,
        /// Requests that got an error for it.
        unanswered: usize,
        /// When it is started again.
        again: Again,
    },
    /// The first server could not be started.
    NotStarted {
        /// Which server.
        server: super::ServerId,
        /// Why.
        reason: String,
        /// When it is tried again.
        again: Again,
    },
    /// A replaced server did not answer in time.
    DrainEnded {
        /// Requests that got an error.
        failed: usize,
        /// Requests that were sent to the new server once more, because their tools say that this does no harm.
        repeated: usize,
    },
    /// What waited got an error or was let go, because there was no room or no server.
    NotHeld {
        /// Why.
        reason: &'static str,
        /// Requests that got an error.
        requests: usize,
        /// Notifications that were let go.
        notifications: usize,
    },
    /// The client sent what is no message.
    FromClient {
        /// What was wrong.
        reason: String,
    },
    /// The first server did not answer the client's handshake in time.
    NoHandshake {
        /// The limit.
        limit: Duration,
    },
    /// A server sent a line that is longer than any frame may be.
    TooLong {
        /// How long.
        bytes: usize,
        /// Requests that got an error, because it may have been their answer.
        unanswered: usize,
    },
    /// A server sent an answer that nobody waits for.
    UnaskedAnswer {
        /// Its id.
        id: Id,
    },
    /// The client answered a server that is gone.
    LateAnswer {
        /// The id.
        id: Id,
    },
}

impl Notice {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Rebuilding | Self::Reloaded { .. } | Self::Restarted { .. } | Self::LateAnswer { .. } => {
                Severity::Info
            }
            Self::DrainEnded { .. }
            | Self::NotHeld { .. }
            | Self::FromClient { .. }
            | Self::NoHandshake { .. }
            | Self::TooLong { .. }
            | Self::UnaskedAnswer { .. } => Severity::Warning,
            Self::NotReloaded { .. } | Self::Crashed { .. } | Self::NotStarted { .. } => Severity::Error,
        }
    }

    /// The server whose last words belong to it.
    pub fn last_words_of(&self) -> Option<super::ServerId> {
        match self {
            Self::NotReloaded { server, .. } | Self::Crashed { server, .. } | Self::NotStarted { server, .. } => {
                Some(*server)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuilding => write!(formatter, "files changed, building the image"),
            Self::Reloaded { total, start, handshake, drained, difference } => {
                write!(
                    formatter,
                    "reloaded in {} ms (start {}, handshake {}",
                    total.as_millis(),
                    start.as_millis(),
                    handshake.as_millis()
                )?;
                if *drained > 0 {
                    write!(formatter, ", drained {}", count(*drained, "call"))?;
                }
                write!(formatter, ")")?;
                if difference.is_empty() { Ok(()) } else { write!(formatter, "; {difference}") }
            }
            Self::Restarted { total } => write!(formatter, "started again in {} ms", total.as_millis()),
            Self::NotReloaded { reason, old, .. } => {
                let old = match old {
                    OldServer::GoesOn => "the old server goes on",
                    OldServer::StartsAgain => "the old server is started again",
                    OldServer::StartsAnew => "the command is started again with the files as they are now",
                    OldServer::Gone => "there is no server now",
                };
                write!(formatter, "not reloaded: {reason}; {old}, the next save tries again")
            }
            Self::Crashed { reason, unanswered, again, .. } => {
                write!(formatter, "the server ended: {reason}")?;
                if *unanswered > 0 {
                    write!(formatter, "; {} got an error", count(*unanswered, "call"))?;
                }
                write!(formatter, "; {again}")
            }
            Self::NotStarted { reason, again, .. } => {
                write!(formatter, "not started: {reason}; {again}")
            }
            Self::DrainEnded { failed, repeated } => {
                write!(formatter, "the old server did not answer {} in time", count(failed + repeated, "call"))?;
                if *repeated > 0 {
                    write!(formatter, "; {} sent to the new one", count(*repeated, "call"))?;
                }
                if *failed > 0 {
                    write!(formatter, "; {} got an error", count(*failed, "call"))?;
                }
                Ok(())
            }
            Self::NotHeld { reason, requests, notifications } => {
                write!(formatter, "{reason}:")?;
                if *requests > 0 {
                    write!(formatter, " {} got an error", count(*requests, "call"))?;
                }
                if *notifications > 0 {
                    let comma = if *requests > 0 { "," } else { "" };
                    write!(formatter, "{comma} {} let go", count(*notifications, "notification"))?;
                }
                Ok(())
            }
            Self::FromClient { reason } => write!(formatter, "the client sent a line that is {reason}"),
            Self::NoHandshake { limit } => {
                let limit = humantime::format_duration(*limit);
                write!(formatter, "the server did not answer initialize within {limit}: the client got an error")
            }
            Self::TooLong { bytes, unanswered } => {
                write!(formatter, "the server sent a line of {bytes} bytes, which is too long: let go")?;
                if *unanswered > 0 {
                    write!(formatter, "; {} got an error", count(*unanswered, "call"))?;
                }
                Ok(())
            }
            Self::UnaskedAnswer { id } => write!(formatter, "the server answered {id}, which nobody waits for: let go"),
            Self::LateAnswer { id } => write!(formatter, "the client answered {id} to a server that is gone: let go"),
        }
    }
}

impl fmt::Display for Again {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(Duration::ZERO) => write!(formatter, "starting it again"),
            Self::In(wait) => write!(formatter, "starting it again in {}", humantime::format_duration(*wait)),
            Self::OnChange => write!(formatter, "the next save tries again"),
            Self::Never => write!(formatter, "the session ends"),
        }
    }
}

fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
