//! What a target says about reloading: compose-spec's `develop` and `deploy.update_config`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{forms::StringOr, scalar::Duration};

/// What is watched, and what a change does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Develop {
    /// Rules in order; the first one that matches decides.
    pub watch: Option<Vec<WatchRule>>,
}

/// One watched path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WatchRule {
    /// The file or folder that is watched, relative to this file.
    #[schemars(required)]
    pub path: Option<String>,
    /// What a change does: `restart` the target in a fresh container, or `rebuild` its image first. The `sync` actions
    /// copy the file into the running container (not there yet).
    #[schemars(required, extend("enum" = ["restart", "rebuild", "sync", "sync+restart", "sync+exec"]))]
    pub action: Option<String>,
    /// Where in the container the `sync` actions copy to.
    pub target: Option<String>,
    /// Globs, relative to `path`, of the files that matter. Default: all.
    pub include: Option<StringOr<String>>,
    /// Globs, relative to `path`, of files that never matter.
    pub ignore: Option<StringOr<String>>,
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
