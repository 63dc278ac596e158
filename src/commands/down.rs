//! `mcpmon down`: ends whoever keeps the project, then stops and removes what is left of it.
//! Volumes stay, unless `-v` says otherwise. What a client's stdio session has, stays with it: ending it would take the
//! server from a client that can't start it again.

use std::{collections::BTreeSet, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    unknown_target,
    up::{Keeper, finish, kept_by, two_files},
};
use crate::{
    cli::DownArgs,
    engine::{Engine, EngineError, docker::Docker},
    error::{Error, Result},
    model::{
        Labels, Lease, ObservedContainer, Project, Settings, TargetKind, labels::PROJECT, service::COMPOSE_PROJECT,
        target::belongs,
    },
    orphan::Verdict,
    output::{
        ActionKind, Event, Reporter,
        show::{Options, show},
    },
    reconcile::teardown::{keeps_volumes, longest_grace, remove_all},
    session::{self, process::Process},
};

/// What another mcpmon may take to end, beyond its containers' grace period.
const MARGIN: Duration = Duration::from_secs(30);

/// Ends the project; gives the exit code.
pub async fn run(context: &Context, args: &DownArgs) -> Result<u8> {
    let settings = context.settings_by_name_at_worst().await?;
    for name in &args.targets {
        if !is_known(&settings, name) {
            return Err(unknown_target(&settings.project, name));
        }
    }
    let engine = context.connect(settings.session.docker_timeout).await?;
    let (reporter, reports) = Reporter::channel();
    let reporter = reporter.keeping(context.project_history(&settings.project.name, "down"));
    let mut options = Options::detect(context.json());
    options.targets = settings.project.targets.keys().cloned().collect();
    let shown = tokio::spawn(show(reports, options));
    let result = down(&engine, &settings, args, &reporter).await;
    drop(reporter);
    finish(shown).await?;
    result
}

async fn down(engine: &Docker, settings: &Settings, args: &DownArgs, reporter: &Reporter) -> Result<u8> {
    let Project { name: project, config_file: own, .. } = &settings.project;
    let label = (PROJECT, project.as_str());
    let Found { ours: mut containers, others, .. } = found(engine, settings).await?;
    let known = session::known();
    let address = engine.info().address;
    let (other_keepers, keepers): (Vec<&Lease>, Vec<&Lease>) =
        known.keepers(&address, project).partition(|lease| known.other_file_of(lease, own).is_some());
    let nothing_here = containers.is_empty() && keepers.is_empty();
    let former = known
        .keepers_of_file(&address, own)
        .find(|lease| args.targets.is_empty() && lease.project.as_deref() != Some(project));
    let files = others
        .iter()
        .filter_map(|container| known.other_file(Some(&container.id), &container.labels, own))
        .chain(other_keepers.iter().filter_map(|lease| lease.config_file.as_deref()));
    for elsewhere in [
        files.min().map(|file| of_another_file(project, file, other_keepers.first().copied())),
        former.and_then(|lease| under_another_name(project, lease)),
    ]
    .into_iter()
    .flatten()
    {
        if nothing_here {
            return Err(elsewhere);
        }
        let Error { message, hint, .. } = elsewhere;
        let message = format!("{message}, and is left: {}", hint.unwrap_or_default());
        reporter.report(Event::Warning { message });
    }
    let before = containers.len();
    // Looked up before anybody ends them.
    let anonymous = if args.volumes { anonymous(engine, &containers, &args.targets).await? } else { BTreeSet::new() };
    if args.targets.is_empty() {
        let networks = engine.networks(label).await?;
        let networks = networks.values().map(|network| &network.labels);
        let networks =
            networks.filter(|labels| labels.role().is_none() && known.other_file(None, labels, own).is_none());
        let owners: BTreeSet<(u32, u64)> = containers
            .iter()
            .filter_map(|container| known.keeper(container))
            .chain(networks.filter_map(|labels| known.keeper_by_labels(labels)))
            .chain(keepers.iter().map(|lease| (lease.pid, lease.pid_start)))
            .collect();
        if end_owners(owners, longest_grace(&containers), reporter).await? {
            containers = found(engine, settings).await?.ours;
        }
    } else {
        let is_meant = |target: &str| args.targets.iter().any(|name| belongs(target, name));
        containers.retain(|container| container.labels.target().is_some_and(is_meant));
        if let Some(Keeper { pid, other_file: None }) = kept_by(engine, settings).await? {
            return Err(Error::failed(format!(
                "another mcpmon, pid {pid}, keeps {}: it would start them again",
                args.targets.join(", ")
            ))
            .hint("end the whole project with `mcpmon down`, or take the target out of the file: the one that runs follows"));
        }
    }
    let ended = before.saturating_sub(containers.len());
    let removed =
        remove_all(engine, containers, Some(&settings.project), &CancellationToken::new(), Some(reporter)).await;
    let (mut left_networks, mut left_volumes) = (0, 0);
    for name in anonymous {
        let removed = tell(reporter, &name, ActionKind::RemoveVolume, engine.remove_volume(&name).await);
        left_volumes += usize::from(!removed);
    }
    if args.targets.is_empty() {
        let Found { clients, others, .. } = found(engine, settings).await?;
        let is_used =
            |network: &String| clients.iter().chain(&others).any(|container| container.networks.contains(network));
        let is_ours = |labels: &Labels| known.other_file(None, labels, own).is_none();
        let networks = engine.networks(label).await?.into_iter();
        let networks = networks.filter(|(name, network)| !is_used(name) && is_ours(&network.labels));
        for (name, _) in networks {
            let removed = tell(reporter, &name, ActionKind::RemoveNetwork, engine.remove_network(&name).await);
            left_networks += usize::from(!removed);
        }
        if args.volumes {
            let made_by_compose = volumes_of_compose(engine, settings).await?;
            let volumes = engine.volumes(label).await?.into_iter();
            // What this file names it has the use of, whoever made it.
            let volumes =
                volumes.filter(|(name, volume)| settings.project.volumes.contains_key(name) || is_ours(&volume.labels));
            for name in volumes.map(|(name, _)| name).chain(made_by_compose) {
                let removed = tell(reporter, &name, ActionKind::RemoveVolume, engine.remove_volume(&name).await);
                left_volumes += usize::from(!removed);
            }
        }
    }
    let ended = if args.targets.is_empty() { ended } else { 0 };
    let left = removed.failed.len() + left_networks + left_volumes;
    reporter.report(Event::Stopped { removed: ended + removed.removed.len(), left, left_networks, left_volumes });
    Ok(u8::from(left > 0))
}

/// What is there of the project's name and is another file's.
pub(super) fn of_another_file(project: &str, file: &str, keeper: Option<&Lease>) -> Error {
    let pid = keeper.map_or_else(String::new, |lease| format!(" (mcpmon, pid {}, keeps it)", lease.pid));
    Error::failed(format!("what is there of project {project} was made from another file, {file}{pid}"))
        .hint(two_files(file))
}

/// What is kept of this file under the name that it had before.
fn under_another_name(project: &str, Lease { pid, project: former, .. }: &Lease) -> Option<Error> {
    let name = former.as_deref()?;
    let message = format!("mcpmon, pid {pid}, keeps this file as project {name}, and not as {project}");
    Some(Error::failed(message).hint(format!("`mcpmon --set name={name} down` ends it")))
}

/// The anonymous volumes of the services among these containers.
async fn anonymous(engine: &Docker, containers: &[ObservedContainer], targets: &[String]) -> Result<BTreeSet<String>> {
    let is_meant = |target: &str| targets.is_empty() || targets.iter().any(|name| belongs(target, name));
    let meant = containers.iter().filter(|container| container.labels.target().is_some_and(is_meant));
    let mut volumes = BTreeSet::new();
    for container in meant.filter(|container| keeps_volumes(container)) {
        match engine.facts(&container.id).await {
            Ok(facts) => volumes.extend(facts.anonymous),
            // It ends at this very moment.
            Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(volumes)
}

/// The volumes that compose made for the project's services.
async fn volumes_of_compose(engine: &Docker, settings: &Settings) -> Result<BTreeSet<String>> {
    let mut volumes = BTreeSet::new();
    for target in settings.project.targets.values() {
        let TargetKind::Service(service) = &target.kind else { continue };
        let there = engine.volumes((COMPOSE_PROJECT, &service.project.name)).await?;
        volumes.extend(there.into_keys().filter(|name| service.project.volumes.contains(name)));
    }
    Ok(volumes)
}

/// Whether the file has the target, or the compose target that it would be a service of.
fn is_known(settings: &Settings, name: &str) -> bool {
    let targets = &settings.project.targets;
    let unread = |of: &str| matches!(targets.get(of).map(|target| &target.kind), Some(TargetKind::Compose(_)));
    // Which ones a file has that can't be read, nobody knows.
    targets.is_empty()
        || settings.project.named(name).next().is_some()
        || name.split_once('/').is_some_and(|(of, _)| unread(of))
}

/// Reports one removal; false when it failed.
fn tell(reporter: &Reporter, name: &str, action: ActionKind, result: Result<(), EngineError>) -> bool {
    let target = name.to_owned();
    let failed = result.err().map(|error| error.to_string());
    let succeeded = failed.is_none();
    reporter.report(match failed {
        None => Event::ActionDone { target, action, duration_ms: 0 },
        Some(error) => Event::ActionFailed { target, action, error, hint: None, log: Vec::new(), retry_ms: None },
    });
    succeeded
}

/// The project's containers that this host may judge.
#[derive(Debug, Default)]
struct Found {
    ours: Vec<ObservedContainer>,
    /// Those that living stdio sessions have.
    clients: Vec<ObservedContainer>,
    /// Those of another file that has the project's name too.
    others: Vec<ObservedContainer>,
}

async fn found(engine: &Docker, settings: &Settings) -> Result<Found> {
    let mut found = Found::default();
    let known = session::known();
    for container in engine.list(&[(PROJECT, Some(&settings.project.name))]).await? {
        let of_other =
            known.other_file(Some(&container.id), &container.labels, &settings.project.config_file).is_some();
        match known.judge(&container) {
            Verdict::Owned { .. } if container.labels.role().is_some() => found.clients.push(container),
            Verdict::Owned { .. } | Verdict::Orphan(_) | Verdict::Kept { .. } if of_other => {
                found.others.push(container);
            }
            Verdict::Owned { .. } | Verdict::Orphan(_) | Verdict::Kept { .. } => found.ours.push(container),
            Verdict::NotManaged | Verdict::Remote { .. } => {}
        }
    }
    Ok(found)
}

/// Asks every living owner to end, and waits until it has: it removes its containers itself. True when there was one.
async fn end_owners(owners: BTreeSet<(u32, u64)>, grace: Duration, reporter: &Reporter) -> Result<bool> {
    let mut any = false;
    for (pid, started) in owners {
        let failed = |error| {
            Error::failed(format!("mcpmon, pid {pid}, which keeps the project, can't be ended")).caused_by(error)
        };
        let Some(process) = Process::open(pid, started).map_err(failed)? else { continue };
        // What a label says may be anybody's word: no process but this user's own mcpmon hears of it.
        if !process.is_own_mcpmon() {
            let message = format!(
                "process {pid} is said to keep the project, and is no mcpmon of this user's as far as can be told: it is left alone"
            );
            reporter.report(Event::Warning { message });
            continue;
        }
        process.terminate().map_err(failed)?;
        any = true;
        let limit = grace + MARGIN;
        if !process.ended(limit).await {
            return Err(Error::failed(format!("mcpmon, pid {pid}, was asked to end and did not within {limit:?}"))
                .hint(format!("look at what it does, or end it with `kill -9 {pid}` and run `mcpmon down` again")));
        }
    }
    Ok(any)
}
