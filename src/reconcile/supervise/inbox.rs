//! What happens outside: the engine's events, saved files, an edited configuration.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use super::{Source, Supervisor, ended::Work};
use crate::{
    engine::{Engine, EngineEvent, Images, resume::Update},
    model::{
        ObservedContainer, Project, Settings, TargetKind, WatchSettings,
        labels::{SESSION, TARGET},
        settings::WatchAction,
    },
    output::{ActionKind, Event, follow::Start},
    plan::{Subject, scope},
    reconcile::{observe::resources, remarks::remarks},
    trigger::{Changes, Rules},
};

impl<E: Engine, I: Images> Supervisor<E, I> {
    pub(super) fn engine_update(&mut self, update: Update) {
        match update {
            Update::Event(event) => self.engine_event(event),
            Update::Lost(error) => self.lose_engine(&error.to_string()),
            Update::Back(containers) => {
                // What ended or began meanwhile had no event: everything is looked at again.
                self.retry_engine = None;
                self.look_again = true;
                let session = self.executor.owner.session;
                let adopted = self.executor.guard.adopted();
                let is_mine =
                    |found: &&ObservedContainer| found.labels.session() == Some(session) || adopted.contains(&found.id);
                for container in containers.iter().filter(is_mine) {
                    if let (Some(followers), Some(target)) = (&self.followers, container.labels.target()) {
                        followers.follow(target, &container.id, Start::Beginning);
                    }
                    let _ = self.executor.nudges.send(container.id.clone());
                }
            }
        }
    }

    fn engine_event(&mut self, event: EngineEvent) {
        // Health checks run a command each time; only their verdicts matter.
        if event.action.starts_with("exec_") || matches!(event.action.as_str(), "attach" | "detach" | "top" | "resize")
        {
            return;
        }
        let target = event.attributes.get(TARGET);
        tracing::debug!(kind = event.kind, action = event.action, target, "engine event");
        let busy = target.is_some_and(|target| self.is_working_on(target));
        let mine = event.attributes.get(SESSION) == Some(self.executor.owner.session.to_string().as_str())
            || self.executor.guard.adopted().contains(&event.id);
        match event.action.as_str() {
            "start" if mine => {
                self.asked_to_end.remove(&event.id);
                if let (Some(followers), Some(target)) = (&self.followers, target) {
                    followers.follow(target, &event.id, Start::Beginning);
                }
            }
            "kill" if mine && !busy && ends(event.attributes.get("signal")) => {
                self.stopped_outside.insert(event.id.clone());
                self.asked_to_end.insert(event.id.clone());
            }
            "die" | "pause" | "unpause" => {
                self.touched.insert(event.id.clone());
            }
            "destroy" => {
                self.stopped_outside.remove(&event.id);
                self.asked_to_end.remove(&event.id);
            }
            _ => {}
        }
        // Each start and end of a container connects it or disconnects it, and such events carry no labels.
        let by_work = event.kind == "network"
            && matches!(event.action.as_str(), "connect" | "disconnect")
            && !self.working.is_empty();
        let is_about_it = is_about(&event, &self.settings.project, &self.running);
        // Nobody listens while nothing is being waited for.
        let _ = self.executor.nudges.send(event.id);
        // What is being worked on is looked at when the work ends.
        self.look_again |= !busy && !by_work && is_about_it;
    }

    /// Files were saved: the configuration's own, or those that a target runs on.
    pub(super) async fn files_changed(&mut self, changes: &Changes) {
        for warning in &changes.warnings {
            self.warn(warning.clone());
        }
        tracing::debug!(paths = changes.paths.len(), rescan = changes.rescan, "files changed");
        let mut edited = Vec::new();
        let rules = Arc::clone(&self.rules);
        for path in rules.inputs().iter().filter(|path| changes.rescan || changes.paths.contains_key(*path)) {
            if self.inputs.changed(path, std::fs::read(path).ok().as_deref()) {
                edited.push(self.shown(path));
            }
        }
        if !edited.is_empty() {
            self.read_settings(edited).await;
        }
        self.trigger.changed(Instant::now(), changes);
        self.start_reloads();
    }

    /// A folder of the target that is gone just now (a branch switch, a rename): a new container would have the
    /// engine make an empty one in its place. What comes back is a change of its own.
    fn missing_source(&self, target: &str) -> Option<String> {
        let missing = self
            .settings
            .project
            .targets
            .get(target)?
            .kind
            .binds()
            .into_iter()
            .map(|bind| bind.path)
            .find(|path| !path.exists());
        missing.map(|path| self.shown(&path))
    }

    /// Begins the reloads that are due.
    pub(super) fn start_reloads(&mut self) {
        let due = self.trigger.poll(Instant::now());
        for message in self.trigger.take_warnings() {
            self.report(Event::Warning { message });
        }
        for reload in due {
            let target = reload.target.clone();
            if let Some(missing) = self.missing_source(&target).filter(|_| !reload.action.is_sync()) {
                self.trigger.done(Instant::now(), &target);
                let reason = format!(
                    "the volume's source {missing} is gone; the container goes on, and reloads when it is back"
                );
                self.report(Event::Held { target, reason });
                continue;
            }
            let rebuild = reload.action == WatchAction::Rebuild;
            let action = ActionKind::from(reload.action);
            self.report(Event::FilesChanged {
                target: target.clone(),
                path: reload.first_path.as_ref().map(|path| self.shown(path)).unwrap_or_default(),
                count: reload.count,
                action,
            });
            let down = self.attempts.is_down(&target);
            let memory = self.memory(&target);
            memory.rejected = None;
            let Some(old) = memory.current.clone().filter(|_| !down) else {
                // It does not run: what changed may be what it needs to. The plan starts it.
                memory.refresh |= rebuild;
                self.trigger.done(Instant::now(), &target);
                self.attempts.forget(&target, Instant::now());
                self.look_again = true;
                continue;
            };
            // A kept container of the last reload goes when this one is over: removing it now would hold it up.
            self.working.insert(Subject::Target(target.clone()), action);
            let (executor, settings) = (Arc::clone(&self.executor), Arc::clone(&self.settings));
            let asked = reload.action;
            self.spawn(Work::Reload(reload, action), async move {
                if asked.is_sync() {
                    executor.sync(&settings.project, &target, asked, &old).await
                } else {
                    executor.reload(&settings.project, &target, rebuild, &old).await
                }
            });
        }
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.settings.project.folder).unwrap_or(path).display().to_string()
    }

    /// The configuration was edited: read it again; what has errors leaves the last good one in force.
    async fn read_settings(&mut self, files: Vec<String>) {
        let Source::Files(load) = &self.source else { return };
        let settings = match load().await {
            Ok(settings) => settings,
            Err(error) => return self.report(Event::ConfigInvalid { error: error.message }),
        };
        let (old, new) = (&self.settings.project.name, &settings.project.name);
        if old != new {
            let error = format!("the project's name changed from {old} to {new}: end this session and start it again");
            return self.report(Event::ConfigInvalid { error });
        }
        let settings = self.options.seen(settings);
        self.report(Event::ConfigReloaded { files });
        for message in settings.warnings.iter().filter(|warning| !self.settings.warnings.contains(warning)) {
            self.warn(message.clone());
        }
        self.take(settings).await;
    }

    /// These settings are in force from now on.
    pub(super) async fn take(&mut self, settings: Settings) {
        self.settings = Arc::new(settings);
        if self.executor.owner.role.is_none() {
            self.executor.guard.keep(self.settings.leaves_containers());
        }
        // Failures and holds may have come from what was just edited.
        self.attempts.forget_all(Instant::now());
        let project = &self.settings.project;
        self.targets.retain(|name, _| project.targets.contains_key(name) || project.networks.contains_key(name));
        for memory in self.targets.values_mut() {
            memory.said = None;
            memory.rejected = None;
            memory.delayed = None;
        }
        self.settled = None;
        self.look_again = true;
        self.watch().await;
    }

    /// Watches what the settings in force ask for, and the configuration's own files.
    pub(super) async fn watch(&mut self) {
        let mut settings = Settings::clone(&self.settings);
        let meant = scope(&settings.project, &self.options.targets).ok().flatten();
        for (name, target) in &mut settings.project.targets {
            // A plain command runs in a client's session, which watches for it.
            let is_elsewhere = matches!(target.kind, TargetKind::Process(_));
            let is_meant = meant.as_ref().is_none_or(|meant| meant.contains(name));
            if !self.options.watch || !is_meant || is_elsewhere {
                let nothing =
                    WatchSettings { paths: Vec::new(), auto: false, rules: Vec::new(), ..target.watch.clone() };
                target.watch = nothing;
            }
        }
        self.rules = Arc::new(Rules::new(&settings, self.options.home.as_deref()));
        let rules = Arc::clone(&self.rules);
        for path in rules.inputs().iter().filter(|path| !self.inputs.knows(path)).collect::<Vec<_>>() {
            self.inputs.remember(path, std::fs::read(path).ok().as_deref());
        }
        let remarks = remarks(&self.settings.project, &self.executor.engine.info(), meant.as_ref());
        for warning in rules.targets().iter().flat_map(|target| &target.warnings).chain(&remarks) {
            if self.warned.insert(warning.clone()) {
                self.warn(warning.clone());
            }
        }
        self.trigger.set_rules(Arc::clone(&rules));
        let read_here = matches!(self.source, Source::Files(_));
        self.watcher.set(Arc::clone(&rules), rules.inputs().iter().filter(|_| read_here).cloned()).await;
    }
}

/// Whether a signal, as the engine tells it, asks a process to end: HUP, USR1 and the like may mean anything.
fn ends(signal: Option<&str>) -> bool {
    matches!(signal, Some("2" | "3" | "9" | "15"))
}

/// Whether an event is about the project. Those of networks and volumes carry no labels, so everybody's come. `running`: its
/// containers, one of which may be on a network that no target asks for.
fn is_about(event: &EngineEvent, project: &Project, running: &BTreeSet<String>) -> bool {
    let name = event.name.as_deref().unwrap_or(&event.id);
    match event.kind.as_str() {
        "network" => {
            resources(project).0.contains(name)
                || event.attributes.get("container").is_some_and(|container| running.contains(container))
        }
        "volume" => resources(project).1.contains(name),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        spec::{Mount, MountSource, NetworkAttachment},
        testing::{labels, project, run, target},
    };

    #[test]
    fn networks_and_volumes_of_others_are_nothing_to_look_at() {
        let mut api = target("api", "i");
        run(&mut api).spec.networks.insert("p_default".into(), NetworkAttachment::default());
        run(&mut api).spec.volumes.push(Mount {
            source: MountSource::Volume("p_data".into()),
            target: "/data".into(),
            read_only: false,
            propagation: None,
            selinux: None,
            nocopy: false,
        });
        let project = project([api]);
        let running = BTreeSet::from(["c1".to_owned()]);
        for (kind, id, name, container, expected) in [
            ("network", "x", Some("p_default"), None, true),
            ("network", "x", Some("other_default"), Some("c2"), false),
            ("network", "x", Some("other_default"), Some("c1"), true),
            ("volume", "p_data", None, None, true),
            ("volume", "other_data", None, None, false),
            ("container", "c9", None, None, true),
        ] {
            let event = EngineEvent {
                time: 0,
                kind: kind.into(),
                action: "destroy".into(),
                id: id.into(),
                name: name.map(str::to_owned),
                attributes: labels(container.map(|container| ("container", container))),
            };
            assert_eq!(is_about(&event, &project, &running), expected, "{event:?}");
        }
    }
}
