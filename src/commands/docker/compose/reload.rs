//! What a change does to a service, by compose's own commands where the container is another one afterwards, and by the
//! engine's API where it stays. Never to any other service, but those whose `depends_on` says `restart`.

use std::{collections::BTreeSet, ffi::OsString, process::Stdio, sync::Arc};

use super::{
    project::{Project, is_one_off, service, shown_name},
    watching::sync_rules,
};
use crate::{
    engine::{Engine, cli},
    error::{Error, Result},
    model::{
        ObservedContainer,
        settings::{ExecHook, WatchAction},
    },
    output::{ActionKind, Event, Reporter},
    reconcile::{sync::Extent, sync_target::run_in},
    sync::SyncRule,
};

/// What compose prints of a run that failed, and how much of it is shown.
const SHOWN: usize = 20;

/// A run of compose's that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// The last lines it printed.
    pub(super) log: Vec<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, log: Vec::new() }
    }
}

/// Reloads a service.
pub(super) async fn reload(
    project: &Project,
    reporter: &Reporter,
    name: &str,
    action: WatchAction,
) -> Result<(), Failure> {
    let containers = of_service(project, name).await?;
    if action.is_sync() && !containers.is_empty() {
        return sync(project, reporter, name, &containers, action, Extent::Difference).await;
    }
    if action == WatchAction::Restart && !containers.is_empty() {
        restart(project, containers, name).await?;
    } else {
        let words: &[&str] = if action == WatchAction::Restart { &[] } else { &["--build"] };
        up(project, reporter, action.into(), words, &[name]).await?;
        let now = of_service(project, name).await?;
        // What was built has what the host has.
        sync(project, reporter, name, &now, WatchAction::SyncRestart, Extent::Initial).await?;
        if ids(&now) == ids(&containers) {
            return Ok(());
        }
    }
    Ok(restart_dependents(project, [name]).await?)
}

/// Copies what differs under the service's rules with that action or a weaker one, and does what follows.
async fn sync(
    project: &Project,
    reporter: &Reporter,
    name: &str,
    containers: &[ObservedContainer],
    strongest: WatchAction,
    extent: Extent,
) -> Result<(), Failure> {
    let mut rules = sync_rules(project, name);
    rules.retain(|rule| rule.action <= strongest);
    let rules: Arc<[SyncRule]> = rules.into();
    for container in containers {
        let shown = shown_name(container);
        let copied = project.syncs.copy(&project.engine, &shown, &container.id, &rules, extent).await;
        let synced = copied.map_err(Error::from)?;
        for warning in &synced.warnings {
            reporter.report(Event::Warning { message: format!("{name}: {warning}") });
        }
        match synced.action {
            Some(WatchAction::SyncRestart) => {
                project.engine.restart(&container.id, project.grace(name)).await.map_err(Error::from)?;
            }
            _ => {
                for hook in &synced.hooks {
                    exec(project, reporter, &shown, container, hook).await?;
                }
            }
        }
    }
    Ok(())
}

async fn exec(
    project: &Project,
    reporter: &Reporter,
    shown: &str,
    container: &ObservedContainer,
    hook: &ExecHook,
) -> Result<()> {
    match run_in(&project.engine, &container.id, hook, shown, reporter).await? {
        0 => Ok(()),
        code => Err(Error::failed(format!("`{}` ended with exit code {code}", shell_words::join(&hook.command)))),
    }
}

/// The containers run, and have what the host has: rules with `initial_sync` copy all the same.
pub(super) async fn begin(project: &Project, reporter: &Reporter) {
    let containers = project.containers().await.unwrap_or_default();
    for container in containers.iter().filter(|container| !is_one_off(container)) {
        let Some(name) = service(container) else { continue };
        let one = std::slice::from_ref(container);
        if let Err(failure) = sync(project, reporter, name, one, WatchAction::SyncRestart, Extent::Initial).await {
            reporter.report(Event::Warning { message: format!("{name}: {}", failure.error) });
        }
    }
}

/// Makes services as the files have them now: those whose build is another one are built.
pub(super) async fn apply(
    project: &Project,
    reporter: &Reporter,
    services: &[&str],
    builds: &[&str],
) -> Result<(), Failure> {
    let before = ids(&project.containers().await?);
    for (words, services) in [(&["--build"][..], builds), (&[][..], services)] {
        if !services.is_empty() {
            up(project, reporter, ActionKind::Replace, words, services).await?;
        }
    }
    let now = project.containers().await?;
    for container in now.iter().filter(|container| !before.contains(&container.id)) {
        let name = service(container).unwrap_or_default();
        let extent = if builds.contains(&name) { Extent::Initial } else { Extent::Everything };
        sync(project, reporter, name, std::slice::from_ref(container), WatchAction::SyncRestart, extent).await?;
    }
    let other = now.iter().filter(|container| !before.contains(&container.id)).filter_map(service);
    let other: BTreeSet<&str> = other.collect();
    Ok(restart_dependents(project, other).await?)
}

/// `up -d --no-deps`: what of these services is not as the files have it is made so.
async fn up(
    project: &Project,
    reporter: &Reporter,
    kind: ActionKind,
    words: &[&str],
    services: &[&str],
) -> Result<(), Failure> {
    let mut line: Vec<OsString> = ["up", "-d", "--no-deps"].map(OsString::from).to_vec();
    line.extend(words.iter().map(OsString::from));
    let scaled = |one: &&OsString| {
        let name = one.to_string_lossy();
        services.iter().any(|service| name.split('=').next() == Some(service))
    };
    line.extend(project.line.command.scale.iter().filter(scaled).flat_map(|one| ["--scale".into(), one.clone()]));
    line.extend(project.line.command.timeout.iter().flat_map(|one| ["--timeout".into(), one.to_string().into()]));
    line.extend(services.iter().map(OsString::from));
    let mut command = project.other(&line);
    command.env("BUILDKIT_PROGRESS", "plain").stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = services.join(", ");
    let progress = |line: &str| {
        reporter.report(Event::ActionProgress { target: shown.clone(), action: kind, line: line.trim().to_owned() });
    };
    let ended = cli::run(command, progress).await;
    let ended = ended.map_err(|error| Error::failed("docker compose can't be run").caused_by(error))?;
    if ended.status.success() {
        return Ok(());
    }
    let from = ended.last.len().saturating_sub(SHOWN);
    let error = Error::failed(format!("docker compose up {} failed ({})", words.join(" "), ended.status));
    Err(Failure { error, log: ended.last[from..].to_vec() })
}

/// The service's containers that this session keeps.
async fn of_service(project: &Project, name: &str) -> Result<Vec<ObservedContainer>> {
    let mut containers = project.containers().await?;
    containers.retain(|container| service(container) == Some(name) && !is_one_off(container));
    Ok(containers)
}

async fn restart(project: &Project, containers: Vec<ObservedContainer>, name: &str) -> Result<()> {
    let grace = project.grace(name);
    let restarts = containers.iter().map(|container| project.engine.restart(&container.id, grace));
    futures_util::future::try_join_all(restarts).await?;
    Ok(())
}

/// Restarts those who asked for it, and those who asked for it of them.
async fn restart_dependents(project: &Project, names: impl IntoIterator<Item = &str>) -> Result<()> {
    let mut done: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    let mut open: Vec<String> = done.iter().cloned().collect();
    while let Some(name) = open.pop() {
        for dependent in project.dependents(&name) {
            if done.insert(dependent.clone()) {
                let containers = of_service(project, &dependent).await?;
                restart(project, containers, &dependent).await?;
                open.push(dependent);
            }
        }
    }
    Ok(())
}

fn ids(containers: &[ObservedContainer]) -> BTreeSet<String> {
    containers.iter().map(|container| container.id.clone()).collect()
}
