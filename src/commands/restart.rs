//! `mcpmon restart`: stops a target's container and starts it again. Whoever keeps the project goes on keeping it.

use futures_util::future::try_join_all;

use super::{context::Context, unknown_target, up::finish};
use crate::{
    cli::RestartArgs,
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{
        ObservedContainer, Settings, State, TargetKind,
        labels::{PROJECT, STDIO, TARGET},
    },
    output::{
        ActionKind, Event, Reporter,
        event::millis,
        show::{Options, show},
    },
    reconcile::{needs::gone, stamp},
};

/// Restarts the named targets; gives the exit code.
pub async fn run(context: &Context, args: &RestartArgs) -> Result<u8> {
    let settings = context.settings_as_far_as_possible().await?;
    let engine = context.connect(settings.session.docker_timeout).await?;
    let (reporter, reports) = Reporter::channel();
    let reporter = reporter.keeping(context.project_history(&settings.project.name, "restart"));
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let result = restart(&engine, &settings, args, &reporter).await;
    drop(reporter);
    finish(shown).await?;
    result.map(|()| 0)
}

async fn restart(engine: &Docker, settings: &Settings, args: &RestartArgs, reporter: &Reporter) -> Result<()> {
    let mut containers = Vec::new();
    for name in &args.targets {
        let mut named = settings.project.named(name).peekable();
        if named.peek().is_none() {
            return Err(unknown_target(&settings.project, name));
        }
        let before = containers.len();
        for target in named {
            let found = engine.list(&[(PROJECT, Some(&settings.project.name)), (TARGET, Some(&target.name))]).await?;
            // A stdio session's server stands for no target.
            let found = found
                .into_iter()
                .filter(|container| container.labels.managed() && container.labels.role() != Some(STDIO));
            match &target.kind {
                TargetKind::Service(_) => containers.extend(found),
                // Of several, the youngest stands for the target.
                TargetKind::Run(run) => {
                    let Some(current) = found.max_by_key(|container| container.created) else { continue };
                    if current.state != State::Created
                        && let Some(source) = gone(&settings.project, run, &engine.info())
                    {
                        let why = "the engine would make an empty folder of it";
                        return Err(Error::failed(format!("{name}: the volume's source {source} is gone: {why}"))
                            .hint("bring it back, then restart"));
                    }
                    containers.push(current);
                }
                _ => containers.extend(found.max_by_key(|container| container.created)),
            }
        }
        if containers.len() == before {
            return Err(Error::failed(format!("target {name} has no container")).hint("`mcpmon up` makes it"));
        }
    }
    try_join_all(containers.iter().map(|container| again(engine, container, reporter))).await?;
    Ok(())
}

async fn again(engine: &Docker, container: &ObservedContainer, reporter: &Reporter) -> Result<()> {
    let began = std::time::Instant::now();
    let target = container.labels.target().unwrap_or_default().to_owned();
    reporter.report(Event::ActionStarted {
        target: target.clone(),
        action: ActionKind::Restart,
        cause: "asked for".into(),
    });
    engine.stop(&container.id, stamp::grace(&container.labels)).await?;
    engine.start(&container.id).await?;
    let duration_ms = millis(began.elapsed());
    reporter.report(Event::ActionDone { target, action: ActionKind::Restart, duration_ms });
    Ok(())
}
