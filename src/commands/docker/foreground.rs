//! A line in the foreground: the docker CLI as a child that has mcpmon's terminal, input, output and signals, and
//! whose exit status is mcpmon's. At the end the containers are looked at, never the CLI's word for them.

use std::{io::IsTerminal, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;

use super::{container::Session, warn};
use crate::{
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{ObservedContainer, State},
    session::forward::{self, Caught, Child},
};

/// Runs the line, and leaves nothing behind that docker would not; gives docker's exit code.
pub(super) async fn run(session: Session) -> Result<u8> {
    let mut caught = catch()?;
    let child = if session.line.takes_stdin() {
        Child::Beside { raw: session.line.tty && std::io::stdin().is_terminal() }
    } else {
        Child::Apart
    };
    let mut docker = start(&session, child)?;
    let status = loop {
        tokio::select! {
            status = docker.wait() => break status.map_err(lost)?,
            signal = caught.next() => {
                hand_on(&docker, child, signal);
                // The terminal has gone: nobody is there any more who could end what does not hear that signal.
                if signal == Signal::HUP {
                    leave(&session, None, &mut caught).await;
                    // Gone already, or about to be: it has nothing left to wait for.
                    let _ = docker.start_kill();
                }
            }
        }
    };
    leave(&session, Some(status), &mut caught).await;
    Ok(exit_code(status))
}

/// Runs a `create` line; gives docker's exit code. The container is meant to outlive this.
pub(super) async fn create(session: Session) -> Result<u8> {
    let (status, _) = to_end(&session, &mut catch()?, false).await?;
    Ok(exit_code(status))
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

fn start(session: &Session, child: Child) -> Result<tokio::process::Child> {
    let mut command = session.command();
    if child == Child::Apart {
        command.process_group(0);
    }
    session.spawn(&mut command)
}

pub(super) fn catch() -> Result<Caught> {
    Caught::new().map_err(|error| Error::failed("signals can't be handled").caused_by(error))
}

fn hand_on(docker: &tokio::process::Child, child: Child, signal: Signal) {
    if let Some(pid) = docker.id()
        && child.wants(signal, forward::is_in_front())
    {
        forward::send(pid, signal);
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::failed("the docker CLI can't be waited for").caused_by(error)
}

/// The exit code that says the same, as shells have it: 128 + the signal's number.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Stops and removes what still runs, and what `--rm` should have removed. What has ended otherwise stays, as it does
/// without mcpmon. `status`: how the CLI ended, if it did.
pub(super) async fn leave(session: &Session, status: Option<ExitStatus>, caught: &mut Caught) {
    if !session.settings.session.cleanup {
        return;
    }
    let left = async {
        let engine = session.connect().await?;
        let containers = session.containers(&engine).await?;
        Ok::<_, Error>((engine, containers))
    };
    let (engine, containers) = match left.await {
        Ok(found) => found,
        // The CLI came to its own end, and told what it knows of the container's.
        Err(_) if status.is_some_and(|status| status.code().is_some()) => return,
        Err(error) => {
            let why = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            return warn(format!(
                "whether a container was left behind is not known ({error}{why}); `mcpmon cleanup` looks again"
            ));
        }
    };
    for container in containers {
        let runs = !matches!(container.state, State::Created | State::Exited(_) | State::Removing);
        if !runs && !session.line.remove {
            continue;
        }
        match end(session, &engine, &container, caught).await {
            Ok(()) if runs => warn(format!("container {} still ran: stopped and removed", container.name)),
            Ok(()) => {}
            Err(error) => {
                warn(format!("container {} is left behind ({error}); `mcpmon cleanup` tries again", container.name));
            }
        }
    }
}

/// Stops a container within the grace period and removes it; a SIGINT meanwhile means: now.
pub(super) async fn end(
    session: &Session,
    engine: &Docker,
    container: &ObservedContainer,
    caught: &mut Caught,
) -> Result<()> {
    let stop = engine.stop(&container.id, session.grace);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            // Failed or not: the removal below kills what still runs.
            _ = &mut stop => break,
            signal = caught.next() => if signal == Signal::INT { break },
        }
    }
    Ok(engine.remove(&container.id).await?)
}
