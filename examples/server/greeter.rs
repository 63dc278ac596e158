//! The MCP server itself: what it offers to a client.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rmcp::{
    ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    model::{Implementation, ServerCapabilities, ServerConfig, SubscriptionFilter},
    schemars, tool, tool_handler, tool_router,
};
use serde::Deserialize;

use crate::arguments::ServiceArguments;

/// What `greet` says where no file was named.
const BUILT_IN: &str = "Hello from mcp-server";

/// The server's state: the greeting and the tools, as they were when the server started. That they are read only then
/// is what makes a reload visible.
#[derive(Debug, Clone)]
pub(crate) struct Greeter {
    greeting: String,
    tools: ToolRouter<Self>,
    list_changed: bool,
}

impl Greeter {
    /// Reads what the server depends on. What can't be read, or says nothing, is an error: a server that was saved in a
    /// broken state must fail at its start.
    pub(crate) fn load(arguments: &ServiceArguments) -> Result<Self, String> {
        let file = arguments.greeting.clone().or_else(|| std::env::var_os("GREETING_FILE").map(PathBuf::from));
        let greeting = file.map_or_else(|| Ok(BUILT_IN.to_owned()), |file| read("greeting", &file))?;
        let mut tools = Self::tool_router();
        if let Some(file) = &arguments.tools {
            offer(&mut tools, &read("list of tools", file)?)?;
        }
        Ok(Self { greeting, tools, list_changed: arguments.list_changed })
    }
}

/// A file that says something.
fn read(what: &str, file: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read the {what} {}: {error}", file.display()))?;
    let text = text.trim();
    if text.is_empty() { Err(format!("the {what} {} is empty", file.display())) } else { Ok(text.to_owned()) }
}

/// Leaves the named tools, one a line, and takes all others away.
fn offer(tools: &mut ToolRouter<Greeter>, names: &str) -> Result<(), String> {
    let wanted: Vec<&str> = names.lines().map(str::trim).collect();
    let known: Vec<String> = tools.list_all().iter().map(|tool| tool.name.to_string()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.iter().any(|tool| tool == *name)) {
        return Err(format!("there is no tool {unknown}; there are: {}", known.join(", ")));
    }
    for name in known.iter().filter(|tool| !wanted.contains(&tool.as_str())) {
        tools.remove_route(name);
    }
    Ok(())
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

    #[tool(description = "Answers after the given time, with the greeting too", annotations(read_only_hint = true))]
    async fn slow(&self, Parameters(arguments): Parameters<SlowArguments>) -> String {
        tokio::time::sleep(Duration::from_millis(arguments.milliseconds)).await;
        format!("slept {} ms: {}", arguments.milliseconds, self.greeting)
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

#[tool_handler(router = self.tools)]
impl ServerHandler for Greeter {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools();
        let capabilities =
            if self.list_changed { capabilities.enable_tool_list_changed().build() } else { capabilities.build() };
        ServerConfig::new(capabilities).with_server_info(Implementation::new("mcp-server", env!("CARGO_PKG_VERSION")))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // Cut down to what is declared by whoever asks.
        self.list_changed.then(|| requested.clone())
    }
}
