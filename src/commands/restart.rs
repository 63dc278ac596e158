//! `mcpmon restart`: stops a target's container and starts it again, and so the services that hang on it
//! (`depends_on.restart`, its network). Whoever keeps the project goes on keeping it. What another file of the project's name
//! asked for is left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::try_join_all;

use super::{context::Context, down::of_another_file, unknown_target, unread, unread_of, up::finish};
use crate::{
    cli::RestartArgs,
    compose::followers::{Again, followers, layers, of_targets},
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{
        Lease, ObservedContainer, Project, Settings, State, Target, TargetKind,
        labels::{PROJECT, STDIO, TARGET},
    },
    orphan::Known,
    output::{
        ActionKind, Event, Reporter,
        event::millis,
        show::{Options, show},
    },
    reconcile::{act::turn_at, needs::gone, stamp},
    session::{self, turn::Turn},
};

/// How long somebody else may take to start a container.
const TURN: Duration = Duration::from_secs(30);

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
    let project = &settings.project;
    let known = session::known();
    let mut containers: BTreeMap<String, Vec<ObservedContainer>> = BTreeMap::new();
    for name in &args.targets {
        if let Some(of) = unread_of(project, name) {
            return Err(unread(of, name));
        }
        let mut named = project.named(name).peekable();
        if named.peek().is_none() {
            return Err(unknown_target(project, name));
        }
        let mut any = false;
        let mut elsewhere = None;
        for target in named {
            let Found { ours: found, other_file } = of_target(engine, project, target, &known).await?;
            elsewhere = elsewhere.or(other_file);
            if let TargetKind::Run(run) = &target.kind
                && found.iter().any(|current| current.state != State::Created)
                && let Some(source) = gone(project, run, &engine.info())
            {
                let why = "the engine would make an empty folder of it";
                return Err(Error::failed(format!("{name}: the volume's source {source} is gone: {why}"))
                    .hint("bring it back, then restart"));
            }
            any |= !found.is_empty();
            containers.insert(target.name.clone(), found);
        }
        if !any && let Some(file) = elsewhere {
            let address = engine.info().address;
            let is_of_file = |lease: &&Lease| lease.config_file.as_ref() == Some(&file);
            let keeper = known.keepers(&address, &project.name).find(is_of_file);
            return Err(of_another_file(&project.name, &file, keeper));
        }
        if !any {
            return Err(no_container(project, name));
        }
    }
    let ties = of_targets(project);
    let asked = containers.keys().map(|name| (name.clone(), Again::Started)).collect();
    let following: BTreeSet<String> = followers(&ties, &asked).into_iter().map(|(name, _)| name).collect();
    for target in following.iter().filter_map(|name| project.targets.get(name)) {
        let mut found = of_target(engine, project, target, &known).await?.ours;
        // Nobody asked for one that does not run.
        found.retain(|container| container.state == State::Running);
        containers.insert(target.name.clone(), found);
    }
    for layer in layers(&ties, containers.keys().cloned().collect()) {
        let of_layer =
            layer.iter().flat_map(|name| containers.get(name).into_iter().flatten().map(move |one| (name, one)));
        let restarts = of_layer.map(|(name, container)| {
            let cause = if following.contains(name) { "what it depends on starts again" } else { "asked for" };
            again(engine, container, cause, reporter)
        });
        try_join_all(restarts).await?;
    }
    Ok(())
}

/// There is nothing to restart.
fn no_container(project: &Project, name: &str) -> Error {
    if project.targets.get(name).is_some_and(|target| matches!(target.kind, TargetKind::Process(_))) {
        return Error::failed(format!("target {name} is a plain command and has no container"))
            .hint(format!("an MCP client starts it, with `mcpmon run {name}`; a saved file starts it again"));
    }
    Error::failed(format!("target {name} has no container")).hint("`mcpmon up` makes it")
}

/// What there is of a target.
struct Found {
    /// The containers that stand for it.
    ours: Vec<ObservedContainer>,
    /// The other file that asked for the rest.
    other_file: Option<String>,
}

async fn of_target(engine: &Docker, project: &Project, target: &Target, known: &Known) -> Result<Found> {
    let mut found = engine.list(&[(PROJECT, Some(&project.name)), (TARGET, Some(&target.name))]).await?;
    // A stdio session's server stands for no target.
    found.retain(|container| container.labels.managed() && container.labels.role() != Some(STDIO));
    let other_file = |container: &ObservedContainer| {
        known.other_file(Some(&container.id), &container.labels, &project.config_file).map(str::to_owned)
    };
    let elsewhere = found.iter().find_map(other_file);
    found.retain(|container| other_file(container).is_none());
    if !matches!(target.kind, TargetKind::Service(_)) {
        // Of several, the youngest stands for the target.
        found = found.into_iter().max_by_key(|container| container.created).into_iter().collect();
    }
    Ok(Found { ours: found, other_file: elsewhere })
}

async fn again(engine: &Docker, container: &ObservedContainer, cause: &str, reporter: &Reporter) -> Result<()> {
    let began = std::time::Instant::now();
    let target = container.labels.target().unwrap_or_default().to_owned();
    reporter.report(Event::ActionStarted { target: target.clone(), action: ActionKind::Restart, cause: cause.into() });
    // Whoever keeps the project sees it end, and would start it.
    let _turn = Turn::take(&turn_at(&container.id), TURN).await.ok();
    engine.stop(&container.id, stamp::grace(&container.labels)).await?;
    engine.start(&container.id).await?;
    let duration_ms = millis(began.elapsed());
    reporter.report(Event::ActionDone { target, action: ActionKind::Restart, duration_ms });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{target::ProcessTarget, testing};

    #[test]
    fn only_what_up_makes_is_said_to_be_made_by_it() {
        let mut local = testing::target("local", "image");
        local.kind = TargetKind::Process(ProcessTarget { words: vec!["sh".into()], stop_grace_period: TURN });
        let project = testing::project([testing::target("api", "image"), local]);
        let hint = |name: &str| no_container(&project, name).hint.unwrap_or_default();
        assert_eq!(hint("api"), "`mcpmon up` makes it");
        assert!(hint("local").contains("`mcpmon run local`"), "{}", hint("local"));
    }
}
