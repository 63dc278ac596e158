//! A small MCP server that the quickstart runs and the tests use as their one container image.
//!
//! It serves a few tools over stdio or Streamable HTTP, in both eras of the protocol. Because an image
//! made `FROM scratch` holds nothing but this binary, it also has the modes that tests need of a container:
//! one that waits, one that ends, one that doesn't want to end, one that talks, and a health check.

mod arguments;
mod fixture;
mod greeter;
mod healthz;
mod lean;
mod serve;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Mode};

fn main() -> ExitCode {
    match run(Arguments::parse().mode) {
        Ok(code) => code,
        Err(error) => {
            fixture::complain(&format!("mcp-server: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Each mode starts only what it needs: a container that waits should cost next to nothing.
fn run(mode: Mode) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match mode {
        Mode::Stdio { service } => serve::over_stdio(&service),
        Mode::Lean => lean::serve(),
        Mode::Http { listen, allow_host, service } => serve::over_http(listen, allow_host, &service),
        Mode::Healthz { server } => Ok(healthz::ask(&server)),
        Mode::Idle => fixture::idle(),
        Mode::Stubborn => fixture::stubborn(),
        Mode::Exit { code, print, after } => Ok(fixture::exit(code, print.as_deref(), after)),
        Mode::Lines(lines) => fixture::lines(&lines),
        Mode::Exists { path } => Ok(fixture::exists(&path)),
        Mode::Cat { path } => fixture::cat(&path),
        Mode::Write { path, text } => fixture::write(&path, &text),
    }
}
