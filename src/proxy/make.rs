//! Frames that mcpmon writes itself: its own requests to a server, its notifications and errors to the client. Pure.

use serde::Serialize;
use serde_json::json;

use super::{
    frame::Frame,
    message::{Id, Raw},
};

/// JSON-RPC's code for errors that a server defines itself.
const SERVER_ERROR: i64 = -32000;
/// JSON-RPC's code for what is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC's code for JSON that is no message.
pub const INVALID_REQUEST: i64 = -32600;

/// Why a request has no answer of the server's; goes into `error.data.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server was replaced and did not answer in time.
    ServerReloaded,
    /// The server ended.
    ServerExited,
    /// No server came up.
    ServerNotStarted,
    /// Nothing more could be held while there was no server.
    BufferFull,
    /// The server was away for too long.
    TooLate,
    /// The new server speaks another version than the client.
    VersionChanged,
    /// A message of the server's was too long, and may have been the answer.
    TooLong,
    /// The session ends.
    SessionEnded,
}

impl Reason {
    /// What `data.reason` says.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerReloaded => "server reloaded",
            Self::ServerExited => "server exited",
            Self::ServerNotStarted => "server not started",
            Self::BufferFull => "buffer full",
            Self::TooLate => "server did not come back in time",
            Self::VersionChanged => "protocol version changed",
            Self::TooLong => "answer too long",
            Self::SessionEnded => "session ended",
        }
    }
}

/// Ids of mcpmon's own requests, and of questions whose own id was taken.
#[derive(Debug, Clone)]
pub struct Numbers {
    tag: String,
    last: u64,
}

impl Numbers {
    /// `tag`: told apart from those of another mcpmon in front of this one.
    pub fn new(tag: &str) -> Self {
        Self { tag: format!("mcpmon-{tag}"), last: 0 }
    }

    /// One that was not there before.
    pub fn fresh(&mut self) -> Id {
        self.last += 1;
        Id::Text(format!("{}-{}", self.tag, self.last).into())
    }
}

/// A request.
pub fn request(id: &Id, method: &str, params: Option<&serde_json::Value>) -> Frame {
    #[derive(Serialize)]
    struct Request<'a> {
        jsonrpc: &'static str,
        id: &'a Id,
        method: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        params: Option<&'a serde_json::Value>,
    }
    line(&Request { jsonrpc: "2.0", id, method, params })
}

/// A notification.
pub fn notification(method: &str, params: Option<&serde_json::Value>) -> Frame {
    #[derive(Serialize)]
    struct Notification<'a> {
        jsonrpc: &'static str,
        method: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        params: Option<&'a serde_json::Value>,
    }
    line(&Notification { jsonrpc: "2.0", method, params })
}

/// An answer that says why there is none.
pub fn unanswered(id: &Id, reason: Reason, message: &str) -> Frame {
    let error = json!({"code": SERVER_ERROR, "message": message, "data": {"reason": reason.as_str()}});
    line(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

/// An answer to what could not be read.
pub fn unreadable(code: i64, message: &str) -> Frame {
    line(&json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}}))
}

/// A message of mcpmon's own in the client's log (`notifications/message`).
pub fn log(level: &str, text: &str) -> Frame {
    notification("notifications/message", Some(&json!({"level": level, "logger": "mcpmon", "data": text})))
}

/// A message of a batch, as a frame of its own.
pub fn alone(part: Raw<'_>) -> Frame {
    // JSON may hold line ends between its tokens; a frame may not. Within its texts there are none.
    let blank = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    Frame::new(part.iter().map(blank).collect::<Vec<u8>>())
}

fn line(message: &impl Serialize) -> Frame {
    let mut bytes = serde_json::to_vec(message).unwrap_or_default(); // texts and numbers: it can't fail
    bytes.push(b'\n');
    Frame::new(bytes)
}
