//! What a service of a compose project needs: the same questions as for a run target, asked of all its containers.
//! Compose makes them; what only has to be started or removed needs no compose.

use super::{
    Change, ImageAction, Ownership, Step, Subject,
    decide::{REMOVAL_MS, View, change, hold, kept_for_a_server, short},
    reason::{of_living, of_other_file, other_spec},
};
use crate::model::{
    Health, ObservedContainer, ServiceTarget, State, Target, TargetKind,
    fingerprint::{FieldChange, service_differences},
    labels::CONFIG,
    service::{COMPOSE_NUMBER, COMPOSE_ONE_OFF, COMPOSE_PROJECT, COMPOSE_SERVICE},
    settings::OnDrift,
    target::Condition,
};

/// What is done, and why; or why nothing can be done.
type Decision = Result<(Step, String), String>;

impl<'a> View<'a> {
    pub(super) fn service(&self, target: &Target, service: &ServiceTarget) -> Vec<Change> {
        let subject = || Subject::Target(target.name.clone());
        let mut containers = self.of_service(&target.name, service);
        containers.sort_by_key(|container| (number(container), container.created));
        let mut changes = Vec::new();
        let in_charge =
            |container: &&ObservedContainer| matches!(self.owner(container), Ownership::Mine | Ownership::Dead { .. });
        let of_another: Vec<_> =
            self.containers(&target.name).filter(|container| !service.is_of_its_project(container)).collect();
        if !of_another.is_empty() && of_another.iter().all(in_charge) {
            // First: one of them may hold the port or the name that the new one needs.
            let ids = of_another.iter().map(|container| container.id.clone()).collect();
            let cause = format!("compose project {} is asked for", service.project.name);
            changes.push(change(subject(), Step::Remove { containers: ids }, cause));
        }
        if containers.len() > service.replicas && containers.iter().all(in_charge) {
            // Those that are as asked stay, the lowest numbers first.
            containers.sort_by_key(|container| (!self.is_as_asked(container, service), number(container)));
            let surplus = containers.split_off(service.replicas);
            let ids = surplus.iter().map(|container| container.id.clone()).collect();
            let cause = format!("{} containers are asked for", service.replicas);
            changes.push(change(subject(), Step::Remove { containers: ids }, cause));
        }
        let mut main = match self.service_step(target, service, &containers) {
            Ok((step, cause)) => change(subject(), step, cause),
            Err(reason) => hold(&target.name, reason),
        };
        let runs = !containers.is_empty()
            && containers
                .iter()
                .all(|container| container.state == State::Running && *self.owner(container) == Ownership::Mine);
        let replaces = matches!(main.step, Step::Replace { .. } | Step::RefreshImage { .. });
        if let (true, true, Some(reason)) = (replaces, runs, self.situation.rejected.get(&target.name)) {
            main = hold(&target.name, format!("its containers go on as they are, their replacement failed: {reason}"));
        } else if replaces || matches!(main.step, Step::Create { .. } | Step::Start { .. }) {
            let dependencies = target.depends_on.iter();
            main.waits = dependencies.filter_map(|(name, condition)| self.unmet(name, *condition)).collect();
            if main.waits.is_empty() {
                main.waits.extend(self.stands_on(service));
                main.waits.extend(self.in_its_place(target, service));
                main.waits.extend(self.in_its_networks(service));
            }
        }
        changes.push(main);
        changes
    }

    /// The target's containers, as far as they are of the compose project that is asked for.
    fn of_service(&self, target: &str, service: &ServiceTarget) -> Vec<&'a ObservedContainer> {
        self.containers(target).filter(|container| service.is_of_its_project(container)).collect()
    }

    /// Containers that another target made of the same service (its name in the file was another one, say): compose would
    /// take them for the service's own, and make none.
    fn in_its_place(&self, target: &Target, service: &ServiceTarget) -> impl Iterator<Item = String> {
        let others = self.observed.containers.iter().filter(|container| {
            service.is_of_its_project(container)
                && container.labels.get(COMPOSE_SERVICE) == Some(&service.service)
                && container.labels.target() != Some(&target.name)
        });
        others.map(|container| {
            let whose = container.labels.target().unwrap_or_default();
            format!("container {} of {whose} must be removed", container.name)
        })
    }

    /// Networks that the service's project needs, and that compose did not make: it takes none but its own.
    fn in_its_networks(&self, service: &ServiceTarget) -> impl Iterator<Item = String> {
        let names = service.project.networks.values().filter(|name| {
            let found = self.observed.networks.get(*name);
            found.is_some_and(|found| found.labels.get(COMPOSE_PROJECT).is_none())
        });
        names.map(|name| format!("network {name}, which compose did not make, must be removed"))
    }

    /// The services whose network (or other namespace) it has, as far as they are to be made anew: with them it would
    /// lose it.
    fn stands_on(&self, service: &ServiceTarget) -> impl Iterator<Item = String> {
        let is_made_anew = |name: &&String| {
            let Some(other) = self.desired.targets.get(*name) else { return false };
            let TargetKind::Service(shared) = &other.kind else { return false };
            let step = self.service_step(other, shared, &self.of_service(name, shared));
            matches!(step, Ok((Step::Create { .. } | Step::Replace { .. }, _)))
        };
        service.shares.iter().filter(is_made_anew).map(|name| format!("{name} is made first"))
    }

    fn is_as_asked(&self, container: &ObservedContainer, service: &ServiceTarget) -> bool {
        *self.owner(container) == Ownership::Mine && container.labels.config_hash() == Some(&service.hash)
    }

    fn service_step(&self, target: &Target, service: &ServiceTarget, containers: &[&ObservedContainer]) -> Decision {
        self.somebody_else(service)?;
        for container in self.containers(&target.name) {
            match self.owner(container) {
                Ownership::Mine | Ownership::Dead { .. } => {}
                Ownership::OtherFile { file } => return Err(of_other_file(file)),
                Ownership::Living { pid } => {
                    let is_as_asked =
                        containers.len() == service.replicas && self.outdated(service, containers).is_none();
                    return kept_for_a_server(container, is_as_asked).ok_or_else(|| of_living(*pid));
                }
                Ownership::Remote { host } => {
                    return Err(format!(
                        "container {} belongs to a session on {host}: end it there, or remove the container",
                        short(&container.id)
                    ));
                }
            }
        }
        let image = self.service_image(target, service);
        let first = containers.first().map(|container| container.id.clone());
        let drift = |step: Step, what: String| match self.situation.on_drift {
            OnDrift::Recreate => Ok((step, what)),
            OnDrift::Warn => Err(format!("{what}; left so (reconcile.on_drift = \"warn\")")),
            OnDrift::Ignore => Ok((Step::Same { container: first.clone(), ready: false }, what)),
        };
        if containers.is_empty() && service.replicas > 0 {
            let step = Step::Create { image };
            let is_gone = self.containers(&target.name).next().is_none();
            return if is_gone && self.situation.made.contains(&target.name) {
                drift(step, "somebody removed it".into())
            } else {
                Ok((step, "there is none".into()))
            };
        }
        if let Some((container, cause, fields)) = self.outdated(service, containers) {
            return Ok((Step::Replace { container: container.id.clone(), image, fields }, cause));
        }
        // Another one each time: the next pass finds the next one.
        if let Some(container) = containers.iter().find(|container| self.is_adoptable(service, container))
            && let Ownership::Dead { reason, .. } = self.owner(container)
        {
            return Ok((Step::Adopt { container: container.id.clone() }, reason.clone()));
        }
        if containers.len() < service.replicas {
            let cause = format!("{} of {} containers are there", containers.len(), service.replicas);
            return Ok((Step::Create { image }, cause));
        }
        let worth_trying = !self.situation.rejected.contains_key(&target.name);
        if let Some(image) = image.filter(|_| worth_trying && self.situation.refresh.contains(&target.name)) {
            return Ok((Step::RefreshImage { image, fields: Vec::new() }, "asked for".into()));
        }
        let mut ready = true;
        for container in containers {
            match self.service_state(target, service, container) {
                Ok((Step::Same { ready: this, .. }, _)) => ready &= this,
                Ok((step @ (Step::Unpause { .. } | Step::Replace { .. }), cause)) => return drift(step, cause),
                Ok((step @ Step::Start { .. }, _)) if self.may_stay_stopped(container) => {
                    return drift(step, "somebody stopped it".into());
                }
                other => return other,
            }
        }
        let waited_for = self.one_shots.contains(target.name.as_str());
        let runs = containers.iter().any(|container| container.state == State::Running);
        let cause = if waited_for && runs { "it has not ended yet" } else { "" };
        Ok((Step::Same { container: first, ready: ready && !(waited_for && runs) }, cause.into()))
    }

    /// Whether a dead session's container is as asked, so that it may be taken over.
    fn is_adoptable(&self, service: &ServiceTarget, container: &ObservedContainer) -> bool {
        matches!(self.owner(container), Ownership::Dead { adoptable: true, .. })
            && self.service_difference(service, container).is_none()
    }

    /// The first container that was made from something else.
    fn outdated<'c>(
        &self,
        service: &ServiceTarget,
        containers: &[&'c ObservedContainer],
    ) -> Option<(&'c ObservedContainer, String, Vec<FieldChange>)> {
        containers.iter().copied().find_map(|container| {
            match (self.owner(container), self.service_difference(service, container)) {
                (Ownership::Dead { reason, adoptable: false }, None) => Some((container, reason.clone(), Vec::new())),
                (_, None) => None,
                (Ownership::Dead { reason, .. }, Some((cause, fields))) => {
                    Some((container, format!("{cause}; {reason}"), fields))
                }
                (_, Some((cause, fields))) => Some((container, cause, fields)),
            }
        })
    }

    /// What the container was made of that is not what is asked for: in words, and field by field.
    fn service_difference(
        &self,
        service: &ServiceTarget,
        container: &ObservedContainer,
    ) -> Option<(String, Vec<FieldChange>)> {
        if container.labels.config_hash() == Some(&service.hash) {
            return self.other_image(container, &service.image);
        }
        Some(other_spec(service_differences(container.labels.get(CONFIG).unwrap_or_default(), service)))
    }

    /// What a container that is as asked needs to be there.
    fn service_state(&self, target: &Target, service: &ServiceTarget, container: &ObservedContainer) -> Decision {
        let id = container.id.clone();
        let missing = service.networks.iter().find(|network| !container.networks.contains(*network));
        match &container.state {
            State::Running | State::Created | State::Exited(_) if missing.is_some() => {
                let cause = format!("it was taken off network {}", missing.map_or("", String::as_str));
                Ok((Step::Replace { container: id, image: None, fields: Vec::new() }, cause))
            }
            State::Running => {
                let ready = matches!(container.health, Health::None | Health::Healthy);
                Ok((Step::Same { container: Some(id), ready }, String::new()))
            }
            State::Created => Ok((Step::Start { container: id }, "it was made but not started".into())),
            State::Exited(Some(0)) if self.is_done(target, service, container) => {
                Ok((Step::Same { container: Some(id), ready: true }, String::new()))
            }
            State::Exited(code) => {
                let cause = code.map_or_else(|| "it ended".into(), |code| format!("it ended with exit code {code}"));
                Ok((Step::Start { container: id }, cause))
            }
            State::Paused => Ok((Step::Unpause { container: id }, "somebody paused it".into())),
            State::Restarting => Err("the engine's own restart policy is at work on it".into()),
            State::Removing => Ok((Step::Hold { retry_ms: Some(REMOVAL_MS) }, "it is being removed".into())),
            State::Other(word) => Err(format!("its state is {word:?}, which this version of mcpmon does not know")),
        }
    }

    /// Whether an end with exit code 0 was its work's end.
    fn is_done(&self, target: &Target, service: &ServiceTarget, container: &ObservedContainer) -> bool {
        let asked = self.situation.stopped.contains(&container.id);
        self.one_shots.contains(target.name.as_str()) || (service.may_be_done() && !asked)
    }

    /// Compose pulls what it needs by itself, and builds when it is told to.
    fn service_image(&self, target: &Target, service: &ServiceTarget) -> Option<ImageAction> {
        let missing = !self.observed.images.contains_key(&service.image);
        let asked = self.situation.refresh.contains(&target.name);
        (service.builds && (missing || asked)).then_some(ImageAction::Build)
    }

    /// Containers of the service that are not this project's: compose would take them for its own and replace them.
    fn somebody_else(&self, service: &ServiceTarget) -> Result<(), String> {
        let project = &service.project.name;
        let stranger = self.observed.strangers.iter().find(|container| {
            let label = |key: &str| container.labels.get(key);
            label(COMPOSE_PROJECT) == Some(project)
                && label(COMPOSE_SERVICE) == Some(&service.service)
                && label(COMPOSE_ONE_OFF) != Some("True")
        });
        let Some(container) = stranger else { return Ok(()) };
        let whose = match self.owner(container) {
            Ownership::Mine | Ownership::Living { .. } if container.labels.managed() => {
                let pid = container.labels.get(crate::model::labels::PID).unwrap_or("unknown");
                format!("another mcpmon, pid {pid}, has it: end that one first")
            }
            Ownership::Dead { reason, .. } => format!("{reason}: `mcpmon cleanup` removes it"),
            Ownership::Remote { host } if container.labels.managed() => format!("it belongs to a session on {host}"),
            _ => format!("it was made without mcpmon: `docker compose -p {project} down` removes it"),
        };
        Err(format!("container {} of compose project {project} is there already; {whose}", container.name))
    }

    /// Why a service is not far enough yet for who depends on it.
    pub(super) fn service_unmet(&self, name: &str, service: &ServiceTarget, condition: Condition) -> Option<String> {
        if self.situation.busy.contains(name) {
            return Some(format!("{name} is being worked on"));
        }
        let containers = self.of_service(name, service);
        let enough = containers.len() >= service.replicas;
        let all = |check: &dyn Fn(&ObservedContainer) -> bool| containers.iter().all(|container| check(container));
        let ended_well = |container: &ObservedContainer| container.state == State::Exited(Some(0));
        let runs = |container: &ObservedContainer| container.state == State::Running;
        match condition {
            Condition::Started if enough && all(&|container| runs(container) || ended_well(container)) => None,
            Condition::Healthy
                if enough && all(&|container| runs(container) && container.health == Health::Healthy) =>
            {
                None
            }
            Condition::CompletedSuccessfully if enough && all(&ended_well) => None,
            Condition::Healthy
                if containers.iter().any(|container| runs(container) && container.health == Health::None) =>
            {
                Some(format!("{name} must be healthy, and it has no health check"))
            }
            Condition::Started => Some(format!("{name} must run")),
            Condition::Healthy => Some(format!("{name} must be healthy")),
            Condition::CompletedSuccessfully => Some(format!("{name} must have ended with exit code 0")),
        }
    }
}

/// A container's number among its service's.
fn number(container: &ObservedContainer) -> u64 {
    container.labels.get(COMPOSE_NUMBER).and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
