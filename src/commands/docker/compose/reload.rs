//! What a change does to a service, by compose's own commands where the container is another one afterwards, and by the
//! engine's API where it stays. Never to any other service, but those whose `depends_on` says `restart` and those that stand
//! on it (its network, say).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    process::Stdio,
    sync::Arc,
};

use super::{
    project::{Project, is_one_off, runs, service, shown_name},
    watching::sync_rules,
};
use crate::{
    compose::followers::{Again, followers, ties},
    engine::{Engine, cli},
    error::{Error, Result},
    model::{
        ObservedContainer,
        settings::{ExecHook, WatchAction},
    },
    output::{ActionKind, Event, Reporter},
    reconcile::{
        sync::{Extent, Synced},
        sync_target::run_in,
    },
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

impl Failure {
    /// Says it.
    pub(super) fn report(self, reporter: &Reporter, target: String, action: ActionKind) {
        reporter.report(Event::ActionFailed {
            target,
            action,
            error: self.error.to_string(),
            hint: self.error.hint,
            log: self.log,
            retry_ms: None,
        });
    }
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
    let again = if action == WatchAction::Rebuild || containers.is_empty() {
        let words: &[&str] = if action == WatchAction::Rebuild { &["--build"] } else { &[] };
        make(project, reporter, action.into(), words, &[name]).await?;
        let (before, mut now) = (ids(&containers), of_service(project, name).await?);
        let is_other = before != ids(&now);
        // The same image: what was saved besides is copied into what stays.
        now.retain(|container| before.contains(&container.id));
        let again = sync(project, reporter, name, &now, WatchAction::SyncRestart, Extent::Difference).await?;
        if is_other { Some(Again::Made) } else { again }
    } else if action.is_sync() {
        sync(project, reporter, name, &containers, action, Extent::Difference).await?
    } else {
        restart(project, reporter, name, containers).await?;
        Some(Again::Started)
    };
    follow(project, reporter, again.map(|again| (name.to_owned(), again)).into_iter().collect()).await;
    Ok(())
}

/// Copies what differs under the service's rules with that action or a weaker one, and does what follows.
async fn sync(
    project: &Project,
    reporter: &Reporter,
    name: &str,
    containers: &[ObservedContainer],
    strongest: WatchAction,
    extent: Extent,
) -> Result<Option<Again>, Failure> {
    let mut again = None;
    for container in containers {
        let synced = copy(project, reporter, name, container, strongest, extent).await?;
        match synced.action {
            Some(WatchAction::SyncRestart) => {
                project.engine.restart(&container.id, project.grace(name)).await.map_err(Error::from)?;
                again = Some(Again::Started);
            }
            _ => {
                for hook in &synced.hooks {
                    exec(project, reporter, &shown_name(container), container, hook).await?;
                }
            }
        }
    }
    Ok(again)
}

async fn copy(
    project: &Project,
    reporter: &Reporter,
    name: &str,
    container: &ObservedContainer,
    strongest: WatchAction,
    extent: Extent,
) -> Result<Synced> {
    let mut rules = sync_rules(project, name);
    rules.retain(|rule| rule.action <= strongest);
    let rules: Arc<[SyncRule]> = rules.into();
    let copied = project.syncs.copy(&project.engine, &shown_name(container), &container.id, &rules, extent).await?;
    for warning in &copied.warnings {
        reporter.report(Event::Warning { message: format!("{name}: {warning}") });
    }
    Ok(copied)
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

/// Makes services as the files have them now: those whose build is another one are built. One that can't be keeps no other
/// from it.
pub(super) async fn apply(
    project: &Project,
    reporter: &Reporter,
    services: &[&str],
    builds: &[&str],
) -> Result<(), Failure> {
    let before = ids(&project.containers().await?);
    for (words, services) in [(&["--build"][..], builds), (&[][..], services)] {
        let together = make(project, reporter, ActionKind::Replace, words, services).await;
        match (together, services) {
            (Ok(()), _) => {}
            (Err(failure), [name]) => failure.report(reporter, (*name).to_owned(), ActionKind::Replace),
            // Compose does not tell whose it is.
            (Err(_), _) => {
                for name in services {
                    if let Err(failure) = make(project, reporter, ActionKind::Replace, words, &[name]).await {
                        failure.report(reporter, (*name).to_owned(), ActionKind::Replace);
                    }
                }
            }
        }
    }
    let now = project.containers().await?;
    let other = now.iter().filter(|container| !before.contains(&container.id)).filter_map(service);
    let made = other.map(|name| (name.to_owned(), Again::Made)).collect();
    follow(project, reporter, made).await;
    Ok(())
}

/// Has compose make what of these services is not as the files have it. What is made has the files of its sync rules before
/// it starts.
async fn make(
    project: &Project,
    reporter: &Reporter,
    kind: ActionKind,
    words: &[&str],
    services: &[&str],
) -> Result<(), Failure> {
    let (filled, plain): (Vec<&str>, Vec<&str>) =
        services.iter().partition(|name| !sync_rules(project, name).is_empty());
    if !plain.is_empty() {
        up(project, reporter, kind, &[&["-d"], words].concat(), &plain).await?;
    }
    if filled.is_empty() {
        return Ok(());
    }
    up(project, reporter, kind, &[&["--no-start"], words].concat(), &filled).await?;
    for name in filled {
        for container in of_service(project, name).await?.iter().filter(|container| !runs(container)) {
            copy(project, reporter, name, container, WatchAction::SyncRestart, Extent::Everything).await?;
            project.engine.start(&container.id).await.map_err(Error::from)?;
        }
    }
    Ok(())
}

/// `up --no-deps`: what of these services is not as the files have it is made so.
async fn up(
    project: &Project,
    reporter: &Reporter,
    kind: ActionKind,
    words: &[&str],
    services: &[&str],
) -> Result<(), Failure> {
    let mut line: Vec<OsString> = ["up", "--no-deps"].map(OsString::from).to_vec();
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
    let error = Error::failed(format!("docker compose up {shown} failed ({})", ended.status));
    Err(Failure { error, log: ended.last[from..].to_vec() })
}

/// The service's containers that this session keeps.
async fn of_service(project: &Project, name: &str) -> Result<Vec<ObservedContainer>> {
    let mut containers = project.containers().await?;
    containers.retain(|container| service(container) == Some(name) && !is_one_off(container));
    Ok(containers)
}

/// Restarts a service's containers, with the files of its sync rules as they are now.
async fn restart(
    project: &Project,
    reporter: &Reporter,
    name: &str,
    containers: Vec<ObservedContainer>,
) -> Result<(), Failure> {
    for container in &containers {
        copy(project, reporter, name, container, WatchAction::SyncRestart, Extent::Difference).await?;
    }
    let grace = project.grace(name);
    let restarts = containers.iter().map(|container| project.engine.restart(&container.id, grace));
    futures_util::future::try_join_all(restarts).await.map_err(Error::from)?;
    Ok(())
}

/// What hangs on services that something happened to goes on, and what hangs on that. One that can't keeps no other from it.
async fn follow(project: &Project, reporter: &Reporter, happened: BTreeMap<String, Again>) {
    for (name, again) in followers(&ties(&project.all.services), &happened) {
        let (action, gone_on) = match again {
            Again::Started => (ActionKind::Restart, start_again(project, reporter, &name).await),
            Again::Made => (ActionKind::Replace, make_again(project, reporter, &name).await),
        };
        if let Err(failure) = gone_on {
            failure.report(reporter, name, action);
        }
    }
}

async fn start_again(project: &Project, reporter: &Reporter, name: &str) -> Result<(), Failure> {
    let containers = of_service(project, name).await?;
    restart(project, reporter, name, containers).await
}

async fn make_again(project: &Project, reporter: &Reporter, name: &str) -> Result<(), Failure> {
    // What was never started stays so.
    if of_service(project, name).await?.is_empty() {
        return Ok(());
    }
    make(project, reporter, ActionKind::Replace, &["--force-recreate"], &[name]).await
}

fn ids(containers: &[ObservedContainer]) -> BTreeSet<String> {
    containers.iter().map(|container| container.id.clone()).collect()
}
