//! The tables beside `[targets]`: watching, reconciling, the engine, logs, networks and volumes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forms::{ListOr, StringOr},
    scalar::{Duration, Flag, Scalar, Verbosity},
};

/// What is watched, for every target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Watch {
    /// Files and folders whose changes restart the targets. `auto` (default) stands for what mcpmon finds itself: bind
    /// mounts (a change restarts) and build contexts (a change rebuilds).
    pub paths: Option<StringOr<String>>,
    /// Globs of files that never cause a reload, relative to this file. Default: none.
    pub ignore: Option<StringOr<String>>,
    /// Only files with one of these suffixes cause a reload (`rs`, `py`). Default: all files.
    pub extensions: Option<StringOr<String>>,
    /// Names of ignore files that are honoured. Default `.gitignore` and `.dockerignore`.
    pub ignore_files: Option<StringOr<String>>,
    /// How long files must be quiet before a reload; each new change starts it afresh, 10 s at most. Default 100ms.
    pub delay: Option<Duration>,
}

/// How `mcpmon up` keeps containers as the file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Reconcile {
    /// How often everything is compared afresh; the engine's events drive the rest. Default 30s.
    pub interval: Option<Duration>,
    /// What to do about what was changed from outside: put it right (`recreate`, default), say it (`warn`) or leave it
    /// (`ignore`).
    #[schemars(extend("enum" = ["recreate", "warn", "ignore"]))]
    pub on_drift: Option<String>,
    /// Remove containers of targets that left the file. Default true.
    pub prune: Option<Flag>,
    /// How a crashing target is tried again.
    pub backoff: Option<Backoff>,
    /// What happens to the containers when `mcpmon up` ends: they are stopped and removed (`remove`, default) or left
    /// running (`keep`).
    #[schemars(extend("enum" = ["remove", "keep"]))]
    pub on_exit: Option<String>,
}

/// How a crashing target is tried again: after `initial`, then twice as long each time, up to `max`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Backoff {
    /// The first wait. Default 500ms.
    pub initial: Option<Duration>,
    /// The longest wait. Default 30s.
    pub max: Option<Duration>,
    /// After running this long, earlier crashes are forgotten. Default 60s.
    pub reset_after: Option<Duration>,
}

/// How mcpmon uses the container engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Docker {
    /// How long one call to the engine may take; pulls and builds are exempt. Default 30s.
    pub timeout: Option<Duration>,
    /// How long a stop may take before the kill, where a target does not say so itself. Default 10s.
    pub stop_grace_period: Option<Duration>,
    /// Remove mcpmon's own containers on exit, and this project's orphans on start. Default true.
    pub cleanup: Option<Flag>,
    /// Labels for every container: a table, or a list of `KEY=value`. `mcpmon.*` is mcpmon's own.
    pub labels: Option<ListOr<Scalar>>,
}

/// What mcpmon says about its own work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Log {
    /// The log level; wins over `verbose`. Default `info`.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace"]))]
    pub level: Option<String>,
    /// Say more: false (default), true or 1 for `debug`, 2 or 3 for `trace`.
    pub verbose: Option<Verbosity>,
    /// A file that gets the log as well, relative to this file.
    pub file: Option<String>,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Network {
    /// Its name on the engine. Default `<project>_<key>`; for an external one, the key.
    pub name: Option<String>,
    /// It was made by someone else: mcpmon neither makes nor removes it.
    pub external: Option<Flag>,
    /// The driver. Default: the engine's, `bridge`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: Option<BTreeMap<String, Scalar>>,
    /// Without a way out of the host.
    pub internal: Option<Flag>,
    /// Containers may be attached by hand.
    pub attachable: Option<Flag>,
    /// With IPv6.
    pub enable_ipv6: Option<Flag>,
    /// Labels: a table, or a list of `KEY=value`. `mcpmon.*` is mcpmon's own.
    pub labels: Option<ListOr<Scalar>>,
}

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Volume {
    /// Its name on the engine. Default `<project>_<key>`; for an external one, the key.
    pub name: Option<String>,
    /// It was made by someone else: mcpmon neither makes nor removes it.
    pub external: Option<Flag>,
    /// The driver. Default: the engine's, `local`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: Option<BTreeMap<String, Scalar>>,
    /// Labels: a table, or a list of `KEY=value`. `mcpmon.*` is mcpmon's own.
    pub labels: Option<ListOr<Scalar>>,
}
