//! What a frame is: the few fields that are needed to know where it goes. Everything is borrowed from the frame;
//! nothing is decoded that is not asked for, and the frame is walked over once ([`super::json`]). Pure.
//!
//! Source of the rules: JSON-RPC 2.0, and the protocol's schemas of 2025-03-26 (batches), 2025-11-25 and 2026-07-28.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::json::{self, Stopped};

/// JSON as it stands in a frame.
pub type Raw<'a> = &'a [u8];

/// A request's id. Texts are compared by what they say, whole numbers by their value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// One beyond those.
    Large(u64),
    /// A text.
    Text(Box<str>),
}

/// What is known of messages by their id: each is put in and taken out once, on the way of every call, so the hash is a
/// quick one. It is seeded, and who could choose ids for a bad one is the session's own client.
pub type ById<T> = std::collections::HashMap<Id, T, foldhash::fast::RandomState>;

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Large(number) => number.fmt(formatter),
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
        params: Option<Raw<'a>>,
    },
    /// Is one.
    Response(Response<'a>),
    /// Several of them (2025-03-26).
    Batch(Vec<Raw<'a>>),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its id.
    pub id: Id,
    /// The id as it stands in the frame.
    pub raw_id: Raw<'a>,
    /// What.
    pub method: Cow<'a, str>,
    /// With.
    pub params: Option<Raw<'a>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// To which request; none where the other side could not read the request's id.
    pub id: Option<Id>,
    /// The id as it stands in the frame.
    pub raw_id: Option<Raw<'a>>,
    /// The result, or the error.
    pub outcome: Outcome<'a>,
}

/// What an answer says.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It went well.
    Result(Raw<'a>),
    /// It did not.
    Error(Raw<'a>),
}

/// Why a frame is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAMessage(pub String);

/// The fields that say what a message is, as they stand.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    method: Option<Raw<'a>>,
    params: Option<Raw<'a>>,
    result: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(frame: &'a [u8]) -> Result<Self, NotAMessage> {
        let mut envelope = Self::default();
        let read = json::object(frame, |name, value| match envelope.field(name) {
            Some(field) if field.is_some() => {
                let name = String::from_utf8_lossy(name);
                Err(NotAMessage(format!("not JSON-RPC (the field `{name}` is there twice)")))
            }
            Some(field) => {
                *field = Some(value);
                Ok(())
            }
            None => Ok(()),
        });
        match read {
            Ok(()) => Ok(envelope),
            Err(Stopped::Refused(reason)) => Err(reason),
            Err(Stopped::Unfit) => Err(not_json(frame)),
        }
    }

    fn field(&mut self, name: &[u8]) -> Option<&mut Option<Raw<'a>>> {
        match name {
            b"jsonrpc" => Some(&mut self.jsonrpc),
            b"id" => Some(&mut self.id),
            b"method" => Some(&mut self.method),
            b"params" => Some(&mut self.params),
            b"result" => Some(&mut self.result),
            b"error" => Some(&mut self.error),
            // A name may be written with escapes; nobody does.
            escaped if escaped.contains(&b'\\') => {
                let plain = text_between_quotes(escaped).filter(|name| !name.contains('\\'))?;
                self.field(plain.as_bytes())
            }
            _ => None,
        }
    }
}

fn text_between_quotes(inside: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", inside, b"\""].concat()).ok()
}

/// Reads a frame, or one message of a batch.
pub fn parse(frame: &[u8]) -> Result<Message<'_>, NotAMessage> {
    if frame.trim_ascii_start().starts_with(b"[") {
        let mut batch = Vec::new();
        let read = json::list(frame, |part| {
            batch.push(part);
            Ok::<_, std::convert::Infallible>(())
        });
        return match read {
            Err(_) => Err(not_json(frame)),
            Ok(()) if batch.is_empty() => Err(NotAMessage("not JSON-RPC (an empty batch)".into())),
            Ok(()) => Ok(Message::Batch(batch)),
        };
    }
    let envelope = Envelope::read(frame)?;
    if !envelope.jsonrpc.is_some_and(is_2_0) {
        return Err(NotAMessage("not JSON-RPC 2.0".into()));
    }
    // An answer may say `"result":null`, and `"id":null` is not "no id"; the others are then as if they were not there.
    let not_null = |value: &Raw<'_>| *value != b"null";
    let method = envelope.method.filter(not_null).map(read_text).transpose()?;
    let params = envelope.params.filter(not_null);
    match (method, envelope.id) {
        (Some(method), Some(raw_id)) => match read_id(raw_id)? {
            Some(id) => Ok(Message::Request(Request { id, raw_id, method, params })),
            None => Err(NotAMessage("not JSON-RPC (a request whose id is null)".into())),
        },
        (Some(method), None) => Ok(Message::Notification { method, params }),
        (None, raw_id) => {
            // With both, which should not be, the error counts: there are servers that say `"result":null` beside it.
            let outcome = match (envelope.result, envelope.error.filter(not_null)) {
                (_, Some(error)) => Outcome::Error(error),
                (Some(result), None) => Outcome::Result(result),
                (None, None) => return Err(NotAMessage("not JSON-RPC (neither a request nor an answer)".into())),
            };
            let id = raw_id.map(read_id).transpose()?.flatten();
            Ok(Message::Response(Response { id, raw_id, outcome }))
        }
    }
}

/// Whether it is the version; it, too, may be written with escapes.
fn is_2_0(version: Raw<'_>) -> bool {
    version == b"\"2.0\"" || read_text(version).is_ok_and(|version| version == "2.0")
}

/// A method: borrowed where nothing in it is escaped.
fn read_text(raw: Raw<'_>) -> Result<Cow<'_, str>, NotAMessage> {
    let inside = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    let text = match inside {
        Some(inside) if inside.contains(&b'\\') => text_between_quotes(inside).map(Cow::Owned),
        Some(inside) => std::str::from_utf8(inside).ok().map(Cow::Borrowed),
        None => None,
    };
    text.ok_or_else(|| NotAMessage("not JSON-RPC (its method is no text)".into()))
}

/// An id; none: null. By hand, because every frame has one and a derived reader would copy it first.
fn read_id(raw: Raw<'_>) -> Result<Option<Id>, NotAMessage> {
    let read = match raw.first() {
        Some(b'"') => serde_json::from_slice(raw).ok().map(|text| Some(Id::Text(text))),
        Some(b'n') => Some(None),
        _ => std::str::from_utf8(raw).ok().and_then(|text| {
            let number = text.parse().map(Id::Number);
            Some(Some(number.or_else(|_| text.parse().map(Id::Large)).ok()?))
        }),
    };
    read.ok_or_else(|| NotAMessage("not JSON-RPC (its id is neither a text nor a whole number of 64 bits)".into()))
}

/// Why it is no message, in serde_json's words, which name the place.
fn not_json(frame: &[u8]) -> NotAMessage {
    NotAMessage(match serde_json::from_slice::<IgnoredAny>(frame) {
        Err(error) => format!("not JSON ({error})"),
        Ok(_) if std::str::from_utf8(frame).is_err() => "not JSON (it is not UTF-8)".into(),
        Ok(_) => "not JSON-RPC (it is no object)".into(),
    })
}

/// Reads one shape out of a part of a message; none where it has another.
pub fn read<'a, T: Deserialize<'a>>(part: Option<Raw<'a>>) -> Option<T> {
    serde_json::from_slice(part?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy;

    use super::*;

    fn kind(frame: &str) -> String {
        match parse(frame.as_bytes()) {
            Ok(Message::Request(request)) => format!("request {} {}", request.id, request.method),
            Ok(Message::Notification { method, .. }) => format!("notification {method}"),
            Ok(Message::Response(Response { id, outcome, .. })) => {
                let id = id.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
                match outcome {
                    Outcome::Result(result) => format!("result for {id}: {}", String::from_utf8_lossy(result)),
                    Outcome::Error(error) => format!("error for {id}: {}", String::from_utf8_lossy(error)),
                }
            }
            Ok(Message::Batch(batch)) => format!("batch of {}", batch.len()),
            Err(NotAMessage(reason)) => format!("no message: {}", reason.split(" (").next().unwrap_or_default()),
        }
    }

    /// The same fields as a reader derived by serde finds, where it finds a message.
    fn derived(frame: &str) -> Option<String> {
        use serde_json::{Map, Value};
        let fields: Map<String, Value> = serde_json::from_str(frame).ok()?;
        let part = |name: &str| fields.get(name).cloned();
        let method = part("method").filter(|method| !method.is_null());
        if fields.get("jsonrpc")? != "2.0" || method.as_ref().is_some_and(|method| !method.is_string()) {
            return None;
        }
        let id = part("id").map(|id| serde_json::from_value::<Option<Id>>(id).ok()).map_or(Some(None), |id| id)?;
        let error = part("error").filter(|error| !error.is_null());
        Some(match (method, fields.get("id"), part("result"), error) {
            (Some(method), None, ..) => format!("notification {method} {:?}", part("params").unwrap_or_default()),
            (Some(method), ..) => format!("request {} {method} {:?}", id?, part("params").unwrap_or_default()),
            (None, _, Some(result), None) => format!("result {id:?} {result:?}"),
            (None, _, _, Some(error)) => format!("error {id:?} {error:?}"),
            _ => return None,
        })
    }

    fn ours(frame: &str) -> Option<String> {
        use serde_json::Value;
        let value = |raw| read::<Value>(Some(raw)).expect("JSON");
        let params = |params: Option<_>| params.map(value).unwrap_or_default();
        Some(match parse(frame.as_bytes()).ok()? {
            Message::Request(Request { id, method, params: given, raw_id }) => {
                assert_eq!(read::<Id>(Some(raw_id)).as_ref(), Some(&id));
                format!("request {id} {} {:?}", Value::from(&*method), params(given))
            }
            Message::Notification { method, params: given } => {
                format!("notification {} {:?}", Value::from(&*method), params(given))
            }
            Message::Response(Response { id, outcome: Outcome::Result(result), .. }) => {
                format!("result {id:?} {:?}", value(result))
            }
            Message::Response(Response { id, outcome: Outcome::Error(error), .. }) => {
                format!("error {id:?} {:?}", value(error))
            }
            Message::Batch(_) => return None,
        })
    }

    proptest::proptest! {
        /// Fields in any order, with and without each, of fitting and unfitting kinds, plainly written and escaped.
        #[test]
        fn a_message_is_what_a_derived_reader_finds(
            fields in proptest::sample::subsequence(vec![
                r#""jsonrpc":"2.0""#, r#" "id" : 7 "#, r#""\u0069d":"a\nb""#, r#""id":null"#, r#""id":1.5"#, r#""method":"a\/b""#, r#""method":"tools/call""#,
                r#""method":null"#, r#""method":7"#, r#""params":{"id":{"method":"\"}"}}"#, r#""params":null"#, r#""result":null"#, r#""result":[{}, {"error":1}]"#,
                r#""error":{"code":-1}"#, r#""error":null"#, r#""more":{"jsonrpc":"1.0"}"#,
            ], 1..7).prop_shuffle(),
        ) {
            let names: Vec<_> = fields.iter().map(|field| field.replace("\\u0069", "i").split(':').next().map(|name| name.trim().to_owned())).collect();
            let twice = names.iter().enumerate().any(|(place, name)| names[..place].contains(name));
            let frame = format!("{{{}}}", fields.join(","));
            if twice {
                proptest::prop_assert!(parse(frame.as_bytes()).is_err());
            } else {
                proptest::prop_assert_eq!(ours(&frame), derived(&frame), "{}", frame);
            }
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
            (r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}"#, "request 18446744073709551615 ping"),
            (r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1}}"#, r#"error for 1: {"code":1}"#),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}"#, r#"result for 1: {"a":NaN}"#),
            ("[]", "no message: not JSON-RPC"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "no message: not JSON-RPC"),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "no message: not JSON-RPC"),
            (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#, "no message: not JSON-RPC"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "no message: not JSON-RPC"),
            (r#"{"level":"info","msg":"listening"}"#, "no message: not JSON-RPC 2.0"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "no message: not JSON-RPC 2.0"),
            ("{nonsense", "no message: not JSON"),
            (r#"{"jsonrpc":"2.0","method":7}"#, "no message: not JSON-RPC"),
            (r#"{"jsonrpc":"2.0","method":"a","params":{"b":tru}}"#, "no message: not JSON"),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, "no message: not JSON-RPC"),
            ("7", "no message: not JSON-RPC"),
        ];
        for (frame, expected) in cases {
            assert_eq!(kind(frame), expected, "{frame}");
        }
    }
}
