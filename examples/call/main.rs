//! Calls one tool of an MCP server over Streamable HTTP and prints what it answers.
//!
//! `mcp-call http://127.0.0.1:3000/mcp greet` · `mcp-call URL echo '{"text": "hi"}'` · `mcp-call URL --list`

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _, RoleClient,
    model::{CallToolRequestParams, CallToolResult, ClientConfig, JsonObject, ProtocolVersion},
    service::{ClientInitializeError, RunningService},
    transport::StreamableHttpClientTransport,
};

/// Calls one tool of an MCP server and prints the text of its answer.
#[derive(Debug, Parser)]
#[command(name = "mcp-call", version)]
struct Arguments {
    /// Where the server is, such as http://127.0.0.1:3000/mcp.
    url: String,
    /// The tool to call.
    #[arg(required_unless_present = "list")]
    tool: Option<String>,
    /// The tool's arguments: a JSON object.
    #[arg(value_name = "ARGUMENTS")]
    json: Option<String>,
    /// Print the names of the server's tools instead of calling one.
    #[arg(long, conflicts_with = "tool")]
    list: bool,
    /// Which era of the protocol to speak.
    #[arg(long, value_enum, default_value_t = Era::Auto)]
    era: Era,
    /// Milliseconds that all of it may take.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Era {
    /// `server/discover`, and `initialize` where that is unknown.
    Auto,
    /// 2025-11-25 and before: a handshake opens a session.
    Legacy,
    /// 2026-07-28: every request stands for itself.
    Modern,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = reason(error.as_ref());
            let _ = writeln!(io::stderr(), "mcp-call: {}: {reason}", arguments.url);
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, in words. A failure of the transport is told by its root ("connection refused"): what lies
/// around it are names of Rust types.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = match error.downcast_ref::<ClientInitializeError>() {
        // It does not name its source as one.
        Some(ClientInitializeError::TransportError { error, .. }) => error.error.as_ref(),
        _ => error,
    };
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Read before anything goes out: what is wrong here is not the server's fault.
    let json = arguments.json.as_deref().map(parse).transpose()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let limit = Duration::from_millis(arguments.timeout);
        tokio::time::timeout(limit, talk(arguments, json))
            .await
            .map_err(|_| format!("no answer within {} ms", arguments.timeout))?
    })
}

fn parse(text: &str) -> Result<JsonObject, String> {
    serde_json::from_str(text).map_err(|error| format!("the arguments are not a JSON object: {error}: {text}"))
}

async fn talk(arguments: &Arguments, json: Option<JsonObject>) -> Result<(), Failure> {
    let client = connect(arguments).await?;
    let outcome = match &arguments.tool {
        Some(tool) => call(&client, tool, json).await,
        None => list(&client).await,
    };
    // The answer is there; a session that can't be closed properly changes nothing about it.
    let _ = client.cancel().await;
    let mut out = io::stdout();
    writeln!(out, "{}", outcome?)?;
    out.flush()?;
    Ok(())
}

async fn connect(arguments: &Arguments) -> Result<RunningService<RoleClient, ClientConfig>, Failure> {
    let modern = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match arguments.era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions: modern },
        Era::Auto => ClientLifecycleMode::Auto {
            preferred_versions: modern,
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        },
    };
    let transport = StreamableHttpClientTransport::from_uri(arguments.url.as_str());
    Ok(ClientConfig::default().serve_with_lifecycle(transport, lifecycle).await?)
}

async fn call(
    client: &RunningService<RoleClient, ClientConfig>,
    tool: &str,
    arguments: Option<JsonObject>,
) -> Result<String, Failure> {
    let mut request = CallToolRequestParams::new(tool.to_owned());
    if let Some(arguments) = arguments {
        request = request.with_arguments(arguments);
    }
    let result = client.call_tool(request).await?;
    let text = text_of(&result);
    if result.is_error.unwrap_or(false) {
        return Err(format!("{tool} failed: {text}").into());
    }
    Ok(text)
}

fn text_of(result: &CallToolResult) -> String {
    let texts: Vec<&str> =
        result.content.iter().filter_map(|content| content.as_text()).map(|text| text.text.as_str()).collect();
    texts.join("\n")
}

async fn list(client: &RunningService<RoleClient, ClientConfig>) -> Result<String, Failure> {
    let tools = client.list_all_tools().await?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    Ok(names.join("\n"))
}
