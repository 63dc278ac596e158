//! Saved files: those that the session's server runs on, and those that say what it is. What a change means is decided by
//! [`crate::trigger`]; it must not know how a server is replaced.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::News;
use crate::{
    detect::{self, Disk},
    error::Error,
    model::{Settings, Target, TargetKind, WatchSettings, settings::WatchAction},
    output::{Event, Reporter},
    trigger::{Changes, Inputs, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

/// What the user has beside the configuration, as far as it says what is watched.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Never watched as a whole.
    pub home: Option<PathBuf>,
    /// `PATH`: where a command's program is.
    pub path: OsString,
    /// `PYTHONPATH`.
    pub python_path: Option<OsString>,
}

/// Reads the configuration again.
pub type Load = Box<dyn Fn() -> BoxFuture<'static, Result<Settings, Error>> + Send>;

/// The files of one target.
pub struct Files {
    watcher: Watcher,
    changes: ChangeReceiver,
    rules: Arc<Rules>,
    trigger: Trigger,
    inputs: Inputs,
    settings: Arc<Settings>,
    /// The same, for whoever else goes by them.
    in_force: watch::Sender<Arc<Settings>>,
    target: String,
    surroundings: Surroundings,
    load: Load,
    reporter: Reporter,
    /// Warnings that were said.
    warned: BTreeSet<String>,
}

impl Files {
    /// Watches the files of that target, and those of the configuration: what changes from now on is seen.
    ///
    /// # Errors
    /// The system gives no watcher.
    pub async fn new(
        settings: Arc<Settings>,
        target: &str,
        surroundings: Surroundings,
        load: Load,
        reporter: Reporter,
    ) -> Result<Self, Error> {
        let (watcher, changes) = Watcher::new()?;
        let rules = Arc::new(Rules::none());
        let mut files = Self {
            watcher,
            changes,
            trigger: Trigger::new(Arc::clone(&rules)),
            rules,
            inputs: Inputs::default(),
            in_force: watch::Sender::new(Arc::clone(&settings)),
            settings,
            target: target.to_owned(),
            surroundings,
            load,
            reporter,
            warned: BTreeSet::new(),
        };
        files.watch().await;
        Ok(files)
    }

    /// The settings in force, now and after each edit.
    pub fn in_force(&self) -> watch::Receiver<Arc<Settings>> {
        self.in_force.subscribe()
    }

    /// Tells of changes, until nobody listens. `edited` takes settings whose target is another one than before, and
    /// returns when servers are started as they say. `sync` copies what a sync rule covers into the servers that run, which
    /// go on; a reload (`sync+restart` is one: the new server's container gets the files before it starts) is news.
    pub async fn run<F: Future<Output = ()>, S: Future<Output = ()>>(
        mut self,
        news: mpsc::UnboundedSender<News>,
        edited: impl Fn(Arc<Settings>) -> F,
        sync: impl Fn(WatchAction) -> S,
    ) {
        loop {
            let quiet = self.trigger.next_deadline();
            tokio::select! {
                changes = self.changes.next() => {
                    self.trigger.changed(Instant::now(), &changes);
                    if self.changed(&changes).await {
                        edited(Arc::clone(&self.settings)).await;
                        // What else has changed is part of the same reload.
                        self.trigger.forget(&self.target);
                        if news.send(News::Changed { rebuild: false }).is_err() {
                            return;
                        }
                    }
                }
                () = sleep_until(quiet) => {}
            }
            let due = self.trigger.poll(Instant::now());
            for message in self.trigger.take_warnings() {
                self.reporter.report(Event::Warning { message });
            }
            for reload in due {
                // The session merges what changes during a reload by itself.
                self.trigger.done(Instant::now(), &reload.target);
                if matches!(reload.action, WatchAction::Sync | WatchAction::SyncExec) {
                    sync(reload.action).await;
                    continue;
                }
                if let Some(missing) = self.missing_source() {
                    let reason = format!(
                        "the volume's source {missing} is gone; the server goes on, and reloads when it is back"
                    );
                    self.reporter.report(Event::Warning { message: format!("{}: {reason}", self.target) });
                    continue;
                }
                tracing::debug!(
                    "{}: {} changed, {} files",
                    self.target,
                    reload.first_path.unwrap_or_default().display(),
                    reload.count
                );
                if news.send(News::Changed { rebuild: reload.action == WatchAction::Rebuild }).is_err() {
                    return;
                }
            }
        }
    }

    /// Takes changes of the configuration's files; true when the target is another one now.
    async fn changed(&mut self, changes: &Changes) -> bool {
        for message in &changes.warnings {
            self.warn(message.clone());
        }
        let rules = Arc::clone(&self.rules);
        let touched = rules.inputs().iter().filter(|path| changes.rescan || changes.paths.contains_key(*path));
        let mut edited = Vec::new();
        for path in touched {
            if self.inputs.changed(path, std::fs::read(path).ok().as_deref()) {
                edited.push(self.shown(path));
            }
        }
        !edited.is_empty() && self.read_settings(edited).await
    }

    /// Reads the configuration again; what has errors leaves the last good one in force.
    async fn read_settings(&mut self, files: Vec<String>) -> bool {
        let invalid = |error: String| self.reporter.report(Event::ConfigInvalid { error });
        let settings = match (self.load)().await {
            Ok(settings) => settings,
            Err(error) => {
                invalid(error.message);
                return false;
            }
        };
        let (old, new) = (&self.settings.project, &settings.project);
        if old.name != new.name {
            let (old, new) = (&old.name, &new.name);
            invalid(format!("the project's name changed from {old} to {new}: that takes another session"));
            return false;
        }
        let (Some(before), Some(after)) = (old.targets.get(&self.target), new.targets.get(&self.target)) else {
            invalid(format!("target {} left the file; this session goes on with it as it was", self.target));
            return false;
        };
        if std::mem::discriminant(&before.kind) != std::mem::discriminant(&after.kind) {
            invalid(format!("target {} became another kind of target: that takes another session", self.target));
            return false;
        }
        self.reporter.report(Event::ConfigReloaded { files });
        let is_other = is_made_of_other(before, after);
        if before.mcp != after.mcp || before.update != after.update {
            let message =
                format!("{}: mcp and deploy.update_config count from the client's next start on", self.target);
            self.reporter.report(Event::Warning { message });
        }
        let before = std::mem::replace(&mut self.settings, Arc::new(settings));
        self.in_force.send_replace(Arc::clone(&self.settings));
        for message in Arc::clone(&self.settings).warnings.iter().filter(|message| !before.warnings.contains(message)) {
            self.warn(message.clone());
        }
        self.watch().await;
        is_other
    }

    /// Watches what the settings in force ask for.
    async fn watch(&mut self) {
        let mut settings = Settings::clone(&self.settings);
        for (name, target) in &mut settings.project.targets {
            if *name != self.target {
                target.watch =
                    WatchSettings { paths: Vec::new(), auto: false, rules: Vec::new(), ..target.watch.clone() };
            }
        }
        let Surroundings { home, path, python_path } = &self.surroundings;
        let mut rules = Rules::new(&settings, home.as_deref());
        let commands = detect::Surroundings {
            files: &Disk::new(path),
            folder: &settings.project.folder,
            home: home.as_deref(),
            python_path: python_path.as_deref(),
        };
        let detected = detect::watch(&mut rules, &settings.project, commands).remove(&self.target);
        let rules = Arc::new(rules);
        for found in detected.iter().flat_map(|detected| &detected.found) {
            tracing::debug!("{}: watching {found}", self.target);
        }
        if let Some(nothing) = detected.and_then(|detected| detected.nothing) {
            self.warn(format!("{}: {nothing}", self.target));
        }
        for path in rules.inputs().iter().filter(|path| !self.inputs.knows(path)).collect::<Vec<_>>() {
            self.inputs.remember(path, std::fs::read(path).ok().as_deref());
        }
        for message in rules.targets().iter().flat_map(|target| &target.warnings) {
            self.warn(message.clone());
        }
        self.trigger.set_rules(Arc::clone(&rules));
        self.watcher.set(Arc::clone(&rules), rules.inputs().clone()).await;
        self.rules = rules;
    }

    /// A folder of the target that is gone just now (a branch switch, a rename): a new container would have the engine
    /// make an empty one in its place. What comes back is a change of its own.
    fn missing_source(&self) -> Option<String> {
        let target = self.settings.project.targets.get(&self.target)?;
        let missing = target.kind.binds().into_iter().map(|bind| bind.path).find(|path| !path.exists());
        missing.map(|path| self.shown(&path))
    }

    fn warn(&mut self, message: String) {
        if self.warned.insert(message.clone()) {
            self.reporter.report(Event::Warning { message });
        }
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.settings.project.folder).unwrap_or(path).display().to_string()
    }
}

/// Whether a server started as the one says differs from one started as the other says.
fn is_made_of_other(before: &Target, after: &Target) -> bool {
    match (&before.kind, &after.kind) {
        (TargetKind::Run(before), TargetKind::Run(after)) => before.spec != after.spec || before.build != after.build,
        (TargetKind::Service(before), TargetKind::Service(after)) => {
            before.hash != after.hash || before.build != after.build
        }
        (before, after) => before != after,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
