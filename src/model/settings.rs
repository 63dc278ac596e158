//! What the layers of configuration add up to: every value filled in, nothing left to look up.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::target::Project;

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The desired state.
    pub project: Project,
    /// How the loop behaves.
    pub reconcile: ReconcileSettings,
    /// Time limits and clean-up of this session.
    pub session: SessionSettings,
    /// Files whose edit means "read the configuration again": config files, `.env`, env files (also missing ones).
    pub inputs: Vec<PathBuf>,
    /// Things worth saying that are no errors (an unknown `MCPMON_*` variable), one line each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Whether `up` leaves its containers when it ends.
    pub fn leaves_containers(&self) -> bool {
        self.reconcile.on_exit == OnExit::Keep || !self.session.cleanup
    }
}

/// `[reconcile]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// Full resync; engine events drive the rest.
    pub interval: Duration,
    /// What to do about what was changed from outside.
    pub on_drift: OnDrift,
    /// Remove what left the file.
    pub prune: bool,
    /// How a crashing target is retried.
    pub backoff: BackoffSettings,
    /// What happens to the containers when the session ends.
    pub on_exit: OnExit,
}

/// How a crashing target is retried: `initial`, doubled each time up to `max`; forgotten after `reset_after` of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffSettings {
    /// First wait.
    pub initial: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Running this long forgets earlier crashes.
    pub reset_after: Duration,
}

/// `reconcile.on_drift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrift {
    /// Put it right.
    Recreate,
    /// Say it.
    Warn,
    /// Leave it.
    Ignore,
}

/// `reconcile.on_exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// Stop and remove.
    Remove,
    /// Leave them running.
    Keep,
}

/// Time limits and habits of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// One engine call (`MCPMON_DOCKER_TIMEOUT`); pull and build are exempt.
    pub docker_timeout: Duration,
    /// Remove own containers on exit, orphans of this project on start (`MCPMON_DOCKER_CLEANUP`).
    pub cleanup: bool,
    /// Labels added to every container (`MCPMON_DOCKER_LABELS`).
    pub labels: BTreeMap<String, String>,
    /// Where extensions keep their files (`MCPMON_EXTENSIONS_DIR`), absolute; never watched.
    pub extensions_dir: PathBuf,
    /// Log level: `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: String,
    /// Log file as well.
    pub log_file: Option<PathBuf>,
}

/// What is watched for a target, and what a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchSettings {
    /// Absolute paths watched besides what `auto` finds; a change restarts.
    pub paths: Vec<PathBuf>,
    /// Watch bind mounts (restart) and build contexts (rebuild).
    pub auto: bool,
    /// Globs that never cause a reload.
    pub ignore: Vec<String>,
    /// Only files with these suffixes (without the dot) cause a reload; empty = all.
    pub extensions: Vec<String>,
    /// Names of ignore files honoured (`.gitignore`, `.dockerignore`).
    pub ignore_files: Vec<String>,
    /// How long files must be quiet before a reload.
    pub delay: Duration,
    /// `develop.watch`, in order; the first rule that matches decides.
    pub rules: Vec<WatchRule>,
}

/// One `[[targets.NAME.develop.watch]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRule {
    /// Absolute path.
    pub path: PathBuf,
    /// What a change under it does.
    pub action: WatchAction,
    /// Globs relative to `path` that a change must match; empty = all.
    pub include: Vec<String>,
    /// Globs relative to `path` that never match.
    pub ignore: Vec<String>,
    /// Where in the container (`sync` actions).
    pub target: Option<String>,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchAction {
    /// Replace the container by a fresh one of the same image.
    Restart,
    /// Build the image, then replace the container.
    Rebuild,
}
