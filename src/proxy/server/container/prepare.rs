//! What a container needs before it can be started: its image, the project's networks and volumes, what it depends on;
//! and the container itself.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::{Containers, Failed, Kind, Wanted};
use crate::{
    engine::{CreateContainer, Engine, EngineError, Images, resume::EventFeed},
    model::{
        ContainerSpec, Project, RunTarget, ServiceTarget, Target,
        labels::{PROJECT, ROLE, STDIO},
        spec::{Logging, MountSource, RestartPolicy},
        target::PullPolicy,
    },
    plan::{self, Change, ImageAction, Situation, Step, Subject},
    proxy::{server::made::Made, session::ServerId},
    reconcile::{
        observe::{leave_out_stdio, observe},
        stamp,
        teardown::remove_all,
    },
};

impl<E: Engine, I: Images> Containers<E, I> {
    /// Makes a server's container, and whatever it needs first.
    pub(super) async fn make(
        &self,
        server: ServerId,
        wanted: &Wanted,
        rebuild: bool,
        give_up: &CancellationToken,
    ) -> Result<Made, Failed> {
        let (project, target, kind) = wanted.parts()?;
        // Asked for at the session's beginning alone, like the newest image.
        if wanted.refresh && wanted.settings.session.cleanup {
            self.remove_orphans(project);
        }
        let needs = async {
            match kind {
                Kind::Run(run) => {
                    let refresh = wanted.refresh && matches!(run.pull_policy, PullPolicy::Always | PullPolicy::Build);
                    self.image(project, target, run, refresh || (rebuild && run.build.is_some())).await?;
                }
                Kind::Service(service) => {
                    self.service_image(target, service, rebuild || (wanted.refresh && service.always_build)).await?;
                }
            }
            self.make_ready(project, target, kind).await
        };
        tokio::select! {
            made = needs => made?,
            () = give_up.cancelled() => return Err(Failed::new("it is not wanted any more")),
        }
        // Not given up half-way: a container that the engine was asked for must be known here.
        let run = match kind {
            Kind::Run(run) => run,
            Kind::Service(service) => return self.make_service(project, target, service, server).await,
        };
        self.executor.needs(project, run).await.map_err(|failure| Failed::of(failure, false))?;
        let labels = stamp::container(&self.owner, project, &target.name, run, &self.executor.labels);
        let (name, spec) = (self.own_name(project, target, server), for_stdio(&run.spec));
        let container =
            CreateContainer { name: &name, spec: &spec, alias: &target.name, labels: &labels, stdin_once: true };
        match self.engine().create(&container).await {
            Ok(id) => {
                // It would not have what was copied into the one before.
                if let Err(failure) = self.executor.fill(project, target, &id).await {
                    return Err(Failed::of(self.executor.undo(&id, failure).await, true));
                }
                Ok(Made::new(id, run.spec.stop_grace_period, run.spec.container_name.clone()))
            }
            Err(error) => {
                // What it needs may have been taken away since it was looked for.
                *self.ready.lock().await = false;
                Err(error.into())
            }
        }
    }

    async fn image(&self, project: &Project, target: &Target, run: &RunTarget, refresh: bool) -> Result<(), Failed> {
        let found = self.engine().image(&run.spec.image).await?;
        let Some(action) = plan::image(run, found.as_ref(), refresh).map_err(Failed::hopeless)? else { return Ok(()) };
        let made = self.executor.image(project, target, run, action).await;
        // A build fails until its files change; a registry may answer the next time.
        made.map_err(|failure| Failed::of(failure, action == ImageAction::Build))
    }

    async fn service_image(&self, target: &Target, service: &ServiceTarget, refresh: bool) -> Result<(), Failed> {
        let missing = service.builds && self.engine().image(&service.image).await?.is_none();
        if missing || (refresh && service.builds) {
            let built = self.executor.compose_build(target, service).await;
            built.map_err(|failure| Failed::of(failure, true))?;
        }
        Ok(())
    }

    /// One more container of a service, beside those that `up` keeps.
    async fn make_service(
        &self,
        project: &Project,
        target: &Target,
        service: &ServiceTarget,
        server: ServerId,
    ) -> Result<Made, Failed> {
        let labels = stamp::service(&self.owner, project, &target.name, service, &self.executor.labels);
        let tag = &self.owner.session.simple().to_string()[..8];
        let name = format!("{}-mcpmon-{tag}-{}", service.service, server.0);
        match self.executor.create_beside(project, service, &name, &labels).await {
            Ok(id) => Ok(Made::new(id, service.grace, None)),
            Err(failure) => {
                *self.ready.lock().await = false;
                Err(Failed::of(failure, true))
            }
        }
    }

    /// Removes servers of this project whose sessions are dead. Nothing waits for it, and what can't be removed is there
    /// for the next one.
    fn remove_orphans(&self, project: &Project) {
        let (engine, is_dead) = (self.engine().clone(), self.made.is_dead());
        let (name, ending) = (project.name.clone(), self.executor.ending.clone());
        tokio::spawn(async move {
            let Ok(mut found) = engine.list(&[(PROJECT, Some(&name)), (ROLE, Some(STDIO))]).await else { return };
            found.retain(|container| is_dead(&container.labels));
            let removed = remove_all(&engine, found, None, &ending, None).await;
            for container in removed.removed {
                tracing::debug!("container {}, left by a dead session, was removed", plan::short(&container));
            }
        });
    }

    /// Makes networks and volumes that are missing, and waits for what the target depends on.
    async fn make_ready(&self, project: &Project, target: &Target, kind: Kind<'_>) -> Result<(), Failed> {
        let mut ready = self.ready.lock().await;
        if *ready || !needs_others(project, target, kind) {
            return Ok(());
        }
        let mut events = EventFeed::new(self.engine().clone(), (PROJECT, Some(&project.name)), None);
        let mut said = None;
        loop {
            let mut waits = Vec::new();
            let mut made = false;
            for change in self.look(project, target).await? {
                match (&change.subject, &change.step) {
                    (Subject::Network(_) | Subject::Volume(_), Step::Make) => {
                        let carried = self.executor.carry_out(project, &change).await;
                        carried.map_err(|failure| Failed::of(failure, false))?;
                        made = true;
                    }
                    (Subject::Network(name) | Subject::Volume(name), Step::Hold { .. }) => {
                        return Err(Failed::hopeless(format!("{name}: {}", change.cause)));
                    }
                    (Subject::Target(name), _) if *name == target.name => waits.extend(change.waits),
                    _ => {}
                }
            }
            if made {
                continue;
            }
            if waits.is_empty() {
                *ready = true;
                return Ok(());
            }
            let waits = waits.join(", ");
            if said.as_ref() != Some(&waits) {
                tracing::info!("{}: waiting: {waits}", target.name);
                said = Some(waits);
            }
            // Whatever happens to the project's containers may be what is waited for; so may an engine that is back.
            events.next().await;
        }
    }

    /// What is to be done for the target and what it depends on, as `up` would do it.
    async fn look(&self, project: &Project, target: &Target) -> Result<Vec<Change>, EngineError> {
        let mut observed = observe(self.engine(), project, false).await?;
        leave_out_stdio(&mut observed, project, &self.executor.guard.known());
        let scope = Some(BTreeSet::from([target.name.clone()]));
        Ok(plan::plan(project, &observed, &Situation { scope, ..Situation::default() }).changes)
    }
}

/// Whether there is anything of the project that must be there first.
fn needs_others(project: &Project, target: &Target, kind: Kind<'_>) -> bool {
    let Kind::Run(run) = kind else { return !target.depends_on.is_empty() };
    let network = run.spec.networks.keys().any(|name| project.networks.contains_key(name));
    let volume =
        |source: &MountSource| matches!(source, MountSource::Volume(name) if project.volumes.contains_key(name));
    !target.depends_on.is_empty() || network || run.spec.volumes.iter().any(|mount| volume(&mount.source))
}

/// The container as the file asks for it, with what a stdio session must have.
fn for_stdio(spec: &ContainerSpec) -> ContainerSpec {
    let none = || Logging { driver: "none".into(), options: BTreeMap::new() };
    ContainerSpec {
        stdin_open: true,
        tty: false,
        // The engine would start it again with nobody attached.
        restart: RestartPolicy::No,
        logging: Some(spec.logging.clone().unwrap_or_else(none)),
        ..spec.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn a_stdio_server_has_stdin_and_no_terminal_and_no_log() {
        let mut spec = testing::spec("i");
        spec.tty = true;
        spec.restart = RestartPolicy::Always;
        let made = for_stdio(&spec);
        assert!(made.stdin_open && !made.tty);
        assert_eq!(
            (made.restart, made.logging.map(|logging| logging.driver)),
            (RestartPolicy::No, Some("none".into()))
        );
        let logging = Logging { driver: "local".into(), options: BTreeMap::new() };
        spec.logging = Some(logging.clone());
        assert_eq!(for_stdio(&spec).logging, Some(logging));
    }
}
