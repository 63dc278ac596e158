//! What is watched for a line's container, and when it is due for a reload. Without anything to watch there is no
//! watcher at all. It must not know what a reload does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use super::container::Session;
use crate::{
    commands::context::Context,
    error::Result,
    model::{Settings, TargetKind},
    trigger::{Reload, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

/// No deadline is set: a change wakes.
const FAR: Duration = Duration::from_hours(1);

/// Which of the line's bind mounts are watched by themselves (`MCPMON_WATCH` names others).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binds {
    /// All of them, as for `up`.
    All,
    /// Those that the container can't write to. A line in the foreground is as often a job as a server, and a job
    /// that writes into its mounted folder must not start itself again.
    ReadOnly,
}

/// What was noticed.
#[derive(Debug)]
pub(super) enum Noticed {
    /// Files changed, and are quiet.
    Reload(Reload),
    /// Something that a person should know.
    Warning(String),
}

/// What is watched.
pub(super) struct Watching {
    rules: Arc<Rules>,
    trigger: Trigger,
    warnings: Vec<String>,
    watcher: Option<(Watcher, ChangeReceiver)>,
}

impl Watching {
    /// Watches nothing yet.
    pub(super) fn new(context: &Context, session: &Session, binds: Binds) -> Result<Self> {
        let settings = with_binds(session.settings.clone(), binds);
        let rules = Arc::new(Rules::new(&settings, context.home().as_deref()));
        let watcher = if rules.roots().is_empty() { None } else { Some(Watcher::new()?) };
        if watcher.is_none() {
            tracing::debug!("nothing is watched: the line has no such mount; MCPMON_WATCH names other folders");
        }
        let warnings = rules.targets().iter().flat_map(|target| target.warnings.clone()).collect();
        Ok(Self { trigger: Trigger::new(Arc::clone(&rules)), rules, warnings, watcher })
    }

    /// Something is watched.
    pub(super) fn is_on(&self) -> bool {
        self.watcher.is_some()
    }

    /// When it returns, everything that changes from now on will be noticed.
    pub(super) async fn begin(&self) {
        if let Some((watcher, _)) = &self.watcher {
            watcher.set(Arc::clone(&self.rules), std::iter::empty()).await;
        }
    }

    /// Waits for what is noticed next. Nothing is lost when the future is dropped half-way.
    pub(super) async fn next(&mut self) -> Noticed {
        loop {
            if let Some(warning) = self.warnings.pop() {
                return Noticed::Warning(warning);
            }
            let Some((_, changes)) = &mut self.watcher else { return std::future::pending().await };
            // One target, at most one reload.
            if let Some(reload) = self.trigger.poll(Instant::now()).pop() {
                self.warnings.extend(self.trigger.take_warnings());
                return Noticed::Reload(reload);
            }
            let deadline = self.trigger.next_deadline().unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                changes = changes.next() => {
                    self.trigger.changed(Instant::now(), &changes);
                    self.warnings.extend(changes.warnings);
                }
                () = sleep_until(deadline.into()) => {}
            }
        }
    }

    /// The reload has ended, well or not.
    pub(super) fn done(&mut self, reload: &Reload) {
        self.trigger.done(Instant::now(), &reload.target);
    }
}

/// The settings with these bind mounts only.
fn with_binds(mut settings: Settings, binds: Binds) -> Settings {
    for target in settings.project.targets.values_mut() {
        if let TargetKind::Run(run) = &mut target.kind {
            run.spec.volumes.retain(|mount| binds == Binds::All || mount.read_only);
        }
    }
    settings
}
