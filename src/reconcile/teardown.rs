//! Ending: stop gracefully, then kill, then remove, until nothing is left that is meant.
//! Dependents end before what they depend on. Used at the end of a session, by `down`, and by `cleanup`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::stamp;
use crate::{
    engine::{Engine, EngineError},
    model::{
        Labels, ObservedContainer, Project, State,
        labels::{MANAGED, PROJECT, SESSION},
        service::COMPOSE_SERVICE,
    },
    output::{ActionKind, Event, Reporter, event::millis},
    plan::dependency_order,
};

/// Containers that the engine is busy with at once: more make it slower.
const AT_ONCE: usize = 8;
/// A container that has not stopped by then is waited for, which is no work: the next one gets its turn.
const BUSY: Duration = Duration::from_millis(400);

/// What became of the containers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Ids that are gone.
    pub removed: Vec<String>,
    /// Ids that could not be removed, and why.
    pub failed: Vec<(String, EngineError)>,
}

/// Stops and removes these containers, level by level: those nobody depends on first. A level takes one grace period,
/// however many they are: the longest of its containers' own. Once `hurry` is cancelled, what still runs is killed.
/// Without a project they may be of several, and are told by their own names.
pub async fn remove_all<E: Engine>(
    engine: &E,
    containers: Vec<ObservedContainer>,
    project: Option<&Project>,
    hurry: &CancellationToken,
    reporter: Option<&Reporter>,
) -> Removed {
    let depths = project.map(depths).unwrap_or_default();
    let mut levels: BTreeMap<usize, Vec<ObservedContainer>> = BTreeMap::new();
    for container in containers {
        let level = container.labels.target().and_then(|target| depths.get(target)).copied().unwrap_or(0);
        levels.entry(level).or_default().push(container);
    }
    let mut result = Removed::default();
    for (_, level) in levels.into_iter().rev() {
        let turns = &Turns {
            slots: Semaphore::new(AT_ONCE),
            deadline: Instant::now() + longest_grace(&level),
            of_project: project.is_some(),
        };
        let count = level.len();
        let mut ends = stream::iter(level)
            .map(|container| async move {
                let started = Instant::now();
                let outcome = remove(engine, &container, turns, hurry).await;
                (container, started.elapsed(), outcome)
            })
            .buffer_unordered(count);
        while let Some((container, took, outcome)) = ends.next().await {
            let target = project.and_then(|_| container.labels.target()).unwrap_or(&container.name).to_owned();
            match outcome {
                Ok(()) => {
                    if let Some(reporter) = reporter {
                        let duration_ms = millis(took);
                        reporter.report(Event::ActionDone { target, action: ActionKind::Remove, duration_ms });
                    }
                    result.removed.push(container.id);
                }
                Err(error) => {
                    if let Some(reporter) = reporter {
                        reporter.report(Event::ActionFailed {
                            target,
                            action: ActionKind::Remove,
                            error: error.to_string(),
                            hint: None,
                            log: Vec::new(),
                            retry_ms: None,
                        });
                    }
                    result.failed.push((container.id, error));
                }
            }
        }
    }
    result
}

/// Whose turn it is, and when all have to have stopped.
struct Turns {
    slots: Semaphore,
    deadline: Instant,
    /// It is the end of a project, and not of what nobody keeps.
    of_project: bool,
}

/// Stops a container within its grace period, kills it where that fails, and removes it.
async fn remove<E: Engine>(
    engine: &E,
    container: &ObservedContainer,
    turns: &Turns,
    hurry: &CancellationToken,
) -> Result<(), EngineError> {
    // Nobody closes it.
    let mut slot = turns.slots.acquire().await.ok();
    if matches!(container.state, State::Running | State::Paused | State::Restarting | State::Other(_)) {
        let left = turns.deadline.saturating_duration_since(Instant::now());
        // Not stopped is no reason to leave it: the removal below kills it.
        let stop = engine.stop(&container.id, stamp::grace(&container.labels).min(left));
        tokio::pin!(stop);
        let in_time = tokio::select! {
            _ = &mut stop => true,
            () = hurry.cancelled() => { drop(engine.kill(&container.id).await); true },
            () = tokio::time::sleep(BUSY) => false,
        };
        if !in_time {
            drop(slot.take());
            tokio::select! {
                _ = &mut stop => {}
                () = hurry.cancelled() => drop(engine.kill(&container.id).await),
            }
            slot = turns.slots.acquire().await.ok();
        }
    }
    let removed = if turns.of_project && keeps_volumes(container) {
        engine.remove_without_volumes(&container.id).await
    } else {
        engine.remove(&container.id).await
    };
    drop(slot);
    removed
}

/// Whether a container's anonymous volumes stay when it goes at the end of its project: those of services do, as with
/// `docker compose down`; those of a client's server go, as with `docker compose run --rm`.
pub fn keeps_volumes(container: &ObservedContainer) -> bool {
    container.labels.get(COMPOSE_SERVICE).is_some() && container.labels.role().is_none()
}

/// How deep each target lies in the dependencies: what depends on nothing is 0. Ends from the top.
fn depths(project: &Project) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for target in dependency_order(project) {
        let below = target.depends_on.keys().filter_map(|name| depths.get(name.as_str()));
        let depth = below.max().map_or(0, |depth| depth + 1);
        depths.insert(&target.name, depth);
    }
    depths
}

/// The longest that stopping these may take: one grace period, as they stop together.
pub fn longest_grace(containers: &[ObservedContainer]) -> Duration {
    containers.iter().map(|container| stamp::grace(&container.labels)).max().unwrap_or(stamp::DEFAULT_GRACE)
}

/// Stops and removes everything that a session made, and tells how it goes. Looks again until
/// nothing is left: what was just being made when the session ended is found by its label.
///
/// `adopted`: ids of containers that it took over. `is_dead`: the session of these labels is dead. What a dead session made and this one used (a
/// network can't change hands) goes with it.
pub async fn end_session<E: Engine>(
    engine: &E,
    (session, adopted): (uuid::Uuid, &BTreeSet<String>),
    project: &Project,
    is_dead: impl Fn(&Labels) -> bool,
    hurry: &CancellationToken,
    reporter: &Reporter,
) -> Result<Removed, EngineError> {
    let all = end_containers(engine, (session, adopted), Some(project), hurry, reporter).await?;
    let session = session.to_string();
    let networks = engine.networks((PROJECT, &project.name)).await?;
    // Another session of the project may use them still: the last one takes them.
    let left = if networks.is_empty() { Vec::new() } else { engine.list(&[(PROJECT, Some(&project.name))]).await? };
    let used = |name: &String| left.iter().any(|container| container.networks.contains(name));
    for (name, network) in networks {
        let own = network.labels.get(SESSION) == Some(session.as_str());
        if used(&name) || (!own && !is_dead(&network.labels)) {
            continue;
        }
        if let Err(error) = engine.remove_network(&name).await {
            reporter.report(Event::Warning { message: format!("network {name} could not be removed: {error}") });
        }
    }
    Ok(all)
}

/// Stops and removes every container that a session made or took over. Looks again until nothing is left.
pub async fn end_containers<E: Engine>(
    engine: &E,
    (session, adopted): (uuid::Uuid, &BTreeSet<String>),
    project: Option<&Project>,
    hurry: &CancellationToken,
    reporter: &Reporter,
) -> Result<Removed, EngineError> {
    let session = session.to_string();
    let mut all = Removed::default();
    for _ in 0..3 {
        let mut left = engine.list(&[(SESSION, Some(&session))]).await?;
        if !adopted.is_empty() {
            let all = engine.list(&[(MANAGED, Some("true"))]).await?;
            left.extend(all.into_iter().filter(|container| adopted.contains(&container.id)));
        }
        let left: Vec<_> = left.into_iter().filter(|container| container.labels.managed()).collect();
        if left.is_empty() {
            all.failed.clear();
            break;
        }
        let round = remove_all(engine, left, project, hurry, Some(reporter)).await;
        all.removed.extend(round.removed);
        all.failed = round.failed;
    }
    Ok(all)
}
