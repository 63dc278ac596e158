//! The MCP server itself: what it offers to a client.

use std::{fs, path::PathBuf, time::Duration};

use rmcp::{
    ServerHandler,
    handler::server::wrapper::Parameters,
    model::{Implementation, ServerCapabilities, ServerConfig},
    schemars, tool, tool_handler, tool_router,
};
use serde::Deserialize;

/// What `greet` says where no file was named.
const BUILT_IN: &str = "Hello from mcp-server";

/// The server's state: the greeting, as it was when the server started. That it is read only then is what
/// makes a reload visible.
#[derive(Debug, Clone)]
pub(crate) struct Greeter {
    greeting: String,
}

impl Greeter {
    /// Reads the greeting. One that can't be read, or says nothing, is an error: a server that was saved
    /// in a broken state must fail at its start.
    pub(crate) fn load(file: Option<PathBuf>) -> Result<Self, String> {
        let file = file.or_else(|| std::env::var_os("GREETING_FILE").map(PathBuf::from));
        let Some(file) = file else {
            return Ok(Self { greeting: BUILT_IN.to_owned() });
        };
        let greeting = fs::read_to_string(&file)
            .map_err(|error| format!("cannot read the greeting {}: {error}", file.display()))?;
        let greeting = greeting.trim();
        if greeting.is_empty() {
            return Err(format!("the greeting {} is empty", file.display()));
        }
        Ok(Self { greeting: greeting.to_owned() })
    }
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct EchoArguments {
    /// What to say back.
    text: String,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct EnvArguments {
    /// The variable's name.
    name: String,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct SlowArguments {
    /// How long the answer takes.
    milliseconds: u64,
}

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
struct CrashArguments {
    /// The exit code.
    #[serde(default = "one")]
    code: i32,
}

fn one() -> i32 {
    1
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct BigArguments {
    /// How many bytes the answer has.
    bytes: usize,
}

/// More than any test needs, less than would hurt the machine.
const BIGGEST: usize = 64 << 20;

#[tool_router]
impl Greeter {
    #[tool(description = "The greeting, as it was when the server started", annotations(read_only_hint = true))]
    async fn greet(&self) -> String {
        self.greeting.clone()
    }

    #[tool(description = "Says the text back", annotations(read_only_hint = true, idempotent_hint = true))]
    async fn echo(&self, Parameters(arguments): Parameters<EchoArguments>) -> String {
        arguments.text
    }

    #[tool(description = "The value of one environment variable of the server", annotations(read_only_hint = true))]
    async fn env(&self, Parameters(arguments): Parameters<EnvArguments>) -> Result<String, String> {
        std::env::var(&arguments.name).map_err(|error| format!("{}: {error}", arguments.name))
    }

    #[tool(description = "Answers after the given time", annotations(read_only_hint = true))]
    async fn slow(&self, Parameters(arguments): Parameters<SlowArguments>) -> String {
        tokio::time::sleep(Duration::from_millis(arguments.milliseconds)).await;
        format!("slept {} ms", arguments.milliseconds)
    }

    #[tool(description = "Ends the server's process at once, without an answer", annotations(destructive_hint = true))]
    async fn crash(&self, Parameters(arguments): Parameters<CrashArguments>) -> String {
        crate::fixture::complain(&format!("crash: ending with code {}", arguments.code));
        std::process::exit(arguments.code)
    }

    #[tool(description = "Answers with the given number of bytes (64 MiB at most)", annotations(read_only_hint = true))]
    async fn big(&self, Parameters(arguments): Parameters<BigArguments>) -> Result<String, String> {
        if arguments.bytes > BIGGEST {
            return Err(format!("at most {BIGGEST} bytes"));
        }
        Ok("x".repeat(arguments.bytes))
    }
}

#[tool_handler]
impl ServerHandler for Greeter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("mcp-server", env!("CARGO_PKG_VERSION")))
    }
}
