//! Answers that an extension writes itself, in the words of the era that the request speaks. Pure; it must not know what
//! an extension serves.
//!
//! Source of the rules: the protocol's schemas of 2025-11-25 and 2026-07-28. A request of the modern era names its version in
//! `_meta`; its results say that they are complete, and how long they may be kept.

use serde_json::{Value, json, value::RawValue};

use super::object::Object;
use crate::proxy::Frame;

/// JSON-RPC's code for params that do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC's code for what went wrong inside.
pub const INTERNAL_ERROR: i64 = -32603;
/// The legacy era's code for a resource that is not there; the modern era says [`INVALID_PARAMS`].
const RESOURCE_NOT_FOUND: i64 = -32002;

/// A request, as far as an answer needs it.
#[derive(Debug)]
pub struct Request<'a> {
    id: &'a str,
    params: Option<Object<'a>>,
    modern: bool,
}

impl<'a> Request<'a> {
    /// Reads a request. What it lacks is missing here too.
    pub fn read(frame: &'a Frame) -> Self {
        let message: Option<Object<'_>> = serde_json::from_slice(frame.bytes()).ok();
        let field = |name| message.as_ref().and_then(|message| message.get(name));
        let params: Option<Object<'_>> = field("params").and_then(|params| serde_json::from_str(params.get()).ok());
        let meta = params.as_ref().and_then(|params| params.get("_meta"));
        let meta: Option<Object<'_>> = meta.and_then(|meta| serde_json::from_str(meta.get()).ok());
        let modern = meta.is_some_and(|meta| meta.get("io.modelcontextprotocol/protocolVersion").is_some());
        Self { id: field("id").map_or("null", RawValue::get), params, modern }
    }

    /// A text among the params.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.params.as_ref()?.get(name)?.get()).ok()
    }

    /// The answer to `resources/read`. `contents` is JSON: a list of contents. The modern era's client may not give it to other
    /// users, nor keep it: the resource goes with the session.
    pub fn resource(&self, contents: &[u8]) -> Frame {
        let mut line = Vec::with_capacity(contents.len() + 200);
        line.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        line.extend_from_slice(self.id.as_bytes());
        line.extend_from_slice(br#","result":{"#);
        if self.modern {
            line.extend_from_slice(br#""resultType":"complete","ttlMs":0,"cacheScope":"private","#);
        }
        line.extend_from_slice(br#""contents":"#);
        line.extend_from_slice(contents);
        line.extend_from_slice(b"}}\n");
        Frame::new(line)
    }

    /// There is no such resource.
    pub fn not_found(&self, uri: &str, message: &str) -> Frame {
        let code = if self.modern { INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
        self.error(code, message, Some(json!({"uri": uri})))
    }

    /// An error.
    pub fn error(&self, code: i64, message: &str, data: Option<Value>) -> Frame {
        let mut error = json!({"code": code, "message": message});
        if let (Some(data), Some(fields)) = (data, error.as_object_mut()) {
            fields.insert("data".to_owned(), data);
        }
        Frame::new(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}\n", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame::new(text.to_owned())
    }

    #[test]
    fn each_era_is_answered_in_its_words() {
        let legacy =
            frame(r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"resources/read","params":{"uri":"a\u002fb"}}"#);
        let request = Request::read(&legacy);
        assert_eq!(request.text("uri").as_deref(), Some("a/b"));
        assert_eq!(
            request.resource(b"[]"),
            frame(r#"{"jsonrpc":"2.0","id":9007199254740993,"result":{"contents":[]}}"#)
        );
        let error =
            r#"{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-32002,"message":"m","data":{"uri":"u"}}}"#;
        assert_eq!(request.not_found("u", "m"), frame(error));

        let modern = frame(
            r#"{"jsonrpc":"2.0","id":"x","method":"resources/read","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"uri":"a"}}"#,
        );
        let request = Request::read(&modern);
        assert_eq!(
            request.resource(b"[1]"),
            frame(
                r#"{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[1]}}"#
            )
        );
        let error = r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32602,"message":"m","data":{"uri":"u"}}}"#;
        assert_eq!(request.not_found("u", "m"), frame(error));
        assert_eq!(Request::read(&frame("{")).text("uri"), None);
    }
}
