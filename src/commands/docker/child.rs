//! The docker CLI as a child: its signals, its end, its exit status.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;

use super::container::Session;
use crate::{
    error::{Error, Kind, Result},
    session::forward::{self, Caught, Child},
};

/// Takes the signals over that are handed on.
pub(super) fn catch() -> Result<Caught> {
    Caught::new().map_err(|error| Error::failed("signals can't be handled").caused_by(error))
}

/// Starts the line's CLI with mcpmon's own input and output.
pub(super) fn start(session: &Session, child: Child) -> Result<tokio::process::Child> {
    let mut command = session.command();
    if child == Child::Apart {
        command.process_group(0);
    }
    session.spawn(&mut command)
}

/// Hands a signal on, if the child should have it from here.
pub(super) fn hand_on(docker: &tokio::process::Child, child: Child, signal: Signal) {
    if let Some(pid) = docker.id()
        && child.wants(signal, forward::is_in_front())
    {
        forward::send(pid, signal);
    }
}

/// Runs the line's CLI, which reads no input, to its end: its exit status, and the signal that asked it to end.
/// `again`: it says its container's id a second time, which nobody wants to read.
pub(super) async fn to_end(
    session: &Session,
    caught: &mut Caught,
    again: bool,
) -> Result<(ExitStatus, Option<Signal>)> {
    let mut command = session.command();
    command.process_group(0);
    if again {
        command.stdout(std::process::Stdio::null());
    }
    let mut docker = session.spawn(&mut command)?;
    let mut asked = None;
    loop {
        tokio::select! {
            status = docker.wait() => return Ok((status.map_err(lost)?, asked)),
            signal = caught.next() => {
                hand_on(&docker, Child::Apart, signal);
                asked = asked.or(Some(signal).filter(|signal| forward::ends(*signal)));
            }
        }
    }
}

/// The child's end can't be told.
pub(super) fn lost(error: io::Error) -> Error {
    Error::failed("the docker CLI can't be waited for").caused_by(error)
}

/// The exit code that says the same, as shells have it: 128 + the signal's number.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The exit code of an end that a signal asked for.
pub(super) fn signalled(signal: Signal) -> u8 {
    Kind::Signal(u8::try_from(signal.as_raw()).unwrap_or_default()).exit_code()
}

/// What a signal that ends is called.
pub(super) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::HUP => "SIGHUP",
        Signal::INT => "SIGINT",
        Signal::QUIT => "SIGQUIT",
        _ => "SIGTERM",
    }
}
