//! What a frame is: the few fields that are needed to know where it goes. Everything is borrowed from the frame;
//! nothing is decoded that is not asked for. Pure.
//!
//! Source of the rules: JSON-RPC 2.0, and the protocol's schemas of 2025-03-26 (batches), 2025-11-25 and 2026-07-28.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A request's id. Texts are compared by what they say, whole numbers by their value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(Box<str>),
}

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => write!(formatter, "{text:?}"),
        }
    }
}

/// One JSON-RPC message.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification {
        /// What.
        method: Cow<'a, str>,
        /// With.
        params: Option<&'a RawValue>,
    },
    /// Is one.
    Response(Response<'a>),
    /// Several of them (2025-03-26).
    Batch(Vec<&'a RawValue>),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its id.
    pub id: Id,
    /// The id as it stands in the frame.
    pub raw_id: &'a RawValue,
    /// What.
    pub method: Cow<'a, str>,
    /// With.
    pub params: Option<&'a RawValue>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// To which request; none where the other side could not read the request's id.
    pub id: Option<Id>,
    /// The id as it stands in the frame.
    pub raw_id: Option<&'a RawValue>,
    /// The result, or the error.
    pub outcome: Outcome<'a>,
}

/// What an answer says.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It went well.
    Result(&'a RawValue),
    /// It did not.
    Error(&'a RawValue),
}

/// Why a frame is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAMessage(pub String);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A text, borrowed where nothing in it is escaped. (An `Option<Cow<str>>` would be copied each time.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A field that is there, also where it is null: an answer may say `"result":null`, and `"id":null` is not "no id".
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a frame, or one message of a batch.
pub fn parse(frame: &[u8]) -> Result<Message<'_>, NotAMessage> {
    if frame.trim_ascii_start().starts_with(b"[") {
        let batch: Vec<&RawValue> = serde_json::from_slice(frame).map_err(|error| not_json(&error))?;
        return if batch.is_empty() { Err(NotAMessage("an empty batch".into())) } else { Ok(Message::Batch(batch)) };
    }
    let envelope: Envelope<'_> = serde_json::from_slice(frame).map_err(|error| not_json(&error))?;
    if envelope.jsonrpc.is_none_or(|version| version.0 != "2.0") {
        return Err(NotAMessage("not JSON-RPC 2.0".into()));
    }
    match (envelope.method.map(|method| method.0), envelope.id) {
        (Some(method), Some(raw_id)) => match read_id(raw_id)? {
            Some(id) => Ok(Message::Request(Request { id, raw_id, method, params: envelope.params })),
            None => Err(NotAMessage("a request whose id is null".into())),
        },
        (Some(method), None) => Ok(Message::Notification { method, params: envelope.params }),
        (None, raw_id) => {
            let outcome = match (envelope.result, envelope.error) {
                (Some(result), None) => Outcome::Result(result),
                (None, Some(error)) => Outcome::Error(error),
                (Some(_), Some(_)) => return Err(NotAMessage("an answer with both a result and an error".into())),
                (None, None) => return Err(NotAMessage("neither a request nor an answer".into())),
            };
            let id = raw_id.map(read_id).transpose()?.flatten();
            Ok(Message::Response(Response { id, raw_id, outcome }))
        }
    }
}

/// An id; none: null. By hand, because every frame has one and a derived reader would copy it first.
fn read_id(raw: &RawValue) -> Result<Option<Id>, NotAMessage> {
    let text = raw.get();
    let read = match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok().map(|text| Some(Id::Text(text))),
        Some(b'n') => Some(None),
        _ => text.parse().ok().map(|number| Some(Id::Number(number))),
    };
    read.ok_or_else(|| NotAMessage("an id that is neither a text nor a whole number".into()))
}

fn not_json(error: &serde_json::Error) -> NotAMessage {
    NotAMessage(if error.is_data() { format!("not JSON-RPC ({error})") } else { format!("not JSON ({error})") })
}

/// Reads one shape out of a part of a message; none where it has another.
pub fn read<'a, T: Deserialize<'a>>(part: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(part?.get()).ok()
}

/// As [`read`], for what borrows nothing.
pub fn read_owned<T: DeserializeOwned>(part: &RawValue) -> Option<T> {
    serde_json::from_str(part.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(frame: &str) -> String {
        match parse(frame.as_bytes()) {
            Ok(Message::Request(request)) => format!("request {} {}", request.id, request.method),
            Ok(Message::Notification { method, .. }) => format!("notification {method}"),
            Ok(Message::Response(Response { id, outcome, .. })) => {
                let id = id.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
                match outcome {
                    Outcome::Result(result) => format!("result for {id}: {}", result.get()),
                    Outcome::Error(error) => format!("error for {id}: {}", error.get()),
                }
            }
            Ok(Message::Batch(batch)) => format!("batch of {}", batch.len()),
            Err(NotAMessage(reason)) => format!("no message: {}", reason.split(" (").next().unwrap_or_default()),
        }
    }

    #[test]
    fn what_a_frame_is() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping"),
            (r#"{"method":"a\/b","id":"x\u0041","jsonrpc":"2.0","params":{}}"#, r#"request "xA" a/b"#),
            (r#"{"jsonrpc":"2.0","method":"ping","params":[]}"#, "notification ping"),
            (r#"{"jsonrpc":"2.0","id":-9007199254740993,"result":{}}"#, "result for -9007199254740993: {}"),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "result for 1: null"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, r#"error for nobody: {"code":1}"#),
            (r#"{"jsonrpc":"2.0","error":{}}"#, "error for nobody: {}"),
            (r#" [{"jsonrpc":"2.0"},{}]"#, "batch of 2"),
            ("[]", "no message: an empty batch"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "no message: a request whose id is null"),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
                "no message: an id that is neither a text nor a whole number",
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, "no message: neither a request nor an answer"),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":1,"error":1}"#,
                "no message: an answer with both a result and an error",
            ),
            (r#"{"level":"info","msg":"listening"}"#, "no message: not JSON-RPC 2.0"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "no message: not JSON-RPC 2.0"),
            ("{nonsense", "no message: not JSON"),
            (r#"{"jsonrpc":"2.0","method":7}"#, "no message: not JSON-RPC"),
        ];
        for (frame, expected) in cases {
            assert_eq!(kind(frame), expected, "{frame}");
        }
    }
}
