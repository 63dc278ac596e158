//! Services made by `docker compose`: what is asked for at the same moment goes into one call, one call at a time for each
//! compose project. It decides nothing but what a failed call leaves: what did come up stays, the rest is tried alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{
    act::{Done, Executor, Failure},
    stamp,
};
use crate::{
    compose::{
        cli::ComposeCli,
        generated::{GeneratedFile, ServiceLabels, literal, text_with_networks},
    },
    engine::{Engine, EngineError, Images},
    error::Error,
    model::{
        ObservedContainer, Project, ServiceTarget, State, Target, TargetKind,
        labels::{ON_EXIT, PROJECT, SESSION, STDIO, TARGET},
        service::{COMPOSE_SERVICE, ComposeProject},
        settings::WatchAction,
        target::UpdateOrder,
    },
    orphan::KEEP,
    output::{ActionKind, Event},
    plan::{ImageAction, Step},
};

/// Ways of compose, in its words.
const UP: [&str; 5] = ["up", "--detach", "--no-deps", "--no-build", "--quiet-pull"];

/// The same up to the start.
const CREATE: [&str; 5] = ["up", "--no-start", "--no-deps", "--no-build", "--quiet-pull"];

/// What a call may take to its end when the session ends.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// The compose command, and what is asked of it.
#[derive(Debug)]
pub struct Composing {
    cli: ComposeCli,
    projects: Mutex<BTreeMap<String, Arc<Queue>>>,
}

/// What is asked of one compose project.
#[derive(Debug, Default)]
struct Queue {
    /// Held during a call: compose is not made for two at once, they would both make the network.
    turn: tokio::sync::Mutex<()>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Debug)]
struct Asked {
    target: String,
    service: ServiceTarget,
    /// Also where compose sees no difference.
    force: bool,
    answer: oneshot::Sender<Result<Done, Failure>>,
}

impl Composing {
    /// With this compose command.
    pub fn new(cli: ComposeCli) -> Self {
        Self { cli, projects: Mutex::default() }
    }

    fn queue(&self, project: &str) -> Arc<Queue> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(projects.entry(project.to_owned()).or_default())
    }
}

impl Queue {
    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { hint: error.hint.clone(), ..Self::new(error.message) }
    }
}

impl<E: Engine, I: Images> Executor<E, I> {
    fn composing(&self) -> Result<&Composing, Failure> {
        self.compose.as_ref().ok_or_else(|| Failure::new("compose services can't be made here"))
    }

    /// Carries one change of a service out.
    pub(super) async fn service(
        &self,
        project: &Project,
        target: &Target,
        service: &ServiceTarget,
        step: &Step,
    ) -> Result<Done, Failure> {
        let build = async |image: &Option<ImageAction>| match image {
            Some(_) => self.compose_build(target, service).await,
            None => Ok(()),
        };
        match step {
            Step::RefreshImage { .. } => self.compose_build(target, service).await.map(|()| Done::Finished),
            Step::Create { image } => {
                build(image).await?;
                self.compose_up(project, target, service, false).await
            }
            Step::Replace { image, .. } => {
                build(image).await?;
                self.compose_up(project, target, service, true).await
            }
            Step::Start { container } => match self.start_again(container).await {
                Err(EngineError::NotFound(_)) => self.compose_up(project, target, service, true).await,
                started => Ok(started?),
            },
            Step::Adopt { container } => {
                self.guard.adopt(container);
                Ok(Done::Finished)
            }
            Step::Unpause { container } => {
                self.engine.unpause(container).await?;
                Ok(Done::Finished)
            }
            Step::Rename { .. } | Step::Same { .. } | Step::Hold { .. } | Step::Make | Step::Remove { .. } => {
                Ok(Done::Unchanged)
            }
        }
    }

    /// Reloads a service because files changed: all of its containers start again, or are made anew from a new image.
    pub(super) async fn reload_service(
        &self,
        project: &Project,
        target: &Target,
        service: &ServiceTarget,
        rebuild: bool,
        old: &str,
    ) -> Result<Done, Failure> {
        let order = UpdateOrder::StopFirst;
        if rebuild && service.builds {
            let before = self.engine.image(&service.image).await?.map(|image| image.id);
            self.compose_build(target, service).await?;
            let after = self.engine.image(&service.image).await?.map(|image| image.id);
            if before.is_some() && before == after {
                // What was saved besides is copied into what stays.
                return self.sync(project, &target.name, WatchAction::SyncRestart, old).await;
            }
            return match self.compose_up(project, target, service, true).await? {
                Done::Started { container } => Ok(Done::Swapped { container, order, spare: None }),
                done => Ok(done),
            };
        }
        let found = self.engine.list(&[(PROJECT, Some(&project.name)), (TARGET, Some(&target.name))]).await?;
        let own: Vec<&ObservedContainer> =
            found.iter().filter(|container| container.labels.role() != Some(STDIO)).collect();
        for container in &own {
            self.sync_at_rest(project, &target.name, WatchAction::SyncRestart, &container.id).await?;
        }
        try_join_all(own.iter().map(|container| self.engine.restart(&container.id, service.grace))).await?;
        match own.first() {
            Some(container) => Ok(Done::Swapped { container: container.id.clone(), order, spare: None }),
            None => Ok(Done::Unchanged),
        }
    }

    /// Makes a service's containers anew, although nothing of it has changed: what it stands on was made anew.
    pub async fn remake_service(&self, project: &Project, name: &str) -> Result<Done, Failure> {
        let Some(target @ Target { kind: TargetKind::Service(service), .. }) = project.targets.get(name) else {
            return Ok(Done::Unchanged);
        };
        match self.compose_up(project, target, service, true).await? {
            Done::Started { container } => Ok(Done::Swapped { container, order: UpdateOrder::StopFirst, spare: None }),
            done => Ok(done),
        }
    }

    /// Makes one more container of a service, as `docker compose run` would, with these labels and its stdin open; gives its
    /// id. It is not started, publishes no ports, and has the name of no other one.
    pub async fn create_beside(
        &self,
        project: &Project,
        service: &ServiceTarget,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, Failure> {
        let composing = self.composing()?;
        let compose = &service.project;
        let networks = network_labels(project, compose);
        let mut overrides = compose.overrides.clone();
        let mut services = match overrides.remove("services") {
            Some(Value::Object(services)) => services,
            _ => Map::new(),
        };
        services.insert(name.to_owned(), beside(service));
        overrides.insert("services".into(), Value::Object(services));
        let labels = ServiceLabels::from([(name.to_owned(), labels.clone())]);
        let text = text_with_networks(&overrides, &labels, &networks);
        let file = Some(GeneratedFile::write(&std::env::temp_dir(), &text)?);
        let argv = argv(compose, file.as_ref(), ["up", "--no-start", "--no-deps", "--no-build", "--quiet-pull", name]);
        let queue = composing.queue(&compose.target);
        let ended = {
            let _turn = queue.turn.lock().await;
            composing.cli.run(&argv, |line| tracing::debug!("compose: {line}")).await?
        };
        drop(file);
        let session = self.owner.session.to_string();
        let found = self.engine.list(&[(SESSION, Some(&session)), (COMPOSE_SERVICE, Some(name))]).await?;
        match found.first() {
            Some(container) if ended.status.success() => Ok(container.id.clone()),
            found => {
                if let Some(container) = found {
                    self.engine.remove(&container.id).await?;
                }
                Err(failure(&ended.last, &ended.status.to_string()))
            }
        }
    }

    /// `docker compose build`, telling how it goes.
    pub async fn compose_build(&self, target: &Target, service: &ServiceTarget) -> Result<(), Failure> {
        let cli = &self.composing()?.cli;
        let progress = |line: &str| {
            let (target, line) = (target.name.clone(), line.to_owned());
            self.reporter.report(Event::ActionProgress { target, action: ActionKind::Build, line });
        };
        let file = generated(&service.project, &ServiceLabels::new(), &ServiceLabels::new())?;
        let argv = argv(&service.project, file.as_ref(), ["build", &service.service]);
        let work = async {
            let _slot = self.image_slot().await;
            cli.run(&argv, progress).await
        };
        let ended = tokio::select! {
            ended = work => ended?,
            () = self.ending.cancelled() => return Err(Failure::new("the session ends")),
        };
        if ended.status.success() {
            return Ok(());
        }
        let message = format!("docker compose build {} failed ({})", service.service, ended.status);
        Err(Failure { log: ended.last, ..Failure::new(message) })
    }

    /// `docker compose up` of the service, together with whatever else is asked for now.
    async fn compose_up(
        &self,
        project: &Project,
        target: &Target,
        service: &ServiceTarget,
        force: bool,
    ) -> Result<Done, Failure> {
        let queue = self.composing()?.queue(&service.project.target);
        let (answer, answered) = oneshot::channel();
        queue.asked().push(Asked { target: target.name.clone(), service: service.clone(), force, answer });
        // Whoever begins in the same pass asks before the first one goes on.
        tokio::task::yield_now().await;
        let turn = queue.turn.lock().await;
        let all = std::mem::take(&mut *queue.asked());
        // Those that files are copied into are made first and started then.
        let mut groups: BTreeMap<(bool, bool), Vec<Asked>> = BTreeMap::new();
        for asked in all {
            groups.entry((asked.force, is_filled(project, &asked.target))).or_default().push(asked);
        }
        for group in groups.into_values() {
            self.together(project, group).await;
        }
        drop(turn);
        answered.await.unwrap_or_else(|_| Err(Failure::new("the session ends")))
    }

    /// One call for all of them; where that fails, one for each that did not come up.
    async fn together(&self, project: &Project, group: Vec<Asked>) {
        let mut open = group;
        if open.len() > 1 {
            let results = self.up(project, &open).await;
            let mut left = Vec::new();
            for (asked, result) in open.into_iter().zip(results) {
                match result {
                    Err(failure) if !failure.unreachable && !self.ending.is_cancelled() => left.push(asked),
                    result => drop(asked.answer.send(result)),
                }
            }
            open = left;
        }
        for asked in open {
            let mut results = self.up(project, std::slice::from_ref(&asked)).await;
            let result = results.pop().unwrap_or_else(|| Err(Failure::new("compose said nothing")));
            // Nobody waits for it any more when the session ends.
            drop(asked.answer.send(result));
        }
    }

    /// One `docker compose up`; what came of each service.
    async fn up(&self, project: &Project, group: &[Asked]) -> Vec<Result<Done, Failure>> {
        match self.try_up(project, group).await {
            Ok(results) => results,
            Err(failure) => group.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn try_up(&self, project: &Project, group: &[Asked]) -> Result<Vec<Result<Done, Failure>>, Failure> {
        let cli = &self.composing()?.cli;
        let Some(Asked { service: ServiceTarget { project: compose, .. }, force, .. }) = group.first() else {
            return Ok(Vec::new());
        };
        let label = |asked: &Asked| {
            let mut labels = stamp::service(&self.owner, project, &asked.target, &asked.service, &self.labels);
            if self.guard.keeps() {
                labels.insert(ON_EXIT.to_owned(), KEEP.to_owned());
            }
            (asked.service.service.clone(), labels)
        };
        let services: ServiceLabels = group.iter().map(label).collect();
        let networks = network_labels(project, compose);
        let file = generated(compose, &services, &networks)?;
        // What is there and was taken over from a dead session has other labels, and stays all the same.
        let force = *force;
        let how = if force { "--force-recreate" } else { "--no-recreate" };
        let filled = is_filled(project, &group[0].target);
        let words =
            if filled { CREATE } else { UP }.into_iter().chain([how]).chain(services.keys().map(String::as_str));
        let argv = argv(compose, file.as_ref(), words);
        let mut running = pin!(cli.run(&argv, |line| tracing::debug!("compose: {line}")));
        let ended = tokio::select! {
            ended = &mut running => ended?,
            () = self.ending.cancelled() => {
                // Cut off between two steps it might leave a container that nobody has seen yet.
                drop(tokio::time::timeout(LAST_STEPS, running).await);
                return Err(Failure::new("the session ends"));
            }
        };
        drop(file);
        let session = self.owner.session.to_string();
        let found = self.engine.list(&[(PROJECT, Some(&project.name))]).await?;
        let mut results = Vec::new();
        let mut started = BTreeSet::new();
        for asked in group {
            let own: Vec<&ObservedContainer> = found
                .iter()
                .filter(|container| {
                    container.labels.target() == Some(&asked.target)
                        && container.labels.role() != Some(STDIO)
                        && asked.service.is_of_its_project(container)
                })
                .collect();
            if let Some(target) = project.targets.get(&asked.target).filter(|_| filled) {
                for container in own.iter().filter(|container| {
                    container.state == State::Created && container.labels.get(SESSION) == Some(&session)
                }) {
                    self.fill(project, target, &container.id).await?;
                    self.engine.start(&container.id).await?;
                    started.insert(container.id.clone());
                }
            }
            let is_there = |container: &&ObservedContainer| {
                let anew = !force || container.labels.get(SESSION) == Some(&session);
                let runs = container.state != State::Created || started.contains(&container.id);
                anew && runs && container.labels.config_hash() == Some(&asked.service.hash)
            };
            let there = own.iter().filter(|container| is_there(container)).count();
            results.push(match own.first() {
                Some(first) if there >= asked.service.replicas => Ok(Done::Started { container: first.id.clone() }),
                None if asked.service.replicas == 0 => Ok(Done::Finished),
                _ => {
                    // Not left half-made: the next try makes it afresh.
                    let half_made = own.iter().filter(|container| {
                        container.state == State::Created
                            && !started.contains(&container.id)
                            && container.labels.get(SESSION) == Some(&session)
                    });
                    for container in half_made {
                        self.engine.remove(&container.id).await?;
                    }
                    Err(failure(&ended.last, &ended.status.to_string()))
                }
            });
        }
        Ok(results)
    }
}

fn network_labels(project: &Project, compose: &ComposeProject) -> ServiceLabels {
    let networks = compose.networks.keys();
    networks.map(|name| (name.clone(), stamp::compose_network(project, &compose.target))).collect()
}

/// A service as one more container of it is made: what only one of them can have is left out.
fn beside(service: &ServiceTarget) -> Value {
    let mut whole = service.whole.as_object().cloned().unwrap_or_default();
    for key in ["build", "container_name", "depends_on", "deploy", "develop", "ports", "profiles", "restart", "scale"] {
        whole.remove(key);
    }
    if let Some(Value::Object(networks)) = whole.get_mut("networks") {
        for network in networks.values_mut().filter_map(Value::as_object_mut) {
            for key in ["aliases", "ipv4_address", "ipv6_address", "mac_address"] {
                network.remove(key);
            }
        }
    }
    whole.insert("image".into(), Value::String(literal(&service.image)));
    whole.insert("stdin_open".into(), Value::Bool(true));
    whole.insert("tty".into(), Value::Bool(false));
    // The engine would write every message to disk.
    whole.entry("logging").or_insert_with(|| serde_json::json!({"driver": "none"}));
    Value::Object(whole)
}

/// Whether files are copied into the target's containers (the sync actions).
fn is_filled(project: &Project, target: &str) -> bool {
    let rules = project.targets.get(target).map(|target| target.watch.rules.as_slice()).unwrap_or_default();
    rules.iter().any(|rule| rule.action.is_sync())
}

/// What compose said last, without its progress.
fn failure(last: &[String], status: &str) -> Failure {
    let is_progress = |line: &&String| {
        [" Container ", " Network ", " Volume ", "Container ", "Network ", "Volume "]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let words: Vec<String> = last.iter().filter(|line| !is_progress(line)).cloned().collect();
    match words.split_last() {
        Some((message, log)) => {
            let message = message.trim_start_matches("Error response from daemon: ");
            let unreachable = message.contains("Cannot connect to the Docker daemon");
            Failure { log: log.to_vec(), unreachable, ..Failure::new(format!("docker compose: {message}")) }
        }
        None => Failure::new(format!("docker compose up failed ({status})")),
    }
}

/// The generated file; none where there is nothing to say.
fn generated(
    compose: &ComposeProject,
    services: &ServiceLabels,
    networks: &ServiceLabels,
) -> Result<Option<GeneratedFile>, Failure> {
    if compose.overrides.is_empty() && services.is_empty() && networks.is_empty() {
        return Ok(None);
    }
    let text = text_with_networks(&compose.overrides, services, networks);
    Ok(Some(GeneratedFile::write(&std::env::temp_dir(), &text)?))
}

fn argv<'a>(
    compose: &ComposeProject,
    file: Option<&GeneratedFile>,
    words: impl IntoIterator<Item = &'a str>,
) -> Vec<OsString> {
    let mut argv = compose.command.clone();
    argv.extend(file.into_iter().flat_map(|file| ["--file".into(), file.path().into()]));
    argv.extend(words.into_iter().map(OsString::from));
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_what_compose_said_last() {
        let said = [" Container a-1  Creating", "Error response from daemon: port is already allocated"];
        let failure = failure(&said.map(str::to_owned), "exit status: 1");
        assert_eq!(failure.message, "docker compose: port is already allocated");
        assert!(failure.log.is_empty());
        let silent = super::failure(&[" Container a-1  Creating".to_owned()], "exit status: 1");
        assert_eq!(silent.message, "docker compose up failed (exit status: 1)");
    }
}
