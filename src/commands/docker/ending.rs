//! What is left of a line at its end is judged by its containers, never by the CLI's exit.

use std::{process::ExitStatus, sync::atomic::Ordering};

use rustix::process::Signal;

use super::{container::Session, warn};
use crate::{
    engine::{Engine, docker::Docker},
    error::Result,
    model::{ObservedContainer, State},
    session::forward::{Caught, ends},
};

/// Stops and removes what still runs, and what `--rm` should have removed. What has ended otherwise stays, as it does
/// without mcpmon. `status`: how the CLI ended, if it did.
pub(super) async fn leave(session: &Session, status: Option<ExitStatus>, caught: &mut Caught) {
    if !session.settings.session.cleanup {
        return;
    }
    let (engine, containers) = match found(session).await {
        Ok(found) => found,
        // The CLI came to its own end, and told what it knows of the container's.
        Err(_) if status.is_some_and(|status| status.code().is_some()) => return,
        Err(error) => {
            session.unsettled.store(true, Ordering::Relaxed);
            let why = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            return warn(format!(
                "whether a container was left behind is not known ({error}{why}); `mcpmon cleanup` looks again"
            ));
        }
    };
    for container in containers {
        let runs = runs(&container);
        if !runs && !session.line.remove {
            continue;
        }
        match end(session, &engine, &container, caught).await {
            Ok(_) if runs => warn(format!("container {} still ran: stopped and removed", container.name)),
            Ok(_) => {}
            Err(error) => {
                session.unsettled.store(true, Ordering::Relaxed);
                warn(format!("container {} is left behind ({error}); `mcpmon cleanup` tries again", container.name));
            }
        }
    }
}

/// The container that its user left running by docker's detach keys (Ctrl-P Ctrl-Q): the CLI has ended well, and it runs.
/// None where the engine itself may have started it again (`--restart`): then it can't be told from an end.
pub(super) async fn detached(session: &Session, status: ExitStatus) -> Option<ObservedContainer> {
    let line = &session.line;
    let has_keys = line.tty && line.takes_stdin() && line.restart.as_ref().is_none_or(|policy| policy == "no");
    if !has_keys || !status.success() {
        return None;
    }
    // What the engine does not tell is looked into by `leave`.
    let (_, containers) = found(session).await.ok()?;
    containers.into_iter().find(runs)
}

/// Says that a container goes on, as its user's.
pub(super) fn say_goes_on(container: &ObservedContainer) {
    let name = &container.name;
    warn(format!("container {name} goes on, without mcpmon; `docker attach {name}` comes back to it"));
}

fn runs(container: &ObservedContainer) -> bool {
    !matches!(container.state, State::Created | State::Exited(_) | State::Removing)
}

/// The engine, and the session's containers on it.
pub(super) async fn found(session: &Session) -> Result<(Docker, Vec<ObservedContainer>)> {
    let engine = session.connect().await?;
    let containers = session.containers(&engine).await?;
    Ok((engine, containers))
}

/// Stops a container within the grace period and removes it; a SIGINT meanwhile means: now. Gives the first signal
/// that came meanwhile and asks mcpmon to end.
pub(super) async fn end(
    session: &Session,
    engine: &Docker,
    container: &ObservedContainer,
    caught: &mut Caught,
) -> Result<Option<Signal>> {
    let mut asked = None;
    let stop = engine.stop(&container.id, session.grace);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            // Failed or not: the removal below kills what still runs.
            _ = &mut stop => break,
            signal = caught.next() => {
                asked = asked.or(Some(signal).filter(|signal| ends(*signal)));
                if signal == Signal::INT {
                    break;
                }
            }
        }
    }
    engine.remove(&container.id).await?;
    Ok(asked)
}
