//! What the command line can say: one subcommand per mode.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// A small MCP server, and the container modes that tests need.
#[derive(Debug, Parser)]
#[command(name = "mcp-server", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Serve MCP over standard input and output.
    Stdio {
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Serve MCP over standard input and output with the least of work, to measure the way there: echo and big, no SDK.
    Lean,
    /// Serve MCP over Streamable HTTP at /mcp; /healthz answers 200.
    Http {
        /// The address to listen on.
        #[arg(long, default_value = "0.0.0.0:3000")]
        listen: SocketAddr,
        /// One more host name that requests may be made to, besides this machine's own (repeatable).
        #[arg(long, value_name = "HOST")]
        allow_host: Vec<String>,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Ask a server's /healthz; exits 0 if it answers 200, else 1.
    Healthz {
        /// A port on this machine, HOST:PORT, or http://HOST:PORT[/PATH].
        #[arg(default_value = "3000")]
        server: String,
    },
    /// Wait for SIGTERM or SIGINT, then exit 0.
    Idle,
    /// Wait and ignore SIGTERM, SIGINT and SIGHUP: only SIGKILL ends it.
    Stubborn,
    /// Exit with a code of its own.
    Exit {
        /// The exit code.
        code: u8,
        /// A line to print first, on standard error.
        #[arg(long, value_name = "LINE")]
        print: Option<String>,
        /// Milliseconds to live.
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
        after: u64,
    },
    /// Print numbered lines, then wait for SIGTERM.
    Lines(LinesArguments),
    /// Exit 0 if the path exists, else 1: a health check that a test can steer.
    Exists {
        /// The path to look for.
        path: PathBuf,
    },
    /// Print a file.
    Cat {
        /// The file to print.
        path: PathBuf,
    },
    /// Write a text to a file.
    Write {
        /// The file to write.
        path: PathBuf,
        /// The text that becomes its content.
        text: String,
    },
}

/// What the served tools depend on.
#[derive(Debug, Args)]
pub(crate) struct ServiceArguments {
    /// File that holds the greeting, read once at the start [default: $GREETING_FILE, else a built-in one].
    #[arg(long, value_name = "FILE")]
    pub(crate) greeting: Option<PathBuf>,
    /// File that names the tools to offer, one a line, read once at the start [default: all of them].
    #[arg(long, value_name = "FILE")]
    pub(crate) tools: Option<PathBuf>,
    /// Declare that clients are told when the tools change, and let them subscribe to it.
    #[arg(long)]
    pub(crate) list_changed: bool,
    /// Milliseconds that pass before the server answers: a server that is slow to start.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) start_delay: u64,
}

#[derive(Debug, Args)]
pub(crate) struct LinesArguments {
    /// How many lines; without it they never end.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Milliseconds between two lines.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) every: u64,
    /// What each line says before its number.
    #[arg(long, default_value = "line")]
    pub(crate) text: String,
    /// Print to standard error.
    #[arg(long)]
    pub(crate) stderr: bool,
    /// Exit with this code after the last line, instead of waiting.
    #[arg(long, value_name = "CODE")]
    pub(crate) then_exit: Option<u8>,
}
