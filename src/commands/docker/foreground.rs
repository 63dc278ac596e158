//! A line in the foreground: the docker CLI as a child that has mcpmon's terminal, input, output and signals, and
//! whose exit status is mcpmon's. When watched files are saved, its container is removed and the line is run again.

use std::{io::IsTerminal, process::ExitStatus, time::Duration};

use rustix::process::Signal;

use super::{
    child::{catch, exit_code, hand_on, lost, signalled, start, to_end},
    container::Session,
    ending::{detached, end, found, leave, say_goes_on},
    say, warn,
    watching::{Binds, Noticed, Watching},
};
use crate::{
    commands::context::Context,
    error::Result,
    output::{ActionKind, Event, event::millis},
    session::forward::{self, Caught, Child},
    trigger::Reload,
};

/// How long the CLI may take to end after its container is gone.
const CLI_ENDS: Duration = Duration::from_secs(10);

/// Why a run of the CLI is over.
enum Over {
    /// It ended; the signal that asked for it.
    Ended(ExitStatus, Option<Signal>),
    /// Files changed.
    Changed(Reload),
}

/// Runs the line, and leaves nothing behind that docker would not; gives docker's exit code.
pub(super) async fn run(context: &Context, session: Session) -> Result<u8> {
    let mut caught = catch()?;
    // Who reads from a terminal or a pipe can't be run again: what was read is gone.
    let (child, mut watching) = if session.line.takes_stdin() {
        (Child::Beside { raw: session.line.tty && std::io::stdin().is_terminal() }, None)
    } else {
        (Child::Apart, Some(Watching::new(context, &session, Binds::ReadOnly)?))
    };
    let mut again = false;
    session.began();
    session.guarded().await;
    loop {
        let mut docker = start(&session, child)?;
        if let Some(watching) = watching.as_ref().filter(|_| !again) {
            watching.begin().await;
        }
        let over = until_over(&session, &mut docker, child, &mut caught, watching.as_mut()).await?;
        let reload = match over {
            Over::Changed(reload) => reload,
            // Docker's status is the first run's: what a save broke, the next one may mend.
            Over::Ended(status, None) if again && !status.success() => {
                leave(&session, Some(status), &mut caught).await;
                let code = exit_code(status);
                warn(format!(
                    "{} ended with exit code {code}; it is run again when a watched file is saved",
                    session.name
                ));
                let Some(reload) = mended(&mut caught, watching.as_mut()).await else {
                    session.end();
                    return Ok(code);
                };
                reload
            }
            Over::Ended(status, asked) => {
                if asked.is_none()
                    && let Some(container) = detached(&session, status).await
                {
                    say_goes_on(&container);
                    session
                        .keep(&Event::Stopping { cause: "docker was detached, and the container goes on".to_owned() });
                    session.hand_over();
                    return Ok(exit_code(status));
                }
                leave(&session, Some(status), &mut caught).await;
                let code = exit_code(status);
                let cause = asked.map_or_else(|| format!("docker ended, exit code {code}"), |_| "a signal".to_owned());
                session.keep(&Event::Stopping { cause });
                session.end();
                return Ok(code);
            }
        };
        tell(&session, &reload);
        let began = std::time::Instant::now();
        if let Some(signal) = clear(&session, &mut docker, &mut caught).await? {
            session.keep(&Event::Stopping { cause: "a signal".to_owned() });
            session.end();
            return Ok(signalled(signal));
        }
        if let Some(watching) = &mut watching {
            watching.done(&reload);
        }
        session.keep(&Event::ActionDone {
            target: session.name.clone(),
            action: ActionKind::Restart,
            duration_ms: millis(began.elapsed()),
        });
        again = true;
    }
}

/// Runs a `create` line; gives docker's exit code. The container is meant to outlive this.
pub(super) async fn create(session: Session) -> Result<u8> {
    let (status, _) = to_end(&session, &mut catch()?, false).await?;
    Ok(exit_code(status))
}

/// Waits until the CLI ends or a reload is due.
async fn until_over(
    session: &Session,
    docker: &mut tokio::process::Child,
    child: Child,
    caught: &mut Caught,
    mut watching: Option<&mut Watching>,
) -> Result<Over> {
    let mut asked = None;
    loop {
        tokio::select! {
            status = docker.wait() => return Ok(Over::Ended(status.map_err(lost)?, asked)),
            signal = caught.next() => {
                hand_on(docker, child, signal);
                asked = asked.or(Some(signal).filter(|signal| forward::ends(*signal)));
                // The terminal has gone: nobody is there any more who could end what does not hear that signal.
                if signal == Signal::HUP {
                    leave(session, None, caught).await;
                    // Gone already, or about to be: it has nothing left to wait for.
                    let _ = docker.start_kill();
                }
            }
            reload = noticed(watching.as_deref_mut()) => if asked.is_none() {
                return Ok(Over::Changed(reload));
            },
        }
    }
}

/// The next reload that is due.
async fn noticed(watching: Option<&mut Watching>) -> Reload {
    let Some(watching) = watching else { return std::future::pending().await };
    loop {
        match watching.next().await {
            Noticed::Reload(reload) => return reload,
            Noticed::Warning(message) => warn(message),
        }
    }
}

/// Waits for a change; none: a signal came first.
async fn mended(caught: &mut Caught, watching: Option<&mut Watching>) -> Option<Reload> {
    let change = noticed(watching);
    tokio::pin!(change);
    loop {
        tokio::select! {
            reload = &mut change => return Some(reload),
            signal = caught.next() => if forward::ends(signal) {
                return None;
            },
        }
    }
}

fn tell(session: &Session, reload: &Reload) {
    let path = reload.first_path.as_deref().map(|path| session.shown(path)).unwrap_or_default();
    let changed =
        Event::FilesChanged { target: session.name.clone(), path, count: reload.count, action: ActionKind::Restart };
    session.keep(&changed);
    say(&changed);
}

/// Removes what the line made, so that it can be run again; gives the signal that asked to end instead.
async fn clear(session: &Session, docker: &mut tokio::process::Child, caught: &mut Caught) -> Result<Option<Signal>> {
    let mut asked = None;
    let (engine, containers) = found(session).await?;
    for container in containers {
        let signal = end(session, &engine, &container, caught).await?;
        asked = asked.or(signal);
    }
    // Its container is gone, and so it ends; a CLI that hangs has nothing to say any more.
    if tokio::time::timeout(CLI_ENDS, docker.wait()).await.is_err() {
        docker.kill().await.map_err(lost)?;
    }
    session.forget_cidfile();
    Ok(asked)
}
