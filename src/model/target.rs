//! A project and its targets, as asked for: what the plan compares with what the engine has.
//! It must not know where a value came from; that is the config's business.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    ContainerSpec,
    secret::Secrets,
    service::ServiceTarget,
    settings::WatchSettings,
    spec::{MountSource, NetworkAttachment},
};

/// One `mcpmon.toml`, resolved: the desired state.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name: labels, names of containers, networks and images come from it.
    pub name: String,
    /// The folder that relative paths are relative to.
    pub folder: PathBuf,
    /// The file it came from; goes into a label.
    pub config_file: PathBuf,
    /// Targets by name.
    pub targets: BTreeMap<String, Target>,
    /// Networks to make, by their name on the engine. External ones are not here.
    pub networks: BTreeMap<String, NetworkSpec>,
    /// Named volumes to make, by their name on the engine. External ones are not here.
    pub volumes: BTreeMap<String, VolumeSpec>,
}

impl Project {
    /// The targets that a name on the command line means: the one of that name, or all services of a compose target.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Target> {
        self.targets.values().filter(move |target| belongs(&target.name, name))
    }

    /// Names that mean something: targets, and compose targets as a whole.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
        names.extend(self.targets.keys().filter_map(|name| Some(name.split_once('/')?.0)));
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Whether a target is meant by a name: its own, or that of its compose target.
pub fn belongs(target: &str, name: &str) -> bool {
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One entry of `[targets]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// Who must be there first, and how far.
    pub depends_on: BTreeMap<String, Condition>,
    /// What is watched for it, and what a change does.
    pub watch: WatchSettings,
    /// How a reload swaps containers.
    pub update: UpdateConfig,
    /// What MCP needs to know about it.
    pub mcp: McpSettings,
}

/// The three kinds of target.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetKind {
    /// A container from an image or a build.
    Run(Box<RunTarget>),
    /// Services of a compose project, as written; where targets are run, each of its services has taken its place.
    Compose(ComposeTarget),
    /// One service of a compose project.
    Service(Box<ServiceTarget>),
    /// A plain command; runs in a stdio session only.
    Process(ProcessTarget),
}

/// A plain command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTarget {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// From SIGTERM to SIGKILL; and what a replaced one has to answer what it already has.
    pub stop_grace_period: Duration,
}

/// A folder or file of the host that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub path: PathBuf,
    /// The container can't write it.
    pub read_only: bool,
}

impl TargetKind {
    /// What of the host its containers mount.
    pub fn binds(&self) -> Vec<Bind> {
        match self {
            Self::Run(run) => {
                let binds = run.spec.volumes.iter().filter_map(|mount| match &mount.source {
                    MountSource::Bind { path, .. } => Some(Bind { path: path.clone(), read_only: mount.read_only }),
                    MountSource::Volume(_) | MountSource::Anonymous => None,
                });
                binds.collect()
            }
            Self::Service(service) => service.binds.clone(),
            Self::Compose(_) | Self::Process(_) => Vec::new(),
        }
    }
}

/// A run target.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTarget {
    /// The container.
    pub spec: ContainerSpec,
    /// How its image is built, if it is.
    pub build: Option<Build>,
    /// When its image is fetched or built.
    pub pull_policy: PullPolicy,
    /// What of the spec's texts must not be shown, wherever it stands.
    pub secrets: Secrets,
}

impl RunTarget {
    /// Why there can be only one of its containers at a time, where there is a reason. A fixed host port can be held by
    /// one container at a time, and so can the host's own network; a fixed container name stands for "there is one of it".
    pub fn only_one(&self) -> Option<String> {
        let port = self.spec.ports.iter().find(|port| port.published != 0);
        port.map(|port| format!("host port {}", port.published)).or_else(|| self.only_one_on_any_port())
    }

    /// The same, but for its ports.
    pub fn only_one_on_any_port(&self) -> Option<String> {
        if let Some(mode) = self.spec.network_mode.as_deref().filter(|mode| *mode != "none" && *mode != "bridge") {
            return Some(format!("network_mode {mode:?}"));
        }
        let address =
            |network: &NetworkAttachment| network.ipv4_address.clone().or_else(|| network.ipv6_address.clone());
        if let Some(address) = self.spec.networks.values().find_map(address) {
            return Some(format!("address {address}"));
        }
        self.spec.container_name.as_ref().map(|name| format!("container_name {name:?}"))
    }
}

/// compose's `build`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Absolute path of the context folder.
    pub context: PathBuf,
    /// Dockerfile, absolute, or relative to the context; none = `Dockerfile`.
    pub dockerfile: Option<PathBuf>,
    /// Stage to build.
    pub target: Option<String>,
    /// Build arguments; none = taken from the environment of the build.
    pub args: BTreeMap<String, Option<String>>,
}

/// compose's `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Fetch (or build) when the engine does not have it.
    #[default]
    Missing,
    /// Fetch at each `up`.
    Always,
    /// Never fetch.
    Never,
    /// Build at each `up`.
    Build,
}

/// How far a dependency must have come (compose `depends_on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It runs.
    Started,
    /// Its health check says healthy.
    Healthy,
    /// It ended with exit code 0.
    CompletedSuccessfully,
}

impl Condition {
    /// compose-spec's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// compose's `deploy.update_config`: how a reload swaps containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateConfig {
    /// None: start-first where nothing stands in the way, else stop-first.
    pub order: Option<UpdateOrder>,
    /// `rollback` (true) or `pause` (false): what happens to a new container that does not become ready.
    pub rollback: bool,
    /// How long the new container has to become ready, and is looked at afterwards.
    pub monitor: Duration,
}

/// Which of the two containers moves first in a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The new one starts beside the old one.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

/// `[targets.NAME.mcp]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpSettings {
    /// How the server speaks. None: mcpmon looks at the container alone to see whether it is ready.
    pub transport: Option<Transport>,
    /// Start to first answer.
    pub startup_timeout: Duration,
    /// What happens to requests during a reload.
    pub on_reload: OnReload,
    /// Bytes held for the client during a reload.
    pub buffer: u64,
    /// The largest result handed to the client, in tokens (bytes / 4); at least 1.
    pub max_output_tokens: u64,
    /// Which extensions a session has.
    pub extensions: ExtensionSettings,
}

/// `[targets.NAME.mcp.extensions]`: what is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionSettings {
    /// Results that are too large are kept and handed out in pages.
    pub results: bool,
}

/// How an MCP server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Lines on stdin and stdout.
    Stdio,
    /// HTTP on a published port.
    StreamableHttp,
    /// Not an MCP server (a database, say).
    None,
}

/// What happens to requests that arrive during a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReload {
    /// They wait.
    Drain,
    /// They are answered by an error.
    Error,
}

/// A compose target, as written (paths absolute).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComposeTarget {
    /// `-f` files, in order; empty = compose's own discovery.
    pub file: Vec<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// `--env-file`.
    pub env_file: Vec<PathBuf>,
    /// The services meant; empty = all.
    pub services: Vec<String>,
    /// compose keys, written out as the last `-f`; `${…}` as written, compose fills it in.
    pub overrides: serde_json::Map<String, serde_json::Value>,
    /// Where each service of `overrides` was written: `mcpmon.toml:12:5`, a variable's name.
    pub origins: BTreeMap<String, String>,
}

/// A network to make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NetworkSpec {
    /// Driver; none = the engine's default.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Without a way out.
    pub internal: bool,
    /// Containers may be attached by hand.
    pub attachable: bool,
    /// With IPv6.
    pub enable_ipv6: bool,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
}

/// A named volume to make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VolumeSpec {
    /// Driver; none = the engine's default.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
}
