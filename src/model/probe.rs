//! The question that shows whether an MCP server answers, and how its answer is known. Pure.

/// Id of the request; no client would choose it.
const ID: &str = "mcpmon-ready";

/// The request, one line without its end. Any answer to it will do, an error as well: a server of the
/// protocol's modern era refuses it, and by that is there.
pub const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"mcpmon-ready","method":"initialize","params":{"protocolVersion":"2025-06-18","#,
    r#""capabilities":{},"clientInfo":{"name":"mcpmon","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}"#
);

/// Whether a line of a server's output is the answer.
pub fn is_answer(line: &[u8]) -> bool {
    let named = line.windows(ID.len()).any(|window| window == ID.as_bytes());
    named && serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|value| value["id"] == ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_id() {
        assert!(is_answer(br#"{"jsonrpc":"2.0","id":"mcpmon-ready","error":{"code":-32601,"message":"no"}}"#));
        assert!(!is_answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        assert!(!is_answer(br#"{"jsonrpc":"2.0","id":1,"result":{"text":"mcpmon-ready"}}"#));
        assert!(!is_answer(b"listening on stdin\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(INITIALIZE).expect("JSON")["id"], ID);
    }
}
