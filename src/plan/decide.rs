//! The decisions themselves, a thing at a time. Each function reads its arguments and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Backoff, Change, IMAGE_ID, ImageAction, Ownership, Plan, Situation, Step, Subject,
    reason::{of_living, of_other_file, other_spec},
};
use crate::model::{
    Health, Observed, ObservedContainer, Project, RunTarget, State, Target, TargetKind,
    fingerprint::{FieldChange, config_hash, differences},
    labels::{CONFIG, CONFIG_HASH, DEPENDENCY},
    observed::{ObservedImage, ObservedResource},
    service::COMPOSE_PROJECT,
    settings::OnDrift,
    spec::MountSource,
    target::{Condition, PullPolicy},
};

/// When to look again for a container that is being removed.
pub(super) const REMOVAL_MS: u64 = 100;

/// The name of a target's container: the file's own, or `<project>-<target>`.
pub fn container_name(project: &Project, target: &Target) -> String {
    match &target.kind {
        TargetKind::Run(run) => run.spec.container_name.clone(),
        _ => None,
    }
    .unwrap_or_else(|| format!("{}-{}", project.name, target.name))
}

/// The named targets and everything they depend on; none when no target is named (all are meant).
/// An unknown name is given back as the error.
pub fn scope(project: &Project, names: &[String]) -> Result<Option<BTreeSet<String>>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut scope = BTreeSet::new();
    let mut pending: Vec<&String> = names.iter().collect();
    while let Some(name) = pending.pop() {
        let mut found = project.named(name).peekable();
        if found.peek().is_none() {
            return Err(name.clone());
        }
        for target in found {
            if scope.insert(target.name.clone()) {
                pending.extend(target.depends_on.keys());
            }
        }
    }
    Ok(Some(scope))
}

/// The names of the targets that are meant by these: what [`scope`] says, or all there are.
pub fn meant(project: &Project, names: &[String]) -> Vec<String> {
    match scope(project, names) {
        Ok(Some(scope)) => scope.into_iter().collect(),
        _ => project.targets.keys().cloned().collect(),
    }
}

/// What to do so that the engine has what the file asks for.
pub fn plan(desired: &Project, observed: &Observed, situation: &Situation) -> Plan {
    let view = View { desired, observed, situation, one_shots: one_shots(desired) };
    let order = dependency_order(desired);
    let in_scope = |name: &str| situation.scope.as_ref().is_none_or(|scope| scope.contains(name));
    let meant: Vec<&Target> = order.into_iter().filter(|target| in_scope(&target.name)).collect();

    let mut changes = resources(&view, &meant);
    let blocked: BTreeSet<String> = changes
        .iter()
        .filter(|change| !matches!(change.step, Step::Same { .. }))
        .map(|change| change.subject.name().to_owned())
        .collect();
    for target in &meant {
        if !situation.busy.contains(&target.name) {
            changes.extend(view.target(target, &blocked));
        }
    }
    // Somebody who names targets means these; the rest of the project is left as it is.
    if situation.scope.is_none() {
        changes.extend(view.left_the_file());
        changes.extend(view.unused_networks());
    }
    for change in &mut changes {
        back_off(change, situation);
    }
    // A target that waits is told once, whatever it waits with.
    changes.dedup_by(|next, last| next.subject == last.subject && next.step == last.step && next.cause == last.cause);
    Plan { changes }
}

/// What failed lately is not tried again before its time.
fn back_off(change: &mut Change, situation: &Situation) {
    if !matches!(change.step, Step::Same { .. } | Step::Hold { .. })
        && let Some(Backoff { retry_ms, reason }) = situation.backoff.get(change.subject.name())
        && *retry_ms != Some(0)
    {
        change.step = Step::Hold { retry_ms: *retry_ms };
        change.cause.clone_from(reason);
        change.waits.clear();
    }
}

/// How a target's image comes to be there, if it has to. `found`: what the engine has under its name; `refresh`: fetch
/// or build it although it is there.
///
/// # Errors
/// It is not there, and may not be fetched.
pub fn image(run: &RunTarget, found: Option<&ObservedImage>, refresh: bool) -> Result<Option<ImageAction>, String> {
    let there = found.is_some();
    // An image that mcpmon did not build is taken as it is.
    let built_from = found.and_then(|found| found.build_hash.as_ref());
    let stale = run.build.as_ref().is_some_and(|build| built_from.is_some_and(|hash| *hash != config_hash(build)));
    if there && !stale && !refresh {
        return Ok(None);
    }
    match (run.build.is_some(), run.pull_policy) {
        (true, _) => Ok(Some(ImageAction::Build)),
        (false, PullPolicy::Never) if there => Ok(None),
        (false, PullPolicy::Never) => Err(format!(
            "image {} is not here, and pull_policy is \"never\": fetch it, or set pull_policy = \"missing\"",
            run.spec.image
        )),
        (false, _) => Ok(Some(ImageAction::Pull)),
    }
}

pub(super) struct View<'a> {
    pub(super) desired: &'a Project,
    pub(super) observed: &'a Observed,
    pub(super) situation: &'a Situation,
    pub(super) one_shots: BTreeSet<&'a str>,
}

/// Targets that somebody waits for the end of: exit code 0 is what is wanted of them.
fn one_shots(desired: &Project) -> BTreeSet<&str> {
    desired
        .targets
        .values()
        .flat_map(|target| &target.depends_on)
        .filter(|(_, condition)| **condition == Condition::CompletedSuccessfully)
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Targets, each after what it depends on, otherwise by name. Cycles were refused with the configuration.
pub fn dependency_order(desired: &Project) -> Vec<&Target> {
    fn visit<'a>(desired: &'a Project, target: &'a Target, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a Target>) {
        if seen.insert(&target.name) {
            for dependency in target.depends_on.keys().filter_map(|name| desired.targets.get(name)) {
                visit(desired, dependency, seen, order);
            }
            order.push(target);
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for target in desired.targets.values() {
        visit(desired, target, &mut seen, &mut order);
    }
    order
}

pub(super) fn change(subject: Subject, step: Step, cause: impl Into<String>) -> Change {
    Change { subject, step, cause: cause.into(), waits: Vec::new() }
}

pub(super) fn hold(name: &str, reason: impl Into<String>) -> Change {
    change(Subject::Target(name.to_owned()), Step::Hold { retry_ms: None }, reason)
}

/// Networks and volumes that the targets meant use and the file defines.
fn resources(view: &View<'_>, meant: &[&Target]) -> Vec<Change> {
    let runs = || {
        meant.iter().filter_map(|target| match &target.kind {
            TargetKind::Run(run) => Some((target.name.as_str(), run)),
            _ => None,
        })
    };
    let mut networks: BTreeMap<&str, &str> = BTreeMap::new();
    let mut volumes: BTreeMap<&str, &str> = BTreeMap::new();
    for (target, run) in runs() {
        for network in run.spec.networks.keys() {
            networks.entry(network).or_insert(target);
        }
        for mount in &run.spec.volumes {
            if let MountSource::Volume(volume) = &mount.source {
                volumes.entry(volume).or_insert(target);
            }
        }
    }
    let networks = networks.into_iter().filter_map(|(name, user)| {
        let hash = config_hash(view.desired.networks.get(name)?);
        let found = view.observed.networks.get(name);
        Some(resource(view, Subject::Network(name.to_owned()), user, &hash, found))
    });
    let volumes = volumes.into_iter().filter_map(|(name, user)| {
        let hash = config_hash(view.desired.volumes.get(name)?);
        let found = view.observed.volumes.get(name);
        Some(resource(view, Subject::Volume(name.to_owned()), user, &hash, found))
    });
    networks.chain(volumes).collect()
}

fn resource(view: &View<'_>, subject: Subject, user: &str, hash: &str, found: Option<&ObservedResource>) -> Change {
    let desired = view.desired;
    let (word, down) = match subject {
        Subject::Network(_) => ("network", "mcpmon down"),
        _ => ("volume", "mcpmon down -v"),
    };
    match found {
        None => change(subject, Step::Make, format!("{user} uses it")),
        Some(found) if !found.labels.managed() || found.labels.project() != Some(&desired.name) => change(
            subject,
            Step::Hold { retry_ms: None },
            format!(
                "a {word} of that name is there and is not this project's: set `external = true` to use it, or another `name`"
            ),
        ),
        Some(found) if found.labels.get(COMPOSE_PROJECT).is_some() && word == "network" => {
            let is_used = view.observed.containers.iter().any(|one| one.networks.contains(subject.name()));
            let step = if is_used { Step::Hold { retry_ms: None } } else { Step::Remove { containers: Vec::new() } };
            change(subject, step, "compose made it, for a project that left the file")
        }
        Some(found) if found.labels.get(CONFIG_HASH) != Some(hash) => change(
            subject,
            Step::Hold { retry_ms: None },
            format!("the {word} differs from the file and can't be changed in place: `{down}`, then `mcpmon up`"),
        ),
        Some(_) => change(subject, Step::Same { container: None, ready: true }, ""),
    }
}

impl<'a> View<'a> {
    pub(super) fn containers(&self, target: &str) -> impl Iterator<Item = &'a ObservedContainer> {
        let target = target.to_owned();
        self.observed.containers.iter().filter(move |container| container.labels.target() == Some(&target))
    }

    pub(super) fn owner(&self, container: &ObservedContainer) -> &Ownership {
        self.situation.owners.get(&container.id).unwrap_or(&Ownership::Mine)
    }

    /// The container that stands for the target: the one that needs least to be as asked; of equals, the youngest.
    fn current(&self, target: &str, hash: &str) -> Option<&'a ObservedContainer> {
        self.containers(target).max_by_key(|container| {
            (
                *self.owner(container) == Ownership::Mine,
                container.labels.config_hash() == Some(hash),
                container.state == State::Running,
                container.created,
                &container.id,
            )
        })
    }

    fn target(&self, target: &Target, blocked: &BTreeSet<String>) -> Vec<Change> {
        let run = match &target.kind {
            TargetKind::Run(run) => run,
            TargetKind::Service(service) => return self.service(target, service),
            TargetKind::Compose(_) => return vec![hold(&target.name, "its compose project could not be read")],
            TargetKind::Process(_) => {
                let (name, subject) = (&target.name, Subject::Target(target.name.clone()));
                let cause = format!("an MCP client starts it, with `mcpmon run {name}`");
                // Nobody waits for it, unless it was asked for by its name.
                let is_named = self.situation.scope.is_some();
                let step = Step::Same { container: None, ready: true };
                return vec![if is_named { hold(name, cause) } else { change(subject, step, cause) }];
            }
        };
        let hash = config_hash(&run.spec);
        let current = self.current(&target.name, &hash);
        let mut main = match self.step(target, run, &hash, current) {
            Ok((step, cause)) => change(Subject::Target(target.name.clone()), step, cause),
            Err(reason) => hold(&target.name, reason),
        };
        let own = current.filter(|current| *self.owner(current) == Ownership::Mine);
        let replaces = matches!(main.step, Step::Replace { .. } | Step::RefreshImage { .. });
        let rejected = self.situation.rejected.get(&target.name).filter(|_| replaces);
        if let (Some(reason), Some(State::Running)) = (rejected, own.map(|own| &own.state)) {
            main = hold(&target.name, format!("the container goes on as it is, its replacement failed: {reason}"));
        } else if let (Some(reason), Some(old)) = (rejected, own.filter(|old| self.can_start(old, run))) {
            let cause = format!("it ended, and its replacement failed: {reason}");
            main = change(Subject::Target(target.name.clone()), Step::Start { container: old.id.clone() }, cause);
            main.waits = self.waits(target, run, blocked);
        } else if replaces || matches!(main.step, Step::Create { .. } | Step::Start { .. }) {
            main.waits = self.waits(target, run, blocked);
        }
        let surplus: Vec<String> = self
            .containers(&target.name)
            .filter(|container| current.is_none_or(|current| current.id != container.id))
            .filter(|container| matches!(self.owner(container), Ownership::Mine | Ownership::Dead { .. }))
            .map(|container| container.id.clone())
            .collect();
        let mut changes = Vec::new();
        if !surplus.is_empty() {
            // First: one of them may hold the name that the other one needs.
            let (subject, step) = (Subject::Target(target.name.clone()), Step::Remove { containers: surplus });
            changes.push(change(subject, step, "another container stands for the target"));
        }
        changes.push(main);
        changes
    }

    /// It has ended, and what it stands on is there.
    fn can_start(&self, container: &ObservedContainer, run: &RunTarget) -> bool {
        let stands = |network| container.networks.contains(network) && self.observed.networks.contains_key(network);
        matches!(container.state, State::Exited(_)) && run.spec.networks.keys().all(stands)
    }

    /// What the target's container needs, or why it can't have it.
    fn step(
        &self,
        target: &Target,
        run: &RunTarget,
        hash: &str,
        current: Option<&ObservedContainer>,
    ) -> Result<(Step, String), String> {
        let name = container_name(self.desired, target);
        let name_is_free = || match self.observed.foreign_names.get(&name) {
            Some(id) => Err(format!(
                "the name {name} is taken by container {}, which is not this project's: remove or rename that one, or set another container_name",
                short(id)
            )),
            None => Ok(()),
        };
        let drift = |step: Step, what: String| match self.situation.on_drift {
            OnDrift::Recreate => Ok((step, what)),
            OnDrift::Warn => Err(format!("{what}; left so (reconcile.on_drift = \"warn\")")),
            OnDrift::Ignore => {
                Ok((Step::Same { container: current.map(|container| container.id.clone()), ready: false }, what))
            }
        };
        let Some(container) = current else {
            name_is_free()?;
            let step = Step::Create { image: self.image(target, run)? };
            return if self.situation.made.contains(&target.name) {
                drift(step, "somebody removed it".into())
            } else {
                Ok((step, "there is none".into()))
            };
        };
        let id = container.id.clone();
        let replace = |cause: String, mut fields: Vec<FieldChange>| -> Result<(Step, String), String> {
            name_is_free()?;
            let image = self.image(target, run)?;
            if image != Some(ImageAction::Build) {
                // It was built since, and what came of it was the same.
                fields.retain(|field| !is_of_build(field));
            }
            Ok((Step::Replace { container: id.clone(), image, fields }, cause))
        };
        match self.owner(container) {
            Ownership::Mine => {}
            Ownership::OtherFile { file } => return Err(of_other_file(file)),
            Ownership::Living { pid } => {
                let image = self.observed.images.get(&run.spec.image);
                let is_as_asked = container.labels.config_hash() == Some(hash)
                    && image.is_none_or(|image| image.id == container.image_id);
                return kept_for_a_server(container, is_as_asked).ok_or_else(|| of_living(*pid));
            }
            Ownership::Dead { reason, adoptable } => {
                return match self.run_difference(container, run, hash) {
                    None if *adoptable => Ok((Step::Adopt { container: id }, reason.clone())),
                    None => replace(reason.clone(), Vec::new()),
                    Some((cause, fields)) => replace(format!("{cause}; {reason}"), fields),
                };
            }
            Ownership::Remote { host } => {
                return Err(format!(
                    "container {} belongs to a session on {host}: end it there, or remove the container",
                    short(&id)
                ));
            }
        }
        if let Some((cause, fields)) = self.run_difference(container, run, hash) {
            return replace(cause, fields);
        }
        let wanted_image = self.observed.images.get(&run.spec.image);
        // What failed before is not in the way of a container that only has to be started again.
        let runs = container.state == State::Running;
        let worth_trying = wanted_image.is_some() && (runs || !self.situation.rejected.contains_key(&target.name));
        if let Some(image) = self.image(target, run)?.filter(|_| worth_trying) {
            let asked = self.situation.refresh.contains(&target.name);
            let cause = if asked { "asked for" } else { "its build changed in the file" };
            let mut fields = differences(container.labels.get(CONFIG).unwrap_or_default(), run);
            fields.retain(is_of_build);
            return Ok((Step::RefreshImage { image, fields }, cause.into()));
        }
        let missing_network = run.spec.networks.keys().find(|network| !container.networks.contains(*network));
        match &container.state {
            State::Running | State::Created | State::Exited(_) if missing_network.is_some() => {
                let cause = format!("it was taken off network {}", missing_network.map_or("", String::as_str));
                replace(cause.clone(), Vec::new()).and_then(|(step, _)| drift(step, cause))
            }
            State::Running if container.name != name => {
                name_is_free()?;
                let cause = format!("somebody renamed it to {}", container.name);
                drift(Step::Rename { container: id, name }, cause)
            }
            State::Running if self.one_shots.contains(target.name.as_str()) => {
                Ok((Step::Same { container: Some(id), ready: false }, "it has not ended yet".into()))
            }
            State::Running => {
                let ready = matches!(container.health, Health::None | Health::Healthy);
                Ok((Step::Same { container: Some(id), ready }, String::new()))
            }
            State::Created => Ok((Step::Start { container: id }, "it was made but not started".into())),
            State::Exited(Some(0)) if self.one_shots.contains(target.name.as_str()) => {
                Ok((Step::Same { container: Some(id), ready: true }, String::new()))
            }
            State::Exited(_) if self.may_stay_stopped(container) => {
                drift(Step::Start { container: id }, "somebody stopped it".into())
            }
            State::Exited(code) => {
                let cause = code.map_or_else(|| "it ended".into(), |code| format!("it ended with exit code {code}"));
                Ok((Step::Start { container: id }, cause))
            }
            State::Paused => drift(Step::Unpause { container: id }, "somebody paused it".into()),
            State::Restarting => Err("the engine's own restart policy is at work on it".into()),
            // The removal's end is an event; the list may be a moment behind it.
            State::Removing => Ok((Step::Hold { retry_ms: Some(REMOVAL_MS) }, "it is being removed".into())),
            State::Other(word) => Err(format!("its state is {word:?}, which this version of mcpmon does not know")),
        }
    }

    /// Somebody else asked it to end, and what others change is not put right.
    pub(super) fn may_stay_stopped(&self, container: &ObservedContainer) -> bool {
        self.situation.on_drift != OnDrift::Recreate && self.situation.stopped.contains(&container.id)
    }

    /// What the container was made of that is not what is asked for: in words, and field by field.
    fn run_difference(
        &self,
        container: &ObservedContainer,
        run: &RunTarget,
        hash: &str,
    ) -> Option<(String, Vec<FieldChange>)> {
        if container.labels.config_hash() == Some(hash) {
            return self.other_image(container, &run.spec.image);
        }
        Some(other_spec(differences(container.labels.get(CONFIG).unwrap_or_default(), run)))
    }

    /// The same, of the image alone.
    pub(super) fn other_image(&self, container: &ObservedContainer, image: &str) -> Option<(String, Vec<FieldChange>)> {
        let wanted = self.observed.images.get(image).filter(|wanted| wanted.id != container.image_id)?;
        let field = FieldChange {
            field: IMAGE_ID.into(),
            old: Some(short(&container.image_id).into()),
            new: Some(short(&wanted.id).into()),
        };
        Some((format!("{image} is another image now"), vec![field]))
    }

    fn image(&self, target: &Target, run: &RunTarget) -> Result<Option<ImageAction>, String> {
        let refresh = self.situation.refresh.contains(&target.name);
        image(run, self.observed.images.get(&run.spec.image), refresh)
    }

    /// What must come before the target can start.
    fn waits(&self, target: &Target, run: &RunTarget, blocked: &BTreeSet<String>) -> Vec<String> {
        let networks = run.spec.networks.keys();
        let volumes = run.spec.volumes.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => Some(name),
            _ => None,
        });
        let resources =
            networks.chain(volumes).filter(|name| blocked.contains(*name)).map(|name| format!("{name} must be there"));
        let dependencies = target.depends_on.iter().filter_map(|(name, condition)| self.unmet(name, *condition));
        resources.chain(dependencies).collect()
    }

    /// Why a dependency is not far enough yet.
    pub(super) fn unmet(&self, name: &str, condition: Condition) -> Option<String> {
        let run = match &self.desired.targets.get(name)?.kind {
            TargetKind::Run(run) => run,
            TargetKind::Service(service) => return self.service_unmet(name, service, condition),
            TargetKind::Compose(_) | TargetKind::Process(_) => {
                return Some(format!("{name} must run, and this version can't run it"));
            }
        };
        if self.situation.busy.contains(name) {
            return Some(format!("{name} is being worked on"));
        }
        let container = self.current(name, &config_hash(&run.spec));
        let state = container.map(|container| (&container.state, container.health));
        match (condition, state) {
            (Condition::Started, Some((State::Running, _)))
            | (Condition::Started | Condition::CompletedSuccessfully, Some((State::Exited(Some(0)), _)))
            | (Condition::Healthy, Some((State::Running, Health::Healthy))) => None,
            (Condition::Healthy, Some((State::Running, Health::None))) => {
                Some(format!("{name} must be healthy, and it has no health check"))
            }
            (Condition::Started, _) => Some(format!("{name} must run")),
            (Condition::Healthy, _) => Some(format!("{name} must be healthy")),
            (Condition::CompletedSuccessfully, _) => Some(format!("{name} must have ended with exit code 0")),
        }
    }

    /// Containers of this project whose target is no longer in the file.
    fn left_the_file(&self) -> Vec<Change> {
        let mut gone: BTreeMap<String, Vec<&ObservedContainer>> = BTreeMap::new();
        for container in &self.observed.containers {
            let name = container.labels.target().unwrap_or_default();
            if !self.desired.targets.contains_key(name) && !self.situation.busy.contains(name) {
                gone.entry(name.to_owned()).or_default().push(container);
            }
        }
        gone.into_iter()
            .map(|(name, containers)| {
                let foreign = containers.iter().find_map(|container| match self.owner(container) {
                    Ownership::Living { pid } => Some(format!("another mcpmon, pid {pid}, keeps it running")),
                    Ownership::OtherFile { file } => Some(of_other_file(file)),
                    Ownership::Remote { host } => Some(format!("it belongs to a session on {host}")),
                    Ownership::Mine | Ownership::Dead { .. } => None,
                });
                let ids = containers.iter().map(|container| container.id.clone()).collect();
                let subject = Subject::Target(name);
                match foreign {
                    Some(reason) => change(subject, Step::Hold { retry_ms: None }, reason),
                    None if self.situation.prune => {
                        change(subject, Step::Remove { containers: ids }, "it left the file")
                    }
                    None => change(
                        subject,
                        Step::Hold { retry_ms: None },
                        "it left the file, and reconcile.prune is off: `mcpmon up --remove-orphans` removes it",
                    ),
                }
            })
            .collect()
    }

    /// Networks of this project that the file no longer asks for and no container uses. One that compose did not make is in
    /// the way of compose's own.
    fn unused_networks(&self) -> Vec<Change> {
        let in_use: BTreeSet<&String> =
            self.observed.containers.iter().flat_map(|container| &container.networks).collect();
        let of_services: BTreeSet<&String> = self
            .desired
            .targets
            .values()
            .filter_map(|target| match &target.kind {
                TargetKind::Service(service) => Some(service.project.networks.values()),
                _ => None,
            })
            .flatten()
            .collect();
        self.observed
            .networks
            .iter()
            .filter(|(name, found)| {
                found.labels.managed()
                    && found.labels.project() == Some(&self.desired.name)
                    && !self.desired.networks.contains_key(*name)
                    && !in_use.contains(name)
                    && !(of_services.contains(name) && found.labels.get(COMPOSE_PROJECT).is_some())
                    && self.situation.prune
            })
            .map(|(name, _)| {
                change(Subject::Network(name.clone()), Step::Remove { containers: Vec::new() }, "it left the file")
            })
            .collect()
    }
}

/// What a client's stdio session keeps for its server is as good as one's own, as long as it runs as asked.
pub(super) fn kept_for_a_server(container: &ObservedContainer, is_as_asked: bool) -> Option<(Step, String)> {
    let is_kept = container.labels.role() == Some(DEPENDENCY) && container.state == State::Running && is_as_asked;
    let ready = matches!(container.health, Health::None | Health::Healthy);
    is_kept.then(|| (Step::Same { container: Some(container.id.clone()), ready }, String::new()))
}

fn is_of_build(field: &FieldChange) -> bool {
    field.field.starts_with("build.")
}

/// The first twelve digits of an id, as docker shows it.
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}
