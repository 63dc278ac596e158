//! What a target says about reloading: compose-spec's `develop` and `deploy.update_config`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forms::{ListOr, StringOr},
    scalar::{Duration, Flag, Scalar},
};

/// What is watched, and what a change does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Develop {
    /// Rules; where several match a change, the strongest action counts (rebuild, restart, sync+restart, sync+exec, sync).
    pub watch: Option<Vec<WatchRule>>,
}

/// One watched path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WatchRule {
    /// The file or folder that is watched, relative to this file.
    #[schemars(required)]
    pub path: Option<String>,
    /// What a change does: `restart` the target in a fresh container, or `rebuild` its image first. `sync` copies what
    /// changed into the running container, `sync+restart` then restarts it, `sync+exec` then runs a command in it.
    #[schemars(required, extend("enum" = ["restart", "rebuild", "sync", "sync+restart", "sync+exec"]))]
    pub action: Option<String>,
    /// Where in the container the `sync` actions copy to: an absolute path.
    pub target: Option<String>,
    /// Copy everything when watching begins, too, into a container that runs already (`sync` actions). Default false.
    pub initial_sync: Option<Flag>,
    /// What `sync+exec` runs.
    pub exec: Option<ExecHook>,
    /// Globs, relative to `path`, of the files that matter. Default: all.
    pub include: Option<StringOr<String>>,
    /// Globs, relative to `path`, of files that never matter.
    pub ignore: Option<StringOr<String>>,
}

/// A command that is run in the container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ExecHook {
    /// The command: a list, or a string that is split as a shell would, but not run by one.
    #[schemars(required)]
    pub command: Option<StringOr<String>>,
    /// `user[:group]` that it runs as. Default: the container's.
    pub user: Option<String>,
    /// Where it runs. Default: the container's.
    pub working_dir: Option<String>,
    /// More variables: a table, or a list of `KEY=value`. A bare `KEY` comes from the host.
    pub environment: Option<ListOr<Scalar>>,
    /// With all rights. Default false.
    pub privileged: Option<Flag>,
}

/// compose-spec's `deploy`, as far as a reload needs it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Deploy {
    /// How a reload swaps containers.
    pub update_config: Option<UpdateConfig>,
}

/// How a reload swaps containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UpdateConfig {
    /// `start-first`: the new container starts beside the old one; `stop-first`: the old one stops before. Default:
    /// start-first where nothing stands in the way (no published port, no `container_name`).
    #[schemars(extend("enum" = ["start-first", "stop-first"]))]
    pub order: Option<String>,
    /// When the new container does not become ready: `rollback` (default) to the old one, or `pause` with the new one.
    #[schemars(extend("enum" = ["rollback", "pause"]))]
    pub failure_action: Option<String>,
    /// How long the new container has to become ready. Default 10s.
    pub monitor: Option<Duration>,
}
