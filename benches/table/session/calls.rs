//! What a client says and hears, as lines: just as much of the protocol as a measurement needs. Pure.

use serde::Deserialize;

use crate::run::Outcome;

/// The protocol's two eras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// A handshake opens a session.
    Legacy,
    /// Each call stands for itself.
    Modern,
}

/// The id of `initialize`.
pub(crate) const HANDSHAKE: u64 = 0;

/// The line that opens a legacy session.
pub(crate) const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"#,
    r#""clientInfo":{"name":"mcpmon-bench","version":"1"}}}"#,
    "\n"
);

/// The line that follows its answer.
pub(crate) const INITIALIZED: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

/// What each modern request carries.
const META: &str = concat!(
    r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"mcpmon-bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#
);

/// A call's line. `arguments` is JSON.
pub(crate) fn call(era: Era, id: u64, tool: &str, arguments: &str) -> String {
    let meta = if era == Era::Modern { META } else { "" };
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}{meta}}}}}\n"
    )
}

/// A legacy call of `echo` whose line is just so many bytes long.
pub(crate) fn sized(id: u64, bytes: usize) -> String {
    let shortest = call(Era::Legacy, id, "echo", r#"{"text":""}"#).len();
    let text = "x".repeat(bytes.saturating_sub(shortest));
    call(Era::Legacy, id, "echo", &format!("{{\"text\":\"{text}\"}}"))
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The tool's text.
    Text(String),
    /// An error, of the protocol or of the tool.
    Error(String),
}

/// A line as an answer to one of our numbers; none where it is something else.
pub(crate) fn answer(line: &[u8]) -> Outcome<Option<(u64, Said)>> {
    #[derive(Deserialize)]
    struct Message {
        id: Option<serde_json::Value>,
        method: Option<String>,
        #[serde(default)]
        result: Option<ToolResult>,
        #[serde(default)]
        error: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ToolResult {
        #[serde(default)]
        content: Vec<Content>,
        #[serde(default)]
        is_error: bool,
    }
    #[derive(Deserialize)]
    struct Content {
        text: Option<String>,
    }
    let message: Message = serde_json::from_slice(line).map_err(|error| {
        format!("not JSON-RPC ({error}): {}", String::from_utf8_lossy(&line[..line.len().min(200)]))
    })?;
    let (Some(id), None) = (message.id.and_then(|id| id.as_u64()), message.method) else { return Ok(None) };
    let said = match (message.result, message.error) {
        (Some(result), None) => {
            let text = result.content.into_iter().filter_map(|content| content.text).collect();
            if result.is_error { Said::Error(text) } else { Said::Text(text) }
        }
        (_, error) => Said::Error(error.unwrap_or_default().to_string()),
    };
    Ok(Some((id, said)))
}
