//! `docker compose run` and `create`: the CLI in mcpmon's place. What `run` made and started is nobody's afterwards, so
//! it does not go on running, unless its user detached from it by docker's keys; what `create` made is meant to stay.

use std::io::IsTerminal;

use super::{
    super::{
        child::{catch, exit_code, hand_on, lost},
        ending::say_goes_on,
        warn,
    },
    project::{Project, is_one_off, line_name, runs},
};
use crate::{
    commands::context::Context,
    docker_line::compose::Command,
    engine::Engine,
    error::Result,
    model::ObservedContainer,
    session::forward::{self, Child},
};

/// Runs the line; gives the CLI's exit code.
pub(super) async fn run(context: &Context, project: Project) -> Result<u8> {
    let mut caught = catch()?;
    let is_run = project.line.command.command == Command::Run;
    let guard = is_run.then(|| project.begin(context, &line_name(&project.meant.name)));
    if let Some(guard) = &guard {
        guard.ready().await;
    }
    // It may read from the terminal.
    let child = Child::Beside { raw: std::io::stdin().is_terminal() };
    let mut docker = project.spawn(&mut project.command())?;
    let mut asked = false;
    let status = loop {
        tokio::select! {
            status = docker.wait() => break status.map_err(lost)?,
            signal = caught.next() => {
                hand_on(&docker, child, signal);
                asked |= forward::ends(signal);
            }
        }
    };
    if let Some(guard) = guard {
        if status.success()
            && !asked
            && let Some(container) = detached(&project).await
        {
            say_goes_on(&container);
            guard.hand_over();
            return Ok(exit_code(status));
        }
        let mut all_stopped = true;
        if project.settings.session.cleanup {
            all_stopped = project.stop_all().await;
            if project.line.command.remove {
                remove(&project).await;
            }
        }
        if all_stopped {
            guard.end();
        }
    }
    Ok(exit_code(status))
}

/// After a good end the one container of `run` does not run (compose gives it no restart policy), unless its user detached
/// from it. What it depends on is then its user's as well.
async fn detached(project: &Project) -> Option<ObservedContainer> {
    let containers = project.containers().await.ok()?;
    containers.into_iter().find(|container| is_one_off(container) && runs(container))
}

/// What `--rm` should have removed, had the CLI not been killed.
async fn remove(project: &Project) {
    let containers = project.containers().await.unwrap_or_default();
    for container in containers.iter().filter(|container| is_one_off(container)) {
        if let Err(error) = project.engine.remove(&container.id).await {
            warn(format!("container {} is left behind ({error}); `mcpmon cleanup` tries again", container.name));
        }
    }
}
