//! What is watched for each service of a project, and when one is due for a reload. It must not know what a reload does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use super::project::Project;
use crate::{
    compose::{
        self,
        config::{ComposeConfig, Service},
        develop::{unknown_actions, watch_rules},
    },
    error::Result,
    model::{
        Settings, Target, TargetKind,
        spec::{Mount, MountSource},
        target::{Bind, Build},
    },
    sync::{SyncRule, rules},
    trigger::{Inputs, Reload, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

/// No deadline is set: a change wakes.
const FAR: Duration = Duration::from_hours(1);

/// What was noticed.
#[derive(Debug)]
pub(super) enum Noticed {
    /// A service's files changed, and are quiet.
    Reload(Reload),
    /// Files that the project is read from changed.
    Inputs(Vec<PathBuf>),
    /// Something that a person should know.
    Warning(String),
}

/// What is watched.
pub(super) struct Watching {
    home: Option<PathBuf>,
    rules: Arc<Rules>,
    inputs: BTreeSet<PathBuf>,
    contents: Inputs,
    trigger: Trigger,
    /// Reloads that are due.
    due: VecDeque<Reload>,
    warnings: Vec<String>,
    said: BTreeSet<String>,
    watcher: Watcher,
    changes: ChangeReceiver,
    /// When files that the project is read from changed last, and which.
    pending: Option<(Instant, BTreeSet<PathBuf>)>,
    delay: Duration,
}

impl Watching {
    /// Watches nothing yet.
    pub(super) fn new(home: Option<PathBuf>, project: &Project) -> Result<Self> {
        let (watcher, changes) = Watcher::new()?;
        let rules = Arc::new(Rules::none());
        let mut watching = Self {
            home,
            inputs: BTreeSet::new(),
            contents: Inputs::default(),
            trigger: Trigger::new(Arc::clone(&rules)),
            due: VecDeque::new(),
            rules,
            warnings: Vec::new(),
            said: BTreeSet::new(),
            watcher,
            changes,
            pending: None,
            delay: project.settings.project.targets.values().next().map_or(FAR, |target| target.watch.delay),
        };
        watching.plan(project);
        Ok(watching)
    }

    /// Goes on with what is to be watched for the project now. When it returns, everything that changes from now on
    /// will be noticed.
    pub(super) async fn set(&mut self, project: &Project) {
        self.plan(project);
        self.watcher.set(Arc::clone(&self.rules), self.inputs.clone()).await;
    }

    fn plan(&mut self, project: &Project) {
        let (settings, warnings) = settings(project);
        let rules = Arc::new(Rules::new(&settings, self.home.as_deref()));
        let warnings = warnings.into_iter().chain(rules.targets().iter().flat_map(|target| target.warnings.clone()));
        let said = &mut self.said;
        self.warnings.extend(warnings.filter(|warning| said.insert(warning.clone())));
        self.inputs = settings.inputs.iter().cloned().collect();
        for path in &self.inputs {
            if !self.contents.knows(path) {
                self.contents.remember(path, std::fs::read(path).ok().as_deref());
            }
        }
        self.trigger.set_rules(Arc::clone(&rules));
        self.rules = rules;
    }

    /// Waits for what is noticed next. Nothing is lost when the future is dropped half-way.
    pub(super) async fn next(&mut self) -> Noticed {
        loop {
            if let Some(warning) = self.warnings.pop() {
                return Noticed::Warning(warning);
            }
            let now = Instant::now();
            if let Some((_, files)) = self.pending.take_if(|(last, _)| *last + self.delay <= now) {
                return Noticed::Inputs(files.into_iter().collect());
            }
            if let Some(reload) = self.due.pop_front() {
                return Noticed::Reload(reload);
            }
            self.due.extend(self.trigger.poll(now));
            self.warnings.extend(self.trigger.take_warnings());
            if !self.due.is_empty() {
                continue;
            }
            let deadlines = [self.trigger.next_deadline(), self.pending.as_ref().map(|(last, _)| *last + self.delay)];
            let deadline = deadlines.into_iter().flatten().min().unwrap_or_else(|| now + FAR);
            tokio::select! {
                changes = self.changes.next() => {
                    let now = Instant::now();
                    let inputs = self.inputs.iter();
                    for path in inputs.filter(|path| changes.rescan || changes.paths.contains_key(*path)) {
                        if self.contents.changed(path, std::fs::read(path).ok().as_deref()) {
                            let (last, files) = self.pending.get_or_insert_with(|| (now, BTreeSet::new()));
                            *last = now;
                            files.insert(path.clone());
                        }
                    }
                    self.trigger.changed(now, &changes);
                    self.warnings.extend(changes.warnings);
                }
                () = sleep_until(deadline.into()) => {}
            }
        }
    }

    /// The reload has ended, well or not.
    pub(super) fn done(&mut self, service: &str) {
        self.trigger.done(Instant::now(), service);
    }
}

/// One target for each service that is meant, as the rules want them; and what is worth a warning.
fn settings(project: &Project) -> (Settings, Vec<String>) {
    let mut settings = project.settings.clone();
    let mut warnings = Vec::new();
    let Some((_, pattern)) = settings.project.targets.pop_first() else { return (settings, warnings) };
    let services = &project.meant.services;
    let paths = by_service(&pattern.watch.paths, &project.meant, &project.line.command.services);
    let mut binds = BTreeSet::new();
    for (name, service) in services {
        let target = target(&pattern, name, service, &project.meant, paths.get(name));
        warnings.extend(unknown_actions(name.clone(), &service.parts.develop.watch));
        if let TargetKind::Run(run) = &target.kind {
            binds.extend(run.spec.volumes.iter().filter_map(|mount| match &mount.source {
                MountSource::Bind { path, .. } => Some(path.clone()),
                _ => None,
            }));
        }
        settings.project.targets.insert(name.clone(), target);
    }
    settings.project.folder.clone_from(&project.found.directory);
    // A file that is mounted as it is concerns who has it mounted.
    settings.inputs = project.inputs().into_iter().filter(|path| !binds.contains(path)).collect();
    (settings, warnings)
}

fn target(
    pattern: &Target,
    name: &str,
    service: &Service,
    config: &ComposeConfig,
    paths: Option<&Vec<PathBuf>>,
) -> Target {
    let mut target = Target { name: name.to_owned(), ..pattern.clone() };
    target.watch.paths = paths.cloned().unwrap_or_default();
    let build = service.parts.build.as_ref().filter(|build| Path::new(&build.context).is_absolute());
    target.watch.rules.extend(watch_rules(&service.parts.develop.watch));
    if let TargetKind::Run(run) = &mut target.kind {
        run.spec.volumes = mounted(service, config)
            .map(|bind| Mount {
                source: MountSource::Bind { path: bind.path, create: false },
                target: String::new(),
                read_only: bind.read_only,
                propagation: None,
                selinux: None,
                nocopy: false,
            })
            .collect();
        run.build = build.map(|build| Build {
            context: build.context.clone().into(),
            dockerfile: build.dockerfile.as_ref().map(PathBuf::from),
            target: None,
            args: BTreeMap::new(),
        });
    }
    target
}

/// What the sync actions of a service copy.
pub(super) fn sync_rules(project: &Project, name: &str) -> Vec<SyncRule> {
    let pattern = project.settings.project.targets.values().next();
    let (Some(pattern), Some(service)) = (pattern, project.all.services.get(name)) else { return Vec::new() };
    let target = target(pattern, name, service, &project.all, None);
    let build = match &target.kind {
        TargetKind::Run(run) => run.build.as_ref(),
        _ => None,
    };
    rules(&project.found.directory, &target.watch, build, &project.settings.session.own_files())
}

/// What of the host a service has mounted: binds, and the files of its secrets and configs.
fn mounted<'a>(service: &'a Service, config: &'a ComposeConfig) -> impl Iterator<Item = Bind> + 'a {
    let binds = service.parts.volumes.iter().filter_map(compose::config::Mount::bind);
    let named = |all: &'a BTreeMap<String, serde_json::Value>, name: &str| {
        all.get(name).and_then(|value| value["file"].as_str()).map(PathBuf::from)
    };
    let secrets = service.parts.secrets.iter().filter_map(move |one| named(&config.secrets, &one.source));
    let configs = service.parts.configs.iter().filter_map(move |one| named(&config.configs, &one.source));
    binds.chain(secrets.chain(configs).map(|path| Bind { path, read_only: true }))
}

/// Which of the paths that are named (`MCPMON_WATCH`) concern which service: those that have something of it in their
/// mounts, build context or rules; where no service has, those that the line names, or all.
fn by_service(
    paths: &[PathBuf],
    config: &ComposeConfig,
    named: &[std::ffi::OsString],
) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let touches = |other: &Path| other.starts_with(path) || path.starts_with(other);
        let concerned = |service: &Service| {
            let build = service.parts.build.as_ref().map(|build| PathBuf::from(&build.context));
            let rules = service.parts.develop.watch.iter().map(|rule| rule.path.clone());
            let mounted = mounted(service, config).map(|bind| bind.path);
            mounted.chain(build).chain(rules).any(|other| other.is_absolute() && touches(&other))
        };
        let mut services: Vec<&String> =
            config.services.iter().filter(|(_, service)| concerned(service)).map(|(name, _)| name).collect();
        if services.is_empty() {
            let is_named = |name: &String| named.is_empty() || named.iter().any(|one| one == name.as_str());
            services = config.services.keys().filter(|name| is_named(name)).collect();
        }
        for name in services {
            found.entry(name.clone()).or_default().push(path.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_paths_concern_those_who_have_them() {
        let config = ComposeConfig::parse(
            br#"{"name": "p", "services": {
                "web": {"volumes": [{"type": "bind", "source": "/p/src", "target": "/src"}], "secrets": [{"source": "s"}]},
                "api": {"build": {"context": "/p/api"}},
                "db": {"volumes": [{"type": "volume", "source": "/p/data", "target": "/d"}]}},
                "secrets": {"s": {"file": "/p/keys/s"}}}"#,
        )
        .expect("a project");
        for (path, named, expected) in [
            ("/p/src", "", "web"),
            ("/p/src/sub", "", "web"),
            ("/p", "", "api web"),
            ("/p/keys", "", "web"),
            ("/p/data", "", "api db web"),
            ("/p/data", "db", "db"),
            ("/p/api/x", "db", "api"),
        ] {
            let named: Vec<std::ffi::OsString> = named.split_whitespace().map(Into::into).collect();
            let found = by_service(&[path.into()], &config, &named);
            assert_eq!(found.keys().cloned().collect::<Vec<_>>().join(" "), expected, "{path}");
        }
    }
}
