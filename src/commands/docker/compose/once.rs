//! `docker compose run` and `create`: the CLI in mcpmon's place. What `run` made and started is nobody's afterwards, so
//! it does not go on running; what `create` made is meant to stay.

use std::io::IsTerminal;

use super::{
    super::{
        child::{catch, exit_code, hand_on, lost},
        warn,
    },
    project::{Project, is_one_off, line_name},
};
use crate::{
    commands::context::Context, docker_line::compose::Command, engine::Engine, error::Result, session::forward::Child,
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
    let status = loop {
        tokio::select! {
            status = docker.wait() => break status.map_err(lost)?,
            signal = caught.next() => hand_on(&docker, child, signal),
        }
    };
    if let Some(guard) = guard {
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

/// What `--rm` should have removed, had the CLI not been killed.
async fn remove(project: &Project) {
    let containers = project.containers().await.unwrap_or_default();
    for container in containers.iter().filter(|container| is_one_off(container)) {
        if let Err(error) = project.engine.remove(&container.id).await {
            warn(format!("container {} is left behind ({error}); `mcpmon cleanup` tries again", container.name));
        }
    }
}
