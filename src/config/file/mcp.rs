//! What compose-spec has no word for: `mcp`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{Duration, Flag, Integer, Size};

/// What MCP needs to know. At the top of the file: defaults for every target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Mcp {
    /// How the server speaks: `stdio`, `streamable-http`, or `none` where it is no MCP server (a database, say). Without
    /// it, mcpmon looks at the container alone to see whether it is ready.
    #[schemars(extend("enum" = ["stdio", "streamable-http", "none"]))]
    pub transport: Option<String>,
    /// How long a server has from its start to its first answer. Default 60s.
    pub startup_timeout: Option<Duration>,
    /// What happens to requests that arrive during a reload: they wait (`drain`, default) or get an error (`error`).
    #[schemars(extend("enum" = ["drain", "error"]))]
    pub on_reload: Option<String>,
    /// How much is held for the client during a reload; when it is full, callers get an error. Default 1MiB.
    pub buffer: Option<Size>,
    /// The largest result handed to the client, in tokens (bytes / 4). What is larger is kept by the extension `results`.
    /// Default 25000.
    pub max_output_tokens: Option<Integer>,
    /// What a stdio session does besides; each can be switched off.
    pub extensions: Option<Extensions>,
}

/// The extensions of a stdio session, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Extensions {
    /// Results larger than `max_output_tokens` are kept under `extensions_dir`, and the client gets the beginning and a link
    /// to the rest. `false`: results of any size are handed on. Default true.
    pub results: Option<Flag>,
}
