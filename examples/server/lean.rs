//! A server that costs next to nothing: a loop over lines, without an SDK. What is measured through it is the way there
//! and back, not the server. Of the protocol it knows what a client needs to open a legacy session and to call.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    process::ExitCode,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fixture::complain;

/// Large, so that a line of many megabytes is not read in crumbs.
const BUFFER: usize = 256 << 10;

/// JSON-RPC's own code (JSON-RPC 2.0, section 5.1).
const METHOD_NOT_FOUND: i32 = -32601;
/// The same.
const INVALID_PARAMS: i32 = -32602;

/// What `tools/list` answers.
const TOOLS: &str = r#"{"tools":[{"name":"big","description":"Answers with the given number of bytes","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer","minimum":0}},"required":["bytes"]}},{"name":"echo","description":"Says the text back","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]},"annotations":{"readOnlyHint":true,"idempotentHint":true}}]}"#;

#[derive(Deserialize)]
struct Message<'a> {
    /// None: a notification.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// None: an answer, of which this server asks for none.
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize<'a> {
    #[serde(borrow)]
    protocol_version: &'a RawValue,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: &'a str,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    /// As it stands, quotes included: it goes back as it came.
    #[serde(borrow)]
    text: &'a RawValue,
}

#[derive(Deserialize)]
struct Big {
    bytes: usize,
}

/// Serves until input ends.
pub(crate) fn serve() -> Result<ExitCode, Box<dyn std::error::Error>> {
    // Not the locked handles' own buffers: they are small, and standard output's is flushed at each line end.
    let mut input = BufReader::with_capacity(BUFFER, io::stdin());
    let mut output = BufWriter::with_capacity(BUFFER, io::stdout());
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        match serde_json::from_slice(&line) {
            Ok(message) => answer(&message, &mut output)?,
            Err(error) => complain(&format!("mcp-server: not JSON-RPC: {error}")),
        }
        // What came in one go is answered in one go.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
}

fn answer(message: &Message<'_>, output: &mut impl Write) -> io::Result<()> {
    let (Some(id), Some(method)) = (message.id, message.method) else { return Ok(()) };
    match method {
        "initialize" => {
            let Some(asked) = read::<Initialize<'_>>(message.params) else {
                return error(output, id, INVALID_PARAMS, "initialize without a protocolVersion");
            };
            let version = asked.protocol_version;
            result(output, id, |output| {
                write!(
                    output,
                    r#"{{"protocolVersion":{version},"capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"mcp-server-lean","version":"{}"}}}}"#,
                    env!("CARGO_PKG_VERSION")
                )
            })
        }
        "ping" => result(output, id, |output| output.write_all(b"{}")),
        "tools/list" => result(output, id, |output| output.write_all(TOOLS.as_bytes())),
        "tools/call" => call(output, id, message.params),
        other => error(output, id, METHOD_NOT_FOUND, other),
    }
}

fn call(output: &mut impl Write, id: &RawValue, params: Option<&RawValue>) -> io::Result<()> {
    let Some(call) = read::<Call<'_>>(params) else {
        return error(output, id, INVALID_PARAMS, "a call without a name");
    };
    match call.name {
        "echo" => match read::<Echo<'_>>(call.arguments) {
            Some(echo) => text(output, id, |output| output.write_all(echo.text.get().as_bytes())),
            None => error(output, id, INVALID_PARAMS, "echo without a text"),
        },
        "big" => match read::<Big>(call.arguments) {
            Some(big) => text(output, id, |output| {
                output.write_all(b"\"")?;
                io::copy(&mut io::Read::take(io::repeat(b'x'), big.bytes as u64), output)?;
                output.write_all(b"\"")
            }),
            None => error(output, id, INVALID_PARAMS, "big without a number of bytes"),
        },
        other => error(output, id, INVALID_PARAMS, other),
    }
}

fn read<'a, T: Deserialize<'a>>(part: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(part?.get()).ok()
}

/// An answer with one piece of text, which `write` gives with its quotes.
fn text<W: Write>(output: &mut W, id: &RawValue, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
    result(output, id, |output| {
        output.write_all(br#"{"content":[{"type":"text","text":"#)?;
        write(output)?;
        output.write_all(b"}]}")
    })
}

fn result<W: Write>(output: &mut W, id: &RawValue, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
    write!(output, r#"{{"jsonrpc":"2.0","id":{id},"result":"#)?;
    write(output)?;
    output.write_all(b"}\n")
}

fn error(output: &mut impl Write, id: &RawValue, code: i32, message: &str) -> io::Result<()> {
    let error = serde_json::json!({ "code": code, "message": message });
    writeln!(output, r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}
