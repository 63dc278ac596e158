//! What can be said about a running project: one documented event per line with `--format json`,
//! and the source of everything a person is shown. It must not know how it is shown.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::settings::WatchAction;

/// Something happened. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The session began.
    SessionStarted {
        /// Project name.
        project: String,
        /// Session UUID.
        session: String,
        /// Process id.
        pid: u32,
        /// Targets asked for.
        targets: Vec<String>,
    },
    /// An action began.
    ActionStarted {
        /// Target, network or volume.
        target: String,
        /// What is done.
        action: ActionKind,
        /// Why.
        cause: String,
    },
    /// A line of a pull or build.
    ActionProgress {
        /// Target.
        target: String,
        /// What is done.
        action: ActionKind,
        /// The line.
        line: String,
    },
    /// An action ended well.
    ActionDone {
        /// Target, network or volume.
        target: String,
        /// What was done.
        action: ActionKind,
        /// How long it took.
        duration_ms: u64,
    },
    /// An action failed; other targets go on.
    ActionFailed {
        /// Target, network or volume.
        target: String,
        /// What was tried.
        action: ActionKind,
        /// What happened.
        error: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// The last lines it printed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
        /// When it is tried again; none = when something changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
    /// A target can't go on yet.
    Held {
        /// Target.
        target: String,
        /// Why.
        reason: String,
    },
    /// A target is as asked.
    Ready {
        /// Target.
        target: String,
        /// Container id (short).
        container: String,
        /// Since its action began, where one was needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
    /// Watched files changed; a reload follows.
    FilesChanged {
        /// Target.
        target: String,
        /// The first of them.
        path: String,
        /// How many.
        count: usize,
        /// What follows.
        action: ActionKind,
    },
    /// The new container answers; the old one is gone.
    Reloaded {
        /// Target.
        target: String,
        /// From the end of the quiet time to the new container being ready.
        duration_ms: u64,
        /// `start-first` or `stop-first`.
        order: Cow<'static, str>,
    },
    /// The new container did not become ready; the old one goes on.
    ReloadFailed {
        /// Target.
        target: String,
        /// Why.
        error: String,
        /// The last lines the new one printed.
        log: Vec<String>,
    },
    /// A container ended by itself.
    Crashed {
        /// Target.
        target: String,
        /// Its exit code.
        exit_code: Option<i64>,
        /// Crashes in a row.
        failures: u32,
        /// When it is started again.
        retry_ms: u64,
        /// The last lines it printed.
        log: Vec<String>,
    },
    /// A line a target printed.
    Log {
        /// Target.
        target: String,
        /// `stdout` or `stderr`.
        stream: Cow<'static, str>,
        /// The line.
        line: String,
    },
    /// The configuration was read again.
    ConfigReloaded {
        /// Files that changed.
        files: Vec<String>,
    },
    /// The configuration has errors; the last good one stays in force.
    ConfigInvalid {
        /// The diagnostics as shown.
        error: String,
    },
    /// The engine stopped answering; mcpmon goes on when it is back.
    EngineLost {
        /// What the connection said.
        error: String,
    },
    /// The engine answers again.
    EngineBack,
    /// Something worth knowing.
    Warning {
        /// What.
        message: String,
    },
    /// Why the command ends without having done what was asked; on stderr, one for each thing that is wrong.
    Error {
        /// What is wrong.
        message: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// Where: the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Its line, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        /// The column in characters, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
        /// What is to be changed: `mcpmon.toml:12:5`, `MCPMON_DELAY`, `--delay`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
        /// The key of the configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// What the process ends with.
        exit_code: u8,
    },
    /// A target is as asked already; nothing was done.
    Unchanged {
        /// Target.
        target: String,
        /// Container id (short).
        container: String,
    },
    /// Everything that can be started has been; whether all of it is ready is not known yet.
    Started {
        /// Targets that run.
        running: usize,
    },
    /// Everything is as asked, or held.
    Settled {
        /// Targets that run (or are done).
        ready: usize,
        /// Targets that don't.
        held: usize,
        /// Since the session began.
        duration_ms: u64,
    },
    /// `cleanup` has found something of mcpmon's on the engine, and whose it is.
    Found {
        /// `container` or `network`.
        kind: Cow<'static, str>,
        /// Its name.
        name: String,
        /// Container id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Image reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// The engine's words for its state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        /// Seconds since it was created, by the engine's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        age_s: Option<u64>,
        /// Project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// Target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The session that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// That session's process id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// `orphan`, `owned`, `kept`, `remote`; `young`, `not_old_enough`: an orphan that is left for now.
        verdict: Cow<'static, str>,
        /// How that is known.
        why: String,
    },
    /// The session ends; containers are being stopped.
    Stopping {
        /// Why (`SIGINT`).
        cause: String,
    },
    /// The session has ended.
    Stopped {
        /// Containers removed.
        removed: usize,
        /// Left on purpose or by failure.
        left: usize,
        /// How many of those left are networks.
        #[serde(default, skip_serializing_if = "is_none")]
        left_networks: usize,
        /// And how many are volumes; the others are containers.
        #[serde(default, skip_serializing_if = "is_none")]
        left_volumes: usize,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference to the field")]
fn is_none(number: &usize) -> bool {
    *number == 0
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Make a network.
    CreateNetwork,
    /// Make a volume.
    CreateVolume,
    /// Remove a network.
    RemoveNetwork,
    /// Remove a volume.
    RemoveVolume,
    /// Fetch an image.
    Pull,
    /// Build an image.
    Build,
    /// Make and start a container.
    Create,
    /// Start a container that is there.
    Start,
    /// Replace a container by another one.
    Replace,
    /// Replace a container by a fresh one because files changed.
    Restart,
    /// Build, then replace, because files changed.
    Rebuild,
    /// Copy what changed into the running container.
    Sync,
    /// The same, then run a command in it.
    SyncExec,
    /// The same, then restart it.
    SyncRestart,
    /// Take over a container of a dead session, as it is.
    Adopt,
    /// Go on after a pause from outside.
    Unpause,
    /// Give a container its name back.
    Rename,
    /// Stop and remove a container.
    Remove,
}

impl ActionKind {
    /// For "api: creating …".
    pub fn gerund(self) -> &'static str {
        match self {
            Self::CreateNetwork => "creating network",
            Self::CreateVolume => "creating volume",
            Self::RemoveNetwork => "removing network",
            Self::RemoveVolume => "removing volume",
            Self::Pull => "pulling",
            Self::Build => "building",
            Self::Create => "creating",
            Self::Start => "starting",
            Self::Replace => "replacing",
            Self::Restart => "restarting",
            Self::Rebuild => "rebuilding",
            Self::Sync => "syncing",
            Self::SyncExec => "syncing and running its command",
            Self::SyncRestart => "syncing and restarting",
            Self::Adopt => "adopting",
            Self::Unpause => "unpausing",
            Self::Rename => "renaming",
            Self::Remove => "removing",
        }
    }

    /// For "api: created in 320 ms".
    pub fn past(self) -> &'static str {
        match self {
            Self::CreateNetwork => "network created",
            Self::CreateVolume => "volume created",
            Self::RemoveNetwork => "network removed",
            Self::RemoveVolume => "volume removed",
            Self::Pull => "pulled",
            Self::Build => "built",
            Self::Create => "created",
            Self::Start => "started",
            Self::Replace => "replaced",
            Self::Restart => "restarted",
            Self::Rebuild => "rebuilt",
            Self::Sync => "synced",
            Self::SyncExec => "synced, and its command run",
            Self::SyncRestart => "synced and restarted",
            Self::Adopt => "adopted",
            Self::Unpause => "unpaused",
            Self::Rename => "renamed",
            Self::Remove => "removed",
        }
    }
}

impl From<WatchAction> for ActionKind {
    fn from(action: WatchAction) -> Self {
        match action {
            WatchAction::Sync => Self::Sync,
            WatchAction::SyncExec => Self::SyncExec,
            WatchAction::SyncRestart => Self::SyncRestart,
            WatchAction::Restart => Self::Restart,
            WatchAction::Rebuild => Self::Rebuild,
        }
    }
}

/// A duration as events tell it.
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
